"""Sparse counts: few of very many bins a row."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.column import Column, Groups, Rows, Weights, pairs, prepared, shaped
from streams.columns.memory import Memory, larger

MOST_BINS = 2**32
_CLASSES = 48  # of blocks, by size; as in kernels.c
_MANY_FREE = 1 << 17  # entries
_SPILL_ROOM = 4_096
_LIMIT = 2**31
_SCRATCH = 4  # places for every entry, to add rows in; as in kernels.c


class Entries(NamedTuple):
    """Counts that are not 0, in rising order of group and bin."""

    group: NDArray[np.int64]
    bin: NDArray[np.int64]
    count: NDArray[np.int64]  # type: ignore[assignment]  # instead of the method of tuples


class SparseColumn(Column):
    """Counts of bins below 2**32.

    A row is a block of an arena: a sorted run of (bin, count), or the counts of all bins from the
    least to the largest once that takes no more (when about a third of them are used). A count
    that leaves 32 bits goes on in `_spill`.

    Examples
    --------
    >>> column = SparseColumn()
    >>> column.grow(2)
    >>> column.add(np.array([0, 1, 0]), 1, np.array([70_000, 5, 3]), np.array([1, 1, -1]))
    >>> [column.tolist() for column in column.merged(np.array([0, 1]), np.array([0, 0]), 1)]
    [[0, 0, 0], [3, 5, 70000], [-1, 1, 1]]
    """

    kind: ClassVar[int] = 1

    def __init__(self) -> None:
        self._runs = Memory(np.int64, 2)
        self._spill: dict[int, dict[int, int]] = {}
        self._empty_arena(0)

    def _empty_arena(self, entries: int) -> None:
        self._arena = Memory(np.int64)
        self._arena.grow(entries)
        self._state = np.zeros(2 + _CLASSES, np.int64)

    def grow(self, capacity: int) -> None:
        """Make room for so many rows."""
        self._runs.grow(capacity)

    def place(self) -> tuple[Any, ...]:
        """Return all of the column, as kernels take it."""
        arena = self._arena.array
        return self._runs.array, len(self._runs), arena, len(arena), self._state

    def add(self, at: Rows, fan: int, values: Any, weights: Weights = None) -> None:
        """Count bins; see `Column.add`."""
        if not len(at) or not fan:
            return
        at, weights = prepared(at, weights)
        bins, done = shaped(values, at, fan, np.int64), kernels.progress()
        while fate := kernels.call(
            "driftline_sparse_add", *self.place(), at, fan, bins, weights, len(at), done
        ):
            if fate == kernels.ROOM:
                self.more()
                continue
            first, j = divmod(int(done[0]), fan)
            weight = 1 if weights is None else int(weights[first])
            self._plus(int(at[first]) + j, int(bins.flat[int(done[0])]), weight)
            done[0] += 1
        self._compact()

    def more(self) -> None:
        """Make the arena larger."""
        self._arena.grow(larger(len(self._arena), 1_024))

    def _plus(self, row: int, number: int, count: int) -> None:
        """Add a count of any size to a bin; what leaves 32 bits goes on in Python."""
        spilled, taken = self._spill.pop(row, {}), np.empty(1, np.int64)
        kernels.call("driftline_sparse_take", *self._row(row, number), taken)
        total = spilled.pop(number, 0) + int(taken[0]) + count
        if -_LIMIT <= total < _LIMIT:
            while kernels.call("driftline_sparse_give", *self._row(row, number), total):
                self.more()
        else:
            spilled[number] = total
        if spilled:
            self._spill[row] = spilled

    def _row(self, row: int, number: int) -> tuple[Any, ...]:
        """Return one row and a bin, as kernels take them."""
        address = ctypes.c_void_p(self._runs.array.ctypes.data + 16 * row)
        return address, *self.place()[2:], ctypes.c_uint32(number)

    def _compact(self) -> None:
        """Leave out free blocks once they are half of the arena."""
        top, free = self._state[:2].tolist()
        if free < max(top // 2, _MANY_FREE):
            return
        old = self._arena.array
        self._empty_arena(larger(top - free, 1_024))
        kernels.call(
            "driftline_sparse_compact",
            *(self._runs.array, len(self._runs), old, self._arena.array, self._state),
        )

    def merged(self, rows: Rows, group: Groups, groups: int) -> Entries:
        """Add rows up by group."""
        rows, group = np.ascontiguousarray(rows, np.int32), np.ascontiguousarray(group, np.int64)
        if len(group) and not 0 <= int(group.min()) <= int(group.max()) < groups:
            kernels.bad_row()
        inside = rows[(rows >= 0) & (rows < len(self._runs))]
        room, done = int(self.sizes()[inside].sum()), kernels.progress()
        found, scratch = np.empty((3, room), np.int64), np.empty(_SCRATCH * room, np.int64)
        kernels.call(
            "driftline_sparse_entries",
            *(*self.place()[:3], rows, group, len(rows)),
            *(*found, room, scratch, done),
        )
        found = found[:, : int(done[1])]
        if self._spill:
            return summed(*np.hstack([found, self._spilled_entries(rows, group)]))
        return Entries(*found)

    def _spilled_entries(self, rows: Rows, group: Groups) -> NDArray[np.int64]:
        entries = [
            (place, *entry)
            for row, place in zip(rows.tolist(), group.tolist(), strict=True)
            for entry in self._spill.get(row, {}).items()
        ]
        return np.array(entries, np.int64).reshape(-1, 3).T

    def sizes(self) -> NDArray[np.int32]:
        """Return how many entries every row has."""
        return self._runs.array.view(np.int32).reshape(-1, 4)[:, 2]

    def block_bytes(self, row: int) -> int:
        """Return what the block of a row takes."""
        room = int(self._runs.array.view(np.uint8).reshape(-1, 16)[row, 12])
        return 8 * (2 if room == 1 else (2 + room % 2) << (room // 2)) if room else 0

    def merge(self, at: Rows, other: SparseColumn, rows: Rows) -> None:
        """Add rows of another column; see `Column.merge`."""
        at, rows = pairs(at, rows)
        inside = rows[(rows >= 0) & (rows < len(other._runs))]
        room = max(_SPILL_ROOM, int(other.sizes()[inside].max(initial=0)))
        spills = [other._spill.get(row, {}) for row in rows.tolist()] if other._spill else []
        spilled, done = np.empty((room, 3), np.int64), kernels.progress()
        while done[0] < len(at):
            fate = kernels.call(
                "driftline_sparse_merge",
                *(*self.place(), at, *other.place()[:3], rows, len(at)),
                *(spilled, room, done),
            )
            for position, number, count in spilled[: int(done[1])].tolist():
                self._plus(int(at[position]), number, count)
            if fate == kernels.ROOM:
                self.more()
        for row, entries in zip(at.tolist(), spills, strict=False):
            for number, count in list(entries.items()) if row >= 0 else ():
                self._plus(row, number, count)

    def clear(self, rows: Rows) -> None:
        """Make rows empty."""
        rows = np.ascontiguousarray(rows, np.int32)
        runs, size, arena, _, state = self.place()
        kernels.call("driftline_sparse_clear", runs, size, arena, state, rows, len(rows))
        self.forget_spilled(rows)
        self._compact()

    def forget_spilled(self, rows: Rows) -> None:
        """Forget of rows what is kept in Python: the kernels know nothing of it."""
        for row in self._spill and set(rows.tolist()) & self._spill.keys():
            del self._spill[row]

    def get(self, row: int) -> list[tuple[int, int]]:
        """Return bins and counts, in rising order."""
        found = self.merged(np.array([row]), np.zeros(1, np.int64), 1)
        return list(zip(found.bin.tolist(), found.count.tolist(), strict=True))

    def put(self, row: int, content: list[tuple[int, int]]) -> None:
        """Replace bins and counts."""
        self.clear(np.array([row], np.int32))
        for number, count in content:
            self._plus(row, number, count)

    @property
    def spilled(self) -> frozenset[int]:
        """Rows of which a part is kept in Python."""
        return frozenset(self._spill)

    @property
    def nbytes_per_row(self) -> int:
        """Memory of a row but for its block."""
        return 16

    @property
    def nbytes_beside(self) -> int:
        """Memory of all blocks, free ones among them."""
        return 8 * int(self._state[0]) + 100 * sum(map(len, self._spill.values()))


def summed(group: Groups, bins: NDArray[np.int64], counts: NDArray[np.int64]) -> Entries:
    """Sort entries by group and bin, and add those of the same; those that are 0 disappear.

    Examples
    --------
    >>> entries = [np.array(column) for column in ([1, 0, 1, 0], [7, 9, 7, 3], [2, 1, -2, 5])]
    >>> [column.tolist() for column in summed(*entries)]
    [[0, 0], [3, 9], [5, 1]]
    """
    keys = group << np.int64(32) | bins
    if len(keys) > 1 and not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        keys, counts = keys[starts], np.add.reduceat(counts, starts)
        kept = counts != 0
        keys, counts = keys[kept], counts[kept]
        group, bins = keys >> np.int64(32), keys & np.int64(MOST_BINS - 1)
    return Entries(group, bins, counts)
