"""Requests that failed: they count as that, and in nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitors import Monitors, Threshold
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, How, as_inputs, cut
from tests.examples import some


def failed(name: str, *, at_ms: int, **more: Any) -> Event:
    """Make a request that failed; it still says what was asked."""
    event = prediction(name, timestamp_ms=at_ms, features={"x": 1000.0}, **more)
    return {**event, "prediction": None, "score": None, "error": 'upstream: "timeout"'}


def traffic(count: int = 40) -> list[Event]:
    """Make predictions of which every fourth failed; nearly all have a label."""
    events: list[Event] = []
    for number in range(count):
        at_ms = START_MS + number * 5_000
        name = f"p{number}"
        if number % 4 == 3:
            events.append(failed(name, at_ms=at_ms))
        else:
            features = {"x": float(number % 3)}
            events.append(prediction(name, timestamp_ms=at_ms, score=0.75, features=features))
        if number % 7:
            events.append(label(name, timestamp_ms=at_ms + 1_000))
    return events


def run(events: list[Event], how: How, **options: Any) -> Driver:
    driver = Driver(
        partitions=how.partitions,
        window_ms=MINUTE_MS,
        horizon_ms=10 * MINUTE_MS,
        disorder_ms=MINUTE_MS,
        **options,
    )
    for records in cut(as_inputs(events), how.sizes):
        driver.feed(records)
    driver.finish()
    return driver


def values(driver: Driver) -> dict[tuple[int, str], tuple[float, int]]:
    return {
        (one["window_start_ms"], one["metric"]): (one["value"], one["count"])
        for one in driver.metrics.values()
    }


def test_the_error_rate_is_of_all_and_every_other_metric_of_the_rest() -> None:
    events = traffic()
    good = [one for one in events if int(one["prediction_id"][1:]) % 4 != 3]

    every, rest = (values(run(some, How([50]))) for some in (events, good))

    rates = {key: found for key, found in every.items() if key[1] == "error_rate"}
    assert [found for _, found in sorted(rates.items())] == [(0.25, 12)] * 3 + [(0.25, 4)]
    counted = ("error_rate", "predictions")
    assert {k: v for k, v in every.items() if k[1] not in counted} == {
        k: v for k, v in rest.items() if k[1] not in counted
    }
    assert every[START_MS, "predictions"] == (12, 12)
    assert every[START_MS, "missing_rate:x"] == (0, 9)


def test_each_label_ends_as_joined_and_none_waits() -> None:
    events = traffic()

    driver = run(events, How([7]))

    labelled = sum("label" in one for one in events)
    assert driver.fates["joined"] == 2 * labelled
    assert not driver.dead


@settings(max_examples=some(20))
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.sampled_from([1, 2, 5]),
    st.randoms(use_true_random=False),
)
def test_it_is_the_same_in_any_order_from_any_partitions(
    sizes: list[int], partitions: int, luck: Any
) -> None:
    events = traffic()
    at_once = run(events, How([len(events)]))
    luck.shuffle(events)

    other = run(events, How(sizes, partitions))

    assert values(other) == values(at_once)


def test_corrections_and_retractions_of_what_failed_enter_nothing() -> None:
    events = [failed("a", at_ms=START_MS), prediction("b", timestamp_ms=START_MS)]
    events += [label("a", timestamp_ms=START_MS + n, label=n % 2) for n in range(1, 4)]
    events.append({"prediction_id": "a", "timestamp_ms": START_MS + 9, "retract": True})
    events.append(label("b", timestamp_ms=START_MS + 9))

    found = values(run(events, How([1])))

    assert found[START_MS, "labels"] == (1, 1)
    assert found[START_MS, "coverage"] == (1.0, 1)


def test_a_label_that_carries_a_request_that_failed_enters_nothing() -> None:
    own = {"model": "m", "prediction": 1, "error": True}
    events = [label("a", timestamp_ms=START_MS) | own, prediction("b", timestamp_ms=START_MS)]

    found = values(run(events, How([2])))

    assert found[START_MS, "error_rate"] == (0.5, 2)
    assert (START_MS, "accuracy") not in found


@pytest.mark.parametrize("error", [None, "", False, 0, {}, []])
def test_what_says_no_error_is_none(error: Any) -> None:
    found = values(run([prediction("a", timestamp_ms=START_MS) | {"error": error}], How([1])))

    assert found[START_MS, "error_rate"] == (0.0, 1)


def test_a_prediction_without_answer_and_without_error_is_refused() -> None:
    driver = run([prediction("a", timestamp_ms=START_MS) | {"prediction": None}], How([1]))

    assert driver.dead == ["invalid_prediction"]


def test_a_rule_on_the_error_rate_fires() -> None:
    rule = Threshold(
        name="errors",
        metric="error_rate",
        kind="above",
        given=0.2,
        minimum=5,
        by="value",
        window="10m",
    )
    events = traffic()
    events.append(prediction("late", timestamp_ms=START_MS + 30 * MINUTE_MS))

    driver = run(events, How([20]), monitors=Monitors(thresholds=(rule,)))

    assert {one["monitor"] for one in driver.alerts} == {"errors"}
