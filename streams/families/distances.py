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
    Mask,
    Metric,
    Part,
)
from streams.families.histograms import group_sums, pair_values, together

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
_BIN_MASK = (1 << _BIN_BITS) - 1
_KS_95 = 1.3581  # of Kolmogorov's distribution
_NORMAL_95 = 1.6449
_Z = 1.96
_W1_95 = 1.4  # of the area between two distributions, as a part of ∫ √(F(1 - F))


def distance_metrics(
    names: tuple[str, str], helps: tuple[str, str], *, part: Part = Part.NONE
) -> tuple[Metric, Metric]:
    """Return what is known about a PSI and a KS statistic of predictions, under these names."""
    psi = distance_metric(names[0], helps[0], part=part, source="Lewis (1994)")
    ks = distance_metric(names[1], helps[1], part=part, source="Smirnov (1939)", highest=1.0)
    return psi, ks


def distance_metric(
    name: str,
    text: str,
    *,
    source: str,
    part: Part = Part.FEATURE,
    highest: float = np.inf,
    default: bool = True,
) -> Metric:
    """Return what is known about a distance of predictions from their baseline."""
    return Metric(
        name=name,
        help=text,
        interval="chance",
        highest=highest,
        part=part,
        compares=True,
        rests_on=ON_PREDICTIONS,
        at_most="predictions",
        source=source,
        default=default,
    )


class Beside(NamedTuple):
    """Two histograms of each group, bin by bin.

    Attributes
    ----------
    group, number
        Of every bin, rising.
    now, before
        Values in it.
    size, known
        Values of every group.
    """

    group: Ints
    number: Ints
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
    return Beside(group, keys & _BIN_MASK, news, olds, *sizes)


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


class Parts(NamedTuple):
    """Two histograms of each group, in parts: rows are groups.

    Attributes
    ----------
    now, before
        Values in every part.
    there
        Whether either side has any.
    size, known
        Values of every group.
    """

    now: Floats
    before: Floats
    there: Mask
    size: Ints
    known: Ints

    @property
    def chance(self) -> Floats:
        """What the sum of (p - q)² / p over parts stays below by chance; NaN for too few values."""
        return _chi2_95(self.there.sum(axis=1) - 1) * weight(self.size, self.known)

    def shares(self, *, more: float = 0.0) -> tuple[Floats, Floats]:
        """Return the shares of parts on both sides, with so much more in each that is there."""
        shares = []
        for side in (self.now, self.before):
            raised = np.where(self.there, side + more, 0.0)
            with np.errstate(all="ignore"):
                shares.append(raised / raised.sum(axis=1, keepdims=True))
        return shares[0], shares[1]


def parted(sides: tuple[tuple[Beside, Ints], ...], groups: int) -> Parts:
    """Put histograms into parts.

    Parameters
    ----------
    sides
        Histograms, and the part of every bin.
    """
    new, old = np.zeros((2, groups * PARTS))
    size, known = np.zeros((2, groups), np.int64)
    for bins, part in sides:
        place = bins.group * PARTS + part
        new += np.bincount(place, bins.now, groups * PARTS)
        old += np.bincount(place, bins.before, groups * PARTS)
        size, known = size + bins.size, known + bins.known
    new, old = new.reshape(groups, PARTS), old.reshape(groups, PARTS)
    return Parts(new, old, new + old > 0, size, known)


def stability(parts: Parts) -> tuple[Floats, Floats, Ints]:
    """Return the population stability index of groups, what chance does, and values of windows.

    Half a value is added to every part of both sides, so that an empty one does not make it
    infinite.

    Examples
    --------
    >>> group, number = np.zeros(4, np.int64), np.arange(4)
    >>> before = group, number, np.full(4, 50)
    >>> bins = beside((group, number, np.array([80, 20, 20, 80])), before, 1)
    >>> psi, chance, size = stability(parted(((bins, tenths(bins)),), 1))
    >>> psi.round(3).tolist(), chance.round(3).tolist(), size.tolist()
    ([0.406], [0.078], [200])
    """
    now, before = parts.shares(more=0.5)
    with np.errstate(all="ignore"):
        terms = (now - before) * np.log(now / before)
    psi, chance = np.where(parts.there, terms, 0.0).sum(axis=1), parts.chance
    return np.where(np.isnan(chance), np.nan, psi), chance, parts.size


# --- Jensen–Shannon, Cramér, Wasserstein


