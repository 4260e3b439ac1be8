"""Histograms over fixed, fine bins: mergeable, exact counts, the same in any order.

Bin edges come from the bits of the number (exponent and leading mantissa bits), as in HDR
histograms: a constant *relative* width over the whole range, no logarithm, no configuration.
For scores the scale is mirrored around one half, so that it is fine near 0 *and* near 1: the
scores of a fraud model crowd below 0.01, where 200 equal bins would see one value. It has no end:
scores of 1e-8, logits and reconstruction errors are ranked as finely as probabilities.
"""

import struct
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Histogram = dict[int, int]
"""Bin number -> count; bins increase with the value."""

QUANTILE_SHIFT = 52 - 7  # 128 bins per power of two: values within 0.4 %
SCORE_SHIFT = 52 - 6  # 64 bins per power of two
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
    steps = np.abs(distance).view(np.int64) >> SCORE_SHIFT
    steps = np.where(distance < 0, -steps, steps)
    steps -= _HALF
    bins: NDArray[np.int64] = np.where(upper, -steps, steps)
    return bins


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
