"""Rules on how many predictions and labels there are."""

import random
from typing import Any

import pytest

from streams.monitors import Monitors, Threshold
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut


def traffic(*per_minute: int, model: str = "m", start_ms: int = 0, **fields: Any) -> list[Event]:
    """Make so many predictions with their labels in each minute, evenly."""
    events = []
    for minute, count in enumerate(per_minute):
        for i in range(count):
            at_ms = START_MS + start_ms + minute * MINUTE_MS + i * MINUTE_MS // count
            name = f"{model}{minute}-{i}"
            events.append(prediction(name, model=model, timestamp_ms=at_ms, **fields))
            events.append(label(name, timestamp_ms=at_ms))
    return events


def alerts(events: list[Event], *, restart: bool = False, **rule: Any) -> list[tuple[str, float]]:
    """Return state and minute of the alerts of a rule on `m`; another model moves the clock."""
    rule = {"name": "r", "metric": "predictions", "model": "m", "window": "1m", **rule}
    driver = Driver(monitors=Monitors(thresholds=(Threshold(**rule),), reference=200))
    others = traffic(*[2] * 45, model="other")
    for batch in cut(as_inputs(sorted(events + others, key=lambda e: e["timestamp_ms"])), [60]):
        driver.feed(batch)
        if restart:
            driver.restart(random.Random(1))
    driver.finish()
    return [(a["state"], (a["at_ms"] - START_MS) / MINUTE_MS) for a in driver.alerts]


@pytest.mark.parametrize("metric", ["predictions", "labels"])
@pytest.mark.parametrize("window", ["30s", "1m", "90s", "5m"])
def test_steady_traffic_is_as_much_as_that_of_the_reference(metric: str, window: str) -> None:
    """40 a minute are not few because the reference has 200 records."""
    steady = traffic(*[40] * 20)

    for change in ({"kind": "falls_by", "given": 0.2}, {"kind": "rises_by", "given": 0.2}):
        found = alerts(steady, metric=metric, window=window, **change)
        assert [one for one in found if one[1] < 20] == []


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("metric", ["predictions", "labels"])
def test_traffic_that_halves_or_doubles_is_found(metric: str, restart: bool) -> None:
    halved = alerts(
        traffic(*[40] * 10, *[19] * 5, *[40] * 5), metric=metric, kind="falls_by", given=0.5
    )
    doubled = alerts(
        traffic(*[40] * 10, *[81] * 3, *[40] * 5),
        metric=metric,
        kind="rises_by",
        given=1.0,
        restart=restart,
    )

    assert halved[:2] == [("firing", 11), ("resolved", 16)]
    assert doubled == [("firing", 11), ("resolved", 14)]


def test_a_count_waits_for_no_number_of_observations() -> None:
    """The default minimum of 100 would make 4 below 20 impossible."""
    assert alerts(traffic(*[40] * 9, *[4] * 4, *[40] * 32), kind="below", given=20) == [
        ("firing", 10),
        ("resolved", 14),
    ]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("metric", ["predictions", "labels"])
@pytest.mark.parametrize(
    ("window", "fires", "resolves"), [("1m", 10, 31), ("90s", 11, 31), ("7m", 13, 34)]
)
def test_silence_is_seen_while_others_move_the_clock(
    metric: str, window: str, fires: int, resolves: int, restart: bool
) -> None:
    events = traffic(*[40] * 9) + traffic(*[40] * 15, start_ms=30 * MINUTE_MS, segments={"n": "2"})
    for event in events[9 * 80 :]:
        event["prediction_id"] += "again"

    found = alerts(
        events, metric=metric, window=window, kind="below", given=125 if window == "7m" else 20
    )

    assert found == [("firing", fires), ("resolved", resolves)]


@pytest.mark.parametrize("window", ["40s", "1m", "10m"])
def test_only_the_last_window_of_a_silent_model_tells_that_it_is_silent(window: str) -> None:
    """Even where the boundaries of its panes are not those at which rules are evaluated."""
    found = alerts(traffic(*[40] * 12), window=window, kind="below", given=1)

    assert found == [("firing", 22 if window == "10m" else 13)]


def test_a_model_that_starts_in_the_middle_of_a_window_has_not_fallen_silent() -> None:
    started = traffic(*[40] * 30, start_ms=50_000)

    found = alerts(started, window="5m", kind="below", given=150)

    assert [one for one in found if one[1] < 30] == []


def test_a_segment_that_never_came_is_not_silent() -> None:
    assert alerts(traffic(*[40] * 9), segment="region=eu", kind="below", given=20) == []


def test_a_segment_falls_silent_alone() -> None:
    both = traffic(*[40] * 9, segments={"region": "eu"}) + traffic(*[40] * 20, model="m2")
    for event in both:
        if event.get("model") == "m2":
            event |= {"model": "m", "segments": {"region": "us"}}

    assert alerts(both, segment="region=eu", kind="below", given=20) == [("firing", 10)]
