"""Histograms over fixed, fine bins: mergeable, exact counts, the same in any order.

Bin edges come from the bits of the number (exponent and leading mantissa bits), as in HDR
histograms: a constant *relative* width over the whole range, no logarithm, no configuration.
For scores the scale is mirrored around one half, so that it is fine near 0 *and* near 1: the
scores of a fraud model crowd below 0.01, where 200 equal bins would see one value.
"""

import math
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

import numpy as np
from numpy.typing import NDArray

Histogram = dict[int, int]
"""Bin number -> count; bins increase with the value."""

_QUANTILE_SHIFT = 52 - 7  # 128 bins per power of two: values within 0.4 %
_SCORE_SHIFT = 52 - 6  # 64 bins per power of two
_BIAS = 1023
_SCORE_DEPTH = 20  # scores below 2**-20 share a bin, as do those above 1 - 2**-20
_SCORE_BINS = _SCORE_DEPTH << 6
_EXACT_PAIRS = 1 << 62
_FEW_BINS = 100  # numpy takes longer for so few
_WIDEST_SPAN = 1 << 14  # scores between 0 and 1 span 2,560, those up to a million three times that


def value_bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return bin numbers of finite values; 0 is a bin of its own, negatives mirror positives."""
    bits = np.abs(values).view(np.int64) >> _QUANTILE_SHIFT
    bins: NDArray[np.int64] = np.where(values < 0, -bits, bits)
    return bins


def bin_value(number: int) -> float:
    """Return the middle of a bin."""
    if not number:
        return 0.0
    edges = abs(number) << _QUANTILE_SHIFT, (abs(number) + 1) << _QUANTILE_SHIFT
    low, high = struct.unpack("<2d", struct.pack("<2q", *edges))
    middle: float = (low + high) / 2
    return middle if number > 0 else -middle


def score_bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return bin numbers, increasing with the score; scores outside [0, 1] are allowed."""
    upper = scores > 0.5
    distance = np.where(upper, 1.0 - scores, scores)
    bits = np.abs(distance).view(np.int64) >> _SCORE_SHIFT
    steps = np.clip(bits - ((_BIAS - _SCORE_DEPTH) << 6), 0, None)
    steps = np.where(distance < 0, -steps, steps)
    bins: NDArray[np.int64] = np.where(upper, 2 * _SCORE_BINS - steps, steps)
    return bins


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
    total_positive, total_negative = sum(positive.values()), sum(negative.values())
    if not total_positive or not total_negative:
        return None
    won = _won_by_column(positive, negative)
    if won is None:
        won = _won(positive, negative)
    return won / (2 * total_positive * total_negative)


def _won_by_column(positive: Histogram, negative: Histogram) -> int | None:
    """Return what `_won` does, faster; `None` where that is slower, or might overflow."""
    ones, size = len(positive), len(positive) + len(negative)
    if size <= _FEW_BINS:
        return None
    numbers = np.fromiter(chain(positive, negative), np.int64, size)
    lowest = int(numbers.min())
    span = int(numbers.max()) - lowest + 1
    if span > _WIDEST_SPAN:
        return None
    counts = np.fromiter(chain(positive.values(), negative.values()), np.int64, size)
    if int(np.abs(counts).sum()) ** 2 >= _EXACT_PAIRS:
        return None
    numbers -= lowest
    ups, downs = np.zeros(span, np.int64), np.zeros(span, np.int64)
    ups[numbers[:ones]] = counts[:ones]
    downs[numbers[ones:]] = counts[ones:]
    return int((2 * np.cumsum(downs) - downs) @ ups)


def _won(positive: Histogram, negative: Histogram) -> int:
    """Count twice the pairs in which the positive is higher, ties once, however many there are."""
    below = won = 0
    for number in sorted({**negative, **positive}):
        here = negative.get(number, 0)
        if number in positive:
            won += positive[number] * (2 * below + here)
        below += here
    return won
