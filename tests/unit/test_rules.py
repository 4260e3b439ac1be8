"""Threshold rules: when they fire, when they resolve, and what they must survive."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from streams.chosen import Choice
from streams.families import CATALOGUE
from streams.families.catalogue import Catalogue
from streams.families.family import ON_FATES, ON_READINGS, Part
from streams.monitors import Monitors, Threshold
from streams.rule_kinds import BY_NAME
from tests.builders import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Event,
    delayed,
    history,
    label,
    multiclass,
    prediction,
    regression,
)
from tests.driver import Driver, as_inputs, cut
from tests.examples import ALL


def minutes(*hits: float, per_minute: int = 20) -> list[Event]:
    """Make labelled traffic with this share of right predictions in each minute."""
    events = []
    for minute, share in enumerate(hits):
        for i in range(per_minute):
            at_ms = START_MS + minute * MINUTE_MS + i * MINUTE_MS // per_minute
            name = f"p{minute}-{i}"
            truth = int(i + 0.5 < share * per_minute)
            events.append(prediction(name, timestamp_ms=at_ms))
            events.append(label(name, timestamp_ms=at_ms, label=truth))
    return events


def states(driver: Driver) -> list[tuple[str, float]]:
    return [(a["state"], (a["at_ms"] - START_MS) / MINUTE_MS) for a in driver.alerts]


def told(rule: dict[str, Any]) -> dict[str, Any]:
    """Return, as a `Threshold` takes it, a rule that is written as in a monitors file."""
    found = {name: value for name, value in rule.items() if name not in BY_NAME}
    for kind in rule.keys() & set(BY_NAME):
        found |= {"kind": kind, "given": rule[kind]}
    return found


def watched(events: list[Event], *, disorder_ms: int = 0, **rule: Any) -> Driver:
    threshold = Threshold(
        **{"name": "r", "metric": "accuracy", "minimum": 5, "by": "value", **told(rule)}
    )
    monitors = Monitors(thresholds=(threshold,), reference=40)
    driver = Driver(monitors=monitors, disorder_ms=disorder_ms)
    driver.feed(as_inputs(events))
    driver.finish()
    return driver


def test_a_rule_fires_and_resolves_at_the_boundaries_of_its_window() -> None:
    driver = watched(minutes(1, 1, 0.5, 1, 1, 1), kind="below", given=0.8, window="2m")

    assert states(driver) == [("firing", 3), ("resolved", 5)]
    assert len({alert["alert_id"] for alert in driver.alerts}) == 1
    assert [alert["revision"] for alert in driver.alerts] == [0, 1]


@pytest.mark.parametrize("window", ["30s", "90s", "7s", "1m", "61s"])
def test_a_window_need_not_be_a_multiple_of_the_interval_of_evaluation(window: str) -> None:
    driver = watched(minutes(1, 0, 0, 1, 1, 1), kind="below", given=0.5, window=window, minimum=1)

    assert states(driver)[0] == ("firing", 2)
    assert states(driver)[-1][0] == "resolved"


def test_a_relative_rule_waits_for_its_reference() -> None:
    driver = watched(minutes(0.5, 0.5, 0.5, 0.3, 0.3), kind="falls_by", given=0.2, window="1m")

    assert states(driver) == [("firing", 4)]
    assert driver.alerts[0]["evidence"]["reference"] == 0.5


def test_too_few_labels_raise_no_alert() -> None:
    assert watched(minutes(0, per_minute=4), kind="below", given=0.5, window="1m").alerts == []


def test_an_interval_must_be_beyond_the_limit_as_a_whole() -> None:
    assert (
        watched(minutes(0.7, 0.7), kind="below", given=0.8, window="1m", by="interval").alerts == []
    )
    assert (
        watched(minutes(0.2, 0.2), kind="below", given=0.8, window="1m", by="interval").alerts != []
    )


AT_THE_LIMIT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "missing_rate:f of 0": ({"above": 0.0}, {"features": {"f": 1}}),
    "missing_rate:f of 1": ({"below": 1.0}, {"features": {"f": None}}),
    "mean:f": ({"above": 0.1}, {"features": {"f": 0.1}}),
    "accuracy": ({"below": 1.0}, {}),
    "coverage": ({"below": 1.0}, {}),
    "precision": ({"below": 1.0}, {}),
    "recall": ({"below": 1.0}, {}),
    "f1": ({"below": 1.0}, {}),
    "latency_p50_ms": ({"above": 100}, {"latency_ms": 100}),
    "latency_p99_ms": ({"above": 333.3}, {"latency_ms": 333.3}),
    "latency_p95_ms": ({"below": 0.007}, {"latency_ms": 0.007}),
    "label_delay_p50_ms": ({"above": 1_000}, {}),
    "label_delay_p95_ms": ({"above": 1_000}, {}),
    "brier": ({"above": 0.0}, {"score": 1.0}),
    "log_loss": ({"above": 0.0}, {"score": 1.0}),
}


@pytest.mark.parametrize("by", ["value", "interval"])
@pytest.mark.parametrize("metric", AT_THE_LIMIT)
def test_a_value_at_the_limit_is_not_beyond_it(metric: str, by: str) -> None:
    """However many observations there are, which is what rounding depends on."""
    limit, content = AT_THE_LIMIT[metric]
    name = metric.partition(" ")[0]
    events = []
    for minute in range(1, 30):
        for i in range(minute):
            at_ms, one = START_MS + minute * MINUTE_MS + i * 1_000, f"p{minute}-{i}"
            events.append(prediction(one, timestamp_ms=at_ms, **content))
            events.append(label(one, timestamp_ms=at_ms + 1_000))

    driver = watched(events, metric=name, by=by, window="1m", minimum=1, **limit)

    assert driver.alerts == []


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [(0.55, 0.495, {"falls_by": 0.1}), (0.15, 0.165, {"rises_by": 0.1})],
)
def test_rounding_puts_no_value_beyond_a_relative_limit(
    before: float, after: float, change: dict[str, float]
) -> None:
    """0.55 less a tenth is 0.49500000000000005, and 99 of 200 are 0.495."""
    driver = watched(minutes(before, after, before, per_minute=200), window="1m", **change)

    assert driver.alerts == []


def test_a_rule_waits_for_the_observations_that_its_metric_rests_on() -> None:
    """Of 20 answers 5 are positive and one of these right: precision rests on 5."""
    events = []
    for i in range(20):
        at_ms = START_MS + i * 3_000
        content = {"timestamp_ms": at_ms, "prediction": int(i < 5)}
        events += [prediction(f"p{i}", **content), label(f"p{i}", timestamp_ms=at_ms, label=i % 5)]
        events[-1]["label"] = int(i % 5 == 0)
    events += minutes(1, 1)[40:]

    def alerts(minimum: int) -> list[Event]:
        rule = {"metric": "precision", "below": 0.5, "window": "1m", "minimum": minimum}
        return watched(events, **rule).alerts

    assert [alert["evidence"]["count"] for alert in alerts(5)][:1] == [5]
    assert alerts(6) == []


def test_a_correction_takes_back_no_more_than_was_counted() -> None:
    """A late label counts for the rules, too: else its correction would leave less than nothing."""
    threshold = Threshold(
        name="r", metric="accuracy", kind="below", given=0.5, minimum=1, window="1h", by="value"
    )
    monitors = Monitors(thresholds=(threshold,))
    driver = Driver(monitors=monitors)
    now = START_MS + 30 * MINUTE_MS
    names = [f"a{i}" for i in range(20)]
    driver.feed(as_inputs([prediction(name) for name in names]))
    moved = [prediction("z", timestamp_ms=now), label("z", timestamp_ms=now)]
    driver.feed(as_inputs(moved))
    driver.come_to(now)

    driver.feed(as_inputs([label(name, timestamp_ms=START_MS + MINUTE_MS) for name in names]))
    driver.feed(as_inputs([label(name, timestamp_ms=now + MINUTE_MS, label=0) for name in names]))
    driver.feed(as_inputs([prediction("y", timestamp_ms=now + HOUR_MS // 2)]))
    driver.finish()

    assert driver.late_rows == 20
    assert [alert["value"] for alert in driver.alerts] == [1 / 21]


OF_FEATURES = CATALOGUE.of_part(Part.FEATURE)
OF_ROWS = {n: m for n, m in CATALOGUE.metrics.items() if m.rests_on not in (ON_READINGS, ON_FATES)}
KINDS = {
    "binary": lambda i: {"prediction": i % 2, "score": (i % 7) / 10, "label": i % 3 % 2},
    "multiclass": lambda i: {
        "prediction": "abc"[i % 3],
        "scores": {"a": 0.2, "b": 0.5, "c": 0.3},
        "label": "abc"[i % 5 % 3],
    },
    "regression": lambda i: {"prediction": i + 0.25, "label": i * 1.5},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "metric", [n for n, m in OF_ROWS.items() if not m.compares and m.part is not Part.KEY]
)
def test_a_rule_sees_the_value_that_is_published_of_its_window(kind: str, metric: str) -> None:
    """A rule merges only what its metric needs, and nothing where it would not judge."""
    events = []
    for i in range(60):
        content = KINDS[kind](i)
        at_ms, truth = START_MS + i * 1_000, content.pop("label")
        event = prediction(
            f"p{i}",
            timestamp_ms=at_ms,
            latency_ms=i,
            features={"f": i if i % 9 else "?", "cost": i / 8, "queue_ms": i},
            **content,
        )
        events += [event, label(f"p{i}", timestamp_ms=at_ms, label=truth)]
    later = START_MS + 2 * MINUTE_MS  # so that the clock passes the minute
    events += [prediction("z", timestamp_ms=later), label("z", timestamp_ms=later)]
    about = CATALOGUE.metrics[metric]
    of_class = kind == "multiclass" and not about.has_mean
    name = f"{metric}:f" if metric in OF_FEATURES else f"{metric}:a" if of_class else metric
    driver = exceeded(events, name, minimum=1)
    published = [
        (one["value"], one["low"], one["high"], one["count"])
        for one in driver.metrics.values()
        if one["metric"] == name and one["window_start_ms"] == START_MS
    ]

    assert bool(published) == (kind in about.tasks)
    assert first_minute(driver) == published
    for *_, count in published:
        assert first_minute(exceeded(events, name, minimum=count)) == published
        waits = published if about.counts else []
        assert first_minute(exceeded(events, name, minimum=count + 1)) == waits


def exceeded(events: list[Event], metric: str, *, minimum: int) -> Driver:
    rule = Threshold(
        name="r", metric=metric, kind="above", given=-1e9, minimum=minimum, window="1m", by="value"
    )
    monitors = Monitors(thresholds=(rule,), metrics=(Choice(include=("all",)),))
    driver = Driver(monitors=monitors, window_ms=MINUTE_MS)
    driver.feed(as_inputs(events))
    driver.finish()
    return driver


def first_minute(driver: Driver) -> list[tuple[float, ...]]:
    return [
        (alert["value"], *(alert["evidence"][key] for key in ("low", "high", "count")))
        for alert in driver.alerts
        if alert["at_ms"] == START_MS + MINUTE_MS
    ]


@pytest.mark.parametrize(
    "kind",
    [history, partial(multiclass, classes=("a", "b", "c")), regression],
    ids=["binary", "multiclass", "regression"],
)
def test_no_alert_is_lost_by_not_computing_what_would_not_be_judged(
    kind: Callable[..., list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With labels that come late, and in the first case corrections and a retraction."""
    rules = tuple(
        Threshold(
            name=f"{name}-{minimum}-{window}-{way}",
            minimum=minimum,
            window=window,
            **told(rule),
        )
        for name, about in OF_ROWS.items()
        if not about.compares and about.part is not Part.KEY
        for minimum in ((1, 5, 40, 60, 100, 200) if ALL else (1, 40, 200))
        for window in ("1m", "5m")
        for way, rule in ways(name if name not in OF_FEATURES else f"{name}:amount")
    )

    def run(seed: int) -> list[dict[str, object]]:
        events = delayed(kind(seed, count=300), seed=seed, bound_ms=MINUTE_MS)
        driver = Driver(monitors=Monitors(thresholds=rules, reference=50))
        for batch in cut(as_inputs(events), [70]):
            driver.feed(batch)
        driver.finish()
        return driver.alerts

    seeds = range(2 if ALL else 1)
    found = [run(seed) for seed in seeds]
    endless = np.iinfo(np.int64).max
    monkeypatch.setattr(
        Catalogue, "most_observations", lambda *given: np.full(given[-1].groups, endless)
    )

    assert [run(seed) for seed in seeds] == found
    for alerts in found:
        assert {alert["state"] for alert in alerts} >= {"firing", "resolved"}
        assert len({alert["monitor"] for alert in alerts}) > len(rules) / 10


