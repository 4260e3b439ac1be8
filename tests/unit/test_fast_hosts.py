"""Records from the future harm nobody else: neither one, nor a host's whose clock is hours fast."""

import random
import re
from typing import Any

import pytest

from streams.monitors import Drift, Monitors, Threshold
from streams.steps import Effects
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import BOTH, TOPICS, Driver, as_inputs, cut

DAY_MS = 24 * HOUR_MS
WATCHED = Monitors(
    thresholds=(
        Threshold(
            name="floor",
            metric="accuracy",
            kind="below",
            given=0.85,
            minimum=20,
            window="10m",
            by="value",
        ),
    ),
    drifts=(Drift(name="loss", input="loss", parameters={"delta": 0.4}),),
)
LABELS = frozenset({TOPICS.labels})

MANY = pytest.param(16, marks=pytest.mark.long)


def traffic(seed: int, *, count: int, step_ms: int = 2_000, fast: float = 0.0) -> list[Event]:
    """Return predictions and their labels ten minutes later; of a share, times are 3 h ahead.

    The error of the model that is right doubles at half time, so that there is an alert.
    """
    luck, hosts = random.Random(seed), random.Random(seed + 1)
    arrivals: list[tuple[int, Event]] = []
    for number in range(count):
        at_ms = START_MS + number * step_ms
        wrong = int(luck.random() < (0.05 if number < count // 2 else 0.4))
        ahead_ms = 3 * HOUR_MS * (hosts.random() < fast)
        model = "fast" if ahead_ms else "right"
        name = f"{model}-{number}"
        guess = prediction(name, model=model, timestamp_ms=at_ms + ahead_ms)
        said_ms = at_ms + 10 * MINUTE_MS
        arrivals.append((at_ms, guess))
        said = label(name, timestamp_ms=said_ms + ahead_ms, label=1 - wrong)
        arrivals.append((said_ms, said))
    return [event for _, event in sorted(arrivals, key=lambda arrival: arrival[0])]


def of_the_right(driver: Driver) -> dict[str, Any]:
    """Return what is known of the model whose times are right."""
    metrics = {
        name: {k: v for k, v in record.items() if k not in ("revision", "final")}
        for name, record in driver.metrics.items()
        if record["model"] == "right"
    }
    alerts = [alert for alert in driver.alerts if alert["model"] == "right"]
    return {"metrics": metrics, "alerts": sorted(alerts, key=repr)}


def run(events: list[Event], *, partitions: int = 1, idle: frozenset[str] = frozenset()) -> Driver:
    driver = Driver(partitions=partitions, disorder_ms=5_000, monitors=WATCHED)
    for number, batch in enumerate(cut(as_inputs(events), [60, 7, 120])):
        driver.feed(batch)
        if number % 5 == 4:
            driver.feed([], idle=idle)
    driver.come_to(max(e["timestamp_ms"] for e in events if "right" in e["prediction_id"]))
    driver.feed([], idle=BOTH)
    return driver


@pytest.mark.parametrize("partitions", [1, 4, MANY])
def test_a_host_three_hours_fast_with_a_fifth_of_the_records_harms_only_its_own(
    partitions: int,
) -> None:
    events = traffic(1, count=2_000, fast=0.2)
    right = [event for event in events if "right" in event["prediction_id"]]
    alone = run(right)

    mixed = run(events, partitions=partitions, idle=LABELS)

    assert of_the_right(mixed) == of_the_right(alone)
    assert {alert["monitor"] for alert in alone.alerts} == {"floor", "loss"}
    assert mixed.fates == {"joined": 2 * 2_000}
    assert mixed.late_rows == 0


@pytest.mark.parametrize("partitions", [1, 4, MANY])
def test_the_clock_follows_a_host_that_sends_most_of_the_records(partitions: int) -> None:
    driver = run(traffic(1, count=4_000, fast=0.6), partitions=partitions)

    behind_ms = START_MS + 3 * HOUR_MS + 4_000 * 2_000 - driver.joins[0].clock_ms
    assert behind_ms < (5 * MINUTE_MS if partitions < 16 else 90 * MINUTE_MS)


@pytest.mark.parametrize("partitions", [1, 4, MANY])
@pytest.mark.parametrize("after", [0, 1, 1_500])
@pytest.mark.parametrize("what", ["prediction", "label", "both"])
def test_one_record_a_day_ahead_changes_nothing_for_others_whoever_is_idle(
    partitions: int, after: int, what: str
) -> None:
    events = traffic(2, count=1_000)
    alone = run(events)
    ahead = [prediction("x", model="other", timestamp_ms=START_MS + DAY_MS)] * (what != "label")
    ahead += [label("x", timestamp_ms=START_MS + DAY_MS)] * (what != "prediction")
    mixed = Driver(partitions=partitions, disorder_ms=5_000, monitors=WATCHED)

    mixed.feed(as_inputs(events[:after]))
    for record in as_inputs(ahead * 3):
        mixed.feed([record])
        mixed.feed([], idle=LABELS)
        mixed.feed([], idle=frozenset({TOPICS.predictions}))
        mixed.feed([], idle=BOTH)
    for batch in cut(as_inputs(events[after:]), [100]):
        mixed.feed(batch)
        mixed.feed([], idle=LABELS)
    mixed.come_to(max(event["timestamp_ms"] for event in events))
    mixed.feed([], idle=BOTH)

    assert of_the_right(mixed) == of_the_right(alone)
    assert mixed.fates["joined"] == 2_000 + 2 * (what == "both")
    assert mixed.late_rows == 0


@pytest.mark.parametrize("partitions", [1, MANY])
def test_a_stream_of_one_record_a_minute_advances(partitions: int) -> None:
    """Each input is idle between any two of its records."""
    events = traffic(3, count=300, step_ms=MINUTE_MS)
    driver = Driver(partitions=partitions, disorder_ms=5_000, monitors=WATCHED)

    behind_ms = []
    for event in events:
        driver.feed(as_inputs([event]), idle=BOTH)
        behind_ms.append(event["timestamp_ms"] - driver.monitors[0].watermark_ms)

    assert max(behind_ms[-200:]) < 30 * MINUTE_MS
    assert {alert["monitor"] for alert in driver.alerts} == {"loss"}
    assert driver.fates == {"joined": 600}


# --- what is said


def steps_of(events: list[Event]) -> tuple[Driver, list[str]]:
    driver = Driver(disorder_ms=5_000)
    said: list[str] = []
    step = driver.join.step

    def listening(*args: Any, **how: Any) -> Effects:
        effects = step(*args, **how)
        said.extend(effects.remarks)
        return effects

    driver.join.step = listening  # type: ignore[method-assign]
    for batch in cut(as_inputs(events), [60, 7, 120]):
        driver.feed(batch)
    return driver, said


def test_who_is_ahead_is_said_once_with_topic_partition_and_model() -> None:
    driver, said = steps_of(traffic(1, count=2_000, fast=0.1))
    state = driver.joins[0]

    assert len(said) == 2
    wanted = re.compile(r"/0 does not follow a record of model 'fast' that is (3h|2h59m)")
    assert all(wanted.search(line) for line in said)
    assert {line.split()[2] for line in said} == {"driftline.predictions/0", "driftline.labels/0"}
    assert [one.model for one in driver.join.ahead(state)] == ["fast", "fast"]
    assert all(one.records > 100 for one in driver.join.ahead(state))
    assert all(3 * HOUR_MS > one.ahead_ms > 2.9 * HOUR_MS for one in driver.join.ahead(state))
    assert len(driver.join.warnings(state)) == 2


def test_a_label_of_an_unknown_prediction_has_no_model() -> None:
    events = traffic(1, count=400)
    events.insert(600, label("nobody", timestamp_ms=START_MS + DAY_MS))

    _, said = steps_of(events)

    assert len(said) == 1
    assert "driftline.labels/0 does not follow a record that is 23h" in said[0]


def test_that_the_clock_follows_fast_records_is_said() -> None:
    _, said = steps_of(traffic(1, count=2_000, fast=0.6))

    follows = [line for line in said if "follows its fast records" in line]
    assert len(follows) >= 1
    assert "of model 'fast': " in follows[0]


def test_nothing_is_said_of_a_night_without_records_nor_of_a_regular_stream() -> None:
    evening, morning = traffic(1, count=500), traffic(2, count=500)
    for event in morning:
        event["prediction_id"] += "-2"
        event["timestamp_ms"] += 8 * HOUR_MS

    driver, said = steps_of([*evening, *morning])

    assert said == []
    assert driver.join.warnings(driver.joins[0]) == []
    assert {one.records for one in driver.join.ahead(driver.joins[0])} == {0}
