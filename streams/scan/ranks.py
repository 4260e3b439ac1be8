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
        self.at, self.between = np.empty((0, SIZE), np.int64), np.empty((0, SIZE + 1), np.int64)
        self.centre, self.width = np.empty((2, 0))
        self.few = np.empty(0, bool)
        self._samples: dict[int, bytes] = {}

    def put(self, row: int, sample: Floats) -> None:
        """Let ranks of a row go by a sample, in rising order."""
        while row >= len(self.values):
            self._grow()
        values, counts = np.unique(sample, return_counts=True)
        ends = counts.cumsum()
        if len(values) == 1:
            at, between = np.array([0.0]), np.array([1.0, 1.0])
        elif len(values) == 2:
            at, between = np.array([0.0, 1.0]), np.array([0.0, 0.0, 1.0])
        else:
            at = (ends - counts / 2) / len(sample)
            between = np.append(0, ends) / len(sample)
        size = len(values)
        self.few[row] = size <= _FEW
        self.values[row], self.at[row], self.between[row] = np.inf, 0, UNIT
        self.values[row, :size] = values
        self.at[row, :size] = np.rint(at * UNIT)
        self.between[row, : size + 1] = np.rint(between * UNIT)
        self.centre[row], self.width[row] = scale_of(sample)
        self._samples[row] = sample.astype("<f8").tobytes()

    def pack(self, row: int) -> bytes:
        """Return the sample that a row goes by; nothing for a row below 0."""
        return self._samples[row] if row >= 0 else b""

    def sample(self, row: int) -> Floats:
        """Return the sample that a row goes by, in rising order."""
        return np.frombuffer(self._samples[row], "<f8").astype(np.float64)

    def forget(self, row: int) -> None:
        """Forget a row."""
        self._samples.pop(row, None)

    def _grow(self) -> None:
        more = max(16, len(self.values) // 2)
        self.values = np.concatenate([self.values, np.full((more, SIZE), np.inf)])
        self.at = np.concatenate([self.at, np.zeros((more, SIZE), np.int64)])
        self.between = np.concatenate([self.between, np.zeros((more, SIZE + 1), np.int64)])
        self.centre = np.concatenate([self.centre, np.zeros(more)])
        self.width = np.concatenate([self.width, np.ones(more)])
        self.few = np.concatenate([self.few, np.zeros(more, bool)])

    def ranks(self, rows: Ints, values: Floats) -> Ints:
        """Return mid-ranks of values in parts of `UNIT`, each by its own row.

        Examples
        --------
        >>> tables = Tables()
        >>> tables.put(0, np.array([1.0, 2.0, 2.0, 3.0]))
        >>> (tables.ranks(np.zeros(4, np.int64), np.array([0.0, 2.0, 2.5, 9.0])) / UNIT).tolist()
        [0.0, 0.5, 0.75, 1.0]
        """
        if len(rows) and (rows == rows[0]).all():
            row = int(rows[0])
            place = np.searchsorted(self.values[row], values)
            inside = np.minimum(place, SIZE - 1)
            same = self.values[row][inside] == values
            found: Ints = np.where(same, self.at[row][inside], self.between[row][place])
            return found
        place = np.zeros(len(rows), np.int64)
        for step in _STEPS:
            further = place + step
            place = np.where(self.values[rows, further - 1] < values, further, place)
        place += self.values[rows, place] < values  # 255 steps so far, of 256
        inside = np.minimum(place, SIZE - 1)
        same = self.values[rows, inside] == values
        of_each: Ints = np.where(same, self.at[rows, inside], self.between[rows, place])
        return of_each

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
