"""What leaves the scan quiet: bursts, flags, cycles that a short reference does not know yet."""

from typing import Any

import numpy as np
import pytest

from streams.monitors import SCAN, Drift, Monitors
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut

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
