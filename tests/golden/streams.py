"""The golden streams: what the tests already had, and what else occurs, with what watches it.

A stream is made anew each time; its digest is recorded, so that a golden file is never compared
with what comes of other events.
"""

import random
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from agents import demo_model
from benchmarks.load import Load, label_records, prediction_records
from tests import builders
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Arrival, Event
from tests.driver import TOPICS, Input, as_inputs, disorder_of
from tests.faults import truth
from tests.golden import oddities, traffic
from tests.golden.watching import ALL, DETECTORS, PLAIN, SENSITIVE, USUAL, Spec, with_window

SECOND_MS = 1_000


class Stream(NamedTuple):
    """Records of both topics in the order of arrival, and how they are evaluated.

    Attributes
    ----------
    watched
        As in `monitors.yaml`.
    disorder_ms
        With so much, nothing is late; with less, what is late depends on how records are cut.
    anyhow
        Whether the results must be the same however the records are cut and dealt out.
    """

    inputs: list[Input]
    watched: Spec
    disorder_ms: int
    anyhow: bool = True
    horizon_ms: int = HOUR_MS


def _of(events: Sequence[Event], watched: Spec = SENSITIVE, **more: Any) -> Stream:
    return Stream(as_inputs(events), watched, more.pop("disorder_ms", disorder_of(events)), **more)


def _late(arrivals: list[Arrival], watched: Spec, *, bound_ms: int, seed: int = 7) -> Stream:
    """Hold events up as `builders.delayed` does, with chance that no version changes."""
    luck = random.Random(seed)
    waits = [luck.random() * bound_ms for _ in arrivals]
    order = sorted(range(len(arrivals)), key=lambda i: arrivals[i].at_ms + waits[i])
    return _of([arrivals[i].event for i in order], watched)


def _shuffled(events: Sequence[Event], seed: int) -> list[Event]:
    luck = random.Random(seed)
    return sorted(events, key=lambda _: luck.random())


# --- what the tests already had


def _join_cases() -> Stream:
    """Every row of the join's semantics, each a model of its own."""
    cases = [builders.renamed(case.events, name) for name, case in builders.JOIN_CASES.items()]
    turns = chain.from_iterable(zip_longest(*cases))
    return _of([event for event in turns if event is not None])


def _poison() -> Stream:
    """Traffic with blemishes, and between its records every line that no decoder may accept."""
    events = builders.delayed(
        builders.blemished(builders.history(8, count=350)), seed=8, bound_ms=MINUTE_MS
    )
    inputs = as_inputs(events)
    for number, (name, line) in enumerate(builders.POISON.items()):
        if len(line) < 1_000_000:
            topic = TOPICS.labels if "label" in name else TOPICS.predictions
            inputs.insert(13 * number + 5, (topic, b"poison", line))
            inputs.insert(13 * number + 6, (topic, None, None))
    return Stream(inputs, SENSITIVE, disorder_of(events))


def _kinds_of_classes() -> Stream:
    names: Sequence[str | int] = ("a", "", "c d", 4, "True", *(f"k{n}" for n in range(6)))
    arrivals = builders.multiclass(3, count=900, classes=names)
    return _late(arrivals, SENSITIVE, bound_ms=MINUTE_MS)


def _many_classes() -> Stream:
    arrivals = builders.multiclass(4, count=700, classes=[f"k{n}" for n in range(130)])
    return _late(arrivals, PLAIN, bound_ms=MINUTE_MS)


def _drifting() -> Stream:
    """Frozen models that become worse and better, with corrections; the usual monitors."""
    arrivals = []
    for model, before, after in (("worse", 0.1, 0.4), ("better", 0.4, 0.1), ("same", 0.2, 0.2)):
        one = builders.drifting(model, seed=5, before=before, after=after, count=3_000)
        arrivals += [*one, *builders.corrections(one, every=9, after_ms=5 * MINUTE_MS)]
    return _of(builders.in_order(arrivals), USUAL)


def _rows_with_labels() -> Stream:
    rows = []
    for seed, task in enumerate(("binary", "multiclass", "regression")):
        rows += [
            row | {"model": task, "prediction_id": f"{task}{row['prediction_id']}"}
            for row in builders.joined_rows(seed, task=task, count=900)
        ]
    return _of(sorted(rows, key=lambda row: row["timestamp_ms"]), ALL)


def _faults(kind: Callable[..., list[Event]]) -> Callable[[], Stream]:
    """Return what makes traffic of the fault suite, with what it watches.

    Whether a record that is far ahead is believed depends on what else is in its partition.
    """
    watched: Spec = {
        "reference": 200,
        "resolve_after": "10m",
        "windows": ["1h", "30m"],
        "thresholds": [
            {
                "name": "floor",
                "metric": "accuracy",
                "below": 0.88,
                "minimum": 20,
                "by": "value",
                "window": "1h",
            },
            {
                "name": "floor-eu",
                "metric": "accuracy",
                "segment": "region=eu",
                "below": 0.9,
                "minimum": 5,
                "by": "value",
                "window": "10m",
            },
        ],
        "drift": [{"name": "loss", "input": "loss", "parameters": {"delta": 0.05}}],
    }
    return lambda: _of(
        kind(6, count=500), watched, anyhow=False, disorder_ms=45_000 + 2 * MINUTE_MS
    )


