"""One model: how good it is over time, what came of it, and its versions side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec

from agents.web.board import QUALITY
from agents.web.known import MOST_POINTS, MOST_WINDOWS, Known, Point, Span, Who
from agents.web.latest import every_of, sampled
from agents.web.screens.answers import answers
from agents.web.screens.screen import POINTS, Answer, Asked, Name, Panel, Screen, View
from agents.web.screens.shapes import of_classes, shapes
from agents.web.settled import aligned
from streams.families import CATALOGUE
from streams.families.family import ON_LABELS

_DAY_MS = 86_400_000
_RANGES_MS = (_DAY_MS, 7 * _DAY_MS, 30 * _DAY_MS)
_MOST_ALERTS = 200
_MOST_VERSIONS = 8

_BESIDE = {
    "coverage": ("coverage",),
    "traffic": ("predictions", "labels"),
    "latency": ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"),
    "label_delay": ("label_delay_p50_ms", "label_delay_p95_ms"),
    "errors": ("error_rate",),
    "positives": ("prediction_share", "label_share", "score_mean"),
    "calibration": ("ece", "calibration_bias"),
}
"""Panels beside that of quality, and their metrics."""


class AskedModel(Asked, frozen=True, kw_only=True):
    """Which model, and what of it.

    Attributes
    ----------
    version
        None: the one that was heard of last.
    metric
        What is drawn large; empty: what stands for its quality.
    length_ms
        Of windows; 0: the shortest.
    range_ms
        How far back from the newest window; 0: a day, or as far as labels take.
    """

    model: Name = ""
    version: Name | None = None
    segment: Name = ""
    metric: Name = ""
    length_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    range_ms: Annotated[int, msgspec.Meta(ge=0, le=400 * _DAY_MS)] = 0


class Choice(NamedTuple):
    """What is shown, of what could be.

    Attributes
    ----------
    qualities
        Metrics that tell how good it is, of its newest windows.
    """

    who: Who
    span: Span
    range_ms: int
    lengths_ms: list[int]
    versions: list[str]
    qualities: list[str]
    metrics: list[str]


class Model(Screen):
    """One model."""

    name = "model"
    title = ""
    asks: ClassVar[type[Asked]] = AskedModel

    def answer(self, view: View, asked: AskedModel) -> Answer:
        """Return its series, alerts and versions."""
        chosen = choose(view, asked)
        drawn = asked.metric or next(iter(chosen.qualities), "predictions")
        points = view.known.points(chosen.who, chosen.span, (drawn,))
        panels = {"quality": series(points, (drawn,), chosen.span)}
        panels |= _beside(view.known, chosen)
        if asked.since is not None:
            panels |= _since(view.known, chosen, drawn, asked.since)
        panels |= answers(view.known, chosen.who, chosen.span, chosen.metrics)
        if "classes" in panels:
            panels |= of_classes(view.known, chosen.who)
        shown, hours = shapes(view.known, chosen.who)
        panels |= shown
        alerts = view.known.alerts(asked.model)
        panels["alerts"] = _alerts(alerts)
        panels["versions"] = _versions(view.known, chosen)
        board = view.board
        facts = {
            **_facts_of(chosen),
            "hours": hours,
            "every": every_of(chosen.span),
            "drawn": drawn,
            "better": getattr(CATALOGUE.metric(drawn), "better", "neither"),
            "help": {name: _help(name) for name in (drawn, *chosen.qualities)},
            "health": _health(view, asked.model),
            "owner": board.owners.get(asked.model, ""),
            "tags": board.tags.get(asked.model, {}),
        }
        return Answer(panels, facts)


def choose(view: View, asked: AskedModel) -> Choice:
    """Find what is meant where the address does not say it.

    Raises
    ------
    LookupError
        If there is no such model, version, segment or length.
    """
    if not asked.model:
        raise LookupError("no model is named; choose one on Fleet")
    known = view.known
    versions = [one for one in known.versions(asked.model) if _has_predictions(view, asked, one)]
    version = asked.version
    if version is None:
        newest = view.board.newest().get(asked.model)
        version = newest.version if newest is not None else next(iter(versions), "")
    who = Who(asked.model, version, asked.segment)
    newest_ms = known.newest_ms(who)
    if newest_ms is None:
        raise LookupError("there are no windows of this model, version and segment at this time")
    lengths = known.lengths_ms(who, newest_ms)
    length_ms = asked.length_ms or lengths[0]
    if length_ms not in lengths:
        raise LookupError("there are no windows of this length")
    newest_ms -= newest_ms % length_ms
    line = view.board.lines.get((who.model, who.version))
    labelled_ms = newest_ms if line is None or line.quality_ms is None else line.quality_ms
    range_ms = asked.range_ms or _range_ms(newest_ms - labelled_ms)
    range_ms = min(range_ms, MOST_WINDOWS * length_ms)
    oldest_ms = (known.oldest_ms(who) or 0) // length_ms * length_ms
    first_ms = max(newest_ms - (range_ms // length_ms - 1) * length_ms, oldest_ms)
    span = aligned(Span(min(first_ms, newest_ms), newest_ms, length_ms))
    metrics = {
        name for last in (newest_ms, labelled_ms) for name in _around(known, who, last, span)
    }
    return Choice(who, span, range_ms, lengths, versions, _qualities(metrics), sorted(metrics))


def _range_ms(late_ms: int) -> int:
    """Return what range shows quality where labels are late."""
    return next((one for one in _RANGES_MS if late_ms < one * 2 / 3), 90 * _DAY_MS)


def _around(known: Known, who: Who, last_ms: int, span: Span) -> list[str]:
    """Return the metrics of the windows up to one."""
    length_ms = span.length_ms
    last_ms -= last_ms % length_ms
    return known.metrics(who, Span(max(last_ms - 5 * length_ms, 0), last_ms, length_ms))


def _has_predictions(view: View, asked: AskedModel, version: str) -> bool:
    """Tell versions from readings of hosts, which are of version ``""``."""
    return version != "" or (asked.model, version) in view.board.lines


def _qualities(metrics: Iterable[str]) -> list[str]:
    """Return what tells how good a model is, what stands for it first."""
    found = []
    for name in metrics:
        metric = CATALOGUE.metric(name)
        if metric is None or metric.counts or ":" in name or metric.better == "neither":
            continue
        if metric.rests_on == ON_LABELS and name != "coverage" and "delay" not in name:
            found.append(name)
    order = {name: place for place, name in enumerate((*QUALITY, *CATALOGUE.metrics))}
    return sorted(found, key=lambda name: order.get(name, len(order)))


def series(points: Sequence[Point], metrics: Iterable[str], span: Span) -> Panel:
    """Return a panel of some metrics, which says if several windows make a point."""
    wanted = tuple(metrics)
    rows = [msgspec.structs.astuple(point) for point in points if point.metric in wanted]
    notes = []
    if span.together > 1:
        notes.append(
            f"{span.windows} windows: each point is the mean of {span.together}, with the least and"
            f" the largest; choose a range of at most {MOST_POINTS} windows to see each"
        )
    return Panel(POINTS, rows, tuple(notes))


def _beside(known: Known, chosen: Choice) -> dict[str, Panel]:
    """Return panels of other metrics."""
    there = [name for names in _BESIDE.values() for name in names if name in chosen.metrics]
    found, notes = sampled(known, chosen.who, chosen.span, there)
    return {
        title: Panel(
            POINTS,
            [
                msgspec.structs.astuple(point)
                for name in sorted(names)
                for point in found.get(name, ())
            ],
            notes,
        )
        for title, names in _BESIDE.items()
    }


def _since(known: Known, chosen: Choice, metric: str, since_ms: int) -> dict[str, Panel]:
    """Return a metric as it was known before, and the windows that are not what they were."""
    names, earlier = (metric,), known.at(since_ms)
    then = earlier.points(chosen.who, chosen.span, names)
    now = known.points(chosen.who, chosen.span, names)
    known.every = max(known.every, earlier.every)
    columns = (f"{name}_{when}" for when in ("before", "after") for name in _COMPARED)
    whole = known.every == 1  # else each may be of other windows
    return {
        "then": series(then, names, chosen.span),
        "changed": Panel(("window_start_ms", *columns), _differing(then, now) if whole else []),
    }


def _differing(then: Iterable[Point], now: Iterable[Point]) -> list[tuple[Any, ...]]:
    before, after = ({one.start_ms: one for one in points} for points in (then, now))
    rows = []
    for start_ms in sorted(before.keys() | after.keys()):
        old, new = before.get(start_ms), after.get(start_ms)
        if old is None or new is None or _known(old) != _known(new):
            rows.append((start_ms, *_known(old), *_known(new)))
    return rows


_COMPARED = ("value", "low", "high", "count", "revision", "final")


def _known(point: Point | None) -> tuple[Any, ...]:
    return tuple(None if point is None else getattr(point, name) for name in _COMPARED)


def _alerts(alerts: Sequence[dict[str, Any]]) -> Panel:
    rows = [
        (
            alert["alert_id"],
            alert["state"],
            alert["severity"],
            alert["kind"],
            alert["monitor"],
            alert["version"],
            alert["segment"],
            alert["began_ms"],
            None if alert["state"] == "firing" else alert["at_ms"],
            alert["direction"],
            alert["message"],
        )
        for alert in alerts[:_MOST_ALERTS]
    ]
    notes = (f"the newest {_MOST_ALERTS} of {len(alerts)}",) if len(alerts) > _MOST_ALERTS else ()
    columns = ("alert_id", "state", "severity", "kind", "monitor", "version", "segment")
    return Panel((*columns, "began_ms", "ended_ms", "direction", "message"), rows, notes)


def _versions(known: Known, chosen: Choice) -> Panel:
    """Return the newest values of each version, side by side."""
    metrics = ("predictions", "coverage", *chosen.qualities[:4], "latency_p95_ms", "error_rate")
    rows: list[tuple[Any, ...]] = []
    for version in chosen.versions[-_MOST_VERSIONS:]:
        who = chosen.who._replace(version=version)
        newest_ms = known.newest_ms(who)
        if newest_ms is None:
            continue
        length = chosen.span.length_ms
        newest_ms -= newest_ms % length
        points = known.points(
            who, Span(max(newest_ms - 11 * length, 0), newest_ms, length), metrics
        )
        means = {name: _mean(list(some)) for name, some in groupby(points, lambda one: one.metric)}
        first_ms = known.oldest_ms(who)
        rows.append((version, newest_ms, first_ms, *(means.get(name) for name in metrics)))
    rows.sort(key=lambda row: -row[1])
    cut = len(chosen.versions) > _MOST_VERSIONS
    notes = ["means over the last 12 windows of each version, weighted by what they rest on"]
    notes += [f"{_MOST_VERSIONS} of {len(chosen.versions)} versions"] if cut else []
    return Panel(("version", "window_start_ms", "first_ms", *metrics), rows, tuple(notes))


def _mean(points: list[Point]) -> float:
    weight = sum(point.count for point in points)
    if not weight:
        return sum(point.value for point in points) / len(points)
    return sum(point.value * point.count for point in points) / weight


def _facts_of(chosen: Choice) -> dict[str, Any]:
    who, span = chosen.who, chosen.span
    return {
        **who._asdict(),
        "length_ms": span.length_ms,
        "range_ms": chosen.range_ms,
        "first_ms": span.first_ms,
        "last_ms": span.last_ms,
        "lengths_ms": chosen.lengths_ms,
        "versions": chosen.versions,
        "qualities": chosen.qualities,
        "metrics": chosen.metrics,
    }


def _help(name: str) -> str:
    metric = CATALOGUE.metric(name)
    return metric.help if metric is not None else ""


def _health(view: View, model: str) -> str:
    line = view.board.newest().get(model)
    return "silent" if line is None else view.board.health(line, view.at_ms)
