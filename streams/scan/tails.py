"""Tails of distributions: how likely a sum would be if nothing had changed."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from streams.scan.panes import DAYS

Floats = NDArray[np.float64]

_WINDOWS_A_YEAR = np.array([365 / days for days in DAYS])
_LARGE = 1 / 3
"""So much of the mean of skewed sums is what a few rows bring, and varies."""
_OVERLAP = 4
"""Overlapping windows are worth so many disjoint ones (measured)."""


def limits(per_year: Floats) -> Floats:
    """Return how small a tail must be, windows x lanes, for so many false alarms a year.

    The budget is shared by all windows alike, and by both sides.

    Examples
    --------
    >>> limits(np.array([6.0]))[0].round(9).tolist()
    [1.585e-06]
    """
    each = _OVERLAP * _WINDOWS_A_YEAR[:, None]
    found: Floats = np.asarray(per_year) / len(DAYS) / each / 2
    return found


def lowest_z(limit: Floats) -> Floats:
    """Return below which |z| no distribution here has so small a tail: that of Gauss is lightest.

    Examples
    --------
    >>> lowest_z(np.array([0.025])).round(2).tolist()
    [1.96]
    """
    found: Floats = -special.ndtri(limit)
    return found


def student(z: Floats, degrees: Floats) -> Floats:
    """Return the upper tail of Student's t.

    Examples
    --------
    >>> student(np.array([2.0]), np.array([10.0])).round(4).tolist()
    [0.0367]
    """
    found: Floats = special.stdtr(degrees, -z)
    return found


def counted(count: Floats, mean: Floats, variance: Floats, above: NDArray[np.bool_]) -> Floats:
    """Return the tail of a negative binomial with this mean and variance, the count included.

    Where the variance is not larger than the mean, that is Poisson's.

    Parameters
    ----------
    above
        Where the upper tail is asked for, elsewhere the lower one.

    Examples
    --------
    >>> count, mean, variance = np.array([9.0, 0.0]), np.array([4.0, 4.0]), np.array([8.0, 4.0])
    >>> tails = counted(count, mean, variance, np.array([True, False]))
    >>> tails.round(4).tolist()
    [0.073, 0.0183]
    """
    mean = np.maximum(mean, 1e-9)
    ratio = np.maximum(variance / mean, 1.0 + 1e-6)
    shape, share = mean / (ratio - 1.0), 1.0 / ratio
    lower = special.betainc(shape, count + 1.0, share)
    upper = np.where(count > 0, special.betainc(np.maximum(count, 1e-300), shape, 1.0 - share), 1.0)
    found: Floats = np.where(above, upper, lower)
    return found


def skewed(value: Floats, mean: Floats, variance: Floats) -> Floats:
    """Return the upper tail of a sum of losses: most are small alike, a few are large.

    That of a gamma distribution of this variance above what nearly all rows have, which is two
    thirds of the mean (measured: of log losses, where 5 % of the answers are wrong).

    Examples
    --------
    >>> skewed(np.array([9.0]), np.array([6.0]), np.array([1.0])).round(5).tolist()
    [0.01034]
    """
    own = np.maximum(mean, 1e-9) * _LARGE
    above = np.maximum(value - mean + own, 0.0)
    found: Floats = special.gammaincc(own**2 / variance, above * own / variance)
    return found


def unlike(degrees: Floats, others: Floats) -> Floats:
    """Return above which ratio two variances of so many degrees differ: the upper quarter of F."""
    found: Floats = special.fdtri(degrees, others, 0.75)
    return found