def _demo() -> Stream:
    """The demo's traffic, with a simple model in the place of the one that learns."""
    rows = demo_model.shuttle_rows()[demo_model.TRAINING_ROWS :][:2_500]
    scenario = demo_model.plan_traffic(_as_sensors_say, rows, start_ms=START_MS, swap_only=True)
    watched = USUAL | {"windows": ["1m"]}
    return Stream([_demo_input(event) for event in scenario.events], watched, 60_000)


def _as_sensors_say(sensors: demo_model.Features) -> float:
    return min(max((sensors["f7"] - 30.0) / 40.0, 0.0), 1.0)


def _demo_input(event: demo_model.Sent) -> Input:
    if isinstance(event, demo_model.SentGarbage):
        return TOPICS.predictions, b"garbage", event.value
    assert not isinstance(event, demo_model.SentReading)
    ids = {"prediction_id": event.prediction_id, "timestamp_ms": event.timestamp_ms}
    if isinstance(event, demo_model.SentLabel):
        said = {"retract": True} if event.label is None else {"label": event.label}
        return as_inputs([ids | said])[0]
    fields = ("prediction", "score", "features", "latency_ms")
    model = {"model": demo_model.MODEL, "version": demo_model.VERSION}
    return as_inputs([ids | model | {name: getattr(event, name) for name in fields}])[0]


def _benchmark() -> Stream:
    """A load of the benchmarks: 20 models with 4 features, the usual monitors."""
    load, inputs = Load(events=6_000, models=20, features=4, spacing_ms=SECOND_MS), []
    for chunk in load.chunks():
        for topic, records in (
            (TOPICS.predictions, prediction_records(chunk)),
            (TOPICS.labels, label_records(chunk, delay_ms=load.delay_ms)),
        ):
            inputs += [(topic, one["key"].encode(), one["value"].encode()) for one in records]
    return Stream(inputs, USUAL | {"windows": ["30m"]}, 2 * HOUR_MS)


# --- all of them

STREAMS: dict[str, Callable[[], Stream]] = {
    "join cases": _join_cases,
    "history": lambda: _of(
        builders.delayed(builders.history(1, count=600), seed=1, bound_ms=MINUTE_MS)
    ),
    "history shuffled": lambda: _of(builders.shuffled(builders.history(2, count=400), seed=2)),
    "poison": _poison,
    "classes": _kinds_of_classes,
    "many classes": _many_classes,
    "regression": lambda: _late(
        builders.regression(5, count=1_500), SENSITIVE, bound_ms=5 * MINUTE_MS
    ),
    "drifting": _drifting,
    "rows with labels": _rows_with_labels,
    "faults mishaps": _faults(truth.mishaps),
    "faults skewed": _faults(truth.skewed),
    "faults without labels": _faults(truth.without_labels_for_a_while),
    "faults one a day ahead": _faults(truth.one_a_day_ahead),
    "faults one host fast": _faults(truth.one_host_fast),
    "demo": _demo,
    "benchmark": _benchmark,
    "every rule and detector": lambda: _late(
        traffic.mixed(21, count=450, span_ms=70 * MINUTE_MS), ALL, bound_ms=MINUTE_MS
    ),
    "every detector": lambda: _late(
        traffic.mixed(28, count=2_000, kinds=("scored", "chance", "numbers")),
        DETECTORS,
        bound_ms=MINUTE_MS,
    ),
    "kinds told": lambda: _late(traffic.mixed(22, count=180), _TOLD, bound_ms=MINUTE_MS),
    "kinds shuffled": lambda: _of(
        _shuffled([one.event for one in traffic.mixed(23, count=150)], 23), PLAIN
    ),
    "labels first": lambda: _of(
        sorted(
            builders.in_order(traffic.mixed(24, count=40)), key=lambda event: "label" not in event
        ),
        SENSITIVE,
    ),
    "short windows": lambda: _late(
        traffic.mixed(25, count=80, kinds=("scored", "numbers"), span_ms=HOUR_MS // 2),
        _SHORT,
        bound_ms=10 * SECOND_MS,
    )._replace(horizon_ms=5 * MINUTE_MS),
    "late for detectors": lambda: _late(
        traffic.mixed(26, count=50), SENSITIVE, bound_ms=20 * MINUTE_MS
    )._replace(disorder_ms=SECOND_MS, anyhow=False),
    "without features": lambda: _late(
        traffic.mixed(27, count=120), PLAIN | {"features": False}, bound_ms=MINUTE_MS
    ),
    "wild numbers": lambda: _of(oddities.wild()),
    "odd scores": lambda: _of(oddities.odd_scores(), PLAIN),
    "kinds shown": lambda: _of(oddities.shown()),
    "names": lambda: _of(oddities.names(), PLAIN),
    "wide": lambda: _of(oddities.wide(), PLAIN),
    "labels with predictions": lambda: _of(oddities.labels_with_predictions()),
    "delays": lambda: _of(oddities.delays()),
    "silence": lambda: _of(builders.in_order(oddities.silence())),
    "emptied windows": lambda: _of(oddities.emptied()),
}

_TOLD: Spec = PLAIN | {
    "models": {
        "scored": {"task": "multiclass"},
        "chance": {"task": "binary"},
        "words": {"task": "binary", "positive": "legit"},
        "other words": {"task": "binary", "positive": 0},
        "classes": {"task": "binary", "positive": "owl"},
        "numbers": {"task": "regression"},
    }
}
_SHORT: Spec = SENSITIVE | {
    "windows": [{"size": "5m", "hop": "1m"}, "2m"],
    "evaluate_every": "10s",
    "thresholds": with_window(SENSITIVE["thresholds"], "5m"),
}
