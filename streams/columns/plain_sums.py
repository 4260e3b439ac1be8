"""Exact sums without the compiled kernels: a Python integer a row."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.column import Column, Groups, Rows, Weights, every, pairs, prepared, shaped
from streams.columns.merged_sums import MergedSums
from streams.exact_sum import exact_sums


class PlainSums(Column):
    """Twin of `streams.columns.sums.SumsColumn`.

    Examples
    --------
    >>> column = PlainSums()
    >>> column.grow(1)
    >>> column.add(np.array([0, 0]), 1, np.array([0.5, 1.0]))
    >>> column.merged(np.array([0]), np.array([0]), 1).means(np.array([2])).tolist()
    [0.75]
    """

    kind: ClassVar[int] = 2

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._capacity = 0

    def grow(self, capacity: int) -> None:
        """Make room for so many rows."""
        self._capacity = max(self._capacity, capacity)

    def add(self, at: Rows, fan: int, values: Any, weights: Weights = None) -> None:
        """Add values; see `Column.add`."""
        if not len(at) or not fan:
            return
        at, weights = prepared(at, weights)
        values = shaped(values, at, fan, np.float64).ravel()
        rows, weight = every(at, fan, weights)
        self._check(rows)
        if (abs(weight) > 1).any():
            kernels.bad_bin()
        kept = (rows >= 0) & np.isfinite(values)
        found, place = np.unique(rows[kept], return_inverse=True)
        totals = exact_sums(values[kept] * weight[kept], place, len(found))
        self._plus(found.tolist(), totals)

    def _check(self, rows: Any) -> None:
        if (rows >= self._capacity).any():
            kernels.bad_row()

    def _plus(self, rows: list[int], totals: list[int]) -> None:
        for row, total in zip(rows, totals, strict=True):
            whole = self._rows.pop(row, 0) + total
            if whole:
                self._rows[row] = whole

    def get(self, row: int) -> int:
        """Return the sum, in units of 2**-1074."""
        return self._rows.get(row, 0)

    def put(self, row: int, content: int) -> None:
        """Replace the sum of a row."""
        self._rows.pop(row, None)
        self._plus([row], [content])

    def merged(self, rows: Rows, group: Groups, groups: int) -> MergedSums:
        """Add rows up by group."""
        self._check(np.asarray(rows))
        return MergedSums(self, rows, group, groups)

    def means(self, merged: MergedSums, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Divide sums of groups by counts; see `MergedSums.means`."""
        return merged.slow_means(range(len(merged.ends)), counts)

    def merge(self, at: Rows, other: PlainSums, rows: Rows) -> None:
        """Add rows of another column; see `Column.merge`."""
        at, rows = pairs(at, rows)
        self._check(at)
        other._check(rows)
        kept = (at >= 0) & (rows >= 0)
        self._plus(at[kept].tolist(), [other.get(row) for row in rows[kept].tolist()])

    def clear(self, rows: Rows) -> None:
        """Make rows empty."""
        self._check(np.asarray(rows))
        for row in np.asarray(rows).tolist():
            self._rows.pop(row, None)

    @property
    def nbytes_per_row(self) -> int:
        """What a row takes that has no sum."""
        return 0

    @property
    def nbytes_beside(self) -> int:
        """About what Python's integers take."""
        return 280 * len(self._rows)
