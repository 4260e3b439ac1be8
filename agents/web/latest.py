"""What the newest windows say, all of their metrics at once: what tables of many names need.

A window's metrics are next to each other in the key, so that they are read by one scan of a few
windows, whatever they are called; series over time are asked for by name, see `agents.web.known`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text

from agents.web.known import Known, Point, Span, Who
from streams.families import CATALOGUE
from streams.families.family import Metric, Part

CHANCE = "chance"
_BACK = 3
"""So many windows are looked at: the newest may have just begun."""

MOST_SAMPLED = 300
"""So many windows has a chart that is a third as wide as that of quality."""


class Latest(NamedTuple):
    """Metrics of a window by name.

    Attributes
    ----------
    start_ms
        When it begins; None if there is no window.
    """

    start_ms: int | None
    metrics: dict[str, Point]


def latest(known: Known, who: Who, span: Span, *, at_ms: int, ask: Part | None = None) -> Latest:
    """Return the newest window of a span that is over; of none, the newest.

    Parameters
    ----------
    ask
        Only windows with a metric that has such a part.
    """
    first_ms = max(span.last_ms - _BACK * span.length_ms, 0)
    found: dict[int, dict[str, Point]] = defaultdict(dict)
    for point in windows(known, who, Span(first_ms, span.last_ms, span.length_ms)):
        found[point.start_ms][point.metric] = point
    if ask is not None:
        found = {
            start: own
            for start, own in found.items()
            if any(part_of(name, ask) is not None for name in own)
        }
    if not found:
        return Latest(None, {})
    over = [start for start in found if start + span.length_ms <= at_ms]
    newest = max(over or found)
    return Latest(newest, found[newest])


def part_of(name: str, part: Part) -> str | None:
    """Return what follows the colon, if it is a part of this kind.

    Examples
    --------
    >>> part_of("psi:a:b", Part.FEATURE), part_of("recall:cat", Part.FEATURE)
    ('a:b', None)
    """
    metric = CATALOGUE.metric(name)
    _, colon, found = name.partition(":")
    return found if colon and metric is not None and metric.part is part else None


def windows(known: Known, who: Who, span: Span) -> list[Point]:
    """Return all metrics of a few windows."""
    question = _LIVE if known.until_ms is None else _ASOF
    bound = {"first": span.first_ms, "last": span.last_ms, "length": span.length_ms}
    rows = known.connection.execute(
        text(question), {**who._asdict(), **bound, "until": known.until_ms}
    )
    return [Point(*(*row[:8], bool(row[8]), 1)) for row in rows]


def chance_of(metric: Metric | None, point: Point) -> float | None:
    """Return what a distance stays below by chance in 95 % of windows; None of anything else.

    Its interval is that much to either side, cut off where no value can be.

    Examples
    --------
    >>> point = Point(0, "psi:f", 0.5, 0.4, 0.6, 10, None, 1, True, 1)
    >>> round(chance_of(CATALOGUE.metric("psi:f"), point), 6)
    0.1
    >>> chance_of(CATALOGUE.metric("mean:f"), point)
    """
    if metric is None or metric.interval != CHANCE or point.windows > 1:
        return None
    if point.low:
        return point.value - point.low
    return None if point.high is None else point.high - point.value


def every_of(span: Span) -> int:
    """Return of how many windows `sampled` has one."""
    return -(-span.windows // MOST_SAMPLED)


def sampled(
    known: Known, who: Who, span: Span, metrics: Sequence[str]
) -> tuple[dict[str, list[Point]], tuple[str, ...]]:
    """Return series by metric for a small chart, of long spans one window of several, and notes."""
    every = every_of(span)
    found: dict[str, list[Point]] = {name: [] for name in metrics}
    for point in known.sampled(who, span, metrics, every=every):
        found[point.metric].append(point)
    notes = (f"one window of every {every}; a shorter range has each",) if every > 1 else ()
    return found, notes


def thinned(known: Known, who: Who, span: Span, metrics: Sequence[str]) -> dict[str, list[Point]]:
    """Return series by metric."""
    found: dict[str, list[Point]] = {name: [] for name in metrics}
    for point in known.points(who, span, metrics):
        found[point.metric].append(point)
    return found


_VALUES = "window_start_ms, metric, value, low, high, count, coverage, revision, final"
_WHERE = """
model = :model AND version = :version AND segment = :segment
AND window_start_ms BETWEEN :first AND :last AND window_end_ms = window_start_ms + :length
"""
_LIVE = f"SELECT {_VALUES} FROM metrics WHERE {_WHERE} ORDER BY window_start_ms, metric"
_ASOF = f"""
SELECT {_VALUES} FROM metric_revisions WHERE NOT deleted AND id IN (
    SELECT max(id) FROM metric_revisions
    WHERE {_WHERE} AND visible_at_ms <= :until
    GROUP BY window_start_ms, metric
) ORDER BY window_start_ms, metric
"""
