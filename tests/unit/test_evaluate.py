"""The monitor step: windows, their revisions, and detectors in the order of event time."""

import numpy as np
import pytest
from river import drift as river_drift

from streams.errors import StateError
from streams.evaluate import Monitor
from streams.monitors import DEFAULTS, Monitors, Window
from streams.topics import Topics
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, label, prediction, retraction
from tests.driver import Driver, as_inputs

HOPPING = Monitors(windows=(Window(30 * MINUTE_MS, 10 * MINUTE_MS),))


def test_a_metric_that_is_no_longer_defined_is_deleted() -> None:
    driver = Driver()
    driver.feed(as_inputs([prediction("a"), label("a")]))
    assert driver.value("accuracy") == 1.0

    driver.feed(as_inputs([retraction("a")]))

    assert {record["metric"] for record in driver.metrics.values()} == {
        "predictions",
        "labels",
        "coverage",
    }


@pytest.mark.parametrize(("end_after_ms", "final"), [(-1, False), (0, True)])
def test_a_window_is_final_a_horizon_after_its_end(end_after_ms: int, final: bool) -> None:
    driver = Driver()
    at_ms = START_MS + 10 * MINUTE_MS + HOUR_MS + end_after_ms

    driver.feed(as_inputs([prediction("a"), label("a")]))
    driver.feed(as_inputs([prediction("b", timestamp_ms=at_ms), label("b", timestamp_ms=at_ms)]))

    first = [r for r in driver.metrics.values() if r["window_start_ms"] == START_MS]
    assert {record["final"] for record in first} == {final}


def test_hopping_windows_overlap() -> None:
    driver = Driver(monitors=HOPPING)

    driver.feed(as_inputs([prediction("a"), prediction("b", timestamp_ms=START_MS + HOUR_MS // 6)]))

    counts = {
        (r["window_start_ms"] - START_MS) // MINUTE_MS: r["value"]
        for r in driver.metrics.values()
        if r["metric"] == "predictions"
    }
    assert counts == {-20: 1, -10: 2, 0: 2, 10: 1}


@pytest.mark.parametrize("late_minutes", range(125, 175, 5))
def test_a_late_prediction_never_makes_a_window_forget_earlier_ones(late_minutes: int) -> None:
    """What a window holds can only grow while predictions come."""
    driver = Driver(monitors=HOPPING)
    driver.feed(as_inputs([prediction(f"a{i}") for i in range(5)]))
    now_ms = START_MS + late_minutes * MINUTE_MS
    now = [prediction("z", timestamp_ms=now_ms), label("z", timestamp_ms=now_ms)]
    driver.feed(as_inputs(now))
    driver.feed(as_inputs([prediction("z2", timestamp_ms=now_ms)]))

    driver.feed(as_inputs([prediction("late", timestamp_ms=START_MS + 10 * MINUTE_MS)]))

    shared = driver.value("predictions", window_start_ms=START_MS)
    assert shared in (5, 6)


def test_the_loss_drifts_at_the_index_of_bare_river_in_the_order_of_label_time() -> None:
    rng = np.random.default_rng(11)
    wrong = np.concatenate([rng.random(800) < 0.1, rng.random(400) < 0.6])
    delays = rng.integers(1, HOUR_MS, size=len(wrong))
    made = [prediction(f"p{i}", timestamp_ms=START_MS + i * 10_000) for i in range(len(wrong))]
    said = [
        label(event["prediction_id"], timestamp_ms=event["timestamp_ms"] + int(d), label=1 - int(w))
        for event, d, w in zip(made, delays, wrong, strict=True)
    ]
    driver = Driver(partitions=3, disorder_ms=2 * HOUR_MS)
    events = sorted([*made, *said], key=lambda _: rng.random())

    driver.feed(as_inputs(events))
    driver.finish()

    order = np.argsort([event["timestamp_ms"] for event in said], kind="stable")
    bare, expected = river_drift.ADWIN(), []
    for index, value in enumerate(wrong[order].tolist()):
        bare.update(value)
        if bare.drift_detected:
            expected.append(index)
    found = [
        alert
        for alert in driver.alerts
        if alert["monitor"] == "loss-drift" and alert["state"] == "firing"
    ]
    assert found[0]["evidence"]["outcome_index"] == expected[0]
    assert found[0]["direction"] == "worse"
    assert found[0]["at_ms"] == said[order[expected[0]]]["timestamp_ms"]


@pytest.mark.parametrize(("monitors", "wait"), [(DEFAULTS, True), (Monitors(), False)])
def test_rows_wait_only_where_somebody_looks_at_them_in_order(
    monitors: Monitors, wait: bool
) -> None:
    driver = Driver(monitors=monitors, disorder_ms=HOUR_MS)

    driver.feed(as_inputs([prediction("a"), label("a")]))

    kept = [key for key in driver.monitor_logs[0] if b"rows" in key]
    assert bool(kept) == wait
    assert bool(driver.monitors[0].waiting) == wait
    assert driver.value("accuracy") == 1.0


def test_a_state_record_of_another_schema_is_refused() -> None:
    driver = Driver()
    driver.feed(as_inputs([prediction("a")]))
    key = next(iter(driver.monitor_logs[0]))

    with pytest.raises(StateError, match="schema"):
        driver.monitor.fold(driver.monitor.new_state(0), key, b"\x92\x63\xc0")
    with pytest.raises(StateError, match="jumps"):
        driver.join.fold(driver.joins[0], *driver.join_logs[0][0])


def test_state_of_other_windows_is_refused_by_name() -> None:
    """Panes of five minutes cannot be counted on as panes of one minute."""
    five = Monitor(Topics(), window_ms=300_000, horizon_ms=3_600_000)
    one = Monitor(Topics(), window_ms=60_000, horizon_ms=3_600_000)
    [(key, value)] = five.step(five.new_state(0), [], now_ms=0).state

    with pytest.raises(StateError, match=r"windows of 5m every 5m, the settings say 1m every 1m"):
        one.fold(one.new_state(0), key, value)