def ways(metric: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rules that fire at once, and such as metrics of these histories cross both ways."""
    limits = {"recall": 0.5, "accuracy": 0.85, "predictions": 60, "labels": 60, "mae": 1.0}
    yield "always", {"metric": metric, "above": -1e9}
    yield "across", {"metric": metric, "above": limits.get(metric, 0.5)}
    yield "falls", {"metric": metric, "falls_by": 0.01}
    yield "eu", {"metric": metric, "above": -1e9, "segment": "region=eu"}


def test_a_rule_that_is_added_finds_its_reference_in_what_was_counted_before() -> None:
    accuracy = Threshold(
        name="r", metric="accuracy", kind="falls_by", given=0.9, window="1m", minimum=5, by="value"
    )
    area = Threshold(
        name="s", metric="roc_auc", kind="falls_by", given=0.1, window="1m", minimum=5, by="value"
    )
    driver = Driver(monitors=Monitors(thresholds=(accuracy,), reference=40))

    def minute(number: int, *, inverted: bool = False) -> None:
        events = []
        for i in range(20):
            at_ms, name = START_MS + number * MINUTE_MS + i * 3_000, f"p{number}-{i}"
            truth, score = i % 2, 0.9 if i % 2 else 0.1
            score = 1 - score if inverted else score
            events += [
                prediction(name, timestamp_ms=at_ms, prediction=truth, score=score),
                label(name, timestamp_ms=at_ms, label=truth),
            ]
        driver.feed(as_inputs(events))

    for number in range(5):
        minute(number)
    driver.monitor.monitors = Monitors(thresholds=(accuracy, area), reference=40)
    driver.restart(random.Random(1))
    for number in range(5, 9):
        minute(number)
    minute(9, inverted=True)
    minute(10)
    driver.finish()

    assert [(a["monitor"], a["state"]) for a in driver.alerts][:1] == [("s", "firing")]
    assert driver.alerts[0]["evidence"]["reference"] == 1.0
