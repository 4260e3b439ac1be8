"""Windows of rules: the one that a rule names, or the shortest that holds enough.

A rule without a window looks at an hour; where that has fewer observations than its `minimum`, at
six hours, at a day, at a week. The longer a window, the more seldom it is judged: whatever it says
changes slowly. A model of 2,000 labels a month is judged by its week, one of 200,000 by its hour.
"""

from typing import NamedTuple

from streams import families
from streams.durations import parse_duration_ms
from streams.families.family import RESOURCES
from streams.monitors import Threshold

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

LADDER_MS = (HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS)
_STEPS_MS = {
    HOUR_MS: 10 * MINUTE_MS,
    6 * HOUR_MS: 30 * MINUTE_MS,
    DAY_MS: 2 * HOUR_MS,
    7 * DAY_MS: 12 * HOUR_MS,
}
_HOSTS_MS = 5 * MINUTE_MS


class Pace(NamedTuple):
    """Rules that are judged together, and what they see is counted in panes of their own.

    Attributes
    ----------
    name
        Before the names of the tables of its state.
    least_ms
        They are judged no more often than this.
    """

    name: str
    least_ms: int


USUAL = Pace("", 0)
LONG = Pace("long ", 10 * MINUTE_MS)
PACES = (USUAL, LONG)
"""A pane of a minute, kept for a week, would be ten thousand of each model: hence another pace."""


def lengths_of(rule: Threshold) -> tuple[int, ...]:
    """Return the windows of a rule, the shortest first.

    What needs no minimum goes by the first of them: how many rows there were, by the hour; what
    hosts say of themselves, by five minutes.

    Examples
    --------
    >>> rule = {"name": "r", "kind": "below", "given": 0.5}
    >>> lengths_of(Threshold(metric="accuracy", window="90s", **rule))
    (90000,)
    >>> [length // HOUR_MS for length in lengths_of(Threshold(metric="accuracy", **rule))]
    [1, 6, 24, 168]
    """
    if rule.window:
        return (parse_duration_ms(rule.window),)
    about = families.CATALOGUE.metric(rule.metric)
    assert about is not None
    if RESOURCES in about.rests_on:
        return (_HOSTS_MS,)
    return LADDER_MS[:1] if about.counts else LADDER_MS


def short_ms(rule: Threshold) -> int | None:
    """Return the length of the other window that must be beyond the limit; `None` for none."""
    return None if rule.short is None else parse_duration_ms(rule.short)


def pace_of(rule: Threshold) -> Pace:
    """Return the pace of a rule."""
    lengths_ms = lengths_of(rule)
    burns_slowly = rule.slo is not None and lengths_ms[0] >= DAY_MS
    return LONG if len(lengths_ms) > 1 or burns_slowly else USUAL


def step_ms(length_ms: int) -> int:
    """Return how often a window is judged at the slower pace; longer ones at times of shorter ones.

    Examples
    --------
    >>> [step_ms(length * HOUR_MS) // MINUTE_MS for length in (1, 3, 6, 24, 72, 720)]
    [10, 10, 30, 120, 120, 720]
    """
    return next(step for least, step in reversed(_STEPS_MS.items()) if length_ms >= least)
