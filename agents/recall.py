"""Read input records again that a state refers to, so that its log need not repeat them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from agents import clients
from agents.deliveries import batch_of
from agents.idleness import Input
from agents.partitions import Partition
from agents.passing import passes
from agents.settings import Settings
from streams.errors import StateError

_READ_RECORDS = 100  # they are large
_READ_S = 0.05


class Recall:
    """Give states the input records that they need again; one partition after the other.

    Parameters
    ----------
    progressed
        Called whenever some records were read.
    """

    def __init__(self, settings: Settings, *, progressed: Callable[[], None]) -> None:
        self._settings = settings
        self._progressed = progressed
        self._consumer: Any = None

    def close(self) -> None:
        """Read nothing more."""
        if self._consumer is not None:
            self._consumer.close()

    def read(self, partition: Partition, *, lows: Mapping[Input, int]) -> None:
        """Give a partition's state what it asks for, as long as the partition is live.

        It takes as long as it takes: the watchdog ends what makes no progress.

        Parameters
        ----------
        lows
            Where inputs begin.

        Raises
        ------
        StateError
            If a record is not there any more.
        """
        for topic, offsets in partition.stage.recalls(partition.state).items():
            source = (topic, partition.number)
            if offsets[0] < lows[source]:
                raise StateError(
                    f"{topic}/{partition.number}: records {offsets[0]} to {lows[source] - 1} were"
                    f" deleted before they were done with; give {topic} a longer retention"
                )
            if offsets[-1] >= partition.state.next[topic]:
                raise StateError(
                    f"{partition.stage.state_topic}/{partition.number}: it refers to"
                    f" {topic}/{partition.number}@{offsets[-1]}, which was not read yet"
                )
            self._read(partition, topic, offsets)

    def _read(self, partition: Partition, topic: str, offsets: Sequence[int]) -> None:
        if self._consumer is None:
            self._consumer = Consumer(clients.state_reader(self._settings))
        self._consumer.assign([TopicPartition(topic, partition.number, offsets[0])])
        left = set(offsets)
        while left and partition.live:
            found = []
            for message in self._consumer.consume(_READ_RECORDS, _READ_S):
                # What is left of an assignment before this one means nothing.
                if (message.topic(), message.partition()) != (topic, partition.number):
                    continue
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() != KafkaError._PARTITION_EOF and not passes(error):
                    raise StateError(f"{topic}/{partition.number} cannot be read: {error.str()}")
            wanted = [message for message in found if message.offset() in left]
            if wanted:
                partition.stage.recall(partition.state, batch_of(topic, wanted))
                left.difference_update(map(Message.offset, wanted))
            if found:
                self._progressed()
            if left and found and found[-1].offset() >= offsets[-1]:
                raise StateError(
                    f"{topic}/{partition.number}@{min(left)}, which"
                    f" {partition.stage.state_topic}/{partition.number} refers to, is not there"
                )
