"""Exact sums of floats: one a row."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.column import Column, Groups, Rows, Weights, pairs, prepared, shaped
from streams.columns.memory import Memory
from streams.columns.merged_sums import MergedSums
from streams.exact_sum import exact

_DIGITS = 4
_SHIFT = 2  # bases are written plus this; as in kernels.c
_SPILL_ROOM = 4_096


class SumsColumn(Column):
    """Sums that do not depend on the order of their terms; see `streams.exact_sum`.

    A sum is a window of 256 bits on a whole number of 2**-1074, which lies where its first term
    is. Terms that lie elsewhere (of a factor of 2**64 less or 2**128 more) go to a Python integer
    of the row, at ten times the price.

    Examples
    --------
    >>> column = SumsColumn()
    >>> column.grow(2)
    >>> column.add(np.array([0, 0, 1]), 1, np.array([0.5, 1e300, 3.0]))
    >>> column.add(np.array([0]), 1, np.array([1e300]), np.array([-1]))
    >>> column.merged(np.array([0, 1]), np.array([0, 1]), 2).means(np.array([2, 1])).tolist()
    [0.25, 3.0]
    """

    kind: ClassVar[int] = 2

    def __init__(self) -> None:
        self._digits, self._base = Memory(np.uint64, _DIGITS), Memory(np.uint8)
        self._spill: dict[int, int] = {}

    def grow(self, capacity: int) -> None:
        """Make room for so many rows."""
        self._digits.grow(capacity)
        self._base.grow(capacity)

    def place(self) -> tuple[Any, ...]:
        """Return all of the column, as kernels take it."""
        return self._digits.array, self._base.array, len(self._base)

    def add(self, at: Rows, fan: int, values: Any, weights: Weights = None) -> None:
        """Add values; see `Column.add`."""
        if not len(at) or not fan:
            return
        at, weights = prepared(at, weights)
        values = shaped(values, at, fan, np.float64)
        spilled, done = np.empty(_SPILL_ROOM, np.int64), kernels.progress()
        while done[0] < values.size:
            kernels.call(
                "driftline_sum_add",
                *(*self.place(), at, fan, values, weights, len(at)),
                *(spilled, len(spilled), done),
            )
            for place in spilled[: int(done[1])].tolist():
                first, j = divmod(place, fan)
                sign = 1 if weights is None else int(weights[first])
                self._spilled(int(at[first]) + j, sign * exact(float(values.flat[place])))

    def _spilled(self, row: int, number: int) -> None:
        """Add a number that a row has no room for."""
        total = self._spill.pop(row, 0) + number
        if total:
            self._spill[row] = total

    def get(self, row: int) -> int:
        """Return the sum, in units of 2**-1074."""
        base = int(self._base.array[row])
        if not base:
            return self._spill.get(row, 0)
        number = int.from_bytes(self._digits.array[row].tobytes(), "little", signed=True)
        shift = 64 * (base - _SHIFT)
        inside = number << shift if shift >= 0 else number >> -shift
        return inside + self._spill.get(row, 0)

    def put(self, row: int, content: int) -> None:
        """Replace the sum of a row."""
        self.clear(np.array([row], np.int32))
        self._spilled(row, content)

    def merged(self, rows: Rows, group: Groups, groups: int) -> MergedSums:
        """Add rows up by group."""
        return MergedSums(self, rows, group, groups)

    def means(self, merged: MergedSums, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Divide sums of groups by counts; see `MergedSums.means`."""
        means = np.empty(len(merged.ends))
        kernels.call(
            "driftline_sum_means",
            *(*self.place(), merged.rows, merged.ends, len(merged.ends), counts, means),
        )
        if self._spill:
            spilled = np.fromiter(self._spill, np.int64, len(self._spill))
            odd = np.unique(merged.group[np.isin(merged.rows, spilled)])
            means[odd] = merged.slow_means(odd.tolist(), counts)
        return means

    def merge(self, at: Rows, other: SumsColumn, rows: Rows) -> None:
        """Add rows of another column; see `Column.merge`."""
        at, rows = pairs(at, rows)
        spilled, done = np.empty(len(at), np.int64), kernels.progress()
        own = [other._spill.get(row, 0) for row in rows.tolist()] if other._spill else []
        kernels.call(
            "driftline_sum_merge",
            *(*self.place(), at, *other.place(), rows, len(at), spilled, done),
        )
        for place in spilled[: int(done[1])].tolist():
            row = int(rows[place])
            self._spilled(int(at[place]), other.get(row) - other._spill.get(row, 0))
        for row, number in zip(at.tolist(), own, strict=False):
            if row >= 0 and number:
                self._spilled(row, number)

    def clear(self, rows: Rows) -> None:
        """Make rows empty."""
        self._digits.array[rows] = 0
        self._base.array[rows] = 0
        self.forget_spilled(rows)

    def forget_spilled(self, rows: Rows) -> None:
        """Forget of rows what is kept in Python: the kernels know nothing of it."""
        for row in self._spill and set(rows.tolist()) & self._spill.keys():
            del self._spill[row]

    @property
    def spilled(self) -> frozenset[int]:
        """Rows of which a part is kept in Python."""
        return frozenset(self._spill)

    @property
    def nbytes_per_row(self) -> int:
        """Memory of a row."""
        return 8 * _DIGITS + 1

    @property
    def nbytes_beside(self) -> int:
        """About what numbers of rows take that have no room for them."""
        return 300 * len(self._spill)
