"""Windows under way are written again when their numbers move, not whenever they change."""

import random
from collections import Counter

import numpy as np
import pytest

from streams.cells.schedule import Revising, Schedule
from tests.builders import START_MS, label, prediction
from tests.driver import BOTH, TOPICS, Driver, as_inputs

LINGER_MS, REFRESH_MS = 2_000, 30_000
PACE = Revising(LINGER_MS, REFRESH_MS)


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


def taken(schedule: Schedule, now_ms: int, pace: Revising = PACE) -> list[int]:
    schedule.wake(now_ms, pace)
    return sorted(schedule.take(100).tolist())


def fresh(size: int = 10) -> Schedule:
    schedule = Schedule()
    schedule.grow(size)
    return schedule


def test_rows_that_change_are_ready_once_they_have_lingered() -> None:
    schedule = fresh()
    schedule.at_once(rows(7))
    schedule.linger(rows(1, 2))

    assert taken(schedule, 1_000) == [7]
    schedule.linger(rows(2, 3))
    assert taken(schedule, 2_999) == []
    assert taken(schedule, 3_000) == [1, 2]
    assert taken(schedule, 4_999) == [3]
    assert schedule.empty


def test_rows_that_rest_are_looked_at_once_more() -> None:
    schedule = fresh()
    schedule.rest(rows(4), 31_000)

    assert taken(schedule, 30_999) == []
    schedule.linger(rows(4))
    schedule.wake(30_999, PACE)
    assert taken(schedule, 31_000) == [4]
    assert taken(schedule, 32_999) == [4]
    assert schedule.empty


@pytest.mark.parametrize("leap_ms", [-(10**12), -1, LINGER_MS, 10**11])
def test_a_clock_that_leaps_keeps_no_row(leap_ms: int) -> None:
    schedule = fresh()
    schedule.linger(rows(1))
    schedule.wake(10**12, PACE)

    assert taken(schedule, 10**12 + leap_ms) == [1]


def test_of_rows_that_are_ready_some_are_taken() -> None:
    schedule = fresh()
    schedule.at_once(rows(1, 2, 3))
    schedule.at_once(rows(3, 4))

    assert schedule.count == 4
    assert schedule.take(2).tolist() == [1, 2]
    assert schedule.count == 2
    assert sorted(schedule.take(9).tolist()) == [3, 4]


# ---------------------------------------------------------------------- of a monitor
def steady(driver: Driver, seconds: int, *, per_second: int = 5, first: int = 0) -> None:
    """Feed predictions with labels, five steps a second, most of them right."""
    for n in range(first * per_second, (first + seconds) * per_second):
        at_ms = START_MS + n * 1_000 // per_second
        said = prediction(f"p{n}", timestamp_ms=at_ms, prediction=1, features={"x": float(n % 7)})
        driver.feed(as_inputs([said, label(f"p{n}", timestamp_ms=at_ms, label=int(n % 4 > 0))]))


def metrics_written(driver: Driver) -> Counter[bytes | None]:
    return Counter(key for topic, key, _ in driver.written if topic == TOPICS.metrics)


def count_of(driver: Driver, metric: str) -> int:
    [count] = [one["count"] for one in driver.metrics.values() if one["metric"] == metric]
    assert isinstance(count, int)
    return count


def lingering() -> Driver:
    return Driver(pace_ms=200, revising=Revising(LINGER_MS, REFRESH_MS))


def test_a_steady_model_takes_few_records_a_prediction() -> None:
    driver, eager = lingering(), Driver(pace_ms=200)
    for one in (driver, eager):
        steady(one, 40)

    assert metrics_written(driver).total() / 200 < 2
    assert metrics_written(eager).total() / 200 > 9


def test_numbers_are_at_most_so_old_and_what_moves_is_written_soon() -> None:
    driver = lingering()
    steady(driver, 100)
    sent = driver.received / 2

    assert 0 <= sent - driver.value("predictions") <= 5 * (LINGER_MS + 200) / 1_000
    assert 0 <= sent - count_of(driver, "accuracy") <= 0.06 * sent

    at_ms = START_MS + 100 * 1_000
    wrong = [prediction(f"w{n}", timestamp_ms=at_ms, prediction=1) for n in range(60)]
    driver.feed(
        as_inputs([*wrong, *(label(f"w{n}", timestamp_ms=at_ms, label=0) for n in range(60))])
    )
    accuracy = driver.value("accuracy")
    steady(driver, LINGER_MS // 1_000, first=101)
    assert driver.value("accuracy") < accuracy - 0.02


def test_where_nothing_more_comes_everything_is_written() -> None:
    driver, eager = lingering(), Driver(pace_ms=200)
    for one in (driver, eager):
        steady(one, 21)
        one.finish()

    assert not driver.monitor.unfinished(driver.monitors[0])
    assert driver.result() == eager.result()


def test_what_was_held_back_is_written_once_the_join_has_nothing_to_read() -> None:
    driver = lingering()
    steady(driver, 21)
    assert count_of(driver, "accuracy") < 105

    driver.feed([], idle=BOTH)

    assert count_of(driver, "accuracy") == 105


def test_what_was_held_back_is_written_once_it_has_rested() -> None:
    driver = lingering()
    steady(driver, 21)
    state = driver.monitors[0]
    assert count_of(driver, "accuracy") < 105

    waited_ms = 0
    while driver.monitor.unfinished(state):
        driver.pass_time(200)
        waited_ms += 200

    assert count_of(driver, "accuracy") == 105
    assert waited_ms <= LINGER_MS + REFRESH_MS


def test_what_was_held_back_is_written_after_a_restart() -> None:
    driver, eager = lingering(), Driver(pace_ms=200)
    for one in (driver, eager):
        steady(one, 21)
    assert count_of(driver, "accuracy") < 105

    driver.restart(random.Random(1))
    for one in (driver, eager):
        one.finish()

    assert count_of(driver, "accuracy") == 105
    assert driver.result() == eager.result()
