"""The four dashboards, made of what the catalogues of metrics and telemetry say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.sinks.telemetry import SINK
from agents.telemetry_catalogue import RESOURCES, WORKER, Entry
from deploy.grafana import panels as made
from deploy.grafana import queries
from deploy.grafana.panels import Json
from streams import families
from streams.families.family import CLASSIFICATION, ON_READINGS, REGRESSION, Metric, Part, Reads

_HISTORY = made.source("history", "grafana-postgresql-datasource", label="History")
_PROMETHEUS = made.source("prometheus", "prometheus", label="Prometheus")
_METRICS = tuple(families.CATALOGUE.metrics.values())
_HEADLINES = [one.name for one in _METRICS if one.headline]
_OF_FEATURES = [one for one in _METRICS if one.part is Part.FEATURE and one.default]
_OF_HOSTS = [one for one in _METRICS if one.rests_on == ON_READINGS]
_OF_WINDOWS = [one for one in _METRICS if one.part in (Part.NONE, Part.CLASS) and one.default]
_CHOSEN = (
    _HISTORY,
    made.choice("model", queries.MODELS, label="Model"),
    made.choice("version", queries.VERSIONS, label="Version"),
    made.choice("segment", queries.SEGMENTS, label="Segment"),
    made.choice("window", queries.WINDOWS, label="Window"),
)
_MODEL_URL = (
    "/d/driftline-model?var-model=${__data.fields.model:percentencode}"
    "&var-version=${__data.fields.version:percentencode}&${__url_time_range}"
)


def all_dashboards() -> dict[str, Json]:
    """Return every dashboard by the name of its file."""
    return {"fleet": fleet(), "model": model(), "pipeline": pipeline(), "resources": resources()}


def fleet() -> Json:
    """Return all models on one page: their last final values, and what fires."""
    numbers = [
        made.number("Models", made.sql(queries.COUNT, table=True), text="With final windows."),
        made.number("Firing", made.sql(queries.FIRING_COUNT, table=True), text="Alerts, now."),
        made.number(
            "History written",
            made.sql(queries.AGE, table=True),
            text="How long ago `driftline sink sql` was last seen.",
            unit="s",
        ),
        made.number("Gaps", made.sql(queries.GAPS, table=True), text="Revisions that are missing."),
    ]
    links = [made.link("model", _MODEL_URL)]
    models = made.table(
        "Models",
        queries.models(_HEADLINES),
        text="The last final values in this time; a model's name leads to it.",
        overrides=links,
    )
    alerts = made.table(
        "Firing alerts", queries.FIRING, text="Whatever time is chosen.", overrides=links
    )
    traffic = made.lines(
        "Predictions", made.sql(queries.TRAFFIC), text=_help("predictions"), unit="short", low=0
    )
    return made.dashboard(
        "fleet",
        "fleet",
        text="Every model: last final values, alerts, traffic.",
        variables=[_HISTORY],
        panels=[
            *made.row("Now", numbers, across=4, height=4),
            *made.row("Models", [models, alerts], across=1, height=10),
            *made.row("Traffic", [traffic], across=1),
        ],
    )


def model() -> Json:
    """Return one model: values with intervals, provisional ones dashed."""
    shown = [
        made.repeated("headline", queries.present(_HEADLINES)),
        made.choice("metric", queries.ANY_METRIC, label="Any metric"),
        made.repeated("feature", queries.features([one.name for one in _OF_FEATURES])),
    ]
    quality = made.with_interval(
        "${headline}",
        queries.values("${headline:sqlstring}"),
        text=_DRAWN,
        unit="short",
        repeat="headline",
        repeatDirection="h",
        maxPerRow=2,
    )
    alerts = made.states("Alerts", queries.ALERTS, text="What fired when, by event time.")
    versions = made.lines(
        "Versions: ${metric}", made.sql(queries.SIDE_BY_SIDE), text="Side by side.", unit="short"
    )
    one = made.with_interval(
        "${metric}", queries.values("${metric:sqlstring}"), text=_DRAWN, unit="short"
    )
    return made.dashboard(
        "model",
        "model",
        text="One model: quality, alerts, traffic, features.",
        variables=[*_CHOSEN, *shown],
        panels=[
            *made.row("Quality", [quality]),
            *made.row("Alerts", [alerts], across=1, height=6),
            *made.row("Any metric", [one, versions]),
            *_details(),
            *_features(),
        ],
    )


_DRAWN = (
    "Blue: final; orange, dashed: provisional, since labels may still come; band: the interval."
)


def _details() -> Iterable[Json]:
    """Yield rows of all metrics of windows, each in one."""
    left = [one for one in _OF_WINDOWS if one not in _OF_HOSTS]
    before = [one for one in left if Reads.OUTCOMES not in one.rests_on]
    left = [one for one in left if one not in before]
    regression = [one for one in left if one.tasks == {REGRESSION}]
    classes = [one for one in left if one.tasks <= CLASSIFICATION]
    rest = [one for one in left if one not in regression and one not in classes]
    groups = {
        "Before labels: traffic, latency, scores, drift": before,
        "Labels": rest,
        "Classification": classes,
        "Regression": regression,
    }
    for title, group in groups.items():
        yield from made.folded(title, [_one(metric) for metric in group])


def _features() -> Iterable[Json]:
    """Yield one row: of every kind of metric of features, the features beside each other."""
    found = [
        made.lines(
            f"{one.name} of features",
            made.sql(queries.by_feature(one.name)),
            text=_sentence(one),
            unit=made.unit_of(one.unit),
        )
        for one in _OF_FEATURES
    ]
    chosen = made.with_interval(
        "${feature}",
        queries.values("${feature:sqlstring}"),
        text=_DRAWN,
        unit="short",
        repeat="feature",
        repeatDirection="h",
        maxPerRow=3,
    )
    return [*made.folded("Features", found, across=2), *made.folded("Each feature", [chosen])]


def pipeline() -> Json:
    """Return what workers and sinks say of themselves."""
    return made.dashboard(
        "pipeline",
        "pipeline",
        text="Workers and sinks: fates, lag, clocks, commits, dead letters.",
        variables=[_PROMETHEUS],
        panels=[
            *made.row("Workers", [_told(one, job="driftline") for one in WORKER], across=3),
            *made.row("Sinks", [_told(one, job="driftline-sinks") for one in SINK], across=3),
        ],
    )


def resources() -> Json:
    """Return what workers use, and what hosts of models are busy with."""
    hosts = [_one(metric) for metric in _OF_HOSTS if metric.default]
    return made.dashboard(
        "resources",
        "resources",
        text="What workers use, and what the hosts of a model are busy with.",
        variables=[_PROMETHEUS, *_CHOSEN],
        panels=[
            *made.row("Workers", [_told(one, job="driftline") for one in RESOURCES], across=3),
            *made.folded("Hosts of the model", hosts),
        ],
    )


def _one(metric: Metric) -> Json:
    query = queries.values(queries.quoted(metric.name))
    unit = made.unit_of(metric.unit)
    return made.with_interval(metric.name, query, text=_sentence(metric), unit=unit)


def _told(entry: Entry, *, job: str) -> Json:
    unit = next((unit for unit in _SUFFIXES if _noun(entry).endswith(unit)), "")
    if entry.name.endswith("_timestamp_seconds"):
        unit = "ago"
    query = _query(entry, by=("instance", *entry.labels), job=job)
    legend = " ".join(f"{{{{{label}}}}}" for label in ("instance", *entry.labels))
    shown = "s" if unit == "ago" else made.unit_of(unit)
    target = made.promql(query, legend)
    return made.lines(_title(entry), target, text=entry.help, unit=shown)


_SUFFIXES = ("seconds", "bytes", "ratio", "celsius", "watts")


def _noun(entry: Entry) -> str:
    return entry.name.removesuffix("_total")


def _title(entry: Entry) -> str:
    told = _noun(entry).removeprefix("driftline_").replace("_", " ")
    if entry.kind == "histogram":
        return f"{told}, 95 %"
    return f"{told} per second" if entry.kind == "counter" else told


def _query(entry: Entry, *, by: Sequence[str], job: str) -> str:
    grouped = ", ".join(by)
    chosen = f'{{job="{job}"}}'
    if entry.kind == "histogram":
        rate = f"rate({entry.name}_bucket{chosen}[$__rate_interval])"
        return f"histogram_quantile(0.95, sum by (le, {grouped}) ({rate}))"
    if entry.kind == "counter":
        return f"sum by ({grouped}) (rate({entry.name}{chosen}[$__rate_interval]))"
    if entry.name.endswith("_timestamp_seconds"):
        return f"time() - max by ({grouped}) ({entry.name}{chosen})"
    return f"max by ({grouped}) ({entry.name}{chosen})"


def _help(name: str) -> str:
    return _sentence(families.CATALOGUE.metrics[name])


def _sentence(metric: Metric) -> str:
    better = "" if metric.better == "neither" else f" Better: {metric.better}."
    return f"{metric.help[0].upper()}{metric.help[1:]}.{better}"
