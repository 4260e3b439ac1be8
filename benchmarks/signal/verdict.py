"""From alerts to the numbers of the table: false alarms, shares noticed, delays, records."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from scipy.stats import chi2

from benchmarks.signal.change import Change
from benchmarks.signal.product import Notice
from benchmarks.signal.stream import HOUR_MS

MONTH_DAYS, WATCHED_DAYS = 30, 14
"""What a change costs is counted for two weeks."""


class Noise(msgspec.Struct, frozen=True):
    """The false alarms of one stream in which nothing changes.

    Attributes
    ----------
    by
        How many of each monitor and subject.
    """

    warnings: int
    infos: int
    by: dict[str, int] = {}


class Noticed(msgspec.Struct, frozen=True):
    """What became of the change in one stream.

    Attributes
    ----------
    delay_h
        Until the first alert that is about it, `None` if there is none.
    alerts
        How many were about it within two weeks.
    most
        The most of these that one input has had.
    is_open
        Whether one of these was open in the end.
    first
        Monitor and subject of the first.
    after, onset_h
        What the first says of the new level, and how far off its onset is; `None` if nothing.
    false
        Warnings and worse that began before the change.
    """

    delay_h: float | None
    alerts: int = 0
    most: int = 0
    is_open: bool = False
    first: str = ""
    after: float | None = None
    onset_h: float | None = None
    false: int = 0


def noise(notices: Sequence[Notice]) -> Noise:
    """Count alerts, all of which are false."""
    by: dict[str, int] = {}
    for one in notices:
        by[one.source] = by.get(one.source, 0) + 1
    infos = sum(one.severity == "info" for one in notices)
    return Noise(len(notices) - infos, infos, by)


def noticed(change: Change, change_ms: int, notices: Sequence[Notice]) -> Noticed:
    """Look for alerts that are about a change and began after it."""
    false = sum(one.at_ms < change_ms and one.severity != "info" for one in notices)
    until_ms = change_ms + WATCHED_DAYS * 24 * HOUR_MS
    own = [one for one in notices if change_ms <= one.at_ms < until_ms and about(change, one)]
    if not own:
        return Noticed(None, false=false)
    inputs: dict[str, int] = {}
    for one in own:
        inputs[one.source] = inputs.get(one.source, 0) + 1
    first = own[0]
    return Noticed(
        delay_h=(first.at_ms - change_ms) / HOUR_MS,
        alerts=len(own),
        most=max(inputs.values()),
        is_open=any(one.is_open for one in own),
        first=first.source,
        after=first.after,
        onset_h=None if first.onset_ms is None else (first.onset_ms - change_ms) / HOUR_MS,
        false=false,
    )


def about(change: Change, notice: Notice) -> bool:
    """Tell whether an alert is about a change."""
    return change.about(notice.subject, notice.direction)


class Rate(msgspec.Struct, frozen=True):
    """How many alarms a month there are: the mean over streams of a month each, and a limit.

    Attributes
    ----------
    limit
        With so many or more, as few as were seen come in one of 20 such tables: the upper 95 %
        limit of a Poisson rate.
    """

    mean: float
    limit: float


def rate(counts: Sequence[int]) -> Rate:
    """Return the rate of alarms of some months.

    Examples
    --------
    >>> rate([0, 0, 0, 1]).mean, round(rate([0, 0, 0, 1]).limit, 2)
    (0.25, 1.19)
    >>> round(rate([0] * 10).limit, 2)
    0.3
    """
    total, months = sum(counts), len(counts)
    return Rate(total / months, float(chi2.ppf(0.95, 2 * (total + 1))) / 2 / months)


class Summary(msgspec.Struct, frozen=True):
    """What became of a change in some streams.

    Attributes
    ----------
    share
        Of the streams in which it was noticed.
    delay_h
        Median where it was; `None` if nowhere.
    alerts, most, open
        Means over streams in which it was noticed; 0 if nowhere.
    """

    share: float
    delay_h: float | None
    alerts: float
    most: float
    open: float


def summary(found: Sequence[Noticed]) -> Summary | None:
    """Sum up what became of a change; `None` where there was no stream.

    Examples
    --------
    >>> summary([Noticed(None), Noticed(3.0, 2, 1, True), Noticed(5.0, 4, 3)])
    Summary(share=0.6666666666666666, delay_h=4.0, alerts=3.0, most=2.0, open=0.5)
    """
    there = [one for one in found if one.delay_h is not None]
    if not found:
        return None
    if not there:
        return Summary(0.0, None, 0.0, 0.0, 0.0)
    return Summary(
        share=len(there) / len(found),
        delay_h=float(np.median([one.delay_h for one in there])),
        alerts=_mean([one.alerts for one in there]),
        most=_mean([one.most for one in there]),
        open=_mean([one.is_open for one in there]),
    )


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values))
