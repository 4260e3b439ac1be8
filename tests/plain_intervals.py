"""`streams.families.intervals` of one number at a time, written plainly: what arrays must equal."""

import math

from streams.families.intervals import OPEN, Z

Interval = tuple[float | None, float | None]
UNKNOWN: Interval = (None, None)


def wilson(successes: float, trials: int) -> Interval:
    """Bound a proportion; `(0, 1)` without trials. Source: Wilson (1927).

    The bounds of none and of all are exactly 0 and 1. As the formula is rounded, 0 of 3 would be
    above 1e-17, and a rule that nothing may be above 0 would fire for every fifth number of trials.

    Examples
    --------
    >>> low, high = wilson(90, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)
    >>> wilson(0, 3)[0], wilson(3, 3)[1]
    (0.0, 1.0)
    """
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    centre = share + Z * Z / (2 * trials)
    spread = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    scale = 1 + Z * Z / trials
    low = 0.0 if successes <= 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes >= trials else min(1.0, (centre + spread) / scale)
    return low, high


def normal(mean: float, mean_of_squares: float, count: int) -> Interval:
    """Bound a mean by the normal approximation; unknown below two observations."""
    if count < 2:
        return UNKNOWN
    variance = max(0.0, mean_of_squares - mean * mean) * count / (count - 1)
    spread = Z * math.sqrt(variance / count)
    return mean - spread, mean + spread


def f1(true_positive: int, wrong: int) -> Interval:
    """Bound F1 through the Jaccard index TP / (TP + FP + FN), which is a plain proportion."""
    low, high = wilson(true_positive, true_positive + wrong)
    if low is None or high is None:
        return UNKNOWN
    return 2 * low / (1 + low), 2 * high / (1 + high)


def roc_auc(area: float, positives: int, negatives: int, *, tied: float = 0.0) -> Interval:
    """Bound an area under the ROC curve. Source: Hanley & McNeil (1982).

    Parameters
    ----------
    tied
        How large a part of the pairs is in an unknown order: each might be won, or lost.
        Up to 1 %, which moves the area by 0.005 at most, is what `roc_auc` leaves open anyway.

    Examples
    --------
    >>> [round(bound, 3) for bound in roc_auc(0.8, 50, 50)]
    [0.713, 0.887]
    >>> [round(bound, 3) for bound in roc_auc(0.8, 50, 50, tied=0.1)]
    [0.663, 0.937]
    """
    q1 = area / (2 - area)
    q2 = 2 * area * area / (1 + area)
    variance = (
        area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    ) / (positives * negatives)
    spread = Z * math.sqrt(max(0.0, variance))
    if tied > OPEN:
        spread += tied / 2
    return max(0.0, area - spread), min(1.0, area + spread)


def quantile_ranks(q: float, count: int) -> tuple[float, float]:
    """Return the quantiles whose values bound quantile `q`. Source: Conover (1999), §3.2."""
    spread = Z * math.sqrt(q * (1 - q) / count)
    return max(0.0, q - spread), min(1.0, q + spread)
