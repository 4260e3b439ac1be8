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

_ROUNDING = 1e-12


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


def bounds_of(threshold: Threshold, reference: Floats) -> Bounds:
    """Return the values that must not be passed; NaN where there is no reference."""
    return BY_NAME[threshold.kind].bounds(threshold.given, reference)


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


def violates(threshold: Threshold, readings: Readings, bounds: Bounds) -> Mask:
    """Tell which values are beyond their bounds; one that is a bound is not.

    Rounding must not put it beyond: 10 % less than 0.55 is 0.49500000000000005, and 99 of 200 are
    0.495.
    """
    low = high = readings.value
    if threshold.by == "interval":
        known = ~np.isnan(readings.low) & ~np.isnan(readings.high)
        low = np.where(known, readings.low, readings.value)
        high = np.where(known, readings.high, readings.value)
    with np.errstate(invalid="ignore"):
        below = (high < bounds.lowest) & ~_close(high, bounds.lowest)
        above = (low > bounds.highest) & ~_close(low, bounds.highest)
    found: Mask = below | above
    return found


def _close(value: Floats, limit: Floats) -> Mask:
    size = np.maximum(np.abs(value), np.abs(limit))
    found: Mask = (value == limit) | (np.abs(value - limit) <= _ROUNDING * size)
    return found


def turns(models: Ints, violated: Mask, firing: Mask) -> Ints:
    """Return the places at which a rule begins to fire, or stops.

    Parameters
    ----------
    models
        Of every place; the places of a model follow each other, in time.
    firing
        Whether the rule fires for the model of every place, before the first of them.
    """
    if not len(models):
        return np.empty(0, np.int64)
    before = np.empty_like(violated)
    before[1:] = violated[:-1]
    first = np.diff(models, prepend=-1) != 0
    before[first] = firing[first]
    return np.flatnonzero(violated != before)
