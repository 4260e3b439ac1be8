"""Rules on how far the segments of a key are apart."""

import random
from typing import Any

import msgspec
import pytest

from streams.chosen import Choice
from streams.errors import ConfigError
from streams.monitors import Monitors, Threshold, Window
from streams.monitors_file import parse_monitors
from streams.specification import write_specification
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs

WINDOW_MS = 10 * MINUTE_MS
RULES = tuple(
    Threshold(
        name=name, metric=metric, kind=kind, given=limit, minimum=30, window="10m", by="value"
    )
    for name, metric, kind, limit in (
        ("unfair", "selection_rate_ratio:region", "below", 0.8),
        ("worse", "error_difference:region", "above", 0.3),
    )
)
MONITORS = Monitors(
    windows=(Window(WINDOW_MS, WINDOW_MS),),
    metrics=(Choice(include=("selection_rate_ratio", "error_difference")),),
    thresholds=RULES,
    drifts=(),
)


def rows(*shares: tuple[float, float]) -> list[Event]:
    """Return 100 rows of eu and of us in every window, of which such shares are positive."""
    found = []
    for window, pair in enumerate(shares):
        for number in range(200):
            share, region = pair[number % 2], ("eu", "us")[number % 2]
            at_ms = START_MS + window * WINDOW_MS + number * 3_000
            name = f"p{window}-{number}"
            said = int(number // 2 % 10 < 10 * share)
            segments = {"region": region, "team": str(number % 3)}
            found.append(prediction(name, timestamp_ms=at_ms, prediction=said, segments=segments))
            found.append(label(name, timestamp_ms=at_ms + 500, label=1))
    return found


FAIR, UNFAIR = (0.6, 0.6), (0.8, 0.1)
EVENTS = rows(FAIR, FAIR, UNFAIR, FAIR, FAIR)


def fed(
    events: list[Event], *specs: bytes, size: int = 4_000, restart: bool = False, **how: Any
) -> Driver:
    driver = Driver(**{"monitors": MONITORS, "disorder_ms": MINUTE_MS, **how})
    for one in specs:
        driver.specify(one)
    for start in range(0, len(events), size):
        driver.feed(as_inputs(events[start : start + size]))
        if restart:
            driver.restart(random.Random(start))
    driver.finish()
    return driver


def states(driver: Driver, monitor: str = "unfair") -> list[tuple[str, int]]:
    return [
        (one["state"], (one["at_ms"] - START_MS) // MINUTE_MS)
        for one in driver.alerts
        if one["monitor"] == monitor
    ]


def test_a_rule_on_segments_that_are_apart_fires_while_they_are() -> None:
    driver = fed(EVENTS)

    assert states(driver) == [("firing", 22), ("resolved", 39)]
    assert [state for state, _ in states(driver, "worse")] == ["firing", "resolved"]


def test_a_rule_sees_what_is_published_of_the_same_window() -> None:
    seldom = msgspec.structs.replace(MONITORS, evaluate_ms=WINDOW_MS)
    driver = fed(EVENTS, monitors=seldom)

    published = {
        (one["metric"], one["window_end_ms"]): [one[k] for k in ("value", "low", "high", "count")]
        for one in driver.metrics.values()
    }
    firing = [one for one in driver.alerts if one["state"] == "firing"]
    assert {one["monitor"] for one in firing} == {"unfair", "worse"}
    for one in firing:
        seen = one["evidence"]
        found = [one["value"], seen["low"], seen["high"], seen["count"]]
        assert found == published[seen["metric"], one["at_ms"]]


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("size", [37, 500])
def test_alerts_are_the_same_for_any_cuts_partitions_and_restarts(
    size: int, partitions: int
) -> None:
    again = fed(EVENTS, size=size, partitions=partitions, restart=True)

    assert again.alerts == fed(EVENTS).alerts


def test_a_rule_that_comes_later_waits_for_a_window_of_which_all_segments_are_counted() -> None:
    """Panes are ten minutes long, so it takes effect at minute 30; rows before have no segment."""
    other = msgspec.structs.replace(RULES[0], name="other", metric="coverage", given=0.01)
    before = msgspec.structs.replace(MONITORS, thresholds=(other,))
    rule = {
        "name": "unfair",
        "metric": "selection_rate_ratio:region",
        "below": 0.8,
        "window": "10m",
        "by": "value",
    }
    at_ms = START_MS + 22 * MINUTE_MS
    content = {"thresholds": [rule], "defaults": False}
    spec = write_specification(content, effective_ms=at_ms)

    driver = fed(rows(UNFAIR, UNFAIR, UNFAIR, UNFAIR, UNFAIR), spec, monitors=before, size=100)

    assert states(driver)[0] == ("firing", 40)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"metric": "selection_rate_ratio"}, "needs a key: selection_rate_ratio:<key>"),
        ({"segment": "region=eu"}, "compares all segments of a key; leave it out"),
        ({"falls_by": 0.1, "below": None}, "there is no reference, since which segments"),
    ],
)
def test_what_makes_no_sense_is_refused(rule: dict[str, Any], said: str) -> None:
    usual = {"name": "unfair", "metric": "selection_rate_ratio:region", "below": 0.8}
    told = {key: value for key, value in (usual | rule).items() if value is not None}

    with pytest.raises(ConfigError, match=said):
        parse_monitors({"thresholds": [told]})
