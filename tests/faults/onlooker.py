"""A reader that is there from the first record to the last, and notes when each became visible."""

import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

_NEAR_S = 15.0


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


class Onlooker:
    """Follow topics, committed records only.

    Attributes
    ----------
    seen
        Key and value of every record.
    times_s
        When records became visible, in order; several at once count once.
    """

    def __init__(self, servers: str, topics: Sequence[str], *, partitions: int) -> None:
        self.seen: dict[Place, tuple[bytes | None, bytes | None]] = {}
        self.times_s: list[float] = []
        self.problems: list[str] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "onlooker",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )
        self._consumer.assign([TopicPartition(t, p, 0) for t in topics for p in range(partitions)])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            now_s = time.monotonic()
            for message in [first, *self._consumer.consume(5_000, 0)]:
                error = message.error()
                if error is None:
                    place = Place(message.topic(), message.partition(), message.offset())  # type: ignore[arg-type]
                    self.seen[place] = (message.key(), message.value())
                elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                    self.problems.append(f"the onlooker was sent back: {error.str()}")
            self.times_s.append(now_s)

    def silence_s(self, fault_s: float, *, until_s: float) -> float | None:
        """Return the longest silence that begins around a fault, None if there was nothing after.

        Parameters
        ----------
        until_s
            Silences that begin later have other reasons: nothing was written any more.
        """
        ends_s = min(fault_s + _NEAR_S, until_s)
        near = [
            after - before
            for before, after in pairwise(list(self.times_s))
            if after > fault_s and before < ends_s
        ]
        return max(near, default=None)
