"""What is added up of days and hours for comparisons, and under which numbers.

Days have numbers of their own. Hours have those of a ring of seven years: of each, only the last
weeks are kept. Days of a range together have one by its first day, in a ring of days, and by how
many they are: two ranges of a model that have the same are 1,024 days apart.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.cells.levels import BASELINES, DAY_MS, HOUR_MS
from streams.comparisons import MOST_DAYS, Between, Comparison, Trailing

Ints = NDArray[np.int64]

FIRST_DAY = BASELINES.first + (1 << 12)
"""Number of the pane of what was added up of the first day of 1970, as it was over."""

_FIRST_HOUR = BASELINES.first + (1 << 17)
_RING_HOURS = 1 << 16
_FIRST_RANGE = _FIRST_HOUR + _RING_HOURS
_RING_DAYS = 1 << 10
_LENGTHS = 1 << 6
assert MOST_DAYS < _LENGTHS

FIRST_PROFILE = _FIRST_RANGE + _RING_DAYS * _LENGTHS
_DAY_HOURS = 24


def is_summed(found: Comparison, passed_ms: int) -> bool:
    """Tell whether anything is added up from then on."""
    if isinstance(found, Between):
        return passed_ms < found.end * DAY_MS
    return isinstance(found, Trailing)


def added_to(found: Comparison, start_ms: int) -> int | None:
    """Return the number of that to which a pane is added; `None`: to nothing.

    Examples
    --------
    >>> added_to(Trailing(7), 2 * DAY_MS + 1) - FIRST_DAY
    2
    >>> [added_to(Between(1, 3), day * DAY_MS) is None for day in range(4)]
    [True, False, False, True]
    """
    day = start_ms // DAY_MS
    if isinstance(found, Between):
        return _range(found) if found.first <= day < found.end else None
    if not isinstance(found, Trailing):
        return None
    return _FIRST_HOUR + start_ms // HOUR_MS % _RING_HOURS if found.hour else FIRST_DAY + day


def compared_numbers(found: Trailing | Between, starts_ms: Ints) -> Ints:
    """Return the numbers that each window is compared with, a row for each; -1: with none."""
    if isinstance(found, Between):
        return np.full((len(starts_ms), 1), _range(found))
    before = np.array(found.before, np.int64)
    if found.hour:
        hours = (starts_ms // HOUR_MS)[:, None] - _DAY_HOURS * before
        return np.where(hours < 0, -1, _FIRST_HOUR + hours % _RING_HOURS)
    days = (starts_ms // DAY_MS)[:, None] - before
    return np.where(days < 0, -1, FIRST_DAY + days)


def is_over(found: Trailing | Between, starts_ms: Ints, passed_ms: int) -> NDArray[np.bool_]:
    """Tell of which windows that with which they are compared does not change any more.

    Of hours, too, that is when the day before is over: what windows are compared with comes
    whenever a day is over, and at no other time.

    Parameters
    ----------
    passed_ms
        Until when panes were added.
    """
    if isinstance(found, Between):
        end_ms = found.end * DAY_MS
        return (starts_ms >= end_ms) & (passed_ms >= end_ms)
    over: NDArray[np.bool_] = passed_ms >= starts_ms // DAY_MS * DAY_MS
    return over


def outlived(numbers: Iterable[int], said: Sequence[Comparison], until_ms: int) -> list[int]:
    """Return which numbers nothing is compared with that begins from then on.

    Parameters
    ----------
    numbers
        Of all panes that there are.
    said
        What anything is compared with.
    """
    oldest = until_ms // DAY_MS - MOST_DAYS
    ranges = {_range(one) for one in said if isinstance(one, Between)}
    return [
        number
        for number in numbers
        if FIRST_DAY <= number < min(FIRST_DAY + oldest, _FIRST_HOUR)
        or (_FIRST_HOUR <= number < _FIRST_RANGE and _is_past(number, oldest * _DAY_HOURS))
        or (_FIRST_RANGE <= number < FIRST_PROFILE and number not in ranges)
    ]


def _is_past(number: int, oldest: int) -> bool:
    """Tell whether an hour is before the oldest one: it lies within half a ring of it."""
    return (number - _FIRST_HOUR - oldest) % _RING_HOURS >= _RING_HOURS // 2


def _range(found: Between) -> int:
    return _FIRST_RANGE + found.first % _RING_DAYS * _LENGTHS + found.end - found.first
