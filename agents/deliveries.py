"""What the poll thread hands over, to whom, and how much of it may be under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from operator import methodcaller
from typing import Any, NamedTuple, Protocol, TypeAlias

from confluent_kafka import Message

from agents.fetching import Headers
from agents.idleness import Input
from streams.steps import Batch

BACKLOG_RECORDS = 200_000
BACKLOG_BYTES = 64 << 20
_STARVING_ROOM = 2


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
    """Return the bytes that a batch takes; headers only where they are copied."""
    headers = batch.headers.size_bytes if isinstance(batch.headers, Headers) else 0
    return batch.text_bytes + headers


class FromMessages(Sequence[Any]):
    """A column that is asked for a few rows only: they are taken from the messages then."""

    def __init__(self, run: Sequence[Message], get: Callable[[Message], Any]) -> None:
        self._run, self._get = run, get

    def __len__(self) -> int:
        return len(self._run)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return FromMessages(self._run[index], self._get)
        return self._get(self._run[index])


def batch_of(topic: str, run: Sequence[Message]) -> Batch:
    """Turn messages of one partition into a batch, by columns."""
    offsets = FromMessages(run, Message.offset)
    return Batch(
        topic=topic,
        offsets=offsets,
        keys=list(map(Message.key, run)),
        values=list(map(Message.value, run)),
        times_ms=FromMessages(run, _time_ms),
        next_offset=offsets[-1] + 1,
        headers=FromMessages(run, _headers),
    )


def _headers(message: Message) -> Any:
    try:
        return _get_headers(message)
    # The name of one is not UTF-8, of which confluent-kafka makes a mess; a call from Python's
    # own code would raise at a later line. A dead letter does without then.
    except (UnicodeDecodeError, SystemError):
        return None


_get_headers = methodcaller("headers")


def _time_ms(message: Message) -> int:
    return message.timestamp()[1]
