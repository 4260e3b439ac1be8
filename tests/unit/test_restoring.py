"""Rows that wait when a worker starts again: a step restores some, and no more."""

import random
from itertools import pairwise

import msgspec
import pytest

from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs

ROWS, RECORDS = 10, 40


def told(batch: int) -> list[Event]:
    """Make the events of one record; every other one is of another minute."""
    ids = [f"{batch}-{n}" for n in range(ROWS // 2)]
    at_ms = START_MS + batch * MINUTE_MS // 2
    return [
        event
        for name in ids
        for event in (prediction(name, timestamp_ms=at_ms), label(name, timestamp_ms=at_ms))
    ]


@pytest.fixture(params=[MINUTE_MS, 0], ids=["written", "not written"])
def drivers(request: pytest.FixtureRequest) -> tuple[Driver, Driver]:
    """Two drivers in which all rows wait for the clock; the second one was restarted.

    Where their clock stands still, panes are not written down before rows are taken in order.
    """
    plain, restarted = (Driver(disorder_ms=HOUR_MS, pace_ms=request.param) for _ in "ab")
    for driver in (plain, restarted):
        for batch in range(RECORDS):
            driver.feed(as_inputs(told(batch)))
    restarted.monitor.rows_at_once = 2 * ROWS
    restarted.restart(random.Random(1))
    return plain, restarted


def test_a_step_restores_so_many_rows_or_the_rest_of_a_record_more(
    drivers: tuple[Driver, Driver],
) -> None:
    _, driver = drivers
    [state] = driver.monitors
    left = []

    while driver.monitor.unfinished(state):
        left.append(len(state.reread))
        driver.feed([])

    assert {before - after for before, after in pairwise(left)} == {2}
    assert len(left) > RECORDS // 3
    assert sum(one.due(0, 1 << 60) for one in state.waiting) == ROWS * RECORDS


def test_nothing_else_goes_on_until_all_rows_are_restored(drivers: tuple[Driver, Driver]) -> None:
    """A record that comes meanwhile waits; what is written down stays as it was."""
    plain, driver = drivers
    before, metrics = driver.monitor_logs[0].copy(), driver.metrics.copy()

    driver.feed(as_inputs(told(RECORDS)))

    changed = driver.monitor_logs[0].items() - before.items()
    assert {msgspec.msgpack.decode(key)[0] for key, _ in changed} == {"clock", "rows"}
    assert driver.metrics == metrics
    for one in (plain, driver):
        one.feed(as_inputs(told(RECORDS)) if one is plain else [])
        one.finish()
    assert driver.result() == plain.result()


@pytest.mark.parametrize("steps", [1, 3])
def test_a_restart_among_them_begins_again(drivers: tuple[Driver, Driver], steps: int) -> None:
    plain, driver = drivers

    for _ in range(2):
        for _ in range(steps):
            driver.feed([])
        driver.restart(random.Random(2))

    for one in (plain, driver):
        one.finish()
    assert driver.result() == plain.result()


def test_a_backlog_is_taken_in_order_some_rows_at_a_time(drivers: tuple[Driver, Driver]) -> None:
    plain, driver = drivers
    clocks_ms = []
    for one in drivers:
        one.come_to(START_MS + 10 * HOUR_MS)

    while driver.monitor.unfinished(driver.monitors[0]):
        driver.feed([])
        clocks_ms.append(driver.monitors[0].watermark_ms)

    assert 1 < len(set(clocks_ms)) < RECORDS
    assert driver.result() == plain.result()


def test_a_step_takes_more_than_comes_so_that_no_backlog_grows() -> None:
    driver = Driver(disorder_ms=MINUTE_MS, partitions=3)
    driver.monitor.rows_at_once = 1

    for batch in range(20):
        at_ms = START_MS + batch * HOUR_MS
        names = [f"{batch}-{n}" for n in range(150)]
        said = [prediction(name, timestamp_ms=at_ms) for name in names]
        driver.feed(as_inputs([*said, *(label(name, timestamp_ms=at_ms) for name in names)]))

    for state in driver.monitors:  # one of them has the model, of which records are of three joins
        assert state.backlog == []
        assert len(state.waiting) <= 2 * 3


def test_more_rows_of_one_moment_than_a_step_takes_are_taken_together() -> None:
    driver = Driver(disorder_ms=HOUR_MS)
    driver.monitor.rows_at_once = 1
    driver.feed(as_inputs([prediction(f"{n}") for n in range(500)]))

    driver.come_to(START_MS + 10 * HOUR_MS)
    for _ in range(5):
        driver.feed([])

    assert not driver.monitor.unfinished(driver.monitors[0])
