"""Histograms over fixed, fine bins: mergeable, exact counts, the same in any order.

Bin edges come from the bits of the number (exponent and leading mantissa bits), as in HDR
histograms: a constant *relative* width over the whole range, no logarithm, no configuration.
For scores the scale is mirrored around one half, so that it is fine near 0 *and* near 1: the
scores of a fraud model crowd below 0.01, where 200 equal bins would see one value. It has no end:
scores of 1e-8, logits and reconstruction errors are ranked as finely as probabilities.
"""

import math
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Histogram = dict[int, int]
"""Bin number -> count; bins increase with the value."""

QUANTILE_SHIFT = 52 - 7  # 128 bins per power of two: values within 0.4 %
_SCORE_SHIFT = 52 - 6  # 64 bins per power of two
_HALF = 1022 << 6  # the bin of the distance 0.5
_CERTAIN = (-_HALF, _HALF)  # scores of exactly 0, and exactly 1: alone in their bins
_EXACT_PAIRS = 1 << 62
FEW_TIES = 0.01  # as many as the area, within 0.005, may leave open
SIDE_BY_SIDE = 2
_FEW_BINS = 100  # numpy takes longer for so few
_WIDEST_SPAN = 1 << 14  # scores between 0 and 1, neither of them, span 2,560 unless they are tiny


def value_bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return bin numbers of finite values; 0 is a bin of its own, negatives mirror positives."""
    bits = np.abs(values).view(np.int64) >> QUANTILE_SHIFT
    bins: NDArray[np.int64] = np.where(values < 0, -bits, bits)
    return bins


def bin_value(number: int) -> float:
    """Return the middle of a bin."""
    if not number:
        return 0.0
    edges = abs(number) << QUANTILE_SHIFT, (abs(number) + 1) << QUANTILE_SHIFT
    low, high = struct.unpack("<2d", struct.pack("<2q", *edges))
    middle: float = (low + high) / 2
    return middle if number > 0 else -middle


def score_bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return bin numbers, increasing with the score; scores may be any finite numbers.

    Examples
    --------
    >>> score_bins(np.array([-20.0, 0.0, 1e-8, 2e-8, 0.5, 1 - 2e-8, 1 - 1e-8, 1.0, 20.0])).tolist()
    [-131152, -65408, -1643, -1579, 0, 1579, 1643, 65408, 131148]
    """
    upper = scores > 0.5
    distance = np.where(upper, 1.0 - scores, scores)
    steps = np.abs(distance).view(np.int64) >> _SCORE_SHIFT
    steps = np.where(distance < 0, -steps, steps)
    steps -= _HALF
    bins: NDArray[np.int64] = np.where(upper, -steps, steps)
    return bins


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


def roc_auc_and_ties(positive: Histogram, negative: Histogram) -> tuple[float, float] | None:
    """Return also how large a part of all pairs shares a bin, so that its order is not known."""
    total_positive, total_negative = sum(positive.values()), sum(negative.values())
    if not total_positive or not total_negative:
        return None
    pairs = total_positive * total_negative
    won, tied = _won_by_column(positive, negative) or _won(positive, negative)
    if tied > FEW_TIES * pairs:
        tied -= _real_ties(positive, negative)
    return won / (2 * pairs), tied / pairs


def _won_by_column(positive: Histogram, negative: Histogram) -> tuple[int, int] | None:
    """Return what `_won` does, faster; `None` where that is slower, or might overflow."""
    ones, size = len(positive), len(positive) + len(negative)
    if size <= _FEW_BINS:
        return None
    counts = np.fromiter(chain(positive.values(), negative.values()), np.int64, size)
    if int(np.abs(counts).sum()) ** 2 >= _EXACT_PAIRS:
        return None
    numbers = np.fromiter(chain(positive, negative), np.int64, size)
    lowest = int(numbers.min())
    span = int(numbers.max()) - lowest + 1
    if span > _WIDEST_SPAN:
        numbers, span = np.unique(numbers, return_inverse=True)[1], size
    else:
        numbers -= lowest
    ups, downs = np.zeros(span, np.int64), np.zeros(span, np.int64)
    ups[numbers[:ones]] = counts[:ones]
    downs[numbers[ones:]] = counts[ones:]
    return int((2 * np.cumsum(downs) - downs) @ ups), int(ups @ downs)


def _won(positive: Histogram, negative: Histogram) -> tuple[int, int]:
    """Count twice the pairs in which the positive is higher, ties once; and ties."""
    below = won = tied = 0
    for number in sorted({**negative, **positive}):
        here = negative.get(number, 0)
        if number in positive:
            won += positive[number] * (2 * below + here)
            tied += positive[number] * here
        below += here
    return won, tied


def _real_ties(positive: Histogram, negative: Histogram) -> int:
    """Count the pairs that share a bin because they have the same score, by all appearances.

    A model with a few different scores (a tree, two decimals) has bins far apart. Scores that
    differ by less than a bin, such as 1000.1 and 1000.2, fill a bin or two, or some side by side.
    """
    numbers = sorted({**negative, **positive})
    ties = 0
    for before, number, after in zip([None, *numbers], numbers, [*numbers[1:], None], strict=False):
        alone = number - 1 != before and number + 1 != after and len(numbers) > SIDE_BY_SIDE
        if alone or number in _CERTAIN:
            ties += positive.get(number, 0) * negative.get(number, 0)
    return ties
