"""The next values of many lanes at once; those of a lane follow each other, in order."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Series:
    """Values of lanes, and where they were among those that came.

    Parameters
    ----------
    lanes
        Numbers of the lanes that have values; each comes once.
    counts
        How many values each of them has, one or more.
    values
        Those of the first lane, then those of the second, and so on.
    places
        Where every value was in what a caller handed in; `None` where it is here.

    Examples
    --------
    >>> series = Series(np.array([7, 2]), np.array([1, 3]), np.array([0.5, 1.0, 2.0, 3.0]))
    >>> [(lanes.tolist(), series.values[at].tolist()) for lanes, at in series.turns()]
    [([2, 7], [1.0, 0.5]), ([2], [2.0]), ([2], [3.0])]
    """

    def __init__(
        self, lanes: Ints, counts: Ints, values: Floats, places: Ints | None = None
    ) -> None:
        self.lanes, self.counts, self.values, self.places = lanes, counts, values, places

    @cached_property
    def starts(self) -> Ints:
        """Where the first value of every lane is."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def runs(self) -> Ints:
        """Of every value, which of `lanes` has it."""
        return np.repeat(np.arange(len(self.lanes)), self.counts)

    @cached_property
    def positions(self) -> Ints:
        """Of every value, how many its lane has before it."""
        return np.arange(len(self.values)) - self.starts[self.runs]

    def kept(self, mask: Mask) -> "Series":
        """Return the values for which a mask is set."""
        if mask.all():
            return self
        counts = np.bincount(self.runs[mask], minlength=len(self.lanes))
        some = counts > 0
        places = np.flatnonzero(mask) if self.places is None else self.places[mask]
        return Series(self.lanes[some], counts[some], self.values[mask], places)

    def place(self, at: int) -> int:
        """Return where a value was in what a caller handed in."""
        return at if self.places is None else int(self.places[at])

    @cached_property
    def by_length(self) -> Ints:
        """Which of `lanes` have the most values, those first: in the order of `turns`."""
        return np.argsort(-self.counts, kind="stable")

    @cached_property
    def by_turn(self) -> Ints:
        """Where the values are, in the order of `turns`."""
        rank = np.empty_like(self.by_length)
        rank[self.by_length] = np.arange(len(rank))
        return np.argsort(self.positions * len(rank) + rank[self.runs], kind="stable")

    def turns(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield the lanes that have a first value, and where it is; then a second; and so on.

        The lanes of each turn are the first ones of the turn before.
        """
        counts, lanes = self.counts[self.by_length], self.lanes[self.by_length]
        longest, end = int(counts[0]) if len(counts) else 0, 0
        for count in np.searchsorted(-counts, -np.arange(longest)).tolist():
            start, end = end, end + count
            yield lanes[:count], self.by_turn[start:end]
