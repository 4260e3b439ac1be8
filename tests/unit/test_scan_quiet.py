"""What leaves the scan quiet: bursts, flags, cycles that a short reference does not know yet."""

import random
from typing import Any

import numpy as np
import pytest

from streams.monitors import SCAN, Drift, Monitors
from streams.scan.inputs import INPUTS
from streams.scan.inputs import label as label_of
from streams.scan.reference import NUMBER, SHARE
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import BOTH, Driver, as_inputs, cut

DAY_MS = 24 * HOUR_MS


def alerts_of(events: list[Event], *inputs: str) -> list[dict[str, Any]]:
    drifts = tuple(Drift(name=one, input=one, detector=SCAN) for one in inputs)
    driver = Driver(monitors=Monitors(drifts=drifts))
    for records in cut(as_inputs(events), [500]):
        driver.feed(records)
    driver.finish()
    return driver.alerts


def firing(alerts: list[dict[str, Any]]) -> list[str]:
    return [one["evidence"]["input"] for one in alerts if one["revision"] == 0]


def bursts(days: float, *, a_day: int, rows: int, seed: int) -> list[Event]:
    """Make predictions that come many within a minute, labelled some minutes later."""
    rng = np.random.default_rng(seed)
    starts = START_MS + rng.integers(0, int(days * DAY_MS), int(days * a_day))
    each = np.repeat(starts, rng.poisson(rows, len(starts)))
    events: list[Event] = []
    for number, at_ms in enumerate(np.sort(each + rng.integers(0, MINUTE_MS, len(each))).tolist()):
        name = f"m-{number}"
        events.append(prediction(name, timestamp_ms=at_ms, prediction=1))
        events.append(label(name, label=1, timestamp_ms=at_ms + 3 * MINUTE_MS))
    return sorted(events, key=lambda one: one["timestamp_ms"])


# --- counts


@pytest.mark.parametrize("seed", [1, 2])
def test_bursts_are_no_changes_of_traffic(seed: int) -> None:
    """Neither before a reference is known nor with one that has seen a few of them."""
    events = bursts(6, a_day=4, rows=200, seed=seed)

    found = alerts_of(events, "traffic", "labels")

    assert firing(found) == []


def test_a_level_of_counts_does_not_rest_on_one_pane() -> None:
    """A burst of 1,000 in ten minutes: what follows is told of half an hour, at least."""
    rng = np.random.default_rng(3)
    at = START_MS + np.sort(rng.integers(0, 5 * DAY_MS, 5 * 400))
    burst = START_MS + 4 * DAY_MS + rng.integers(0, 10 * MINUTE_MS, 1_000)
    times = np.sort(np.concatenate([at, burst])).tolist()
    events = [
        prediction(f"m-{number}", timestamp_ms=one, prediction=1)
        for number, one in enumerate(times)
    ]

    found = alerts_of(events, "traffic")

    assert found[0]["evidence"]["window"] == "10m"
    assert found[0]["value"] < 6 * 1_000 / 2


# --- features


def made(days: float, features: Any, *, a_day: int = 300, seed: int = 4) -> list[Event]:
    """Make predictions with features that a function says of times since the first."""
    rng = np.random.default_rng(seed)
    at_ms = np.sort(rng.integers(0, int(days * DAY_MS), int(days * a_day)))
    columns = features(rng, at_ms)
    return [
        prediction(
            f"m-{number}",
            timestamp_ms=START_MS + one,
            prediction=1,
            features={name: float(values[number]) for name, values in columns.items()},
        )
        for number, one in enumerate(at_ms.tolist())
    ]


def test_hours_waves_and_sessions_are_no_changes_before_a_reference_is_known() -> None:
    """After a day, nobody can tell them from changes: what would be gross is only noted."""

    def features(rng: np.random.Generator, at_ms: np.ndarray) -> dict[str, np.ndarray]:
        wave = np.zeros(len(at_ms))
        for row in range(1, len(at_ms)):
            wave[row] = 0.99 * wave[row - 1] + rng.normal()
        session = np.cumsum(rng.random(len(at_ms)) < 1 / 20)
        each = rng.normal(0, 1, session[-1] + 1)[session]
        return {"hour": at_ms // HOUR_MS % 24, "wave": wave, "session": each}

    found = alerts_of(made(5, features), "features")

    assert firing(found) == []


def test_flags_are_shares_that_have_no_spread_also_after_a_restart() -> None:
    def features(rng: np.random.Generator, at_ms: np.ndarray) -> dict[str, np.ndarray]:
        rate = np.where(at_ms < 5 * DAY_MS, 0.02, 0.2)
        return {"flag": rng.random(len(at_ms)) < rate, "age": rng.normal(50, 10, len(at_ms))}

    drift = Drift(name="features", input="features", detector=SCAN)
    driver = Driver(monitors=Monitors(drifts=(drift,)))
    for records in cut(as_inputs(made(6, features)), [350]):
        driver.restart(random.Random(1))
        driver.feed(records, idle=BOTH)
    driver.finish()

    lanes = driver.monitors[0].scan.lanes
    kinds = {
        label_of(name[1], name[2]): int(lanes["kind"][lane])
        for lane, name in enumerate(lanes.names)
        if name is not None and INPUTS[name[1]].watched == "features"
    }
    assert kinds == {
        "feature:flag": SHARE,
        "feature:age": NUMBER,
        "feature:age:spread": NUMBER,
    }
    assert firing(driver.alerts) == ["feature:flag"]
    assert driver.alerts[0]["value"] == pytest.approx(0.2, abs=0.1)
