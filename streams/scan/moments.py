"""Sums of squares of lanes that learn, by hour of the day; those that have learnt need no room."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streams.scan.panes import DAY_HOURS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHAPE = 2, 2, 3
"""Weekend or not; windows of one pane and of three; sums of s * s, s * n and n * n."""


class Moments:
    """Moments by lane; of lanes that have none, they are 0.

    Examples
    --------
    >>> moments = Moments()
    >>> moments.add(5, 0, np.array([70]), np.ones((2, 3, 1)))
    >>> moments.of(np.array([70, 71])).sum(axis=(0, 1, 2, 3)).tolist()
    [6.0, 0.0]
    """

    def __init__(self) -> None:
        self._sums = np.zeros((DAY_HOURS, *_SHAPE, 0))
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []

    @property
    def lanes(self) -> Ints:
        """Lanes that have any."""
        return np.array(sorted(self._row_of), np.int64)

    def add(self, hour: int, weekend: int, lanes: Ints, found: Floats) -> None:
        """Add moments of lanes, windows x moments x lanes, to an hour of the day."""
        rows = np.array([self._row(lane) for lane in lanes.tolist()], np.int64)
        self._sums[hour, weekend][..., rows] += found

    def of(self, lanes: Ints) -> Floats:
        """Return the moments of lanes: hours x weekend x windows x moments x lanes."""
        return self._taken(self._sums, lanes)

    def at(self, hour: int, lanes: Ints) -> Floats:
        """Return those of an hour of the day."""
        return self._taken(self._sums[hour : hour + 1], lanes)

    def _taken(self, sums: Floats, lanes: Ints) -> Floats:
        rows = np.array([self._row_of.get(lane, -1) for lane in lanes.tolist()], np.int64)
        if not self._row_of:
            return np.zeros((*sums.shape[:-1], len(lanes)))
        return np.where(rows >= 0, sums[..., np.maximum(rows, 0)], 0.0)

    def restore(self, hour: int, lanes: Ints, packed: bytes) -> bool:
        """Put those of an hour of the day back; tell whether it is that."""
        shape = *_SHAPE, len(lanes)
        if not 0 <= hour < DAY_HOURS or len(packed) != 8 * int(np.prod(shape)):
            return False
        found = np.frombuffer(packed, "<f8").reshape(shape)
        some = found.any(axis=(0, 1, 2))
        known = np.array([lane in self._row_of for lane in lanes.tolist()], bool)
        own = some | known
        rows = np.array([self._row(lane) for lane in lanes[own].tolist()], np.int64)
        self._sums[hour][..., rows] = found[..., own]
        return True

    def forget(self, lanes: Iterable[int]) -> None:
        """Forget the moments of lanes."""
        for lane in lanes:
            row = self._row_of.pop(lane, None)
            if row is not None:
                self._sums[..., row] = 0
                self._free.append(row)

    def _row(self, lane: int) -> int:
        row = self._row_of.get(lane)
        if row is None:
            if not self._free:
                size = self._sums.shape[-1]
                more = max(16, size // 8)
                empty = np.zeros((DAY_HOURS, *_SHAPE, more))
                self._sums = np.concatenate([self._sums, empty], axis=-1)
                self._free += range(size + more - 1, size - 1, -1)
            row = self._row_of[lane] = self._free.pop()
        return row
