"""What is written of windows under way: as much as their rows pay for.

Each of some fifty metrics of a window moves with nearly every row while there are few. Written as
soon as they move, a window of thirty rows would be a thousand records. Hence its numbers wait
until its rows outnumber them again; and how many rows there are is told once enough have come to
pay for that, by how fast they came so far.
In memory alone: after a restart, windows are looked at as if they had just begun.
"""

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import grown
from streams.cells.schedule import PAUSES, Revising

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]
Steps = NDArray[np.int8]

RECORDS_PER_ROW = 0.5
"""A prediction is a row, and its label is another: so many numbers of each, if they go on so."""

COUNTS_PER_ROW = 0.25
"""So many records beside these say how many rows there are."""


class Spending:
    """What was written of windows of one size, by row."""

    def __init__(self) -> None:
        self._begun_ms = np.empty(0, np.int64)
        self._counts, self._numbers = np.empty(0, np.int64), np.empty(0, np.int64)

    def grow(self, size: int) -> None:
        """Make room for windows."""
        self._begun_ms = grown(self._begun_ms, size)
        self._counts, self._numbers = grown(self._counts, size), grown(self._numbers, size)

    def forget(self, rows: Rows) -> None:
        """Forget windows: their rows are, or will be, of others."""
        for column in (self._begun_ms, self._counts, self._numbers):
            column[rows] = 0

    def paid(self, rows: Rows, counted: Ints) -> NDArray[np.bool_]:
        """Tell which windows have the rows for the numbers that were written of them.

        Parameters
        ----------
        counted
            Predictions and labels so far.
        """
        found: NDArray[np.bool_] = self._numbers[rows] <= RECORDS_PER_ROW * counted
        return found

    def spend(
        self,
        rows: Rows,
        counted: Ints,
        counts: Ints,
        numbers: Ints,
        *,
        now_ms: int,
        revising: Revising,
    ) -> Steps:
        """Note what is written of windows; return how often each doubles its linger until the next.

        Parameters
        ----------
        counts, numbers
            How many records that say how many rows there are, and how many other ones.
        """
        new = self._begun_ms[rows] == 0
        self._begun_ms[rows[new]] = now_ms
        self._counts[rows] += counts
        self._numbers[rows] += numbers
        owed = self._counts[rows] / COUNTS_PER_ROW - counted
        passed_ms = now_ms - self._begun_ms[rows]
        pause_ms = np.maximum(owed, 0.0) * passed_ms / np.maximum(counted, 1)
        return np.where(counted > 0, doublings(pause_ms, revising), np.int8(0))


def doublings(pause_ms: NDArray[np.float64], revising: Revising) -> Steps:
    """Return how often a linger is doubled until it is at least a pause.

    Examples
    --------
    >>> doublings(np.array([0.0, 2_000.0, 2_001.0, 9_000.0, 1e12]), Revising()).tolist()
    [0, 0, 1, 3, 8]
    """
    lingers = pause_ms / max(revising.linger_ms, 1)
    found: Steps = np.ceil(np.log2(np.clip(lingers, 1, 1 << (PAUSES - 1)))).astype(np.int8)
    return found
