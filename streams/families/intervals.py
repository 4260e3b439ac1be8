"""95 % confidence intervals over arrays, so that a number from twelve labels looks like one.

A bound that is unknown is NaN. `tests.plain_intervals` has the formulas for one number.

A power of Python is that of the C library, which may differ in the last bit from a product or a
square root, and from numpy's: where the scalar code has one, each value is taken on its own.
"""

import math
from typing import TypeAlias

import numpy as np

from streams.families.family import Floats, Ints, Mask

Bounds: TypeAlias = tuple[Floats, Floats]

Z = 1.959963984540054
OPEN = 0.01
"""Up to so large a part of pairs in an unknown order leaves the area open by 0.005 at most."""


def wilson(successes: Ints, trials: Ints) -> Bounds:
    """Bound proportions; 0 and 1 without trials. Source: Wilson (1927).

    The bounds of none and of all are exactly 0 and 1.

    Examples
    --------
    >>> low, high = wilson(np.array([90, 0, 3, 0]), np.array([100, 3, 3, 0]))
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.8256, 0.0, 0.4385, 0.0], [0.9448, 0.5615, 1.0, 1.0])
    """
    n = trials.astype(np.float64)  # the square of whole numbers would overflow above 1.5e9
    with np.errstate(all="ignore"):
        share = successes / n
        centre = share + Z * Z / (2 * n)
        spread = Z * np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
        scale = 1 + Z * Z / n
        low = at_least(0.0, (centre - spread) / scale)
        high = at_most(1.0, (centre + spread) / scale)
    none = trials == 0
    low = np.where(none | (successes <= 0), 0.0, low)
    return low, np.where(none | (successes >= trials), 1.0, high)


def normal(mean: Floats, mean_of_squares: Floats, count: Ints) -> Bounds:
    """Bound means by the normal approximation; unknown below two observations."""
    with np.errstate(all="ignore"):
        variance = at_least(0.0, mean_of_squares - mean * mean) * count / (count - 1)
        spread = Z * np.sqrt(variance / count)
        low, high = mean - spread, mean + spread
    known = count >= 2
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def f1(true_positive: Ints, wrong: Ints) -> Bounds:
    """Bound F1 through the Jaccard index TP / (TP + FP + FN), which is a plain proportion."""
    low, high = wilson(true_positive, true_positive + wrong)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def roc_auc(area: Floats, positives: Ints, negatives: Ints, *, tied: Floats) -> Bounds:
    """Bound areas under the ROC curve. Source: Hanley & McNeil (1982).

    Parameters
    ----------
    tied
        How large a part of the pairs is in an unknown order.
    """
    square = powers(area, 2)
    ones, zeros = positives.astype(np.float64), negatives.astype(np.float64)
    with np.errstate(all="ignore"):
        q1 = area / (2 - area)
        q2 = 2 * area * area / (1 + area)
        variance = (
            area * (1 - area) + (ones - 1) * (q1 - square) + (zeros - 1) * (q2 - square)
        ) / (ones * zeros)
        spread = Z * np.sqrt(at_least(0.0, variance))
        spread = np.where(tied > OPEN, spread + tied / 2, spread)
        low, high = at_least(0.0, area - spread), at_most(1.0, area + spread)
    known = ~np.isnan(area)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def logit(share: Floats, count: Ints) -> Bounds:
    """Bound shares of so many by their log odds; unknown of 0 and 1. Source: Boyd et al. (2013).

    Examples
    --------
    >>> low, high = logit(np.array([0.8, 1.0]), np.array([50, 50]))
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.6667, nan], [0.8889, nan])
    """
    known = (share > 0) & (share < 1) & (count > 0)
    with np.errstate(all="ignore"):
        spread = np.where(known, Z / np.sqrt(count * share * (1 - share)), np.nan)
    odds = np.array([math.exp(min(one, _LARGEST)) for one in spread.tolist()], np.float64)
    return share / (share + (1 - share) * odds), share * odds / (share * odds + 1 - share)


_LARGEST = 700.0


def spread_known(mean: Floats, mean_of_squares: Floats) -> Mask:
    """Tell where enough digits are left of a variance, which is a difference of two numbers."""
    found: Mask = mean_of_squares - mean * mean > _ROUNDING * mean_of_squares
    return found


_ROUNDING = 1e-12
"""Of a smaller part, the variance would be off by more than 0.1 %."""


def quantile_ranks(q: float, count: Ints) -> Bounds:
    """Return the quantiles whose values bound quantile `q`. Source: Conover (1999), §3.2."""
    with np.errstate(all="ignore"):
        spread = Z * np.sqrt(q * (1 - q) / count)
    return at_least(0.0, q - spread), at_most(1.0, q + spread)


def at_least(limit: float, values: Floats) -> Floats:
    """Return what Python's `max(limit, value)` does, of NaN the limit."""
    return np.where(values > limit, values, limit)


def at_most(limit: float, values: Floats) -> Floats:
    """Return what Python's `min(limit, value)` does, of NaN the limit."""
    return np.where(values < limit, values, limit)


def powers(values: Floats, exponent: float) -> Floats:
    """Raise values to a power as Python does; NaN where they are negative."""
    powered = (value**exponent if value >= 0 else math.nan for value in values.tolist())
    return np.fromiter(powered, np.float64, len(values))
