"""Rules that nothing in recorded traffic could have made fire are named."""

import json
from typing import Any

import pytest

from streams.dryrun import Arrival
from streams.monitors_file import parse_monitors
from streams.rehearsal import Rehearsal, unmet
from streams.topics import Topics
from streams.topology import build
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction

TOPICS = Topics()


def rehearsed(events: list[tuple[str, Event]], data: dict[str, Any]) -> list[str]:
    monitors = parse_monitors({"defaults": False, **data})
    lengths = {"window_ms": MINUTE_MS, "horizon_ms": 60 * MINUTE_MS, "disorder_ms": 0}
    run = Rehearsal(*build(TOPICS, **lengths, partitions=2, monitors=monitors), partitions=2)
    arrivals = [
        Arrival(topic, event["prediction_id"].encode(), json.dumps(event).encode(), -1, place)
        for place, (topic, event) in enumerate(events)
    ]
    run.feed(arrivals, now_ms=START_MS)
    run.feed([], now_ms=START_MS, idle=frozenset(run.join.inputs))
    run.publish(now_ms=START_MS)
    return list(unmet(monitors, run))


def traffic() -> list[tuple[str, Event]]:
    """Make a binary model with a feature and a segment, one of three classes, and a regression."""
    events = []
    for number in range(60):
        at = {"timestamp_ms": START_MS + 1_000 * number}
        answers = {
            "fraud": (number % 2, 0, {"score": 0.4}),
            "pets": (("cat", "dog", "fox")[number % 3], "dog", {}),
            "price": (number + 0.5, number + 0.25, {}),
        }
        for model, (said, true, more) in answers.items():
            name = f"{model}{number}"
            fields = {"model": model, "version": "1", "prediction": said, **at, **more}
            shown = {"features": {"age": number}, "segments": {"channel": "web"}}
            events.append((TOPICS.predictions, prediction(name, **fields, **shown)))
            events.append((TOPICS.labels, label(name, label=true, **at)))
    return events


def rule(**fields: Any) -> dict[str, Any]:
    return {
        "thresholds": [
            {"name": "a", "metric": "accuracy", "below": 0.9, "minimum": 60, "window": "1m"}
            | fields
        ]
    }


def drift(**fields: Any) -> dict[str, Any]:
    return {"drift": [{"name": "d", "input": "loss"} | fields]}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (rule(model="frauds"), "threshold 'a': model: 'frauds' never came; did you mean fraud?"),
        (rule(version="2"), "threshold 'a': version: '2' never came; known are 1"),
        (rule(segment="channel=wbe"), "segment: 'channel=wbe' never came; did you mean channel=w"),
        (rule(metric="mean:aeg"), "metric: feature 'aeg' never came; did you mean age?"),
        (rule(metric="recall:cow"), "metric: class 'cow' never occurred"),
        (rule(model="fraud", metric="mae", above=1, below=None), "'mae' was never there; what th"),
        (rule(model="price"), "metric: 'accuracy' was never there"),
        (rule(model="pets", metric="roc_auc"), "metric: 'roc_auc' was never there"),
        (drift(model="cats"), "drift 'd': model: 'cats' never came; did you mean pets?"),
        (drift(input="feature:aeg"), "drift 'd': input: feature 'aeg' never came; did you mean a"),
        (
            rule(minimum=61),
            "threshold 'a': minimum: 61 is never reached: 1m had 60 labels at most",
        ),
        (
            rule(metric="mean:age", minimum=61, window="2m", segment="channel=web"),
            "minimum: 61 is never reached: 2m had 60 predictions at most",
        ),
        (
            rule(falls_by=0.1, below=None),
            "threshold 'a': falls_by: its reference needs 1,000 labels: there were 60",
        ),
        (
            rule(beyond_sigma=4, below=None, window="10s", minimum=1),
            "threshold 'a': beyond_sigma: it never had learnt what is usual: from ",
        ),
        (
            rule(metric="predictions", rises_by=0.5, below=None),
            "rises_by: its reference needs 1,000 predictions: there were 60",
        ),
        ({"models": {"frauds": {}}}, "model 'frauds' never came; did you mean fraud?"),
        (
            {"models": {"frauds*": {"owner": "a"}}},
            "model 'frauds*' never came; did you mean fraud?",
        ),
        (
            {"models": {"pets": {"task": "binary", "positive": "dogs"}}},
            "model 'pets': positive: 'dogs' never occurred; did you mean dog?",
        ),
    ],
)
def test_what_never_came_is_named(data: dict[str, Any], says: str) -> None:
    found = rehearsed(traffic(), data)

    assert [says in one for one in found] == [True], found


@pytest.mark.parametrize(
    "data",
    [
        rule(),
        rule(model="fr*", segment="channel=web"),
        rule(metric="mean:age"),
        rule(model="pets", metric="recall:dog"),
        rule(model="price", metric="mae", above=1, below=None),
        rule(metric="labels", below=5, minimum=1_000),
        rule(metric="coverage", falls_by=0.1, below=None) | {"reference": 60},
        drift(input="feature:age"),
        drift(input="features"),
        {"models": {"fraud": {"task": "binary", "positive": 1, "owner": "a"}}},
        {"models": {"fr*": {"owner": "a"}}},
        {},
    ],
)
def test_what_came_is_not_named(data: dict[str, Any]) -> None:
    assert rehearsed(traffic(), data) == []


def test_a_class_that_is_only_predicted_has_come() -> None:
    events = [(topic, event) for topic, event in traffic() if topic == TOPICS.predictions]
    models = {"models": {"pets": {"task": "binary", "positive": "fox"}}}

    assert rehearsed(events, models) == []
