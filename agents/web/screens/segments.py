"""The segments of a model: which are worse than the whole, and how much of a drop is theirs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
from sqlalchemy import text

from agents.web.board import SPARK
from agents.web.known import Known, Point, Span, Who
from agents.web.latest import part_of, thinned
from agents.web.screens.choosing import chosen, facts_of
from agents.web.screens.model import AskedModel, Choice, series
from agents.web.screens.screen import Answer, Asked, Name, Panel, Screen, View
from streams.families import CATALOGUE
from streams.families.family import Part

MOST_SEGMENTS = 200
_Z = 1.96
_COLUMNS = (
    *("segment", "key", "share", "share_before", "labels", "value", "low", "high", "before"),
    *("worse", "beyond", "share_of_drop", "last"),
)
FAIRNESS = tuple(name for name, one in CATALOGUE.metrics.items() if one.part is Part.KEY)


class AskedSegments(AskedModel, frozen=True, kw_only=True):
    """Which segments, and which one over time.

    Attributes
    ----------
    segment
        Which is drawn beside the whole; empty: the first.
    """

    search: Name = ""
    sort: Literal["worse", "share_of_drop", "share", "segment"] = "worse"
    page: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 25


class Mean(NamedTuple):
    """A metric over several windows.

    Attributes
    ----------
    value
        Mean, weighted by what each window rests on.
    error
        Its standard error, from the intervals of the windows; None if they have none.
    weight
        What it rests on.
    """

    value: float
    error: float | None
    weight: int


class Judged(NamedTuple):
    """A segment beside the whole model.

    Attributes
    ----------
    worse
        How much worse it is than the whole, below 0: better.
    beyond
        Whether that is more than its interval explains.
    of_drop
        Its part of what the whole changed by; None where the whole did not change.
    """

    segment: str
    now: Mean
    before: Mean | None
    share: float | None
    share_before: float | None
    worse: float
    beyond: bool
    of_drop: float | None
    last: list[float | None]


class Segments(Screen):
    """Whom a model is worse for."""

    name = "segments"
    title = "Segments"
    asks: ClassVar[type[Asked]] = AskedSegments

    def answer(self, view: View, asked: AskedSegments) -> Answer:
        """Return segments, the worst first, one of them over time, and fairness."""
        wanted = asked.segment
        asked, choice = chosen(view, msgspec.structs.replace(asked, segment=""))
        metric = asked.metric or next(iter(choice.qualities), "")
        names = [one for one in view.known.segments(*choice.who[:2]) if one]
        every, notes = _judged(view, choice, names[:MOST_SEGMENTS], metric)
        if len(names) > MOST_SEGMENTS:
            notes.append(f"the first {MOST_SEGMENTS} of {len(names)} segments by name")
        found = [one for one in every if asked.search.casefold() in one.segment.casefold()]
        found.sort(key=_ORDERS[asked.sort])
        page = found[asked.page * asked.size : (asked.page + 1) * asked.size]
        drawn = wanted or next((one.segment for one in page), "")
        if wanted and wanted not in names:
            raise LookupError(f"there is no segment {wanted!r}")
        panels = {"segments": Panel(_COLUMNS, [_row(one) for one in page], tuple(notes))}
        panels |= _drawn(view, choice, metric, drawn)
        panels["fairness"] = _fairness(view, choice)
        facts = {
            **facts_of(view, choice),
            "segment": drawn,
            "segments": len(names),
            "found": len(found),
            "drawn": metric,
            "qualities": choice.qualities,
            "better": getattr(CATALOGUE.metric(metric), "better", "neither"),
            "help": {name: CATALOGUE.metrics[name].help for name in FAIRNESS},
        }
        return Answer(panels, facts)


_ORDERS: dict[str, Any] = {
    "worse": lambda one: (not one.beyond, -one.worse, one.segment),
    "share_of_drop": lambda one: (-(one.of_drop or 0.0), one.segment),
    "share": lambda one: (-(one.share or 0.0), one.segment),
    "segment": lambda one: one.segment.casefold(),
}


def _row(one: Judged) -> tuple[Any, ...]:
    error = None if one.now.error is None else _Z * one.now.error
    low, high = (None, None) if error is None else (one.now.value - error, one.now.value + error)
    before = None if one.before is None else one.before.value
    key = one.segment.partition("=")[0]
    shares = one.share, one.share_before
    told = one.worse, one.beyond, one.of_drop, one.last
    return (one.segment, key, *shares, one.now.weight, one.now.value, low, high, before, *told)


# ------------------------------------------------------------------ judging
def _judged(
    view: View, choice: Choice, names: Sequence[str], metric: str
) -> tuple[list[Judged], list[str]]:
    """Compare the newer half of the last windows that have labels with the older half."""
    if not metric or not names:
        return [], []
    span = _span(view, choice)
    points = _values(view.known, choice.who, [*names, ""], (metric, "predictions"), span)
    halves = _Halves(span, points, metric)
    if (whole := halves.of("")) is None:
        return [], []
    lower = getattr(CATALOGUE.metric(metric), "better", "") == "lower"
    found = [
        _beside(name, own, whole, lower=lower, halves=halves)
        for name in names
        if (own := halves.of(name)) is not None
    ]
    windows = span.windows // 2
    return found, [
        f"means of {metric} over the newest {windows} windows with labels, and the {windows} before"
    ]


def _span(view: View, choice: Choice) -> Span:
    line = view.board.lines.get(choice.who[:2])
    newest = choice.span.last_ms
    labelled = getattr(line, "quality_ms", None)
    length = choice.span.length_ms
    last = min(newest, newest if labelled is None else labelled)
    last -= last % length
    return Span(max(last - (SPARK - 1) * length, 0), last, length)


class _Halves:
    """Means of segments over the two halves of a span."""

    def __init__(self, span: Span, points: dict[tuple[str, str], list[Point]], metric: str) -> None:
        self._points, self._metric = points, metric
        self._middle = span.first_ms + span.windows // 2 * span.length_ms
        self._starts = range(span.first_ms, span.last_ms + 1, span.length_ms)

    def of(self, segment: str) -> tuple[Mean, Mean | None] | None:
        """Return the newer and the older half."""
        points = self._points[segment, self._metric]
        now = _mean([one for one in points if one.start_ms >= self._middle])
        return (
            None if now is None else (now, _mean([p for p in points if p.start_ms < self._middle]))
        )

    def traffic(self, segment: str, *, newer: bool) -> float | None:
        """Return the share of predictions of a half."""
        own, every = (
            sum(
                point.value
                for point in self._points[name, "predictions"]
                if (point.start_ms >= self._middle) == newer
            )
            for name in (segment, "")
        )
        return own / every if every else None

    def last(self, segment: str) -> list[float | None]:
        """Return the windows one by one."""
        values = {one.start_ms: one.value for one in self._points[segment, self._metric]}
        return [values.get(start) for start in self._starts]


def _mean(points: Sequence[Point]) -> Mean | None:
    count = sum(point.count for point in points)
    if not count:
        return None
    value = sum(point.value * point.count for point in points) / count
    errors = [
        (point.high - point.low) / (2 * _Z) * point.count
        for point in points
        if point.low is not None and point.high is not None
    ]
    error = math.sqrt(sum(one**2 for one in errors)) / count if len(errors) == len(points) else None
    return Mean(value, error, count)


def _beside(
    name: str,
    own: tuple[Mean, Mean | None],
    whole: tuple[Mean, Mean | None],
    *,
    lower: bool,
    halves: _Halves,
) -> Judged:
    now, before = own
    sign = 1.0 if lower else -1.0
    worse = sign * (now.value - whole[0].value)
    return Judged(
        segment=name,
        now=now,
        before=before,
        share=halves.traffic(name, newer=True),
        share_before=halves.traffic(name, newer=False),
        worse=worse,
        beyond=now.error is not None and worse > _Z * now.error,
        of_drop=of_drop(own, whole),
        last=halves.last(name),
    )


def of_drop(own: tuple[Mean, Mean | None], whole: tuple[Mean, Mean | None]) -> float | None:
    """Return the part of a segment in what the whole changed by.

    Its weight times how far it is from what the whole was, now less before: parts of all segments
    of a key add up to 1, whether they have got worse or more. That holds exactly for means over
    labels, such as accuracy or mae, and about for others.

    Examples
    --------
    >>> half, all_ = Mean(0.9, None, 50), Mean(0.9, None, 100)
    >>> worse, whole = Mean(0.7, None, 50), Mean(0.8, 0.01, 100)
    >>> round(of_drop((worse, half), (whole, all_)), 6), of_drop((half, half), (whole, all_))
    (1.0, -0.0)
    """
    (now, before), (all_now, all_before) = own, whole
    if all_before is None or all_now.error is None:
        return None
    change = all_now.value - all_before.value
    if abs(change) < _Z * math.hypot(all_now.error, all_before.error or 0.0):
        return None
    grown = now.weight / all_now.weight * (now.value - all_before.value)
    if before is not None:
        grown -= before.weight / all_before.weight * (before.value - all_before.value)
    return grown / change


# ------------------------------------------------------------------ reading
def _values(
    known: Known, who: Who, segments: Iterable[str], metrics: Sequence[str], span: Span
) -> dict[tuple[str, str], list[Point]]:
    """Return windows of many segments by segment and metric, by one question."""
    names = {f"s{number}": name for number, name in enumerate(segments)}
    names |= {f"m{number}": name for number, name in enumerate(metrics)}
    wanted = ", ".join(f"(:m{number})" for number in range(len(metrics)))
    listed = ", ".join(f"(:s{number})" for number in range(len(names) - len(metrics)))
    question = _LIVE if known.until_ms is None else _ASOF
    bound = {"first": span.first_ms, "last": span.last_ms, "length": span.length_ms}
    rows = known.connection.execute(
        text(question.format(wanted=wanted, segments=listed)),
        {"model": who.model, "version": who.version, **bound, **names, "until": known.until_ms},
    )
    found: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for row in rows:
        point = Point(*(*row[1:9], bool(row[9]), 1))
        found[row[0], point.metric].append(point)
    return found


def _drawn(view: View, choice: Choice, metric: str, segment: str) -> dict[str, Panel]:
    """Return the metric of a segment, and of the whole, over time."""
    if not metric or not segment:
        return {}
    own = choice.who._replace(segment=segment)
    points = view.known.points(own, choice.span, (metric, "predictions"))
    whole = view.known.points(choice.who, choice.span, (metric,))
    return {
        "segment": series(points, (metric, "predictions"), choice.span),
        "whole": series(whole, (metric,), choice.span),
    }


def _fairness(view: View, choice: Choice) -> Panel:
    names = [name for name in choice.metrics if part_of(name, Part.KEY) is not None]
    found = thinned(view.known, choice.who, choice.span, names)
    return series([point for name in names for point in found[name]], names, choice.span)


_HEAD = """
WITH RECURSIVE starts(s) AS (
    SELECT CAST(:first AS BIGINT) UNION ALL
    SELECT s + :length FROM starts WHERE s + :length <= :last
), wanted(metric) AS (VALUES {wanted}), names(segment) AS (VALUES {segments})
SELECT names.segment, s, r.metric, r.value, r.low, r.high, r.count, r.coverage, r.revision, r.final
FROM names CROSS JOIN wanted CROSS JOIN starts
"""
_KEY = """
r.model = :model AND r.version = :version AND r.segment = names.segment
AND r.window_start_ms = s AND r.window_end_ms = s + :length AND r.metric = wanted.metric
"""
_LIVE = f"{_HEAD} CROSS JOIN metrics r WHERE {_KEY} ORDER BY s"
_ASOF = f"""{_HEAD} CROSS JOIN metric_revisions r WHERE r.id = (
    SELECT max(x.id) FROM metric_revisions x
    WHERE {_KEY.replace("r.", "x.")} AND x.visible_at_ms <= :until
) AND NOT r.deleted ORDER BY s
"""
