"""Histograms one at a time, as dictionaries: what those in columns must equal."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.bins import Histogram, bin_value, roc_auc_and_ties, score_bins, value_bins

_HALF = 1022 << 6  # the bin of the distance 0.5

__all__ = ["bin_value", "roc_auc_and_ties", "score_bins", "value_bins"]  # beside those below


def score_ranges(numbers: NDArray[np.int64]) -> list[Any]:
    """Cut bin numbers of scores where they leap, at 0 and 1: whoever counts wants them dense.

    Returns
    -------
    list
        Indexes of the rows of each part: mostly all of them, in one.
    """
    if not len(numbers) or (numbers.min() > -_HALF and numbers.max() < _HALF):
        return [slice(None)]
    leaps = -_HALF, 1 - _HALF, _HALF, 1 + _HALF
    part = sum((numbers >= leap).view(np.int8) for leap in leaps)
    found = (np.flatnonzero(part == number) for number in range(len(leaps) + 1))
    return [rows for rows in found if len(rows)]


def merge(histogram: Histogram, other: Histogram) -> None:
    """Add another histogram in place; empty bins disappear.

    Examples
    --------
    >>> histogram = {3: 1, 5: -1}
    >>> merge(histogram, {3: 2, 5: 1, 7: 4})
    >>> histogram
    {3: 3, 7: 4}
    """
    sums = {number: histogram[number] + other[number] for number in histogram.keys() & other.keys()}
    histogram.update(other)
    histogram.update(sums)
    for number, total in sums.items():
        if not total:
            del histogram[number]


def add_counts(histogram: Histogram, counts: Iterable[tuple[int, int]]) -> None:
    """Add `(bin, count)` pairs in place; empty bins disappear."""
    for number, count in counts:
        total = histogram.get(number, 0) + count
        if total:
            histogram[number] = total
        else:
            histogram.pop(number, None)


def add(histogram: Histogram, numbers: list[int]) -> None:
    """Count values by the numbers of their bins, in place; empty bins disappear.

    Examples
    --------
    >>> histogram = {3: 1, 5: -1}
    >>> add(histogram, [7, 3, 3, 5])
    >>> histogram
    {3: 3, 7: 1}
    """
    Counter.update(histogram, numbers)  # type: ignore[call-overload]  # a dict will do
    if 0 in histogram.values():
        for number in [number for number, count in histogram.items() if not count]:
            del histogram[number]


def quantiles(histogram: Histogram, shares: Sequence[float]) -> list[float]:
    """Return for each share q the value of rank ``ceil(q * n)``, within 0.4 %.

    Examples
    --------
    >>> from collections import Counter
    >>> latencies = Counter(value_bins(np.arange(1.0, 101.0)).tolist())
    >>> [round(value, 1) for value in quantiles(latencies, [0.5, 0.95])]
    [50.1, 95.2]
    """
    numbers = sorted(histogram)
    ends = list(accumulate(map(histogram.__getitem__, numbers)))
    ranks = (max(1, math.ceil(share * ends[-1] - 1e-9)) for share in shares)
    places = (min(bisect_left(ends, rank), len(ends) - 1) for rank in ranks)
    return [bin_value(numbers[place]) for place in places]


def roc_auc(positive: Histogram, negative: Histogram) -> float | None:
    """Return the area under the ROC curve, ties counted half; `None` with one class only.

    Source: Mann & Whitney (1947); Hanley & McNeil (1982).
    """
    found = roc_auc_and_ties(positive, negative)
    return None if found is None else found[0]
