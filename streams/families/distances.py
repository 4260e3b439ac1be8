"""How far histograms are from those of a baseline, for many groups at once.

Both sides are given as (group, bin, count), with groups that rise, and so do the bins of each.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from streams.families.family import (
    ON_PREDICTIONS,
    Columns,
    Estimate,
    Floats,
    Ints,
    Metric,
    Part,
)
from streams.families.histograms import group_sums, together

ENOUGH = 30
"""A baseline of fewer values says nothing."""

TENTHS = 10
"""PSI compares so many parts, which are equally large in the baseline, as far as bins allow it."""

MOST_CATEGORIES = 20
"""So many categories are parts of their own, those that the baseline has most of."""

REST, UNSEEN = TENTHS + MOST_CATEGORIES, TENTHS + MOST_CATEGORIES + 1
"""Parts of other categories of the baseline, and of those that it does not have."""

PARTS = UNSEEN + 1

Entries = tuple[Ints, Ints, Ints]

_BIN_BITS = 32
_KS_95 = 1.3581  # of Kolmogorov's distribution
_NORMAL_95 = 1.6449


def distance_metrics(
    names: tuple[str, str], helps: tuple[str, str], *, part: Part = Part.NONE
) -> tuple[Metric, Metric]:
    """Return what is known about a PSI and a KS statistic of predictions, under these names."""
    psi, ks = (
        Metric(
            name=name,
            help=text,
            interval="chance",
            highest=highest,
            part=part,
            compares=True,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source=source,
        )
        for name, text, highest, source in zip(
            names, helps, (np.inf, 1.0), ("Lewis (1994)", "Smirnov (1939)"), strict=True
        )
    )
    return psi, ks


class Beside(NamedTuple):
    """Two histograms of each group, bin by bin.

    Attributes
    ----------
    group
        Of every bin, rising.
    now, before
        Values in it.
    size, known
        Values of every group.
    """

    group: Ints
    now: Ints
    before: Ints
    size: Ints
    known: Ints

    @property
    def weight(self) -> Floats:
        """How much chance does in every group; NaN where there is too little to compare."""
        return weight(self.size, self.known)


def weight(size: Ints, known: Ints) -> Floats:
    """Return how much chance does where so many values are compared, NaN for too few."""
    with np.errstate(all="ignore"):
        return np.where((size > 0) & (known >= ENOUGH), 1 / size + 1 / known, np.nan)


def beside(now: Entries, before: Entries, groups: int) -> Beside:
    """Put the bins of two histograms beside each other."""
    keys, news, olds = together(
        np.concatenate([side[0] << _BIN_BITS | side[1] for side in (now, before)]),
        np.concatenate([now[2], np.zeros_like(before[2])]),
        np.concatenate([np.zeros_like(now[2]), before[2]]),
    )
    group = keys >> _BIN_BITS
    sizes = group_sums(group, news, groups), group_sums(group, olds, groups)
    return Beside(group, news, olds, *sizes)


# --- Kolmogorov–Smirnov


def kolmogorov_smirnov(bins: Beside) -> tuple[Floats, Floats]:
    """Return the statistic, exact for binned values, and what it stays below by chance.

    Examples
    --------
    >>> group, number = np.zeros(4, np.int64), np.arange(4)
    >>> before = group, number, np.full(4, 50)
    >>> bins = beside((group, number, np.array([80, 20, 20, 80])), before, 1)
    >>> [found.round(3).tolist() for found in kolmogorov_smirnov(bins)]
    [[0.15], [0.136]]
    """
    group, groups = bins.group, len(bins.size)
    ends = [
        np.cumsum(counts) - (np.cumsum(total) - total)[group]
        for counts, total in ((bins.now, bins.size), (bins.before, bins.known))
    ]
    found = np.zeros(groups)
    with np.errstate(all="ignore"):
        distance = np.abs(ends[0] / bins.size[group] - ends[1] / bins.known[group])
        np.maximum.at(found, group, distance)
    chance = _KS_95 * np.sqrt(bins.weight)
    return np.where(np.isnan(chance), np.nan, found), chance


# --- population stability


def tenths(bins: Beside) -> Ints:
    """Return for every bin of numbers the tenth of the baseline that its middle is in."""
    before, group = bins.before, bins.group
    ends = np.cumsum(before) - (np.cumsum(bins.known) - bins.known)[group]
    with np.errstate(all="ignore"):
        middle = (ends - before / 2) / bins.known[group]
    return np.clip(np.nan_to_num(middle * TENTHS), 0, TENTHS - 1).astype(np.int64)


def categories(bins: Beside) -> Ints:
    """Return for every category its part: one of its own, the rest, or those that are unseen."""
    order = np.lexsort((-bins.before, bins.group))
    starts = np.searchsorted(bins.group, bins.group)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - starts
    own = np.where(rank < MOST_CATEGORIES, TENTHS + rank, REST)
    return np.where(bins.before > 0, own, UNSEEN)


def stability(sides: tuple[tuple[Beside, Ints], ...], groups: int) -> tuple[Floats, Floats, Ints]:
    """Return the population stability index of groups, what chance does, and values of windows.

    Half a value is added to every part of both sides, so that an empty one does not make it
    infinite.

    Parameters
    ----------
    sides
        Histograms, and the part of every bin.

    Examples
    --------
    >>> group, number = np.zeros(4, np.int64), np.arange(4)
    >>> before = group, number, np.full(4, 50)
    >>> bins = beside((group, number, np.array([80, 20, 20, 80])), before, 1)
    >>> psi, chance, size = stability(((bins, tenths(bins)),), 1)
    >>> psi.round(3).tolist(), chance.round(3).tolist(), size.tolist()
    ([0.406], [0.078], [200])
    """
    new, old = np.zeros((2, groups * PARTS))
    size, known = np.zeros((2, groups), np.int64)
    for bins, part in sides:
        place = bins.group * PARTS + part
        new += np.bincount(place, bins.now, groups * PARTS)
        old += np.bincount(place, bins.before, groups * PARTS)
        size, known = size + bins.size, known + bins.known
    there = (new + old > 0).reshape(groups, PARTS)
    shares = []
    for side in (new, old):
        raised = np.where(there, side.reshape(groups, PARTS) + 0.5, 0.0)
        with np.errstate(all="ignore"):
            shares.append(raised / raised.sum(axis=1, keepdims=True))
    with np.errstate(all="ignore"):
        terms = (shares[0] - shares[1]) * np.log(shares[0] / shares[1])
    psi = np.where(there, terms, 0.0).sum(axis=1)
    chance = _chi2_95(there.sum(axis=1) - 1) * weight(size, known)
    return np.where(np.isnan(chance), np.nan, psi), chance, size


def _chi2_95(freedom: Ints) -> Floats:
    """Return the 95 % quantile of chi-square; 0 for no degree of freedom.

    Source: Wilson & Hilferty (1931).

    Examples
    --------
    >>> _chi2_95(np.array([9])).round(1).tolist()
    [16.9]
    """
    with np.errstate(all="ignore"):
        spread = 2 / (9 * freedom)
        found = freedom * (1 - spread + _NORMAL_95 * np.sqrt(spread)) ** 3
    return np.where(freedom > 0, found, 0.0)


# --- estimates


def by_chance(
    metric: str, value: Floats, chance: Floats, size: Ints, *, highest: float = np.inf
) -> Estimate:
    """Return a distance whose interval is as wide as what chance does in 95 % of windows."""
    low, high = np.maximum(value - chance, 0.0), np.minimum(value + chance, highest)
    return Estimate(metric, value, low, high, size)


def of_numbers(
    names: tuple[str, str], now: Columns, before: Columns | None, column: str
) -> Iterator[Estimate]:
    """Yield PSI and KS of a sparse column of bins of numbers, under these names."""
    if before is None:
        return
    bins = beside(now.entries(column), before.entries(column), now.groups)
    yield by_chance(names[0], *stability(((bins, tenths(bins)),), now.groups))
    yield by_chance(names[1], *kolmogorov_smirnov(bins), bins.size, highest=1.0)
