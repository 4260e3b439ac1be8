"""Where nothing comes, time passes all the same: softly, so that what comes after all counts."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import BOTH, Driver, as_inputs, contents, cut, disorder_of
from tests.unit.test_join_state import folded
from tests.unit.test_properties import QUICK, SENSITIVE, sizes, traffic

DAY_MS = 24 * HOUR_MS


def few(count: int = 30) -> list[Event]:
    """Return a prediction a second, and a label of every other one."""
    return [
        event
        for n in range(count)
        for event in (
            prediction(f"p{n}", timestamp_ms=START_MS + 1_000 * n),
            *([label(f"p{n}", timestamp_ms=START_MS + 1_000 * n)] * (n % 2)),
        )
    ]


def wait(driver: Driver, *ticks_ms: int) -> None:
    driver.feed([], idle=BOTH)
    for tick_ms in ticks_ms:
        driver.feed([], idle=BOTH, tick_ms=tick_ms)


@pytest.mark.parametrize("partitions", [1, 3])
def test_windows_become_final_and_predictions_unlabelled_by_the_time_that_passes(
    partitions: int,
) -> None:
    driver = Driver(partitions=partitions)
    driver.feed(as_inputs(few(90)))
    wait(driver, 60 * MINUTE_MS)
    assert {record["final"] for record in driver.metrics.values()} == {False}
    assert sum(state.pending for state in driver.joins) > 0

    wait(driver, 11 * MINUTE_MS)

    assert {record["final"] for record in driver.metrics.values()} == {True}
    assert sum(state.pending for state in driver.joins) == 0
    assert sum(state.fates["unlabelled"] for state in driver.joins) == 45


def test_nothing_passes_as_long_as_one_partition_has_something_to_read() -> None:
    driver = Driver(partitions=2)
    driver.feed(as_inputs(few(90)))
    states = driver.joins

    wait(driver)
    for _ in range(3):
        effects = driver.join.step(
            states[0], [], now_ms=driver.now_ms, idle=BOTH, tick_ms=10 * HOUR_MS
        )
        driver._append(driver.join_logs[0], effects)
        outcomes: dict[int, list[bytes]] = {0: [], 1: []}
        driver._join_effects(effects, outcomes)
        for partition, values in outcomes.items():
            driver._evaluate(partition, values)

    assert {record["final"] for record in driver.metrics.values()} == {False}


def test_a_clock_that_is_not_known_is_not_made_up() -> None:
    driver = Driver()
    driver.feed(as_inputs([prediction("a")]))

    wait(driver, DAY_MS, DAY_MS)

    assert driver.joins[0].clock_ms == driver.monitors[0].watermark_ms == -1
    assert {record["final"] for record in driver.metrics.values()} == {False}
    assert driver.joins[0].pending == 1


def test_what_comes_again_opens_what_the_time_had_closed() -> None:
    driver = Driver(disorder_ms=MINUTE_MS)
    driver.feed(as_inputs(few()))
    wait(driver, 10 * DAY_MS)
    assert driver.joins[0].pending == 0

    driver.feed(as_inputs([prediction("next", timestamp_ms=START_MS + 31_000)]))

    assert driver.joins[0].pending == 16
    assert driver.joins[0].fates["unlabelled"] == 0
    driver.feed(as_inputs([label("p0", timestamp_ms=START_MS + MINUTE_MS)]))
    assert driver.joins[0].pending == 15
    assert driver.fates == {"joined": 32, "unlabelled": 15}


def lasting(driver: Driver) -> dict[str, Any]:
    """Return all results but for whether windows that nothing came to since are final."""
    result = driver.result()
    for record in result["metrics"].values():
        del record["final"]
    return result


@QUICK
@given(traffic(), sizes, st.sampled_from([1, 3]), st.integers(0, 1000), st.booleans())
def test_a_backfill_that_pauses_for_many_horizons_loses_nothing(
    events: list[Event], batches: list[int], partitions: int, seed: int, restarts: bool
) -> None:
    """Beside one that is idle as often, for no time: what is idle is settled as far as it came."""
    luck = random.Random(seed)
    how: dict[str, Any] = {"partitions": partitions, "disorder_ms": disorder_of(events)}
    plain, paused = (Driver(monitors=SENSITIVE, **how) for _ in "ab")
    for driver in (plain, paused):
        driver.monitor.least_windows = 10_000

    for batch in cut(as_inputs(events), batches):
        for driver in (plain, paused):
            driver.feed(batch)
        if luck.random() < 0.3:
            for _ in range(luck.randint(1, 3)):
                plain.feed([], idle=BOTH)
                paused.feed([], idle=BOTH, tick_ms=luck.randint(1, 40 * HOUR_MS))
        if restarts and luck.random() < 0.3:
            paused.restart(luck)
    for driver in (plain, paused):
        driver.finish()

    assert lasting(paused) == lasting(plain)
    assert paused.dead == plain.dead


@QUICK
@given(traffic(), sizes, st.integers(0, 1000))
def test_ticks_are_in_the_state(events: list[Event], batches: list[int], seed: int) -> None:
    driver, luck = Driver(log_bytes=300, disorder_ms=disorder_of(events) // 2), random.Random(seed)

    for batch in cut(as_inputs(events), batches):
        driver.feed(batch)
        for _ in range(luck.choice([0, 0, 1, 3])):
            driver.feed([], idle=BOTH, tick_ms=luck.randint(1, 2 * HOUR_MS))
            assert folded(driver, 0) == contents(driver.joins[0])
        assert folded(driver, 0) == contents(driver.joins[0])
