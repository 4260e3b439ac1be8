"""Rows that ranks may go by, of many lanes, until enough time has passed to draw a line.

A row counts once, however often it is added: what a step has drawn may be in the sample that is
written down, too.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streams.scan.ranks import SIZE, Floats, Hashes, Ints, smallest

_ROOM = 2 * SIZE
_MOST_FREE = 64
_EVERY = np.uint64(np.iinfo(np.uint64).max)
_AT_ONCE = 1_024


class Samples:
    """Of each lane, the values with the smallest hashes; there is room for as many again.

    Examples
    --------
    >>> samples = Samples()
    >>> taken = samples.add(np.array([3, 3]), np.array([7, 5], np.uint64), np.array([0.5, 1.5]))
    >>> taken.tolist(), samples.count(3), samples.values(3).tolist()
    ([True, True], 2, [0.5, 1.5])
    """

    def __init__(self) -> None:
        self._hashes, self._values = np.empty((0, _ROOM), np.uint64), np.empty((0, _ROOM))
        self._counts, self._bounds = np.empty(0, np.int64), np.empty(0, np.uint64)
        self._settled = np.empty(0, bool)
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []

    def add(self, lanes: Ints, hashes: Hashes, values: Floats) -> NDArray[np.bool_]:
        """Add values; return which of them may be among the smallest."""
        order = np.argsort(lanes, kind="stable")
        lanes, hashes, values = lanes[order], hashes[order], values[order]
        starts = np.flatnonzero(np.diff(lanes, prepend=-1))
        ends = np.append(starts[1:], len(lanes))
        rows = np.array([self._row(lane) for lane in lanes[starts].tolist()], np.int64)
        row = np.repeat(rows, ends - starts)
        taken = hashes <= self._bounds[row]
        room = self._counts[rows] + np.add.reduceat(taken.astype(np.int64), starts) <= _ROOM
        fits = np.repeat(room, ends - starts) & taken
        own = row[fits]
        if len(own):
            first = np.flatnonzero(np.diff(own, prepend=-1))
            many = np.diff(np.append(first, len(own)))
            place = self._counts[own] + np.arange(len(own)) - np.repeat(first, many)
            self._hashes[own, place], self._values[own, place] = hashes[fits], values[fits]
            self._counts[own[first]] += many
            self._settled[own[first]] = False
        for run in np.flatnonzero(~room).tolist():
            some = slice(starts[run], ends[run])
            kept = taken[some]
            self._merge(int(rows[run]), hashes[some][kept], values[some][kept])
        found = np.empty(len(order), bool)
        found[order] = taken
        return found

    def _merge(self, row: int, hashes: Hashes, values: Floats) -> None:
        count = self._counts[row]
        hashes, values = smallest(
            np.concatenate([self._hashes[row, :count], hashes]),
            np.concatenate([self._values[row, :count], values]),
        )
        self._hashes[row, : len(hashes)], self._values[row, : len(values)] = hashes, values
        self._counts[row], self._settled[row] = len(hashes), True
        self._bounds[row] = hashes[-1] if len(hashes) == SIZE else _EVERY

    def _row(self, lane: int) -> int:
        row = self._row_of.get(lane)
        if row is None:
            if not self._free:
                self._grow()
            row = self._row_of[lane] = self._free.pop()
            self._counts[row], self._bounds[row], self._settled[row] = 0, _EVERY, True
        return row

    def _grow(self) -> None:
        size = len(self._counts)
        more = max(16, size)  # what is not used yet takes no memory
        some = slice(size), slice(self._counts.max(initial=0))
        hashes, values = np.empty((size + more, _ROOM), np.uint64), np.empty((size + more, _ROOM))
        hashes[some], values[some] = self._hashes[some], self._values[some]
        self._hashes, self._values = hashes, values
        self._counts = np.concatenate([self._counts, np.zeros(more, np.int64)])
        self._bounds = np.concatenate([self._bounds, np.zeros(more, np.uint64)])
        self._settled = np.concatenate([self._settled, np.ones(more, bool)])
        self._free += range(size + more - 1, size - 1, -1)

    def settle(self, lanes: Iterable[int]) -> None:
        """Keep no more of lanes than a table has, in their order."""
        found = (self._row_of.get(lane, -1) for lane in lanes)
        rows = np.array([row for row in found if row >= 0], np.int64)
        rows = rows[~self._settled[rows]]
        for start in range(0, len(rows), _AT_ONCE):
            self._sort(rows[start : start + _AT_ONCE])

    def _sort(self, rows: Ints) -> None:
        """Sort rows at once; the few that have a hash more than once are merged by themselves."""
        counts = self._counts[rows]
        size = int(counts.max())
        within = np.arange(size) < counts[:, None]
        hashes = np.where(within, self._hashes[rows, :size], _EVERY)
        order = np.argsort(hashes, axis=1, kind="stable")
        hashes = np.take_along_axis(hashes, order, 1)
        again = ((hashes[:, 1:] == hashes[:, :-1]) & within[:, 1:]).any(axis=1)
        for row in rows[again].tolist():
            self._merge(row, self._hashes[row, :0], self._values[row, :0])
        rows, order, hashes, counts = (one[~again] for one in (rows, order, hashes, counts))
        values = np.take_along_axis(self._values[rows, :size], order, 1)
        kept = min(size, SIZE)
        self._hashes[rows, :kept], self._values[rows, :kept] = hashes[:, :kept], values[:, :kept]
        self._counts[rows], self._settled[rows] = np.minimum(counts, SIZE), True
        self._bounds[rows] = np.where(counts >= SIZE, hashes[:, kept - 1], _EVERY)

    def count(self, lane: int) -> int:
        """Return how many values a table of a lane would have."""
        self.settle([lane])
        row = self._row_of.get(lane)
        return 0 if row is None else int(self._counts[row])

    def values(self, lane: int) -> Floats:
        """Return the values that a table of a lane would have, in rising order."""
        self.settle([lane])
        row = self._row_of[lane]
        return np.sort(self._values[row, : self._counts[row]])

    def forget(self, lane: int) -> None:
        """Forget what is kept of a lane."""
        row = self._row_of.pop(lane, None)
        if row is not None:
            self._free.append(row)
            if len(self._free) > max(_MOST_FREE, 2 * len(self._row_of)):
                self._shrink()

    def _shrink(self) -> None:
        """Give room back: after its first day, a lane has no sample."""
        own = np.array(list(self._row_of.values()), np.int64)
        self._hashes, self._values = self._hashes[own], self._values[own]
        self._counts, self._bounds = self._counts[own], self._bounds[own]
        self._settled = self._settled[own]
        self._row_of = {lane: row for row, lane in enumerate(self._row_of)}
        self._free = []

    def pack(self, lane: int) -> bytes:
        """Return what is kept of a lane."""
        self.settle([lane])
        row = self._row_of.get(lane)
        if row is None:
            return b""
        count = self._counts[row]
        return (
            self._hashes[row, :count].astype("<u8").tobytes()
            + self._values[row, :count].astype("<f8").tobytes()
        )

    def restore(self, lane: int, packed: bytes) -> None:
        """Put back what `pack` returned."""
        self.forget(lane)
        half = len(packed) // 2
        if half:
            hashes, values = (
                np.frombuffer(packed[:half], "<u8"),
                np.frombuffer(packed[half:], "<f8"),
            )
            self._merge(self._row(lane), hashes.astype(np.uint64), values)
