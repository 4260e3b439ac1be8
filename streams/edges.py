"""Few bins out of many fine ones: where to cut, what is counted between, and where that is."""

from typing import NamedTuple

import numpy as np

from streams import bins
from streams.families.family import Floats, Ints
from streams.families.histograms import SCORE_ZERO, VALUE_ZERO

MOST_BINS = 30

_CERTAIN = int(bins.score_bins(np.ones(1))[0])
_GREATEST = float(np.finfo(np.float64).max)


class Binned(NamedTuple):
    """Values between cuts, before the first and from the last on."""

    counts: list[int]
    below: int
    above: int


def cuts_of(numbers: Ints, counts: Ints) -> Ints:
    """Return where fine bins are cut so that about as many values are in each part.

    A bin with so many values that it would be cut twice is a part of its own.

    Parameters
    ----------
    numbers, counts
        Fine bins, rising, and how many values are in each: at least one.

    Returns
    -------
    array
        Bins with which parts begin, and the one after the last.

    Examples
    --------
    >>> cuts_of(np.array([3, 7]), np.array([1, 9])).tolist()
    [3, 7, 8]
    >>> many = np.arange(100)
    >>> cuts_of(many, np.where(many == 50, 1_000, 1)).tolist()
    [0, 36, 50, 51, 63, 100]
    """
    found = numbers
    if len(numbers) > MOST_BINS:
        ends = np.cumsum(counts)
        ranks = -(-ends[-1] * np.arange(1, MOST_BINS) // MOST_BINS)
        quantiles = numbers[np.searchsorted(ends, ranks)]
        again = quantiles[1:][quantiles[1:] == quantiles[:-1]]
        found = np.concatenate([numbers[:1], quantiles, again + 1])
    cuts: Ints = np.unique(np.append(found, numbers[-1] + 1))
    return cuts


def binned(numbers: Ints, counts: Ints, cuts: Ints) -> Binned:
    """Add fine bins up between cuts.

    Examples
    --------
    >>> binned(np.array([1, 3, 5, 8]), np.array([1, 2, 4, 8]), np.array([3, 7, 8]))
    Binned(counts=[6, 0], below=1, above=8)
    """
    places = np.searchsorted(cuts, numbers, side="right")
    sums = np.bincount(places, counts, len(cuts) + 1).astype(np.int64).tolist()
    return Binned(sums[1:-1], sums[0], sums[-1])


def value_edges(numbers: Ints) -> Floats:
    """Return the least value of bins of values, numbered by half those of `streams.bins`.

    Examples
    --------
    >>> from streams.families.histograms import value_bins
    >>> value_edges(value_bins(np.array([-1.0, 0.0, 100.0])) >> 1).tolist()
    [-1.0078125, 0.0, 100.0]
    """
    first = (numbers << 1) - VALUE_ZERO
    size = _edge(np.where(first < 0, 1 - first, first), bins.QUANTILE_SHIFT)
    return np.where(first < 0, -size, size)


def score_edges(numbers: Ints) -> Floats:
    """Return the least score of bins of scores; a bin of one score alone has no width.

    Examples
    --------
    >>> from streams.families.histograms import score_bins
    >>> one = score_bins(np.array([-1.0, 0.25, 0.5, 0.75, 1.0]))
    >>> score_edges(one).tolist(), score_edges(one + 1).tolist()[2:]
    ([-1.015625, 0.25, 0.5, 0.74609375, 1.0], [0.5, 0.75, 1.0])
    """
    place = numbers - SCORE_ZERO
    steps = _CERTAIN - np.abs(place)
    near, far = (_edge(one, bins.SCORE_SHIFT) for one in (np.abs(steps), np.abs(steps) + 1))
    lower = np.where(steps < 0, -far, near)
    upper = 1.0 - np.where(steps < 0, -near, far)
    return np.where(place > 0, upper, lower)


def _edge(steps: Ints, shift: int) -> Floats:
    """Return the number that is so many steps from 0; always finite."""
    found: Floats = np.minimum((steps << shift).view(np.float64), _GREATEST)
    return found
