"""How long predictions waited and what they cost, of features that are called so."""

import math
import random
from typing import Any

import numpy as np
import pytest

from streams.monitors import Monitors, Threshold, Window
from tests.builders import MINUTE_MS, START_MS, Event, prediction
from tests.driver import Driver, as_inputs

WINDOW_MS = 10 * MINUTE_MS
RULE = Threshold(
    name="waits", metric="queue_p95_ms", kind="above", given=500.0, minimum=30, window="10m"
)
MONITORS = Monitors(windows=(Window(WINDOW_MS, WINDOW_MS),), thresholds=(RULE,), drifts=())


def rows(minutes: int = 20) -> list[Event]:
    luck = random.Random(3)
    found = []
    for number in range(minutes * 20):
        features: dict[str, Any] = {"age": luck.random(), "cost": luck.choice([0.1, 0.25, 1e-9])}
        slow = 1_000 if number >= 10 * 20 else 1
        features["queue_ms"] = luck.choice([None, "soon", slow * luck.uniform(1, 2)])
        if number % 7 == 0:
            del features["cost"]
        segments = {"region": "eu" if number % 2 else "us"}
        at_ms = START_MS + number * 3_000
        event = prediction(
            f"p{number}", timestamp_ms=at_ms, prediction=1, features=features, segments=segments
        )
        found.append(event)
    return found


@pytest.fixture(scope="module")
def driver() -> Driver:
    found = Driver(monitors=MONITORS, disorder_ms=MINUTE_MS)
    plain = [
        prediction(f"q{n}", model="plain", timestamp_ms=START_MS + n * 3_000, features={"age": 1})
        for n in range(100)
    ]
    found.feed(as_inputs([*rows(), *plain]))
    found.finish()
    return found


def published(driver: Driver, metric: str, *, segment: str = "") -> dict[int, dict[str, Any]]:
    return {
        one["window_start_ms"]: one
        for one in driver.metrics.values()
        if one["metric"] == metric and one["segment"] == segment and one["model"] != "plain"
    }


@pytest.mark.parametrize(("segment", "own"), [("", None), ("region=eu", "eu")])
def test_costs_are_added_up_and_their_mean_is_of_predictions_that_tell_one(
    driver: Driver, segment: str, own: str | None
) -> None:
    costs = [
        one["features"]["cost"]
        for one in rows()
        if one["timestamp_ms"] < START_MS + WINDOW_MS
        and own in (None, one["segments"]["region"])
        and "cost" in one["features"]
    ]

    mean, total = (
        published(driver, name, segment=segment)[START_MS] for name in ("cost_mean", "cost_total")
    )

    assert total["value"] == math.fsum(costs)
    assert mean["value"] == pytest.approx(np.mean(costs), rel=1e-12)
    assert mean["low"] < mean["value"] < mean["high"]
    assert mean["count"] == total["count"] == len(costs)


def test_waiting_has_quantiles_of_numbers_alone(driver: Driver) -> None:
    waited = [
        one["features"]["queue_ms"]
        for one in rows()
        if one["timestamp_ms"] < START_MS + WINDOW_MS
        and isinstance(one["features"]["queue_ms"], float)
    ]

    for percent in (50, 95, 99):
        found = published(driver, f"queue_p{percent}_ms")[START_MS]
        expected = np.quantile(waited, percent / 100, method="inverted_cdf")
        assert found["value"] == pytest.approx(expected, rel=0.01)
        assert found["count"] == len(waited)


def test_a_model_that_tells_neither_has_none_of_these(driver: Driver) -> None:
    names = {one["metric"] for one in driver.metrics.values() if one["model"] == "plain"}

    assert "mean:age" in names
    assert not {name for name in names if name.startswith(("queue", "cost"))}


def test_a_rule_on_waiting_fires(driver: Driver) -> None:
    assert [(one["monitor"], one["state"]) for one in driver.alerts][:1] == [("waits", "firing")]
    [first, *_] = driver.alerts
    assert first["evidence"]["metric"] == "queue_p95_ms"
