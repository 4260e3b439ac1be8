"""How far histograms are from those of a baseline, for many groups at once.

Both sides are given as (group, bin, count), with groups that rise, and so do the bins of each.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from streams.families.family import Columns, Estimate, Floats, Ints
from streams.families.histograms import group_sums, together

ENOUGH = 30
"""A baseline of fewer values says nothing."""

PARTS = 10
"""PSI compares so many parts, which are equally large in the baseline, as far as bins allow it."""

Entries = tuple[Ints, Ints, Ints]

_BIN_BITS = 32
_KS_95 = 1.3581  # of Kolmogorov's distribution
_NORMAL_95 = 1.6449


class Distances(NamedTuple):
    """Distances of every group; NaN where there is nothing to compare, or too little.

    Attributes
    ----------
    psi, ks
        Population stability index; Kolmogorov–Smirnov statistic.
    psi_chance, ks_chance
        What each stays below in 95 % of windows of that size of which nothing has changed.
    size
        Values of the window.
    """

    psi: Floats
    psi_chance: Floats
    ks: Floats
    ks_chance: Floats
    size: Ints


def distances(now: Entries, before: Entries, groups: int) -> Distances:
    """Compare histograms with those of baselines.

    The KS statistic is exact for the binned values. For PSI, half a value is added to every part of
    both sides, so that an empty part does not make it infinite.

    Examples
    --------
    >>> group, bins = np.zeros(4, np.int64), np.arange(4)
    >>> before = group, bins, np.full(4, 50)
    >>> found = distances((group, bins, np.array([80, 20, 20, 80])), before, 1)
    >>> found.psi.round(3).tolist(), found.ks.tolist(), found.size.tolist()
    ([0.406], [0.15000000000000002], [200])
    >>> bool(found.psi > found.psi_chance)
    True
    """
    keys, news, olds = together(
        np.concatenate([side[0] << _BIN_BITS | side[1] for side in (now, before)]),
        np.concatenate([now[2], np.zeros_like(before[2])]),
        np.concatenate([np.zeros_like(now[2]), before[2]]),
    )
    group = keys >> _BIN_BITS
    count, known = group_sums(group, news, groups), group_sums(group, olds, groups)
    with np.errstate(all="ignore"):
        weight = np.where((count > 0) & (known >= ENOUGH), 1 / count + 1 / known, np.nan)
    ends_new, ends_old = (
        np.cumsum(c) - (np.cumsum(total) - total)[group]
        for c, total in ((news, count), (olds, known))
    )
    ks = np.zeros(groups)
    with np.errstate(all="ignore"):
        np.maximum.at(ks, group, np.abs(ends_new / count[group] - ends_old / known[group]))
        middle = (ends_old - olds / 2) / known[group]
    part = np.clip(np.nan_to_num(middle * PARTS), 0, PARTS - 1).astype(np.int64)
    psi, parts = _psi(group * PARTS + part, (news, olds), groups)
    nothing = np.isnan(weight)
    psi[nothing] = ks[nothing] = np.nan
    return Distances(psi, _chi2_95(parts - 1) * weight, ks, _KS_95 * np.sqrt(weight), count)


def _psi(part: Ints, counts: tuple[Ints, Ints], groups: int) -> tuple[Floats, Ints]:
    """Return the index of every group, and of how many parts it is."""
    new, old = (np.bincount(part, side, groups * PARTS).reshape(groups, PARTS) for side in counts)
    there = (new > 0) | (old > 0)
    shares = []
    for side in (new, old):
        raised = np.where(there, side + 0.5, 0.0)
        with np.errstate(all="ignore"):
            shares.append(raised / raised.sum(axis=1, keepdims=True))
    with np.errstate(all="ignore"):
        terms = (shares[0] - shares[1]) * np.log(shares[0] / shares[1])
    return np.where(there, terms, 0.0).sum(axis=1), there.sum(axis=1)


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


def estimates(
    names: tuple[str, str], now: Columns, before: Columns | None, column: str
) -> Iterator[Estimate]:
    """Yield PSI and KS of a sparse column, under these names.

    Their intervals are as wide as what chance alone does in 95 % of windows.
    """
    if before is None:
        return
    found = distances(now.entries(column), before.entries(column), now.groups)
    for name, value, chance, highest in (
        (names[0], found.psi, found.psi_chance, np.inf),
        (names[1], found.ks, found.ks_chance, 1.0),
    ):
        low, high = np.maximum(value - chance, 0.0), np.minimum(value + chance, highest)
        yield Estimate(name, value, low, high, found.size)
