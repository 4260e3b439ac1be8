"""How far the values of a numeric feature are spread."""

from collections.abc import Iterator

import numpy as np

from streams import exact_sum
from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Floats,
    Ints,
    Metric,
    Part,
)
from streams.families.intervals import Z, spread_known
from streams.families.mean import Mean


class Std(Family):
    """The sample standard deviation, of the sums that means are of."""

    name = "std"
    reads, scope = PREDICTIONS, FEATURE
    uses = (Mean,)
    metrics = (
        Metric(
            name="std",
            help="sample standard deviation of a numeric feature; none where the mean is over a"
            " million times as large, unless all values are the same: 0",
            interval="normal values",
            part=Part.FEATURE,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        count = cells.counts("numbers")[:, 0]
        mean, squares = (cells.sums(name).means(count) for name in ("value", "value_squares"))
        with np.errstate(all="ignore"):
            variance = np.maximum(squares - mean * mean, 0.0) * (count / (count - 1))
            told = spread_known(mean, squares)
            value = np.where((count >= 2) & told, np.sqrt(variance), np.nan)
            value[_constant(cells, np.flatnonzero((count >= 2) & ~told), mean, count)] = 0.0
            doubt = Z * np.sqrt(2 / (count - 1))  # of a variance, as a part of it
            low, high = value / np.sqrt(1 + doubt), value / np.sqrt(1 - doubt)
        few = ~(doubt < 1)
        yield Estimate("std", value, np.where(few, np.nan, low), np.where(few, np.nan, high), count)


def _constant(cells: Cells, groups: Ints, mean: Floats, count: Ints) -> Ints:
    """Return those of some groups whose values are all the same, by their exact sums.

    Of ten values near 1e9 that differ by less than 1, the variance is 0, too, as far as floats go.
    """
    own, total = groups.tolist(), count[groups].tolist()
    value, squares = (cells.sums(name).totals(own) for name in ("value", "value_squares"))
    found = [
        group
        for group, one, n, whole, square in zip(
            own, mean[groups].tolist(), total, value, squares, strict=True
        )
        if whole == n * exact_sum.exact(one) and square == n * exact_sum.exact(one * one)
    ]
    return np.array(found, np.int64)
