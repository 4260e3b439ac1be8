"""Decide which input of a partition is read next, so that its inputs advance together in time.

Left alone, a consumer on a backlog reads one topic far ahead of the other, and a join must hold
all that came too soon. So records queue here by input, and the input that is behind goes first:

* What is queued of the input whose next records are the oldest is taken first.
* It waits while an input that has nothing queued, but more to come, has not come that far: what
  comes may be older. Such an input is being fetched, or its leader cannot be reached; then the
  clock of the partition waits for it, too.
* An input that is read to its end holds nothing back.
* An input of which much waits in this way is paused. It is never the one that is waited for, so
  what is waited for comes.
* Whoever keeps the queues may run out of room while all that is queued waits, since partitions
  share the room. Then it lets something go out of turn: `Inbox.release`. This is about memory;
  results do not depend on the order of reading.

Times are event times: a history that is written today, one topic after the other, has record
timestamps of today. A record's time may be wrong, hence an input is as old as the oldest of what
is looked at: a single record from the future delays nothing.

This file knows no clock and no Kafka.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple, TypeAlias

from streams.steps import Batch

SLICE_RECORDS = 1_000
"""Inputs take turns in slices of at most this many records."""

SLICE_BYTES = 1 << 20
"""Slices are about as large at most; a record is never cut."""

_LOOK_AHEAD_SLICES = 4

TimeOf: TypeAlias = Callable[[Batch, int], int]
"""The event time, in milliseconds, of the record at an index of a batch."""


def next_input(
    queued: Mapping[str, int], awaited: Mapping[str, int], *, allowance_ms: int
) -> str | None:
    """Name the input to read from, None if all that is queued must wait.

    Parameters
    ----------
    queued
        Inputs of which something is queued, with the time of the oldest; of equals the first goes.
    awaited
        Inputs of which nothing is queued though more will come, with the time they have come to.
    allowance_ms
        How far ahead of an awaited input another may be.

    Examples
    --------
    >>> next_input({"predictions": 70, "labels": 60}, {}, allowance_ms=5)
    'labels'
    >>> next_input({"labels": 60}, {"predictions": 55}, allowance_ms=5)
    'labels'
    >>> next_input({"labels": 61}, {"predictions": 55}, allowance_ms=5)
    """
    if not queued:
        return None
    oldest = min(queued, key=queued.__getitem__)
    if any(queued[oldest] - time_ms > allowance_ms for time_ms in awaited.values()):
        return None
    return oldest


class _Slice(NamedTuple):
    batch: Batch
    oldest_ms: int
    newest_ms: int
    size_bytes: int


class Inbox:
    """What is queued of one partition, by input.

    Parameters
    ----------
    inputs
        Where times are equal, an input that is named earlier goes first.
    time_of, allowance_ms
        See `TimeOf` and `next_input`.

    Attributes
    ----------
    ended : frozenset
        Inputs that are read to their end: what is queued of them is all that there is.
    paused : frozenset
        Inputs that should not be fetched for now; never all of them.
    queued_bytes : int
        Keys and values of all that is queued.
    """

    def __init__(self, inputs: Iterable[str], *, time_of: TimeOf, allowance_ms: int) -> None:
        self.ended: frozenset[str] = frozenset()
        self.paused: frozenset[str] = frozenset()
        self._time_of = time_of
        self._allowance_ms = allowance_ms
        self._queues: dict[str, deque[_Slice]] = {topic: deque() for topic in inputs}
        self._records = dict.fromkeys(self._queues, 0)
        self._come_to_ms = dict.fromkeys(self._queues, -1)
        self._released = False
        self.queued_bytes = 0

    def put(self, batch: Batch) -> None:
        """Queue records."""
        self._records[batch.topic] += len(batch.offsets)
        self.queued_bytes += batch.text_bytes
        for part in _slices(batch):
            self._queues[batch.topic].append(self._timed(part))

    def _timed(self, batch: Batch) -> _Slice:
        times_ms = [-1]
        if len(self._queues) > 1:
            last = len(batch.offsets) - 1
            times_ms = [self._time_of(batch, index) for index in {0, last // 2, last}]
        return _Slice(batch, min(times_ms), max(times_ms), batch.text_bytes)

    @property
    def queued(self) -> set[str]:
        """Inputs of which something is queued."""
        return {topic for topic, queue in self._queues.items() if queue}

    @property
    def ready(self) -> bool:
        """Whether something that is queued need not wait."""
        return self._next() is not None

    def take(self, limit: int, limit_bytes: int) -> Iterator[Batch]:
        """Unqueue records in turn, until a limit is reached or what is left must wait."""
        count = taken_bytes = 0
        while count < limit and taken_bytes < limit_bytes and (topic := self._next()) is not None:
            batch, _, self._come_to_ms[topic], size_bytes = self._queues[topic].popleft()
            self._released = False
            self._records[topic] -= len(batch.offsets)
            count += len(batch.offsets)
            taken_bytes += size_bytes
            self.queued_bytes -= size_bytes
            yield batch

    def release(self) -> None:
        """Let the next records go though they should wait."""
        self._released = bool(self.queued)

    def pace(self, limit: int) -> bool:
        """Decide anew which inputs are paused, and tell whether that is a change.

        An input is paused when it must wait with `limit` records or more, and goes on when it
        has come down to half of that: pausing throws away what was fetched in advance.
        """
        before, waiting = self.paused, not self.ready
        self.paused = frozenset(
            topic
            for topic in self.queued
            if (topic in before and self._records[topic] > limit // 2)
            or (waiting and self._records[topic] >= limit)
        )
        return self.paused != before

    def clear(self) -> list[Batch]:
        """Unqueue everything."""
        left = [part.batch for queue in self._queues.values() for part in queue]
        for topic, queue in self._queues.items():
            queue.clear()
            self._records[topic] = 0
        self.queued_bytes = 0
        return left

    def _next(self) -> str | None:
        queued = {
            # What is queued behind goes no sooner, so it counts, too.
            topic: min(part.oldest_ms for part in islice(queue, _LOOK_AHEAD_SLICES))
            for topic, queue in self._queues.items()
            if queue
        }
        awaited = {} if self._released else self._awaited()
        return next_input(queued, awaited, allowance_ms=self._allowance_ms)

    def _awaited(self) -> dict[str, int]:
        return {
            topic: self._come_to_ms[topic]
            for topic, queue in self._queues.items()
            if not queue and topic not in self.ended
        }


def _slices(batch: Batch) -> Iterator[Batch]:
    count = len(batch.offsets)
    size = max(1, min(SLICE_RECORDS, count * SLICE_BYTES // max(batch.text_bytes, 1)))
    if count <= size:
        yield batch
        return
    for start in range(0, count, size):
        end = min(start + size, count)
        yield Batch(
            topic=batch.topic,
            offsets=batch.offsets[start:end],
            keys=batch.keys[start:end],
            values=batch.values[start:end],
            times_ms=batch.times_ms[start:end],
            next_offset=batch.offsets[end - 1] + 1,
            headers=batch.headers and batch.headers[start:end],
        )
