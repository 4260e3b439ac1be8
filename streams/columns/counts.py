"""Dense counts: `width` whole numbers a row, by bin."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.column import Column, Groups, Rows, Weights, every, pairs, prepared, shaped
from streams.columns.memory import Memory

Bins = NDArray[np.int64]
_LARGEST = {4: 2**31 - 1, 8: 2**63 - 1}


class CountsColumn(Column):
    """Counts of few bins.

    They have 32 bits until the first one needs more; then all of the column have 64.

    Parameters
    ----------
    width
        Bins, from 0.

    Examples
    --------
    >>> column = CountsColumn(3)
    >>> column.grow(2)
    >>> column.add(np.array([0, 0, 1]), 1, np.array([2, 2, 0]))
    >>> column.merged(np.array([0, 1, -1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0, 2], [0, 0, 0]]
    """

    kind: ClassVar[int] = 0
    _kind: ClassVar[Any] = np.int32

    def __init__(self, width: int = 1) -> None:
        if width < 1:
            raise ValueError(f"a column of counts has one bin or more, and not {width}")
        self.width = width
        self._memory = Memory(self._kind, width)
        self._compiled = kernels.available

    @property
    def data(self) -> NDArray[Any]:
        """The counts, by row and bin; must not be kept."""
        return self._memory.array

    @property
    def wide(self) -> bool:
        """Whether counts have 64 bits."""
        return self.data.itemsize == 8

    def grow(self, capacity: int) -> None:
        """Make room for so many rows."""
        self._memory.grow(capacity)

    def add(self, at: Rows, fan: int, values: Any, weights: Weights = None) -> None:
        """Count bins; see `Column.add`."""
        self._count(at, fan, values, None, weights)

    def _count(self, at: Rows, fan: int, bins: Any, amounts: Any, weights: Weights) -> None:
        if not len(at) or not fan:
            return
        at, weights = prepared(at, weights)
        bins = shaped(bins, at, fan, np.int64)
        if not self._compiled:
            rows, weight = every(at, fan, weights)
            self._count_plainly(rows, bins.ravel(), amounts, weight)
            return
        done = kernels.progress()
        while kernels.call(
            f"driftline_count_{8 * self.data.itemsize}",
            *(self.data, self.width, len(self.data), at, fan, bins, amounts, weights),
            *(len(at), done),
        ):
            self.widen()

    def _count_plainly(self, rows: Bins, bins: Bins, amounts: Any, weight: Bins) -> None:
        counted = (rows >= 0) & (bins >= 0)
        if (rows >= len(self.data)).any():
            kernels.bad_row()
        if (bins[counted] >= self.width).any():
            kernels.bad_bin()
        if amounts is not None:
            weight = weight.astype(object) * amounts.ravel()
        self._plus(rows[counted] * self.width + bins[counted], weight[counted])

    def _plus(self, cells: Bins, amounts: NDArray[Any]) -> None:
        """Add amounts to cells, which may come twice."""
        if len(cells) and amounts.dtype != object and self._plus_small(cells, amounts):
            return
        # as Python's integers, which do not overflow
        totals: dict[int, int] = {}
        for cell, amount in zip(cells.tolist(), amounts.tolist(), strict=True):
            totals[cell] = totals.get(cell, 0) + amount
        flat = self.data.reshape(-1)
        for cell, amount in totals.items():
            total = int(flat[cell]) + amount
            if not -_LARGEST[flat.itemsize] - 1 <= total <= _LARGEST[flat.itemsize]:
                self.widen()
                flat = self.data.reshape(-1)
                if not -_LARGEST[8] - 1 <= total <= _LARGEST[8]:
                    self._too_large()
            flat[cell] = total

    def _plus_small(self, cells: Bins, amounts: NDArray[Any]) -> bool:
        """Add amounts if nothing can overflow on the way."""
        amounts = amounts.astype(np.int64)
        if amounts.min() < -_LARGEST[4] or amounts.max() > _LARGEST[4]:
            return False
        flat = self.data.reshape(-1)
        cells, place = np.unique(cells, return_inverse=True)
        more, was = np.zeros(len(cells), np.int64), flat[cells].astype(np.int64)
        np.add.at(more, place, amounts)
        limit = np.int64(2**62 if self.wide else _LARGEST[4])
        if was.min() < -limit or was.max() > limit or abs(more).max() > limit:
            return False
        was += more
        if was.min() < -limit or was.max() > limit:
            return False
        flat[cells] = was
        return True

    def widen(self) -> None:
        """Give all counts 64 bits; if they have them, there is no larger count."""
        if self.wide:
            self._too_large()
        old, self._memory = self.data, Memory(np.int64, self.width)
        self._memory.grow(len(old))
        self._memory.array[:] = old

    def _too_large(self) -> None:
        raise OverflowError("a count or total does not fit into 64 bits")

    def merged(self, rows: Rows, group: Groups, groups: int) -> NDArray[np.int64]:
        """Add rows up by group; the counts have shape (groups, width)."""
        sums = np.zeros((groups, self.width), np.int64)
        at, rows = np.ascontiguousarray(group, np.int64), np.ascontiguousarray(rows, np.int32)
        if len(at) != len(rows):
            raise ValueError(f"{len(at)} groups of {len(rows)} rows")
        if not self._compiled:
            kept = (rows >= 0) & (at >= 0)
            whole = sums.astype(object)
            np.add.at(whole, at[kept], self.data[rows[kept]].astype(object))
            if whole.size and abs(whole).max() > _LARGEST[8]:
                self._too_large()
            return whole.astype(np.int64)
        bits = 8 * self.data.itemsize
        if kernels.call(
            f"driftline_merged_{bits}",
            *(sums, groups, self.data, self.width, len(self.data), at, rows, len(rows)),
            kernels.progress(),
        ):
            self._too_large()
        return sums

    def merge(self, at: Rows, other: CountsColumn, rows: Rows) -> None:
        """Add rows of another column; see `Column.merge`."""
        at, rows = pairs(at, rows)
        if other.width != self.width:
            raise ValueError(f"columns of {self.width} and of {other.width} bins")
        if not self._compiled:
            kept = (at >= 0) & (rows >= 0)
            if (at >= len(self.data)).any() or (rows >= len(other.data)).any():
                kernels.bad_row()
            cells = at[kept, None].astype(np.int64) * self.width + np.arange(self.width)
            self._plus(cells.ravel(), other.data[rows[kept]].ravel())
            return
        if other.wide and not self.wide:
            self.widen()
        done = kernels.progress()
        while kernels.call(
            f"driftline_merge_{8 * self.data.itemsize}_{8 * other.data.itemsize}",
            *(self.data, len(self.data), other.data, self.width, len(other.data)),
            *(at, rows, len(at), done),
        ):
            self.widen()

    def clear(self, rows: Rows) -> None:
        """Make rows empty."""
        self.data[rows] = 0

    def forget_spilled(self, rows: Rows) -> None:
        """Do nothing: counts stay in their column."""

    def get(self, row: int) -> list[int]:
        """Return the counts of a row."""
        counts: list[int] = self.data[row].tolist()
        return counts

    def put(self, row: int, content: list[int]) -> None:
        """Replace the counts of a row."""
        if not self.wide and (max(content) > _LARGEST[4] or min(content) < -_LARGEST[4] - 1):
            self.widen()
        self.data[row] = content

    @property
    def nbytes_per_row(self) -> int:
        """Memory of a row."""
        return self.width * self.data.itemsize
