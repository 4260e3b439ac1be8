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
Steps = NDArray[np.int8]

REFRESHES = 10
"""A window of few rows is looked at once in so many `Revising.refresh_ms`, if not more often."""

PAUSES = 9
"""How often a window may double its linger."""

_NONE = np.empty(0, np.int32)


class Revising(NamedTuple):
    """How soon windows under way are written again.

    Attributes
    ----------
    linger_ms
        A window that has changed is looked at after so long.
    refresh_ms
        A number that has changed by next to nothing is written after so long.

    Examples
    --------
    >>> [Revising().pause_ms(step) for step in (0, 3, 8)]
    [2000, 16000, 300000]
    """

    linger_ms: int = 2_000
    refresh_ms: int = 30_000

    @property
    def longest_ms(self) -> int:
        """How long a window waits at most whose records would outnumber its rows."""
        return REFRESHES * self.refresh_ms

    def pause_ms(self, step: int) -> int:
        """Return how long a window lingers that is looked at less often, by some steps."""
        return max(self.linger_ms, min(self.linger_ms << step, self.longest_ms))


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
    revising
        As of the last `wake`.
    steps
        By row, how often its linger is doubled, as of the last `pause`.
    """

    def __init__(self) -> None:
        self.ready: deque[Rows] = deque()
        self.count = 0
        self._is_ready = np.empty(0, np.bool_)
        self._changed: list[Rows] = []
        self._lingering = [_Timed() for _ in range(PAUSES)]
        self._resting = [_Timed() for _ in range(PAUSES)]
        self.revising = Revising()
        self.steps = np.empty(0, np.int8)
        self._not_before_ms = np.empty(0, np.int64)

    def grow(self, size: int) -> None:
        """Make room for rows."""
        self._is_ready = grown(self._is_ready, size)
        self.steps = grown(self.steps, size)
        self._not_before_ms = grown(self._not_before_ms, size)
        for timed in (*self._lingering, *self._resting):
            timed.there = grown(timed.there, size)

    @property
    def empty(self) -> bool:
        """Whether no row is waited for."""
        timed = any(one.queue for one in (*self._lingering, *self._resting))
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

    def pause(self, rows: Rows, steps: Steps, now_ms: int) -> None:
        """Let rows linger for longer from now on, but for those that are due `at_once`."""
        self.steps[rows] = steps
        for step, some in _by_step(rows, steps):
            self._not_before_ms[some] = now_ms + self.revising.pause_ms(step) if step else 0

    def rest(self, rows: Rows, now_ms: int) -> None:
        """Let rows be looked at once more after a while, if nothing makes them be before."""
        for step, some in _by_step(rows, self.steps[rows]):
            self._resting[step].add(some, now_ms + self._rest_ms(step))

    def _rest_ms(self, step: int) -> int:
        return max(self.revising.refresh_ms, self.revising.pause_ms(step))

    def wake(self, now_ms: int, revising: Revising) -> None:
        """Let be ready what is due."""
        self.revising = revising
        for rows in self._changed:
            fresh = rows[~self._is_ready[rows]]
            for step, some in _by_step(fresh, self.steps[fresh]):
                self._lingering[step].add(some, now_ms + revising.pause_ms(step))
        self._changed.clear()
        for step in range(PAUSES):
            longest_ms = revising.pause_ms(step)
            for rows in self._lingering[step].take(now_ms, longest_ms=longest_ms):
                self._wake(rows, now_ms)
            for rows in self._resting[step].take(now_ms, longest_ms=self._rest_ms(step)):
                self._wake(rows, now_ms)

    def _wake(self, rows: Rows, now_ms: int) -> None:
        """Let rows be ready, but for those that pause since: these are once that is over."""
        due_ms, longest_ms = self._not_before_ms[rows], self.revising.longest_ms
        early = (due_ms > now_ms) & (due_ms <= now_ms + longest_ms)
        for step, some in _by_step(rows[early], self.steps[rows[early]]):
            self._resting[step].add(some, now_ms + self.revising.pause_ms(step))
        self.at_once(rows[~early])

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
        for timed in (*self._lingering, *self._resting):
            for _, rows in timed.queue:
                yield rows


def _by_step(rows: Rows, steps: Steps) -> Iterator[tuple[int, Rows]]:
    """Yield rows by how often their linger is doubled."""
    for step in np.unique(steps).tolist():
        yield step, rows[steps == step]
