"""Sparse counts without the compiled kernels: a dict a row."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from streams.columns import kernels
from streams.columns.column import Column, Groups, Rows, Weights, every, pairs, prepared, shaped
from streams.columns.sparse import MOST_BINS, Entries, summed

_EMPTY: dict[int, int] = {}


class PlainSparse(Column):
    """Twin of `streams.columns.sparse.SparseColumn`.

    Examples
    --------
    >>> column = PlainSparse()
    >>> column.grow(1)
    >>> column.add(np.array([0, 0]), 1, np.array([7, 3]), np.array([1, -1]))
    >>> column.get(0)
    [(3, -1), (7, 1)]
    """

    kind: ClassVar[int] = 1

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, int]] = {}
        self._capacity = 0

    def grow(self, capacity: int) -> None:
        """Make room for so many rows."""
        self._capacity = max(self._capacity, capacity)

    def add(self, at: Rows, fan: int, values: Any, weights: Weights = None) -> None:
        """Count bins; see `Column.add`."""
        if not len(at) or not fan:
            return
        at, weights = prepared(at, weights)
        bins = shaped(values, at, fan, np.int64).ravel()
        rows, weight = every(at, fan, weights)
        self._check(rows)
        counted = (rows >= 0) & (bins >= 0)
        if (bins[counted] >= MOST_BINS).any():
            kernels.bad_bin()
        self._plus(*(column[counted].tolist() for column in (rows, bins, weight)))

    def _check(self, rows: Any) -> None:
        if (rows >= self._capacity).any():
            kernels.bad_row()

    def _plus(self, rows: list[int], bins: list[int], counts: list[int]) -> None:
        for row, number, count in zip(rows, bins, counts, strict=True):
            own = self._rows.setdefault(row, {})
            total = own.get(number, 0) + count
            own[number] = total
            if not total:
                del own[number]
                if not own:
                    del self._rows[row]

    def merged(self, rows: Rows, group: Groups, groups: int) -> Entries:
        """Add rows up by group."""
        rows, group = np.asarray(rows), np.asarray(group, np.int64)
        if len(group) and not 0 <= int(group.min()) <= int(group.max()) < groups:
            kernels.bad_row()
        self._check(rows)
        entries = [
            (place, *entry)
            for row, place in zip(rows.tolist(), group.tolist(), strict=True)
            for entry in self._rows.get(row, _EMPTY).items()
        ]
        return summed(*np.array(entries, np.int64).reshape(-1, 3).T)

    def merge(self, at: Rows, other: PlainSparse, rows: Rows) -> None:
        """Add rows of another column; see `Column.merge`."""
        at, rows = pairs(at, rows)
        self._check(at)
        other._check(rows)
        for row, of in zip(at.tolist(), rows.tolist(), strict=True):
            if row >= 0 and (own := other._rows.get(of)):
                self._plus([row] * len(own), list(own), list(own.values()))

    def clear(self, rows: Rows) -> None:
        """Make rows empty."""
        self._check(rows)
        for row in np.asarray(rows).tolist():
            self._rows.pop(row, None)

    def get(self, row: int) -> list[tuple[int, int]]:
        """Return bins and counts, in rising order."""
        return sorted(self._rows.get(row, _EMPTY).items())

    def put(self, row: int, content: list[tuple[int, int]]) -> None:
        """Replace bins and counts."""
        self.clear(np.array([row]))
        if content:
            self._rows[row] = dict(content)

    @property
    def nbytes_per_row(self) -> int:
        """What a row takes that has no entries."""
        return 0

    @property
    def nbytes_beside(self) -> int:
        """About what dicts take."""
        return sum(230 + 60 * len(own) for own in self._rows.values())
