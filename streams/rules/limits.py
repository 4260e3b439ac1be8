"""Limits of rules, and which values are beyond them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.publication import Numbers
from streams.monitors import Threshold
from streams.rule_kinds import BY_NAME, Bounds

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

Levels = NDArray[np.int8]

BEYOND, UNDECIDED, BACK = 1, 0, -1

_ROUNDING = 1e-12


class Edges(NamedTuple):
    """What values of a rule are held against.

    Attributes
    ----------
    back
        Bounds within which it is over.
    range
        The least and the most that the metric can be.
    """

    bounds: Bounds
    back: Bounds
    range: tuple[float, float]


class Readings(NamedTuple):
    """One metric of windows, NaN where there is none.

    Attributes
    ----------
    metric
        Code of its whole name.
    """

    metric: Ints
    value: Floats
    low: Floats
    high: Floats
    rests_on: Ints

    def only(self, where: Ints) -> "Readings":
        """Return some of the windows."""
        return Readings(
            self.metric[where],
            self.value[where],
            self.low[where],
            self.high[where],
            self.rests_on[where],
        )


def readings_of(numbers: Numbers, codes: Sequence[int], size: int) -> Readings:
    """Pick one metric out of the numbers of windows; of several names the first that there is."""
    value, low, high = (np.full(size, np.nan) for _ in range(3))
    count, metric = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for code in reversed(codes):
        own = np.flatnonzero(numbers.metric == code)
        at = numbers.window[own]
        metric[at], value[at], count[at] = code, numbers.value[own], numbers.counts[own]
        low[at], high[at] = numbers.low[own], numbers.high[own]
    return Readings(metric, value, low, high, count)


def bounds_of(threshold: Threshold, reference: Floats, *, back: bool = False) -> Bounds:
    """Return the values that must not be passed; NaN where there is no reference.

    Parameters
    ----------
    back
        Those within which the rule is over.
    """
    clear = back and threshold.clear is not None
    given = threshold.clear if clear else threshold.given
    assert given is not None
    return BY_NAME[threshold.kind].bounds(given, reference)


def limits(bounds: Bounds, value: Floats) -> Floats:
    """Return, of what must not be passed, that which is nearer to the values.

    Examples
    --------
    >>> two = Bounds(np.array([1.0, 1.0, -np.inf]), np.array([5.0, 5.0, 5.0]))
    >>> limits(two, np.array([0.0, 4.0, 0.0])).tolist()
    [1.0, 5.0, 5.0]
    """
    lowest, highest = bounds
    found: Floats = np.where(np.abs(value - lowest) <= np.abs(value - highest), lowest, highest)
    return found


def levels(by: str, readings: Readings, edges: Edges) -> Levels:
    """Tell which values are beyond their bounds, and which are back; one that is a bound is not.

    Rounding must not put it beyond: 10 % less than 0.55 is 0.49500000000000005, and 99 of 200 are
    0.495.

    By interval, the whole of it must be beyond, or back; what straddles a bound says nothing. Only
    at the end of what a metric can be, no interval of few rows is ever wholly back: there, none
    missing are as few as can be.

    Returns
    -------
    Levels
        `BEYOND`, `BACK`, or `UNDECIDED`.
    """
    value, bounds, back = readings.value, edges.bounds, edges.back
    low = high = value
    if by == "interval":
        known = ~np.isnan(readings.low) & ~np.isnan(readings.high)
        low = np.where(known, readings.low, value)
        high = np.where(known, readings.high, value)
    beyond = _below(high, bounds.lowest) | _above(low, bounds.highest)
    least = np.where(back.lowest >= edges.range[1], value, low)
    most = np.where(back.highest <= edges.range[0], value, high)
    inside = ~_below(least, back.lowest) & ~_above(most, back.highest)
    found: Levels = np.where(beyond, BEYOND, np.where(inside, BACK, UNDECIDED)).astype(np.int8)
    return found


def that_matter(rule: Threshold, said: Levels, value: Floats, reference: Floats) -> Levels:
    """Leave out what differs from its reference by less than a rule asks for.

    Examples
    --------
    >>> rule = Threshold(
    ...     name="r", metric="accuracy", kind="falls_by", given=0.01, minimum_effect=0.05
    ... )
    >>> both = np.array([1, 1], np.int8)
    >>> that_matter(rule, both, np.array([0.86, 0.85]), np.array([0.9, 0.9])).tolist()
    [0, 1]
    """
    if rule.minimum_effect is None:
        return said
    effect = np.full(len(value), rule.minimum_effect)
    large = ~_below(np.abs(value - reference), effect)
    found: Levels = np.where((said == BEYOND) & ~large, UNDECIDED, said).astype(np.int8)
    return found


def _below(value: Floats, limit: Floats) -> Mask:
    with np.errstate(invalid="ignore"):
        found: Mask = (value < limit) & ~_close(value, limit)
    return found


def _above(value: Floats, limit: Floats) -> Mask:
    return _below(-value, -limit)


def _close(value: Floats, limit: Floats) -> Mask:
    size = np.maximum(np.abs(value), np.abs(limit))
    found: Mask = (value == limit) | (np.abs(value - limit) <= _ROUNDING * size)
    return found
