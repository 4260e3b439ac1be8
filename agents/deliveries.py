"""What the poll thread hands over, to whom, and how much of it may be under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol, TypeAlias

from confluent_kafka import Message

from agents.idleness import Input
from streams.steps import Batch

BACKLOG_RECORDS = 50_000
BACKLOG_BYTES = 32 << 20
_STARVING_ROOM = 4


class Quiet(NamedTuple):
    """Inputs that have come to something, with what is delivered.

    Attributes
    ----------
    ended
        Read to their end.
    idle
        Idle, see `agents.idleness`.
    """

    ended: frozenset[Input] = frozenset()
    idle: frozenset[Input] = frozenset()


class Delivery(NamedTuple):
    """What the poll thread hands over at once.

    Attributes
    ----------
    batches
        By topic and partition.
    quiet
        What became of it, if it changed since the last delivery, else None.
    """

    batches: Mapping[Input, Batch]
    quiet: Quiet | None


AskEnds: TypeAlias = Callable[[Sequence[Input]], Mapping[Input, Future[Any]]]


class Listener(Protocol):
    """Who wants to know; all methods are called on the poll thread."""

    def delivered(self, delivery: Delivery) -> None:
        """Take records; must not wait."""

    def assigned(self, inputs: set[Input], metadata: Any) -> None:
        """Take over partitions, which are paused; may wait."""

    def revoked(self, inputs: set[Input]) -> None:
        """Finish what is under way and release partitions; the group waits for it."""

    def lag_seen(self, lags: Mapping[Input, int]) -> None:
        """Take how far inputs are behind; must not wait."""


class Backlog:
    """Count what is handed over and not yet processed; safe from two threads.

    Attributes
    ----------
    starving
        Whether all that is queued waits for an input of which nothing came yet. That may be
        behind other records in what was fetched, so that more room is given.
    """

    def __init__(self) -> None:
        self.starving = False
        self._lock = threading.Lock()
        self._records = 0
        self._bytes = 0

    def change(self, *, records: int, size_bytes: int) -> None:
        """Add to the backlog, or take from it with negative numbers."""
        with self._lock:
            self._records += records
            self._bytes += size_bytes

    def share(self, partitions: int) -> int:
        """Return how many records of one input may wait for another, so that there is room."""
        return 0 if self.crowded else BACKLOG_RECORDS // 2 // max(partitions, 1)

    @property
    def crowded(self) -> bool:
        """Whether there is as much as is good for going on at full speed."""
        return self._exceeds(1)

    @property
    def full(self) -> bool:
        """Whether reading must wait."""
        return self._exceeds(_STARVING_ROOM if self.starving else 1)

    def _exceeds(self, factor: int) -> bool:
        return self._records > factor * BACKLOG_RECORDS or self._bytes > factor * BACKLOG_BYTES


def size_bytes(batch: Batch) -> int:
    """Return the bytes of a batch's keys and values."""
    return sum(map(len, filter(None, batch.values))) + sum(map(len, filter(None, batch.keys)))


def batch_of(topic: str, run: Sequence[Message]) -> Batch:
    """Turn messages of one partition into a batch.

    Columns are built by comprehensions; an object for each record would cost more than reading it.
    """
    headers = [message.headers() for message in run]
    offsets = [message.offset() for message in run]
    return Batch(
        topic=topic,
        offsets=offsets,  # type: ignore[arg-type]  # a record has an offset
        keys=[message.key() for message in run],
        values=[message.value() for message in run],
        times_ms=[message.timestamp()[1] for message in run],
        next_offset=offsets[-1] + 1,  # type: ignore[operator]
        headers=headers if any(headers) else None,
    )
