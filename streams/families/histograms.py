"""`streams.bins` over histograms of many groups at once, given as (group, bin, count).

Groups rise, and so do the bins of each. Bins are those of `streams.bins`, moved to be whole numbers
from 0 on, as columns want them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams import bins
from streams.families.family import Estimate, Floats, Ints
from streams.families.intervals import quantile_ranks

VALUE_ZERO = 1 << 18
"""Bin of the value 0; there are as many below it as above."""

SCORE_BITS = 19
SCORE_ZERO = 1 << (SCORE_BITS - 1)
"""Bin of the score 0.5; scores up to 1e150 are 196,416 bins away from it, at most."""

SCORE_MASK = (1 << SCORE_BITS) - 1
_CERTAIN = int(bins.score_bins(np.ones(1))[0])
_MAGNITUDE, _INFINITE = (1 << 63) - 1, 0x7FF << 52
_GREATEST = float(np.finfo(np.float64).max)
_EXACT = 1 << 52  # twice as many pairs are a whole float
_LARGEST = float(1 << 31)  # the square of a larger number of rows may overflow


def value_bins(values: Floats) -> Ints:
    """Return bins of values, -1 where there is none.

    Examples
    --------
    >>> (value_bins(np.array([0.0, np.nan, 1.0, -1.0])) - VALUE_ZERO).tolist()
    [0, -262145, 130944, -130944]
    """
    # As `streams.bins` does it, in place: of features, there are many values.
    bits = np.ascontiguousarray(values, np.float64).view(np.int64)
    found: Ints = bits & _MAGNITUDE
    others = found >= _INFINITE
    found >>= bins.QUANTILE_SHIFT
    sign = bits >> 63  # -1 of what is negative, which is then turned round
    found ^= sign
    found -= sign
    found += VALUE_ZERO
    if others.any():
        found[others] = -1
    return found


def score_bins(scores: Floats) -> Ints:
    """Return bins of scores; that of NaN means nothing."""
    return bins.score_bins(np.where(np.isnan(scores), 0.0, scores)) + SCORE_ZERO


def bin_values(numbers: Ints) -> Floats:
    """Return the middle of every bin of values.

    Examples
    --------
    >>> bin_values(value_bins(np.array([0.0, 100.0, -1.0]))).tolist()
    [0.0, 100.25, -1.00390625]
    """
    distance = np.abs(numbers - VALUE_ZERO)
    edges = [
        (number << bins.QUANTILE_SHIFT).view(np.float64) for number in (distance, distance + 1)
    ]
    middle = np.where(distance == 0, 0.0, (edges[0] + edges[1]) / 2)
    return np.where(numbers < VALUE_ZERO, -middle, middle)


def pair_values(numbers: Ints) -> Floats:
    """Return the middle of every two bins of values, numbered by half the first's; always finite.

    Examples
    --------
    >>> pair_values(value_bins(np.array([0.0, 100.0, -1.0, 1.79e308])) >> 1).tolist()
    [0.0, 100.5, -1.001953125, 1.7976931348623157e+308]
    """
    first = (numbers << 1) - VALUE_ZERO
    lower = np.where(first < 0, -first - 1, first)
    edges = [(one << bins.QUANTILE_SHIFT).view(np.float64) / 2 for one in (lower, lower + 2)]
    middle = np.where(first == 0, 0.0, np.minimum(edges[0] + edges[1], _GREATEST))
    return np.where(first < 0, -middle, middle)


def score_values(numbers: Ints) -> Floats:
    """Return the middle of every bin of scores; those of 0, 0.5 and 1 are exactly that.

    Examples
    --------
    >>> scores = np.array([0.0, 1e-6, 0.3, 0.5, 0.99, 1.0, 20.0, -3.0])
    >>> score_values(score_bins(scores)).round(8).tolist()
    [0.0, 1.01e-06, 0.29882812, 0.5, 0.99005127, 1.0, 20.125, -3.015625]
    """
    place = numbers - SCORE_ZERO
    steps = _CERTAIN - np.abs(place)
    size = np.abs(steps)
    edges = [(one << bins.SCORE_SHIFT).view(np.float64) for one in (size, size + 1)]
    distance = np.where(size == 0, 0.0, (edges[0] + edges[1]) / 2)
    distance = np.where(place == 0, 0.5, np.where(steps < 0, -distance, distance))
    return np.where(place > 0, 1.0 - distance, distance)


def group_sums(group: Ints, values: Ints, groups: int) -> Ints:
    """Add up whole numbers by a rising group; a sum is exact if it fits, whatever others do.

    Examples
    --------
    >>> group_sums(np.array([0, 0, 2]), np.array([5, -2, 7]), 3).tolist()
    [3, 0, 7]
    """
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    ends = np.searchsorted(group, np.arange(groups + 1))
    return np.diff(sums[ends])


def together(keys: Ints, *counts: Ints) -> tuple[Ints, ...]:
    """Add up the counts of equal keys; return the keys, rising, and the sums.

    Examples
    --------
    >>> [column.tolist() for column in together(np.array([3, 1, 3]), np.array([1, 5, 2]))]
    [[1, 3], [5, 3]]
    """
    if (keys[1:] > keys[:-1]).all():
        return keys, *counts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], *(np.add.reduceat(count[order], starts) for count in counts)


# --- quantiles


def quantile_estimates(
    metrics: Sequence[tuple[str, float]],
    entries: tuple[Ints, Ints, Ints],
    groups: int,
    *,
    values: Callable[[Ints], Floats] = bin_values,
) -> Iterator[Estimate]:
    """Yield quantiles of values, by name and share, bounded by the quantiles of their ranks.

    Parameters
    ----------
    values
        Returns the values of bins.
    """
    group, number, counts = entries
    if not len(group) or not metrics:
        return
    # What was taken back and is not there, as after a family began anew, is no value: it would make
    # the ranks of other groups fall between its bins.
    entries = group, number, np.maximum(counts, 0)
    count = group_sums(group, entries[2], groups)
    shares = [
        column for _, q in metrics for column in (np.full(groups, q), *quantile_ranks(q, count))
    ]
    found = quantiles(entries, np.stack(shares, axis=1), count, values=values)
    for place, (metric, _) in enumerate(metrics):
        value, low, high = found[:, 3 * place : 3 * place + 3].T
        yield Estimate(metric, value, low, high, count)


def quantiles(
    entries: tuple[Ints, Ints, Ints],
    shares: Floats,
    total: Ints,
    *,
    values: Callable[[Ints], Floats] = bin_values,
) -> Floats:
    """Return the value of rank ``ceil(q * n)`` for shares q (groups x any), within 0.4 %.

    Parameters
    ----------
    total
        How many values every group has; there is NaN for those without any.
    """
    group, number, count = entries
    if not len(group):
        return np.full(shares.shape, np.nan)
    ends = np.cumsum(count)
    last = np.searchsorted(group, np.arange(len(shares)), side="right") - 1
    rank = np.maximum(1.0, np.ceil(shares * total[:, None] - 1e-9)).astype(np.int64)
    before = (np.cumsum(total) - total)[:, None]
    place = np.minimum(np.searchsorted(ends, rank + before), last[:, None])
    found = values(number[np.maximum(place, 0)])
    return np.where(total[:, None] > 0, found, np.nan)


# --- areas


class Areas(NamedTuple):
    """Areas under the ROC curve, ties counted half.

    Attributes
    ----------
    area
        NaN for a group with one class only.
    tied
        How large a part of all pairs is in an unknown order.
    """

    area: Floats
    tied: Floats
    positives: Ints
    negatives: Ints


def areas(keys: Ints, ups: Ints, downs: Ints, groups: int) -> Areas:
    """Compute the areas of many groups.

    Parameters
    ----------
    keys
        Group and bin of the score, ``group << SCORE_BITS | bin``, rising.
    ups, downs
        How many positives and how many others are there.

    Source: Mann & Whitney (1947).

    Examples
    --------
    >>> found = areas(np.array([1, 2, 3]), np.array([0, 1, 1]), np.array([1, 1, 0]), 1)
    >>> found.area.tolist(), found.tied.tolist()
    ([0.875], [0.25])
    """
    group = keys >> SCORE_BITS
    ones, zeros = group_sums(group, ups, groups), group_sums(group, downs, groups)
    below = np.cumsum(downs) - downs - (np.cumsum(zeros) - zeros)[group]
    won = group_sums(group, ups * (2 * below + downs), groups)
    pairs, here = ones * zeros, ups * downs
    ties = group_sums(group, here, groups)
    many = ties > bins.FEW_TIES * pairs
    if many.any():
        here[~are_real(keys, group)] = 0
        ties = np.where(many, ties - group_sums(group, here, groups), ties)
    with np.errstate(all="ignore"):
        area = np.where((ones != 0) & (zeros != 0), won / (2 * pairs), np.nan)
        tied = ties / pairs
    for place in np.flatnonzero((ones + zeros >= _LARGEST) | (pairs >= _EXACT)).tolist():
        own = slice(*np.searchsorted(group, [place, place + 1]).tolist())
        area[place], tied[place] = _one_area(keys[own], ups[own], downs[own])
    return Areas(area, tied, ones, zeros)


def _one_area(keys: Ints, ups: Ints, downs: Ints) -> tuple[float, float]:
    """Compute one area with whole numbers of any size: numpy would round twice, or overflow."""
    numbers = ((keys & SCORE_MASK) - SCORE_ZERO).tolist()
    positive, negative = (
        {number: count for number, count in zip(numbers, counts.tolist(), strict=True) if count}
        for counts in (ups, downs)
    )
    return bins.roc_auc_and_ties(positive, negative) or (np.nan, np.nan)


def are_real(keys: Ints, group: Ints) -> NDArray[np.bool_]:
    """Tell which bins hold equal scores, by all appearances; see `streams.bins`."""
    beside = np.zeros(len(keys) + 1, np.bool_)  # a bin and the one before it; groups never are
    beside[1:-1] = (np.diff(keys) == 1) & (group[1:] == group[:-1])
    alone = ~(beside[1:] | beside[:-1])
    sizes = np.bincount(group)[group] if len(group) else group
    distance = np.abs((keys & SCORE_MASK) - SCORE_ZERO)
    found: Any = (alone & (sizes > bins.SIDE_BY_SIDE)) | (distance == _CERTAIN)
    return found  # type: ignore[no-any-return]
