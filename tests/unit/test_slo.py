"""Error budgets and burn rates: which windows must agree, which rates can be reached."""

import random
from typing import Any

import pytest

from streams.errors import ConfigError
from streams.monitors_file import parse_monitors
from tests.builders import HOUR_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut

SLO = {"metric": "accuracy", "objective": 0.98, "period": "3d", "minimum": 20}


def hours(*rates: float, per_hour: int = 60, labelled: float = 1.0) -> list[Event]:
    """Make traffic with a share of right answers in each hour, spread evenly."""
    events = []
    for hour, share in enumerate(rates):
        for i in range(per_hour):
            name, at_ms = f"{hour}-{i}", START_MS + hour * HOUR_MS + i * HOUR_MS // per_hour
            events.append(prediction(name, timestamp_ms=at_ms))
            if i % 10 < labelled * 10:
                right = int((i * 37) % per_hour < share * per_hour)
                events.append(label(name, timestamp_ms=at_ms, label=right))
    return events


def told(events: list[Event], *, size: int = 0, **slo: Any) -> list[tuple[str, str, float]]:
    """Return monitor, state and hour of the alerts."""
    rule = {"name": "s", "slo": SLO | slo}
    driver = Driver(monitors=parse_monitors({"thresholds": [rule], "defaults": False}))
    inputs = as_inputs(events)
    for turn, batch in enumerate(cut(inputs, [size]) if size else [inputs]):
        driver.feed(batch)
        if size and turn % 4 == 0:
            driver.restart(random.Random(turn))
    driver.finish()
    for alert in driver.alerts:
        slo_of = alert["evidence"]["slo"]
        assert slo_of["burn_rate"] > slo_of["burn_rate_limit"]
    return [(a["monitor"], a["state"], (a["at_ms"] - START_MS) / HOUR_MS) for a in driver.alerts]


def test_an_objective_is_a_rule_for_every_rate_that_can_be_reached() -> None:
    def rules(objective: float, metric: str = "accuracy") -> list[tuple[str, float]]:
        slo = {"metric": metric, "objective": objective}
        found = parse_monitors({"thresholds": [{"name": "s", "slo": slo}], "defaults": False})
        return [(one.name, round(one.given, 9)) for one in found.thresholds]

    assert rules(0.99) == [("s/1h", 0.856), ("s/6h", 0.94), ("s/3d", 0.99), ("s/period", 0.99)]
    assert rules(0.9) == [("s/6h", 0.4), ("s/3d", 0.9), ("s/period", 0.9)]
    assert rules(0.99, "error_rate")[:2] == [("s/1h", 0.144), ("s/6h", 0.06)]


@pytest.mark.parametrize("size", [0, 700])
def test_a_fast_burn_fires_within_the_hour_and_is_over_with_its_short_window(size: int) -> None:
    found = told(hours(*[1.0] * 8, 0.2, 0.2, *[1.0] * 6), size=size)

    fast = [(state, hour) for name, state, hour in found if name == "s/1h"]
    assert [state for state, _ in fast] == ["firing", "resolved"]
    assert 8 < fast[0][1] < 9
    assert 10 < fast[1][1] < 10.2


@pytest.mark.parametrize("size", [0, 900])
def test_a_slow_burn_is_found_by_the_long_windows_alone(size: int) -> None:
    """4 % wrong is twice too fast for an objective of 98 %, and no more."""
    found = told(hours(*[1.0] * 30, *[0.95] * 60), size=size)

    assert {name for name, _, _ in found} == {"s/3d", "s/period"}
    assert found[0][1] == "firing"


def test_one_that_is_past_does_not_fire_though_its_long_window_is_beyond() -> None:
    """Half an hour of errors are beyond 14.4 times the budget of the hour, if they still go on."""
    events = hours(*[1.0] * 8, 0.0, *[1.0] * 6)
    start_ms, end_ms = START_MS + 8 * HOUR_MS, START_MS + 8 * HOUR_MS + 4 * 60_000
    for one in events:
        if one["timestamp_ms"] >= end_ms and one["timestamp_ms"] < start_ms + HOUR_MS:
            one.update({"label": 1} if "label" in one else {})

    assert [one for one in told(events) if one[0] == "s/1h"] == []


def test_too_few_labels_of_the_predictions_are_no_ground_to_judge() -> None:
    bad = [*[1.0] * 8, *[0.2] * 3]

    assert told(hours(*bad, labelled=0.3), minimum_coverage=0.5, minimum=10) == []
    assert told(hours(*bad, labelled=0.3), minimum_coverage=0.2, minimum=10) != []


@pytest.mark.parametrize(
    ("slo", "says"),
    [
        ({"objective": 1}, "threshold 's': slo: objective: 1 leaves an error budget of 0"),
        ({"objective": 0}, "objective: 0 leaves an error budget that is none"),
        ({"objective": 99}, "objective: 99 leaves an error budget that is none"),
        ({"metric": "latency_p95_ms"}, "slo: metric: 'latency_p95_ms' is no share"),
        ({"metric": "mean:amount"}, "is no share that is good or bad"),
        ({"metric": "acuracy"}, "metric: 'acuracy' is unknown; did you mean accuracy?"),
        ({"period": "90d"}, "slo: period: '90d' is not between 3d and 35d"),
        ({"period": "1h"}, "slo: period: '1h' is not between 3d and 35d"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(slo: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_monitors({"thresholds": [{"name": "s", "slo": SLO | slo}]})