def jensen_shannon(parts: Parts) -> tuple[Floats, Floats, Ints]:
    """Return the Jensen–Shannon distance (root, base 2), what chance does, and values of windows.

    Close to 0, its square is Σ (p - q)² / 8p, in units of ln 2.
    """
    sides = parts.shares()
    middle = (sides[0] + sides[1]) / 2
    bits = np.zeros(len(middle))
    for side in sides:
        with np.errstate(all="ignore"):
            terms = np.where(side > 0, side * np.log2(side / middle), 0.0)
        bits += terms.sum(axis=1) / 2
    chance = np.sqrt(parts.chance / (8 * np.log(2)))
    found = np.sqrt(np.clip(bits, 0.0, 1.0))
    return np.where(np.isnan(chance), np.nan, found), chance, parts.size


def cramers_v(parts: Parts) -> tuple[Floats, Floats, Ints]:
    """Return Cramér's V of part and side, what chance does, and values of windows.

    Both sides weigh the same, so that it does not depend on the size of the window: V² is
    Σ (p - q)² / 2(p + q). Below chance, a test of chi-square would find nothing at 5 %.
    """
    now, before = parts.shares()
    with np.errstate(all="ignore"):
        terms = np.where(parts.there, (now - before) ** 2 / (2 * (now + before)), 0.0)
    chance = np.sqrt(parts.chance / 4)
    found = np.sqrt(np.clip(terms.sum(axis=1), 0.0, 1.0))
    return np.where(np.isnan(chance), np.nan, found), chance, parts.size


def wasserstein(bins: Beside) -> tuple[Floats, Floats, Ints]:
    """Return how far values have moved on average, in standard deviations of the baseline.

    With it comes what it stays below by chance: 1.96 ∫ √(F(1 - F)) where there are two values
    only, a normal deviate; 1.3 to 1.4 of it for values of any distribution (of uniform ones, the
    area below a Brownian bridge: Johnson & Killeen 1983), by simulation; F is of both sides.
    There is no distance where the baseline has one value only.
    """
    group, groups = bins.group, len(bins.size)
    if not len(group):
        return np.full(groups, np.nan), np.full(groups, np.nan), bins.size
    middle = pair_values(bins.number)
    scale = np.zeros(groups)
    np.maximum.at(scale, group, np.abs(middle))
    with np.errstate(all="ignore"):
        place = np.where(scale[group] > 0, middle / scale[group], 0.0)
        gap = np.append(np.diff(place), 0.0)
        gap[np.flatnonzero(np.diff(group))] = 0.0
        now, before = (
            (np.cumsum(counts) - (np.cumsum(total) - total)[group]) / total[group]
            for counts, total in ((bins.now, bins.size), (bins.before, bins.known))
        )
        mean = np.bincount(group, bins.before * place, groups) / bins.known
        squares = np.bincount(group, bins.before * (place - mean[group]) ** 2, groups)
        sigma = np.sqrt(squares / bins.known)
        size, known = (total[group] for total in (bins.size, bins.known))
        both = (now * size + before * known) / (size + known)
        spread = np.sqrt(np.clip(both * (1 - both), 0.0, None)) * gap
        value, doubt = (
            np.where(sigma > 0, np.bincount(group, part, groups) / sigma, np.nan)
            for part in (np.abs(now - before) * gap, spread)
        )
        largest = np.zeros(groups)
        np.maximum.at(largest, group, spread)
        steep = np.where(doubt > 0, largest / (doubt * sigma), 0.0)  # 1 where there is one step
    chance = (_W1_95 + (_Z - _W1_95) * steep) * doubt * np.sqrt(bins.weight)
    return np.where(np.isnan(chance), np.nan, value), chance, bins.size


# --- what the baseline has not


def outside(bins: Beside) -> Ints:
    """Return how many values of every group are below or above all of the baseline."""
    lowest, highest = np.full(len(bins.size), _BIN_MASK), np.full(len(bins.size), -1)
    known = bins.before > 0
    np.minimum.at(lowest, bins.group[known], bins.number[known])
    np.maximum.at(highest, bins.group[known], bins.number[known])
    beyond = (bins.number < lowest[bins.group]) | (bins.number > highest[bins.group])
    return group_sums(bins.group, np.where(beyond, bins.now, 0), len(bins.size))


# --- chance


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
    yield by_chance(names[0], *stability(parted(((bins, tenths(bins)),), now.groups)))
    yield by_chance(names[1], *kolmogorov_smirnov(bins), bins.size, highest=1.0)
