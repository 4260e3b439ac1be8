"""Open partitions: bring the state back from its log and find where reading goes on.

The order makes it sound. (a) Wait until the committed offsets are stable: then no transaction
with offsets of these partitions is left, and a worker that had them before can commit nothing any
more. (b) Only then take the end of the state log (read_uncommitted: a read_committed question
would be answered with the last stable offset, before a foreign transaction that is still open)
and read it, read_committed, to that end. (c) State and group must agree.

Runs in a thread; admin calls and a consumer of its own, never the worker's consumer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from agents import clients
from agents.ends import ask_offsets
from agents.exits import describe, say
from agents.idleness import Input
from agents.partitions import Partition
from agents.settings import Settings
from streams.errors import StateError

_REQUEST_S = 10.0
_STABLE_PAUSE_S = 0.05
_READ_RECORDS = 1_000
_READ_S = 0.05
_PROGRESS_S = 5.0
_KEY_CHARACTERS = 200
_NO_OFFSET = -1
_UNSTABLE = frozenset({KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT})


class Opener:
    """Open partitions of one worker.

    Parameters
    ----------
    opened
        Called with every partition as soon as it is ready, on the thread that opens.
    """

    def __init__(self, settings: Settings, *, opened: Callable[[Partition], None]) -> None:
        self._settings = settings
        self._opened = opened
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
        lows = self._offsets(inputs, latest=False)
        logs = {_log(partition): partition for partition in partitions if partition.live}
        ends = self._offsets(logs, latest=True)
        for log, partition in list(logs.items()):
            # A state that was kept is used again only if nobody has written since.
            if partition.state is not None and partition.log_end == ends[log]:
                self._finish(partition, committed=committed, lows=lows, records=1)
                del logs[log]
            else:
                partition.state = None
        for log, partition, records in self._read(logs, ends):
            partition.log_end = ends[log]
            self._finish(partition, committed=committed, lows=lows, records=records)

    def _stable_offsets(
        self, inputs: Sequence[Input], partitions: Sequence[Partition]
    ) -> dict[Input, int] | None:
        started_s = said_s = time.monotonic()
        while any(partition.live for partition in partitions):
            try:
                return self._committed(inputs)
            except KafkaException as error:
                cause = error.args[0]
                if not (cause.retriable() or cause.code() in _UNSTABLE):
                    raise
            if time.monotonic() - said_s > _PROGRESS_S:
                said_s = time.monotonic()
                waited = said_s - started_s
                say(f"waiting for the transaction of another worker to end, {waited:.0f} s so far")
            time.sleep(_STABLE_PAUSE_S)
        return None

    def _committed(self, inputs: Sequence[Input]) -> dict[Input, int]:
        group = self._settings.group
        wanted = [TopicPartition(*source) for source in inputs]
        answer = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, wanted)],
            require_stable=True,
            request_timeout=_REQUEST_S,
        )[group].result(_REQUEST_S + 1)
        offsets = {}
        for found in answer.topic_partitions or ():
            if found.error:
                raise KafkaException(found.error)
            offsets[found.topic, found.partition] = found.offset
        return offsets

    def _offsets(self, sources: Iterable[Input], *, latest: bool) -> dict[Input, int]:
        answers = ask_offsets(self._admin, sources, latest=latest, timeout_s=_REQUEST_S)
        return {source: answer.result(_REQUEST_S + 1).offset for source, answer in answers.items()}

    def _read(
        self, logs: dict[Input, Partition], ends: Mapping[Input, int]
    ) -> Iterable[tuple[Input, Partition, int]]:
        """Fold logs; yield each partition that is read to its end, and how many records it had."""
        if not logs:
            return
        starts = self._offsets(logs, latest=False)
        states = {log: part.stage.new_state(part.number) for log, part in logs.items()}
        counts = dict.fromkeys(logs, 0)
        consumer = Consumer(clients.state_reader(self._settings))
        progress = _Progress(sum(ends[log] - starts[log] for log in logs))
        try:
            consumer.assign([TopicPartition(*log, starts[log]) for log in logs])
            while logs:
                for log in [log for log, partition in logs.items() if not partition.live]:
                    del logs[log]
                for message in consumer.consume(_READ_RECORDS, _READ_S):
                    log = (message.topic(), message.partition())  # type: ignore[assignment]
                    partition = logs.get(log)
                    error = message.error()
                    if partition is None:
                        continue
                    if error is None:
                        self._fold(partition, states[log], message)
                        counts[log] += 1
                    elif error.code() != KafkaError._PARTITION_EOF:
                        raise StateError(f"{log[0]}/{log[1]} cannot be read: {error.str()}")
                    elif message.offset() >= ends[log]:  # type: ignore[operator]
                        partition.state = states[log]
                        del logs[log]
                        yield log, partition, counts[log]
                progress.show(sum(counts.values()))
        finally:
            consumer.close()

    def _fold(self, partition: Partition, state: Any, message: Message) -> None:
        try:
            partition.stage.fold(state, message.key(), message.value())
        except Exception as error:
            where = f"{message.topic()}/{message.partition()}@{message.offset()}"
            what = str(error) if isinstance(error, StateError) else describe(error)
            key = repr(message.key())[:_KEY_CHARACTERS]
            raise StateError(
                f"state record {where} with key {key} cannot be used: {what}; {self._way_out()}"
            ) from error

    def _finish(
        self,
        partition: Partition,
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
                    f" {stored.get(topic, 'nothing')}; {self._way_out()}"
                )
            first = group_says if group_says >= 0 else lows[source]
            position = stored.setdefault(topic, first)
            if position < lows[source]:
                raise StateError(
                    f"{topic}/{number}: records {position} to {lows[source] - 1} were deleted"
                    f" before they were read; give {topic} a longer retention; {self._way_out()}"
                )
        self._opened(partition)

    def _way_out(self) -> str:
        prefix, group = self._settings.prefix, self._settings.group
        return (
            "to start anew from what the inputs still hold, stop all workers, delete the topics"
            f" {prefix}.join-state, {prefix}.monitor-state, {prefix}.outcomes and the consumer"
            f" group {group}, and run `driftline topics create`"
        )


class _Progress:
    """Say how far a long read is, every few seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._due_s = time.monotonic() + _PROGRESS_S

    def show(self, done: int) -> None:
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + _PROGRESS_S
            say(f"reading state: {done:,} of about {self._total:,} records")


def _log(partition: Partition) -> Input:
    return partition.stage.state_topic, partition.number
