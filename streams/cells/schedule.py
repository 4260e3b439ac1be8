"""When windows that have changed are looked at: soon, after a linger, or once more after a while.

By the wall clock, in memory alone: after a restart, what waits is looked at at once.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import grown

Rows = NDArray[np.int32]

_NONE = np.empty(0, np.int32)


class Revising(NamedTuple):
    """How soon windows under way are written again.

    Attributes
    ----------
    linger_ms
        A window that has changed is looked at after so long.
    refresh_ms
        A number that has changed by next to nothing is written after so long.
    """

    linger_ms: int = 2_000
    refresh_ms: int = 30_000


class _Timed:
    """Rows by when they are due; each is in it once."""

    def __init__(self) -> None:
        self.there = np.empty(0, np.bool_)
        self.queue: deque[tuple[int, Rows]] = deque()

    def add(self, rows: Rows, due_ms: int) -> None:
        rows = rows[~self.there[rows]]
        if len(rows):
            self.there[rows] = True
            self.queue.append((due_ms, rows))

    def take(self, now_ms: int, *, longest_ms: int) -> Iterator[Rows]:
        """Yield what is due; a clock that went back does not keep anything for longer."""
        while self.queue and not now_ms < self.queue[0][0] <= now_ms + longest_ms:
            rows = self.queue.popleft()[1]
            self.there[rows] = False
            yield rows


class Schedule:
    """Which rows are looked at next.

    Attributes
    ----------
    ready
        Rows to be looked at, the first that came to it first; each once.
    count
        How many there are.
    """

    def __init__(self) -> None:
        self.ready: deque[Rows] = deque()
        self.count = 0
        self._is_ready = np.empty(0, np.bool_)
        self._changed: list[Rows] = []
        self._lingering, self._resting = _Timed(), _Timed()

    def grow(self, size: int) -> None:
        """Make room for rows."""
        self._is_ready = grown(self._is_ready, size)
        for timed in (self._lingering, self._resting):
            timed.there = grown(timed.there, size)

    @property
    def empty(self) -> bool:
        """Whether no row is waited for."""
        timed = self._lingering.queue or self._resting.queue
        return not (self.ready or self._changed or timed)

    def at_once(self, rows: Rows) -> None:
        """Let rows be looked at as soon as may be."""
        rows = rows[~self._is_ready[rows]]
        if len(rows):
            self._is_ready[rows] = True
            self.ready.append(rows)
            self.count += len(rows)

    def linger(self, rows: Rows) -> None:
        """Let rows be looked at once they have lingered, from the next `wake` on."""
        if len(rows):
            self._changed.append(rows)

    def rest(self, rows: Rows, due_ms: int) -> None:
        """Let rows be looked at once more at a time, if nothing makes them be before."""
        self._resting.add(rows, due_ms)

    def wake(self, now_ms: int, revising: Revising) -> None:
        """Let be ready what is due."""
        for rows in self._changed:
            self._lingering.add(rows[~self._is_ready[rows]], now_ms + revising.linger_ms)
        self._changed.clear()
        for timed, longest_ms in zip((self._lingering, self._resting), revising, strict=True):
            for rows in timed.take(now_ms, longest_ms=longest_ms):
                self.at_once(rows)

    def take(self, limit: int) -> Rows:
        """Return rows that are ready, about `limit` at most."""
        found: list[Rows] = []
        while self.ready and limit > 0:
            rows = self.ready.popleft()
            if len(rows) > limit:
                self.ready.appendleft(rows[limit:])
                rows = rows[:limit]
            self.count -= len(rows)
            self._is_ready[rows] = False
            found.append(rows)
            limit -= len(rows)
        return np.concatenate(found) if found else _NONE

    def pending(self) -> Iterator[Rows]:
        """Yield all rows that are waited for, some of them twice."""
        yield from self.ready
        yield from self._changed
        for timed in (self._lingering, self._resting):
            for _, rows in timed.queue:
                yield rows
