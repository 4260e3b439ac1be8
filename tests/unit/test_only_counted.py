"""Rows that nobody takes in order: what is counted of them is written down once there is some."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitors import Monitors, Window
from streams.rules.paced import PacedRules
from tests.builders import MINUTE_MS, START_MS, Event, delayed, history, prediction
from tests.driver import Driver, as_inputs, cut, disorder_of
from tests.examples import some
from tests.unit.test_specifications import ACCURACY, spec, states, wrong

WINDOWS = (Window(10 * MINUTE_MS, 10 * MINUTE_MS), Window(30 * MINUTE_MS, 10 * MINUTE_MS))
NOBODY = Monitors(windows=WINDOWS)


def tables(driver: Driver) -> set[str]:
    """Return of which tables there are records."""
    log = driver.monitor_logs[0]
    return {msgspec.msgpack.decode(key)[0] for key, value in log.items() if value is not None}


def waiting(driver: Driver) -> set[int]:
    """Return the records that are to be read again."""
    log = driver.monitor_logs[0].items()
    keys = [msgspec.msgpack.decode(key) for key, value in log if value is not None]
    return {key[1] for key in keys if key[0] == "rows"}


def standing(events: list[Event]) -> Driver:
    """Feed events while no time passes: rows wait to be more."""
    driver = Driver(monitors=NOBODY, pace_ms=0)
    for batch in cut(as_inputs(events), [6]):
        driver.feed(batch)
    return driver


def test_nothing_but_where_the_rows_are_is_written_down_before_some_time_has_passed() -> None:
    driver = standing(wrong(0, 20))
    driver.pass_time(MINUTE_MS)
    driver.pace_ms = 0
    written = driver.monitor_logs[0].copy()

    driver.feed(as_inputs(wrong(20, 21)))

    changed = driver.monitor_logs[0].items() - written.items()
    assert {msgspec.msgpack.decode(key)[0] for key, _ in changed} == {"clock", "page", "rows"}
    driver.pass_time(MINUTE_MS)
    assert "rows" not in tables(driver)
    assert tables(driver) > {"predictions", "outcomes", "page"}


def test_windows_that_only_wait_are_not_written_down_before_their_rows_are() -> None:
    driver = standing(wrong(0, 1))
    driver.pass_time(MINUTE_MS)
    driver.monitor.revising = driver.monitor.revising._replace(linger_ms=MINUTE_MS)
    written = driver.monitor_logs[0].copy()

    driver.feed(as_inputs(wrong(1, 2)))

    changed = driver.monitor_logs[0].items() - written.items()
    assert {msgspec.msgpack.decode(key)[0] for key, _ in changed} == {"clock", "rows"}
    driver.restart(random.Random(1))
    driver.feed([])
    driver.pass_time(2 * MINUTE_MS)
    assert not waiting(driver)
    [found] = {r["value"] for r in driver.metrics.values() if r["metric"] == "predictions"}
    assert found == 6


def test_a_specification_that_comes_has_them_written_down_first() -> None:
    """Else whoever began again with them would let rules see what others had only counted."""
    plain, restarted = standing(wrong(0, 20)), standing(wrong(0, 20))
    before = waiting(plain)
    assert before

    for driver in (plain, restarted):
        driver.specify(spec(START_MS, thresholds=[ACCURACY]))
        driver.feed(as_inputs(wrong(20, 21)))
        assert driver.monitors[0].held
        assert not waiting(driver) & before
    restarted.restart(random.Random(1))

    for driver in (plain, restarted):
        driver.pace_ms = MINUTE_MS
        for batch in cut(as_inputs(wrong(21, 60)), [6]):
            driver.feed(batch)
        driver.finish()
    assert states(restarted) == states(plain) != []
    assert restarted.result() == plain.result()


@pytest.mark.parametrize("restarts", [False, True])
def test_rows_that_wait_count_once_when_a_model_is_set_aside(
    restarts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written down then is all of what is counted, of other models too."""
    rows = [
        prediction(f"{model}{i}", model=model, timestamp_ms=START_MS + i * 1_000)
        for i in range(12)
        for model in "mn"
    ]
    driver = standing(rows[:12])
    [large] = (code for (model, _), code in driver.monitors[0].codes.items() if model == "n")
    found = [{large: ("predictions", 10_000_000)}]
    monkeypatch.setattr(PacedRules, "take_too_large", lambda _: found.pop() if found else {})

    driver.feed(as_inputs(rows[12:18]))
    assert driver.monitors[0].held
    assert driver.monitors[0].quarantined
    if restarts:
        driver.restart(random.Random(1))
    driver.feed(as_inputs(rows[18:]))
    driver.finish()

    counts = {
        (r["model"], r["value"]) for r in driver.metrics.values() if r["metric"] == "predictions"
    }
    assert {value for model, value in counts if model == "m"} == {12}


@settings(max_examples=some(24))
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 90), min_size=1, max_size=4),
    st.lists(st.sampled_from([0, 0, 3, MINUTE_MS]), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=7),
    st.sampled_from([1, 3]),
)
def test_results_do_not_depend_on_restarts_while_they_wait(
    seed: int, sizes: list[int], paces: list[int], restarts: list[bool], partitions: int
) -> None:
    luck = random.Random(seed)
    events = delayed(history(seed, count=60), seed=seed, bound_ms=MINUTE_MS)
    for event in events:
        if "model" in event:
            event["model"] = f"m{luck.randrange(4)}"
    how = {"monitors": NOBODY, "disorder_ms": disorder_of(events)}
    plain, other = Driver(**how), Driver(partitions=partitions, **how)
    plain.feed(as_inputs(events))

    for place, batch in enumerate(cut(as_inputs(events), sizes)):
        other.pace_ms = paces[place % len(paces)]
        other.feed(batch)
        if restarts[place % len(restarts)]:
            other.restart(luck)

    for driver in (plain, other):
        driver.finish()
    assert other.result() == plain.result()
