"""Windows under way are written again when their numbers move, not whenever they change."""

import random
from collections import Counter

import numpy as np
import pytest

from streams.cells import revisions
from streams.cells.publication import Numbers
from streams.cells.schedule import Revising, Schedule
from streams.cells.spending import Spending
from tests.builders import MINUTE_MS, START_MS, label, prediction
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
    assert taken(schedule, 1_000) == []
    schedule.rest(rows(4), 1_000)

    assert taken(schedule, 30_999) == []
    schedule.linger(rows(4))
    schedule.wake(30_999, PACE)
    assert taken(schedule, 31_000) == [4]
    assert taken(schedule, 32_999) == [4]
    assert schedule.empty


def test_rows_that_pause_are_looked_at_no_sooner_whatever_waited_before() -> None:
    schedule = fresh()
    schedule.linger(rows(5, 6))
    assert taken(schedule, 1_000) == []
    schedule.rest(rows(5), 1_000)
    schedule.pause(rows(5), np.array([5], np.int8), 1_500)

    assert taken(schedule, 3_000) == [6]
    assert taken(schedule, 65_499) == []
    assert taken(schedule, 67_000) == [5]
    assert schedule.empty


def test_a_pause_is_over_once_nothing_more_comes() -> None:
    schedule = fresh()
    schedule.wake(1_000, PACE)
    schedule.pause(rows(5), np.array([8], np.int8), 1_000)
    schedule.linger(rows(5))
    assert taken(schedule, 9_000) == []

    assert taken(schedule, 9_001, Revising(0, 0)) == [5]


def test_windows_tell_how_many_rows_they_have_as_often_as_these_pay_for_it() -> None:
    spending = Spending()
    spending.grow(4)

    def steps(counted: int, counts: int, now_ms: int) -> int:
        columns = np.array([counted]), np.array([counts]), np.array([0])
        return int(spending.spend(rows(2), *columns, now_ms=now_ms, revising=PACE)[0])

    assert steps(1, 2, 1_000) == 0
    assert steps(16, 2, 11_000) == 0, "4 records are paid by 16 rows"
    assert steps(20, 6, 21_000) == 4, "20 of 40 rows in 20 s, so 20 s more: 32 s"
    assert steps(2_000, 2, 31_000) == 0

    spending.forget(rows(2))
    assert steps(20, 16, 41_000) == 0, "a window begins"


def test_numbers_of_a_window_are_paid_by_half_a_row_each() -> None:
    spending = Spending()
    spending.grow(4)
    columns = np.array([100]), np.array([2]), np.array([60])
    spending.spend(rows(2), *columns, now_ms=1, revising=PACE)

    assert [bool(spending.paid(rows(2), np.array([n]))[0]) for n in (119, 120)] == [False, True]


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


def sparse(driver: Driver, *, rows: int) -> None:
    """Feed a row of eight features in every ten seconds."""
    for n in range(rows):
        at_ms = START_MS + 10_000 * n
        features = {f"f{place}": float((n + place) % 7) for place in range(8)}
        said = prediction(f"p{n}", timestamp_ms=at_ms, prediction=1, features=features)
        driver.feed(as_inputs([said, label(f"p{n}", timestamp_ms=at_ms, label=int(n % 4 > 0))]))


def test_a_sparse_model_takes_few_records_a_prediction() -> None:
    how = {"pace_ms": 10_000, "window_ms": 5 * MINUTE_MS}
    driver, eager = Driver(**how, revising=PACE), Driver(**how)
    for one in (driver, eager):
        sparse(one, rows=60)

    assert metrics_written(driver).total() / 60 < 4
    assert metrics_written(eager).total() / 60 > 30

    for one in (driver, eager):
        one.finish()
    assert driver.result() == eager.result()


def test_a_window_with_few_rows_says_how_many_at_once_and_all_it_knows_after_a_while() -> None:
    driver = Driver(pace_ms=0, revising=PACE)
    driver.feed(as_inputs([prediction("p", timestamp_ms=START_MS, prediction=1)]))
    assert {one["metric"] for one in driver.metrics.values()} == {"predictions", "labels"}

    waited_ms = 0
    while len(driver.metrics) == 2:
        driver.pass_time(5_000)
        waited_ms += 5_000

    assert driver.value("coverage") == 0
    assert PACE.longest_ms <= waited_ms <= 2 * PACE.longest_ms


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
    while count_of(driver, "accuracy") < 105:
        driver.pass_time(1_000)
        waited_ms += 1_000
    assert waited_ms <= LINGER_MS + 2 * REFRESH_MS

    while driver.monitor.unfinished(state):
        driver.pass_time(10_000)
        waited_ms += 10_000
    assert waited_ms <= PACE.longest_ms + REFRESH_MS, "what rests on few rows comes last"


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


@pytest.mark.parametrize(("windows", "written_again"), [(6, 0), (10, 0), (11, 1)])
def test_of_so_many_windows_it_is_known_what_was_written_last(
    monkeypatch: pytest.MonkeyPatch, windows: int, written_again: int
) -> None:
    """Half as many were, as soon as there were more than half of these."""
    monkeypatch.setattr(revisions, "MOST_KNOWN", 10)
    known, rows, one = revisions.Revisions(), np.arange(windows), np.ones(windows)
    numbers = Numbers(rows, np.zeros(windows, int), one, one, one, np.full(windows, 100))
    no, yes = np.zeros(windows, bool), np.ones(windows, bool)
    how = {"final": no, "begun": yes, "paid": yes, "kinds": np.zeros(windows, np.int8)}

    for _ in range(2):
        found = known.choose(rows, numbers, one, **how, now_ms=0, refresh_ms=30_000)

    assert np.count_nonzero(found.numbers) == written_again
