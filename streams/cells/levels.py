"""Coarse panes: hours, days and hours of the week, in the same table as the fine panes.

Fine panes are numbered from 1970 on in their own length. Coarse ones have numbers above all of
these, so that they are found, written down and read back as any other, and the cells of a window
are added up whatever the length of their panes. Every row is in one fine pane, hour or day.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.store import PANE_BITS

Ints = NDArray[np.int64]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_HOURS = 168
BLOCK_HOURS = 5 * WEEK_HOURS
"""Hours of the week are added up over five weeks, which begin on a Monday."""

_MONDAY_HOURS = 72
"""1970 began on a Thursday."""

FIRST_COARSE = (1 << PANE_BITS) - (1 << 21)
"""Number of the first coarse pane."""


class Level(NamedTuple):
    """Panes of one length.

    Attributes
    ----------
    first, end
        Number of that which begins with 1970, and the number after the last.
    """

    length_ms: int
    first: int
    end: int

    def known(self, numbers: Iterable[int]) -> list[int]:
        """Return which numbers are of this level, as how many lengths after 1970 they begin."""
        return sorted(one - self.first for one in numbers if self.first <= one < self.end)


def fine(pane_ms: int) -> Level:
    """Return the level of fine panes of a length."""
    return Level(pane_ms, 0, FIRST_COARSE)


HOURS = Level(HOUR_MS, FIRST_COARSE, FIRST_COARSE + (1 << 20))
DAYS = Level(DAY_MS, HOURS.end, HOURS.end + (1 << 18))
_HOURS_OF_WEEK = Level(HOUR_MS, DAYS.end, DAYS.end + (1 << 18))
BASELINES = Level(0, _HOURS_OF_WEEK.end, 1 << PANE_BITS)
"""Not of a time, see `streams.cells.baselines`."""


def hour_of_week(hour: int) -> int:
    """Return the number of the pane of an hour's place in the week, in its five weeks.

    Examples
    --------
    >>> [hour_of_week(hour) - hour_of_week(96) for hour in (97, 96 + 168, 95 + 168)]
    [1, 0, 167]
    """
    block, place = divmod(hour + _MONDAY_HOURS, BLOCK_HOURS)
    return _HOURS_OF_WEEK.first + block * WEEK_HOURS + place % WEEK_HOURS


def hours_of_week(numbers: Iterable[int], place: int | None = None) -> list[tuple[int, int]]:
    """Return which numbers are of hours of the week, and when the five weeks of each end.

    Parameters
    ----------
    place
        Only those of this hour: 0 begins with Monday, UTC.
    """
    found = []
    for own in _HOURS_OF_WEEK.known(numbers):
        block, hour = divmod(own, WEEK_HOURS)
        if place in (None, hour):
            end_ms = ((block + 1) * BLOCK_HOURS - _MONDAY_HOURS) * HOUR_MS
            found.append((own + _HOURS_OF_WEEK.first, end_ms))
    return found


def pane_end_ms(number: int, *, pane_ms: int) -> int:
    """Return when any pane ends.

    Examples
    --------
    >>> pane_end_ms(2, pane_ms=60_000), pane_end_ms(HOURS.first, pane_ms=60_000) == HOUR_MS
    (180000, True)
    """
    for level in (HOURS, DAYS):
        if level.first <= number < level.end:
            return (number - level.first + 1) * level.length_ms
    weeks = hours_of_week([number])
    return weeks[0][1] if weeks else (number + 1) * pane_ms


def begins(numbers: Ints, *, pane_ms: int) -> Ints:
    """Return the number of the fine pane with which each pane begins, -1 for hours of the week.

    Examples
    --------
    >>> begins(np.array([7, HOURS.first + 2, hour_of_week(0)]), pane_ms=HOUR_MS // 2).tolist()
    [7, 4, -1]
    """
    found = np.where(numbers < FIRST_COARSE, numbers, -1)
    for level in (HOURS, DAYS):
        own = (numbers >= level.first) & (numbers < level.end)
        found[own] = (numbers[own] - level.first) * (level.length_ms // pane_ms)
    return found


def merged_ms(numbers: Iterable[int]) -> dict[int, int]:
    """Return until when there are no fine panes any more, key 0, and no hours.

    Examples
    --------
    >>> merged_ms([7, HOURS.first + 30, DAYS.first]) == {0: 31 * HOUR_MS, HOUR_MS: 24 * HOUR_MS}
    True
    >>> merged_ms([7])
    {}
    """
    found = {}
    for level, length_ms in ((HOURS, 0), (DAYS, HOUR_MS)):
        known = level.known(numbers)
        if known:
            found[length_ms] = (known[-1] + 1) * level.length_ms
    if HOUR_MS in found:
        found[0] = max(found.get(0, 0), found[HOUR_MS])
    return found


class Places(NamedTuple):
    """Panes of windows.

    Attributes
    ----------
    numbers
        Of the panes.
    owners
        Place of the window of each; these do not fall.
    """

    numbers: Ints
    owners: Ints


def between(
    starts_ms: Ints, ends_ms: Ints, *, pane_ms: int, numbers: Collection[int]
) -> Places | None:
    """Return the panes of spans of time; `None` where all of them are fine ones.

    Parameters
    ----------
    numbers
        Of the panes that there are, such as a dictionary.

    Raises
    ------
    ValueError
        A span begins or ends within a pane that was merged.

    Examples
    --------
    >>> hours = np.array([0, 1]) * HOUR_MS
    >>> found = between(hours, hours + 2 * HOUR_MS, pane_ms=HOUR_MS // 2, numbers=[2, 3, 4])
    >>> found is None
    True
    >>> there = [HOURS.first, HOURS.first + 1, 4, 5]
    >>> numbers, owners = between(hours, hours + 2 * HOUR_MS, pane_ms=HOUR_MS // 2, numbers=there)
    >>> (numbers - HOURS.first).tolist()[:2], numbers.tolist()[3:], owners.tolist()
    ([0, 1], [4, 5], [0, 0, 1, 1, 1])
    """
    coarse = [span for level in (DAYS, HOURS) if (span := _span(level, numbers))]
    if not coarse:
        return None
    spans = [*coarse, *filter(None, [_span(fine(pane_ms), numbers)])]
    parts = [_of_level(span, starts_ms, ends_ms) for span in spans]
    every = Places(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.argsort(every.owners, kind="stable")
    return Places(every.numbers[order], every.owners[order])


class _Span(NamedTuple):
    """All panes of a level lie from the first to before the last of these, in lengths."""

    level: Level
    oldest: int
    end: int


def _span(level: Level, numbers: Iterable[int]) -> _Span | None:
    known = level.known(numbers)
    return _Span(level, known[0], known[-1] + 1) if known else None


def _of_level(span: _Span, starts_ms: Ints, ends_ms: Ints) -> Places:
    """Return the panes of a level that are in spans of time."""
    length_ms = span.level.length_ms
    for edges_ms in (starts_ms, ends_ms):
        place = edges_ms // length_ms
        inside = (place >= span.oldest) & (place < span.end)
        if (inside & (edges_ms % length_ms != 0)).any():
            raise ValueError(f"a window begins or ends within a pane of {length_ms} ms")
    begin = np.maximum(-(-starts_ms // length_ms), span.oldest)
    counts = np.maximum(np.minimum(ends_ms // length_ms, span.end) - begin, 0)
    owners = np.repeat(np.arange(len(counts)), counts)
    steps = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Places(span.level.first + begin[owners] + steps, owners)
