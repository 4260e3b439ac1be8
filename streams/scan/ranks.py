"""Numbers as shares of what was usual: ranks among some of the first day's values.

Ranks have neither unit nor tails. Which values they go by depends neither on batches nor on the
values: of all that came until then, those with the smallest hashes of their rows. A table that has
but one value tells whether a number is another, and one of two values whether it is the higher.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.scan.panes import UNIT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

SIZE = 256
"""So many values are a table, at most."""

_FEW = 2
_STEPS = 128, 64, 32, 16, 8, 4, 2, 1
_VALUE_PARTS, _LARGEST_VALUE = 1 << 12, 1 << 36


class Scale(NamedTuple):
    """Where values are, and how wide."""

    centre: float
    width: float


def scale_of(values: Floats) -> Scale:
    """Return the median, and how far 80 % of the values reach.

    Examples
    --------
    >>> scale_of(np.arange(11.0))
    Scale(centre=5.0, width=8.0)
    >>> scale_of(np.array([3.0, 3.0]))
    Scale(centre=3.0, width=3.0)
    """
    low, centre, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    width = high - low or float(values.max() - values.min()) or abs(centre) or 1.0
    return Scale(centre, width)


class Tables:
    """Tables of many lanes, one a row.

    Attributes
    ----------
    few
        Which rows have but one value or two: ranks by them are shares of the other, or the higher.
    """

    def __init__(self) -> None:
        self.values = np.empty((0, SIZE))
        self._ends = np.empty((0, SIZE + 1), np.uint16)  # how many are below each, of the sample
        self._sizes = np.empty(0, np.int64)
        self.centre, self.width = np.empty((2, 0))
        self.few = np.empty(0, bool)
        self._free: list[int] = []

    def put(self, sample: Floats, *, row: int = -1) -> int:
        """Let ranks of a row, by default another one, go by a sample in rising order; return it."""
        if row < 0:
            if not self._free:
                self._grow()
            row = self._free.pop()
        values, counts = np.unique(sample, return_counts=True)
        size = len(values)
        self.few[row], self._sizes[row] = size <= _FEW, size
        self.values[row], self._ends[row] = np.inf, len(sample)
        self.values[row, :size] = values
        self._ends[row, : size + 1] = np.append(0, counts.cumsum())
        self.centre[row], self.width[row] = scale_of(sample)
        return row

    def sample(self, row: int) -> Floats:
        """Return the sample that a row goes by, in rising order."""
        size = int(self._sizes[row])
        return np.repeat(self.values[row, :size], np.diff(self._ends[row, : size + 1]))

    def pack(self, row: int) -> bytes:
        """Return the sample that a row goes by; nothing for a row below 0."""
        return self.sample(row).astype("<f8").tobytes() if row >= 0 else b""

    def forget(self, row: int) -> None:
        """Forget a row; one below 0 is none."""
        if row >= 0:
            self._free.append(row)

    def _grow(self) -> None:
        size = len(self.values)
        more = max(16, size // 8)
        self.values = np.concatenate([self.values, np.full((more, SIZE), np.inf)])
        self._ends = np.concatenate([self._ends, np.zeros((more, SIZE + 1), np.uint16)])
        self._sizes = np.concatenate([self._sizes, np.zeros(more, np.int64)])
        self.centre = np.concatenate([self.centre, np.zeros(more)])
        self.width = np.concatenate([self.width, np.ones(more)])
        self.few = np.concatenate([self.few, np.zeros(more, bool)])
        self._free += range(size + more - 1, size - 1, -1)

    def ranks(self, rows: Ints, values: Floats) -> Ints:
        """Return mid-ranks of values in parts of `UNIT`, each by its own row.

        Examples
        --------
        >>> tables = Tables()
        >>> row = tables.put(np.array([1.0, 2.0, 2.0, 3.0]))
        >>> rows = np.full(4, row)
        >>> (tables.ranks(rows, np.array([0.0, 2.0, 2.5, 9.0])) / UNIT).tolist()
        [0.0, 0.5, 0.75, 1.0]
        """
        if len(rows) and (rows == rows[0]).all():
            place = np.searchsorted(self.values[rows[0]], values)
        else:
            place = np.zeros(len(rows), np.int64)
            for step in _STEPS:
                further = place + step
                place = np.where(self.values[rows, further - 1] < values, further, place)
            place += self.values[rows, place] < values  # 255 steps so far, of 256
        same = self.values[rows, np.minimum(place, SIZE - 1)] == values
        return self._at(rows, place, same)

    def _at(self, rows: Ints, place: Ints, same: NDArray[np.bool_]) -> Ints:
        """Return ranks of values that are one of their table's, or come before it."""
        ends = self._ends[rows, place].astype(np.int64)
        ends += self._ends[rows, np.minimum(place + same, SIZE)]
        found: Ints = np.rint(ends / 2 / self._ends[rows, SIZE] * UNIT).astype(np.int64)
        few = self.few[rows]
        if few.any():
            two = np.where(same, place == 1, place == 2)
            flags = np.where(self._sizes[rows] == 1, ~same, two) * UNIT
            found = np.where(few, flags, found)
        return found

    def parts(self, rows: Ints, values: Floats) -> Ints:
        """Return values as whole parts of their row's width from its centre, for exact sums."""
        scaled = (values - self.centre[rows]) * (_VALUE_PARTS / self.width[rows])
        return np.rint(np.clip(scaled, -_LARGEST_VALUE, _LARGEST_VALUE)).astype(np.int64)

    def value(self, row: int, mean: float) -> float:
        """Return a mean of such parts in the unit of the values."""
        return float(self.centre[row] + mean / _VALUE_PARTS * self.width[row])


def mixed(ties: Ints) -> Hashes:
    """Return hashes of rows, by which a sample is drawn (splitmix64)."""
    found = ties.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    return found ^ (found >> np.uint64(31))


def smallest(hashes: Hashes, values: Floats) -> tuple[Hashes, Floats]:
    """Return the rows with the smallest hashes, as many as a table has, each once, in their order.

    Examples
    --------
    >>> hashes, values = smallest(np.array([5, 2, 5], np.uint64), np.array([0.5, 0.25, 0.5]))
    >>> hashes.tolist(), values.tolist()
    ([2, 5], [0.25, 0.5])
    """
    order = np.lexsort((values, hashes))
    hashes, values = hashes[order], values[order]
    again = (hashes[1:] == hashes[:-1]) & (values[1:] == values[:-1])
    own = np.flatnonzero(~np.append(False, again))[:SIZE]
    return hashes[own], values[own]
