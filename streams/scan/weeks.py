"""Which days of the week a reference has seen: of the others, nobody knows what is usual."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.scan.panes import DAY_HOURS, is_weekend

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_WEEK, _WORKING = 7 * DAY_HOURS, 5 * DAY_HOURS
_MONDAY = 3 * DAY_HOURS  # the epoch is a Thursday
_ENOUGH = 36
"""So many hours of weekends, or of other days, are enough to know them."""


def weekend_hours(first: Ints, until: Ints) -> Ints:
    """Return how many hours of a span, from the epoch, are of weekends.

    Examples
    --------
    >>> weekend_hours(np.array([0, 24]), np.array([72, 168 + 24])).tolist()
    [24, 48]
    """

    def before(hours: Ints) -> Ints:
        own = hours + _MONDAY
        found: Ints = own // _WEEK * 2 * DAY_HOURS + np.maximum(own % _WEEK - _WORKING, 0)
        return found

    return before(until) - before(first)


def are_new(first: Ints, days: Ints, hours: Sequence[int], lengths: Sequence[int]) -> Mask:
    """Tell which windows reach into days of which references have seen too few: windows x lanes.

    Parameters
    ----------
    first, days
        When references begin, in hours from the epoch, and how many days they have.
    hours
        Of the parts of the longest window, the newest first.
    lengths
        Of the windows, in parts.
    """
    ends = weekend_hours(first, first + days * DAY_HOURS)
    unknown_ends, unknown_days = ends < _ENOUGH, days * DAY_HOURS - ends < _ENOUGH
    if not (unknown_ends | unknown_days).any():
        return np.zeros((len(lengths), len(first)), bool)
    weekend = np.array([is_weekend(hour) for hour in hours])
    some = np.array([[own.any(), (~own).any()] for own in (weekend[:one] for one in lengths)])
    found: Mask = some[:, [0]] & unknown_ends | some[:, [1]] & unknown_days
    return found
