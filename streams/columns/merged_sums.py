"""Exact sums of groups of rows, until somebody divides them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.column import Groups, Rows
from streams.exact_sum import mean


class _Sums(Protocol):
    def get(self, row: int) -> int: ...

    def means(self, merged: MergedSums, counts: NDArray[np.int64]) -> NDArray[np.float64]: ...


class MergedSums:
    """Sums of groups of rows.

    They look at the column when they are asked: whatever was added by then is in them.

    Attributes
    ----------
    ends
        For every group, where its rows end.
    """

    def __init__(self, column: _Sums, rows: Rows, group: Groups, groups: int) -> None:
        self._column = column
        self.rows = np.ascontiguousarray(rows, np.int32)
        self.group = np.ascontiguousarray(group, np.int64)
        if len(self.rows) != len(self.group):
            raise ValueError(f"{len(self.group)} groups of {len(self.rows)} rows")
        if len(self.group) and not 0 <= self.group[0] <= self.group[-1] < groups:
            kernels.bad_row()
        self.ends = np.searchsorted(self.group, np.arange(groups), side="right").astype(np.int64)

    def means(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Divide every sum by a count, rounded once; NaN where the count is 0."""
        counts = np.ascontiguousarray(counts, np.int64)
        if len(counts) != len(self.ends):
            raise ValueError(f"{len(counts)} counts for {len(self.ends)} groups")
        return self._column.means(self, counts)

    def totals(self, groups: Iterable[int]) -> list[int]:
        """Return the exact sums of some groups, in units of 2**-1074."""
        get = self._column.get
        return [
            sum(get(row) for row in self.rows[start:end].tolist() if row >= 0)
            for start, end in ((self.ends[g - 1] if g else 0, self.ends[g]) for g in groups)
        ]

    def slow_means(self, groups: Sequence[int], counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Divide in Python."""
        totals, counted = self.totals(groups), counts[list(groups)].tolist()
        return np.array([_mean(*pair) for pair in zip(totals, counted, strict=True)], np.float64)


def _mean(total: int, count: int) -> float:
    if count < 0:
        total, count = -total, -count
    try:
        return mean(total, count) if count else float("nan")
    except OverflowError:
        return float("inf") if total > 0 else float("-inf")
