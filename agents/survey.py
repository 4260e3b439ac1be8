"""What a replay finds out about a recording before it begins: its disorder, and how far it goes.

The disorder is how far the latest line is behind the clock of its moment. But the clock goes by
what is near, and what is near depends on the disorder that it was told (see
`streams.input_clock`): wanted is the least disorder that, told to the clock, is not exceeded. It
is looked for in the recording as one partition, and as it is cut for the replay, so that nothing
is late in either.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from streams.clock_limits import Limits
from streams.input_clock import InputClock, Ints, Keys
from streams.topics import Topics

_PIECE = 5_000
_ATTEMPTS = 8


class Survey:
    """What is known of a recording.

    Attributes
    ----------
    lines
        How many there are, good or not.
    readings
        How many lines are readings of hosts, which are not among these.
    specifications
        Place and value of lines that say what to watch, which are not among these.
    disorder_ms
        How far its lines are out of order.
    end_ms
        How far it has come at its end: lines that are far ahead of all others do not count. What is
        far depends on the disorder that the clock is told, as in a worker.
    """

    def __init__(self, topics: Topics, *, partitions: int, horizon_ms: int) -> None:
        self.lines = self.readings = 0
        self._newest_reading_ms = -1
        self.specifications: list[tuple[int, bytes]] = []
        self.disorder_ms = 0
        self.end_ms = -1
        self._topics = (topics.predictions, topics.labels)
        self._partitions = partitions
        self._horizon_ms = horizon_ms
        self._times, self._ids = array("q"), array("Q")
        self._numbers, self._kinds = array("H"), array("B")

    def see(self, topic: str, record_id: bytes, time_ms: int) -> None:
        """Take one good line into account."""
        self._times.append(time_ms)
        self._ids.append(xxh3_64_intdigest(record_id))
        self._numbers.append(zlib.crc32(record_id) % self._partitions)
        self._kinds.append(self._topics.index(topic))

    def see_reading(self, time_ms: int) -> None:
        """Take the time of a reading into account, which is the end where there is nothing else."""
        self._newest_reading_ms = max(self._newest_reading_ms, time_ms)

    @property
    def absent(self) -> frozenset[str]:
        """Inputs without a single good line, which must not hold back the clock."""
        return frozenset(t for n, t in enumerate(self._topics) if n not in self._kinds)

    def finish(self, *, told_ms: int | None) -> None:
        """Work out what follows from all lines.

        Parameters
        ----------
        told_ms
            The disorder that the clock will be told; None for the one that is found.
        """
        lines = _Lines(
            np.array(self._times, np.int64),
            np.array(self._ids, np.uint64),
            np.array(self._kinds, np.uint8),
        )
        numbers = np.array(self._numbers, np.uint16)
        cuts = [lines, *(lines.chosen(numbers == n) for n in range(self._partitions))]
        tried_ms, attempts = -1, 0
        while self.disorder_ms > tried_ms:
            tried_ms, attempts = self.disorder_ms, attempts + 1
            limits = Limits(disorder_ms=tried_ms, horizon_ms=self._horizon_ms)
            found_ms = max(cut.disorder_ms(limits) for cut in cuts)
            if found_ms > tried_ms and attempts > _ATTEMPTS:
                found_ms = max(found_ms, 2 * tried_ms)  # a little more each time would take long
            self.disorder_ms = max(found_ms, tried_ms)
        told_ms = self.disorder_ms if told_ms is None else told_ms
        self.end_ms = lines.end_ms(Limits(disorder_ms=told_ms, horizon_ms=self._horizon_ms))
        if self.end_ms < 0:
            self.end_ms = self._newest_reading_ms


class _Lines(NamedTuple):
    """Lines of a partition in their order; `kind` is the number of their topic."""

    times_ms: Ints
    ids: Keys
    kind: NDArray[np.uint8]

    def chosen(self, which: NDArray[np.bool_]) -> _Lines:
        return _Lines(self.times_ms[which], self.ids[which], self.kind[which])

    def inputs(self) -> Iterator[NDArray[np.bool_]]:
        """Yield, for each topic that has any, which lines are its own."""
        for kind in np.unique(self.kind).tolist():
            yield self.kind == kind

    def disorder_ms(self, limits: Limits) -> int:
        """Return how far a line is behind the slowest input that has begun."""
        clock_ms = np.full(len(self.times_ms), np.iinfo(np.int64).max)
        for own in self.inputs():
            newest_ms, _ = _follow(self.times_ms[own], self.ids[own], limits)
            here_ms = np.concatenate([[-1], newest_ms])[np.cumsum(own)]
            clock_ms = np.where(here_ms < 0, clock_ms, np.minimum(clock_ms, here_ms))
        begun = clock_ms < np.iinfo(np.int64).max
        return max(0, int((clock_ms - self.times_ms)[begun].max(initial=0)))

    def end_ms(self, limits: Limits) -> int:
        """Return how far the lines have come, -1 if there are none."""
        clocks = [_follow(self.times_ms[own], self.ids[own], limits)[1] for own in self.inputs()]
        settled_ms = max((clock.settled_ms(limits) for clock in clocks), default=-1)
        # One line alone: after the end of a recording nobody can be harmed by it.
        return settled_ms if settled_ms >= 0 else max((c.latest_ms() for c in clocks), default=-1)


def _follow(times_ms: Ints, ids: Keys, limits: Limits) -> tuple[Ints, InputClock]:
    """Return the newest time after each line of an input, and its clock after the last."""
    clock = InputClock()
    pieces = [
        clock.follow(times_ms[at : at + _PIECE], ids[at : at + _PIECE], limits=limits)
        for at in range(0, len(times_ms), _PIECE)
    ]
    newest_ms = np.concatenate([np.empty(0, np.int64), *pieces])
    first = int(np.count_nonzero(newest_ms < 0))
    # Of the first lines the clock knows which are right only when there are more.
    known_ms = int(newest_ms[first]) if first < len(newest_ms) else clock.settled_ms(limits)
    right_ms = np.where(times_ms[:first] <= known_ms, times_ms[:first], -1)
    newest_ms[:first] = np.maximum.accumulate(right_ms)
    return newest_ms, clock
