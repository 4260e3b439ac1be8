"""Open partitions: bring the state back from its log and find where reading goes on.

The order makes it sound. (a) Wait until the committed offsets are stable: then no transaction
with offsets of these partitions is left, and a worker that had them before can commit nothing any
more. (b) Only then take the end of the state log (read_uncommitted: a read_committed question
would be answered with the last stable offset, before a foreign transaction that is still open)
and read it, read_committed, to that end. (c) State and group must agree. Input records that the
state refers to are read again.

Runs in a thread; admin calls and a consumer of its own, never the worker's consumer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import clients, state_log
from agents.ends import find_offsets
from agents.exits import say
from agents.idleness import Input
from agents.partitions import Partition
from agents.passing import passes
from agents.recall import Recall
from agents.settings import Settings
from streams.errors import StateError

_STABLE_S = 1.0
_PAUSE_S = 0.1
_PROGRESS_S = 5.0
_NO_OFFSET = -1
_UNSTABLE = frozenset({KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT})


class Opener:
    """Open partitions of one worker.

    Parameters
    ----------
    opened
        Called with every partition as soon as it is ready, on the thread that opens.
    progressed
        Called there again and again, as long as more of a state is read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        opened: Callable[[Partition], None],
        progressed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._opened = opened
        self._progressed = progressed
        self._admin = AdminClient(clients.admin(settings))

    def open(self, partitions: Sequence[Partition]) -> None:
        """Open all that are still live; those that are taken away meanwhile are left as they are.

        Raises
        ------
        StateError
            If state, group and inputs do not fit together; a person must look.
        """
        inputs = [source for partition in partitions for source in partition.inputs]
        committed = self._stable_offsets(inputs, partitions)
        if committed is None:
            return
        with closing(Recall(self._settings, progressed=self._progressed)) as recall:
            lows = self._offsets(partitions, inputs, latest=False)
            self._read(partitions, committed, lows, recall)

    def _read(
        self,
        partitions: Sequence[Partition],
        committed: Mapping[Input, int],
        lows: Mapping[Input, int],
        recall: Recall,
    ) -> None:
        logs = {partition.log: partition for partition in partitions if partition.live}
        ends = self._offsets(partitions, logs, latest=True)
        for log, partition in list(logs.items()):
            # A state that was kept is used again only if nobody has written since.
            if partition.state is not None and partition.log_end == ends[log]:
                self._finish(partition, recall, committed=committed, lows=lows, records=1)
                del logs[log]
            else:
                partition.state = None
        starts = partial(self._offsets, partitions, latest=False)
        left = list(logs.values())
        for partition, records in state_log.read(
            self._settings, left, ends=ends, starts=starts, progressed=self._progressed
        ):
            partition.log_end = ends[partition.log]
            self._finish(partition, recall, committed=committed, lows=lows, records=records)

    def _stable_offsets(
        self, inputs: Sequence[Input], partitions: Sequence[Partition]
    ) -> dict[Input, int] | None:
        # It joins nothing. Being read_committed, it is not answered while a transaction with
        # offsets of these partitions is open.
        asker = Consumer({**clients.state_reader(self._settings), "group.id": self._settings.group})
        started_s = said_s = time.monotonic()
        try:
            while any(partition.live for partition in partitions):
                try:
                    return _committed(asker, inputs)
                except KafkaException as error:
                    cause = error.args[0]
                    if not passes(cause):
                        raise
                    if cause.code() in _UNSTABLE:
                        self._progressed()  # this ends by itself, with the other's transaction
                    time.sleep(_PAUSE_S)
                if time.monotonic() - said_s > _PROGRESS_S:
                    said_s = time.monotonic()
                    waited = f"{said_s - started_s:.0f} s so far: {cause.str()}"
                    say(f"waiting for the group's offsets, or another's transaction, {waited}")
        finally:
            asker.close()
        return None

    def _offsets(
        self, partitions: Sequence[Partition], sources: Iterable[Input], *, latest: bool
    ) -> dict[Input, int]:
        # What is not answered at all is the watchdog's business.
        return find_offsets(
            self._admin,
            sources,
            latest=latest,
            wanted=lambda: any(partition.live for partition in partitions),
        )

    def _finish(
        self,
        partition: Partition,
        recall: Recall,
        *,
        committed: Mapping[Input, int],
        lows: Mapping[Input, int],
        records: int,
    ) -> None:
        """Check that state, group and inputs agree, and hand the partition over."""
        if not partition.live:
            return
        stored = partition.state.next
        for source in partition.inputs:
            topic, number = source
            group_says = -1 if self._settings.embedded else committed.get(source, _NO_OFFSET)
            if group_says >= 0 and (records == 0 or stored.get(topic, group_says) != group_says):
                raise StateError(
                    f"{topic}/{number}: the group {self._settings.group} has committed offset"
                    f" {group_says}, but {partition.stage.state_topic}/{number} says"
                    f" {stored.get(topic, 'nothing')}"
                )
            first = group_says if group_says >= 0 else lows[source]
            position = stored.setdefault(topic, first)
            if position < lows[source]:
                raise StateError(
                    f"{topic}/{number}: records {position} to {lows[source] - 1} were deleted"
                    f" before they were read; give {topic} a longer retention"
                )
        # A state that was kept may lack some: its partition was taken away while they were read.
        recall.read(partition, lows=lows)
        if partition.live:
            self._opened(partition)


def _committed(asker: Consumer, inputs: Sequence[Input]) -> dict[Input, int]:
    """Return the offsets that the group has committed, of the inputs of which it has."""
    # Not the admin client's question: librdkafka's crashes when the coordinator has moved.
    answer = asker.committed([TopicPartition(*source) for source in inputs], timeout=_STABLE_S)
    for found in answer:
        if found.error is not None:
            raise KafkaException(found.error)
    return {(found.topic, found.partition): found.offset for found in answer if found.offset >= 0}
