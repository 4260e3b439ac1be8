"""The features of a model: which have moved most, against what chance does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec

from agents.web.board import SPARK
from agents.web.known import Point, Span
from agents.web.latest import CHANCE, chance_of, every_of, latest, part_of, sampled, thinned
from agents.web.screens.choosing import chosen, facts_of
from agents.web.screens.model import AskedModel, Choice
from agents.web.screens.screen import Answer, Asked, Name, Panel, Screen, View
from agents.web.screens.shapes import of_feature
from streams.families import CATALOGUE
from streams.families.family import Part

METRICS = tuple(name for name, one in CATALOGUE.metrics.items() if one.part is Part.FEATURE)
"""What there may be of a feature."""

DISTANCES = tuple(name for name in METRICS if CATALOGUE.metrics[name].interval == CHANCE)

PANELS = {
    "distance": DISTANCES,
    "shares": ("missing_rate", "unseen_rate", "out_of_range_rate", "text_rate", "top_share"),
    "mean": ("mean",),
    "quantiles": ("feature_p05", "feature_p50", "feature_p95", "min", "max"),
    "std": ("std",),
    "distinct": ("distinct",),
}
"""Charts of one feature, and the metrics that each has."""

POINT = ("window_start_ms", "metric", "value", "low", "high", "count", "revision", "final")
_SERIES = (*POINT, "windows", "chance")


class AskedFeatures(AskedModel, frozen=True, kw_only=True):
    """Which features, and which of them over time.

    Attributes
    ----------
    search
        Part of the name of a feature, in any case.
    feature
        Which one is drawn; empty: the first.
    """

    search: Name = ""
    feature: Name = ""
    sort: Literal["drift", "feature", "missing_rate", "unseen_rate"] = "drift"
    page: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 25


class Moved(NamedTuple):
    """A feature in a window.

    Attributes
    ----------
    points
        Its metrics by name, without the feature.
    times
        The largest of its distances, in times of what chance does; None if it is not compared.
    beyond
        Which of what compares it say more than chance explains.
    """

    feature: str
    points: dict[str, Point]
    times: float | None
    beyond: tuple[str, ...]


class Features(Screen):
    """What goes into a model."""

    name = "features"
    title = "Features"
    asks: ClassVar[type[Asked]] = AskedFeatures

    def answer(self, view: View, asked: AskedFeatures) -> Answer:
        """Return features, those that moved most first, and one of them over time."""
        asked, choice = chosen(view, asked)
        newest = latest(view.known, choice.who, choice.span, at_ms=view.at_ms, ask=Part.FEATURE)
        every = moved(newest.metrics)
        found = [one for one in every if asked.search.casefold() in one.feature.casefold()]
        found.sort(key=_ORDERS[asked.sort])
        page = found[asked.page * asked.size : (asked.page + 1) * asked.size]
        names = [one.feature for one in every]
        drawn = asked.feature or next((one.feature for one in page or every), "")
        if drawn and drawn not in names:
            raise LookupError(f"the newest window has no feature {drawn!r}")
        panels = {"features": _table(view, choice, page)}
        if drawn:
            panels |= _series(view, choice, drawn)
        shown, hour = of_feature(view.known, choice.who, drawn)
        panels |= shown
        facts = {
            **facts_of(view, choice),
            "window_start_ms": newest.start_ms,
            "features": len(every),
            "found": len(found),
            "beyond": sum(bool(one.beyond) for one in every),
            "compared": sum(one.times is not None for one in every),
            "drawn": drawn,
            "feature": drawn,
            "hour": hour,
            "every": every_of(choice.span),
            "help": {name: CATALOGUE.metrics[name].help for name in METRICS},
        }
        return Answer(panels, facts)


def moved(metrics: Mapping[str, Point]) -> list[Moved]:
    """Judge every feature of a window."""
    features: dict[str, dict[str, Point]] = {}
    for name, point in metrics.items():
        if (feature := part_of(name, Part.FEATURE)) is not None:
            features.setdefault(feature, {})[name.partition(":")[0]] = point
    return [_judged(feature, points) for feature, points in features.items()]


def _judged(feature: str, points: dict[str, Point]) -> Moved:
    times = [
        point.value / chance if chance else 0.0
        for name, point in points.items()
        if (chance := chance_of(CATALOGUE.metric(name), point)) is not None
    ]
    beyond = tuple(
        name
        for name in METRICS
        if CATALOGUE.metrics[name].compares and name in points and (points[name].low or 0.0) > 0.0
    )
    return Moved(feature, points, max(times, default=None), beyond)


def _value(one: Moved, name: str) -> float:
    return one.points[name].value if name in one.points else -1.0


_ORDERS: dict[str, Any] = {
    # A share of categories that were never seen has no chance level: it is beyond all the same.
    "drift": lambda one: (
        not one.beyond,
        -(one.times or 0.0),
        -_value(one, "unseen_rate"),
        -_value(one, "missing_rate"),
        one.feature,
    ),
    "feature": lambda one: one.feature.casefold(),
    "missing_rate": lambda one: (-_value(one, "missing_rate"), one.feature),
    "unseen_rate": lambda one: (-_value(one, "unseen_rate"), one.feature),
}


# ------------------------------------------------------------------ panels
def _table(view: View, choice: Choice, page: list[Moved]) -> Panel:
    there = [name for name in METRICS if any(name in one.points for one in page)]
    names = [name for metric in there for name in _columns(metric)]
    columns = ("feature", "times_chance", "beyond", "count", *names, "before")
    first = next((name for name in DISTANCES if name in there), "missing_rate")
    before = _before(view, choice, [one.feature for one in page], first)
    rows = [
        (
            one.feature,
            one.times,
            list(one.beyond),
            max((point.count for point in one.points.values()), default=0),
            *(value for metric in there for value in _cells(metric, one.points.get(metric))),
            before[one.feature],
        )
        for one in page
    ]
    return Panel(columns, rows)


def _columns(metric: str) -> Iterator[str]:
    yield metric
    if metric in DISTANCES:
        yield f"{metric}_chance"


def _cells(metric: str, point: Point | None) -> Iterator[float | None]:
    yield None if point is None else point.value
    if metric in DISTANCES:
        yield None if point is None else chance_of(CATALOGUE.metrics[metric], point)


def _before(
    view: View, choice: Choice, features: list[str], metric: str
) -> dict[str, list[float | None]]:
    """Return a metric of features in the last windows, the oldest first."""
    span = choice.span
    first_ms = max(span.last_ms - (SPARK - 1) * span.length_ms, 0)
    some = Span(first_ms, span.last_ms, span.length_ms)
    series = thinned(view.known, choice.who, some, [f"{metric}:{name}" for name in features])
    starts = range(some.first_ms, some.last_ms + 1, some.length_ms)
    found = {}
    for name in features:
        values = {point.start_ms: point.value for point in series[f"{metric}:{name}"]}
        found[name] = [values.get(start) for start in starts]
    return found


def _series(view: View, choice: Choice, feature: str) -> dict[str, Panel]:
    names = [f"{name}:{feature}" for name in METRICS if f"{name}:{feature}" in choice.metrics]
    series, notes = sampled(view.known, choice.who, choice.span, names)
    return {
        title: Panel(
            _SERIES,
            [_point(point) for name in own for point in series.get(f"{name}:{feature}", ())],
            notes,
        )
        for title, own in PANELS.items()
    }


def _point(point: Point) -> tuple[Any, ...]:
    metric = CATALOGUE.metric(point.metric)
    kept = (point.start_ms, point.metric.partition(":")[0], point.value, point.low, point.high)
    state = point.count, point.revision, point.final, point.windows
    return (*kept, *state, chance_of(metric, point))
