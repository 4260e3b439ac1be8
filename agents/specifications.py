"""Read topics that every worker reads in full: what they say, all partitions of a stage are told.

Partitions of these topics are assigned, not shared out by the group, and no offset of them is
committed: how far each partition of a stage has come is a part of its state. One thread reads;
records are kept, since partitions that are opened later want them, too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from agents import clients
from agents.deliveries import batch_of
from agents.exits import describe, end_process
from agents.partitions import Partition
from agents.passing import passes
from agents.settings import Settings
from streams.steps import Batch, Stage

_KEPT_RECORDS = 64
"""Of each key. These topics are compacted: there are more only where many changes came one after
the other."""

_POLL_S = 0.2
_MOST = 100


class GlobalReader:
    """Read one topic of one partition from its beginning on, for as long as the worker lives.

    Parameters
    ----------
    came
        Called on the reading thread when there is more.
    """

    def __init__(self, settings: Settings, topic: str, *, came: Callable[[], None]) -> None:
        self.topic = topic
        self._settings, self._came = settings, came
        self._messages: dict[Any, deque[Message]] = {}
        self._end = -1
        self._read = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="driftline-global", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True

    def wait(self, wanted: Callable[[], bool]) -> None:
        """Wait until everything was read that was there at the start, or nobody wants it."""
        while wanted() and not self._read.wait(_POLL_S):
            pass

    def since(self, offset: int) -> Batch | None:
        """Return what there is from an offset on; `None` if nothing.

        An offset beyond the end is one of a topic that was deleted: its successor is read from its
        beginning.
        """
        with self._lock:
            first = 0 if offset > self._end else offset
            every = chain.from_iterable(self._messages.values())
            found = [one for one in every if (one.offset() or 0) >= first]
        found.sort(key=lambda one: one.offset() or 0)
        return batch_of(self.topic, found) if found else None

    # --- everything below runs on the reading thread

    def _run(self) -> None:
        try:
            consumer = Consumer(clients.state_reader(self._settings))
            consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])
            while not self._stopping:
                self._take(consumer.consume(_MOST, _POLL_S))
            consumer.close()
        except BaseException as error:  # noqa: BLE001 - the one way out of this thread
            end_process(f"{self.topic}: {describe(error)}")

    def _take(self, messages: list[Message]) -> None:
        found = []
        for message in messages:
            if message.topic() != self.topic:
                continue  # about a group, in which this consumer is not
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                with self._lock:
                    self._end = max(self._end, message.offset() or 0)
                self._read.set()
            elif not passes(error):
                end_process(f"{self.topic} cannot be read: {error.str()}")
        if found:
            with self._lock:
                for one in found:
                    kept = self._messages.setdefault(one.key(), deque(maxlen=_KEPT_RECORDS))
                    kept.append(one)
                self._end = max(self._end, (found[-1].offset() or 0) + 1)
            self._came()


class Globals:
    """All such topics of the stages of a worker.

    Parameters
    ----------
    came
        See `GlobalReader`.
    """

    def __init__(
        self, settings: Settings, stages: Sequence[Stage], *, came: Callable[[], None]
    ) -> None:
        topics = {topic for stage in stages for topic in stage.global_inputs}
        self._readers = {topic: GlobalReader(settings, topic, came=came) for topic in topics}

    def start(self) -> None:
        """Begin to read."""
        for reader in self._readers.values():
            reader.start()

    def stop(self) -> None:
        """Read nothing more."""
        for reader in self._readers.values():
            reader.stop()

    def wait(self, partition: Partition) -> None:
        """Wait until everything was read that a partition takes before all else."""
        for topic in partition.stage.global_inputs:
            self._readers[topic].wait(lambda: partition.live)

    def feed(self, partition: Partition) -> None:
        """Queue for a partition what it has not taken yet, and is not queued."""
        for topic in partition.stage.global_inputs:
            batch = self._readers[topic].since(partition.next_global(topic))
            if batch is not None:
                partition.feed_global(batch)
