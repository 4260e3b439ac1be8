"""Windows may change while there is state, where its panes divide them."""

import random
import re

import pytest

from streams.errors import StateError
from streams.monitors import Coarse, Monitors, Threshold, Window
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, delayed, history, label, prediction
from tests.driver import Driver, as_inputs, cut, disorder_of

TEN, HALF = Window(10 * MINUTE_MS, 10 * MINUTE_MS), Window(30 * MINUTE_MS, 10 * MINUTE_MS)
FIVE, DAY = Window(5 * MINUTE_MS, 5 * MINUTE_MS), Window(24 * HOUR_MS, HOUR_MS)
HORIZON_MS = HOUR_MS
RULES = (
    Threshold(name="drop", metric="accuracy", kind="falls_by", given=0.1),
    Threshold(name="rise", metric="mae", kind="rises_by", given=0.25),
)


def driver_of(*windows: Window, disorder_ms: int = 0, coarse: Coarse | None = None) -> Driver:
    monitors = Monitors(windows=windows, coarse=coarse, thresholds=RULES)
    return Driver(disorder_ms=disorder_ms, monitors=monitors)


def go_over(driver: Driver, *windows: Window, coarse: Coarse | None = None) -> None:
    """Restart a driver with other windows."""
    driver.monitor = driver_of(*windows, coarse=coarse).monitor
    driver.restart(random.Random(1))


def events_of(seed: int, *, span_ms: int) -> list[Event]:
    return delayed(history(seed, count=400, span_ms=span_ms), seed=seed, bound_ms=MINUTE_MS)


def metrics(driver: Driver, window: Window, *, from_ms: int = 0) -> dict[object, object]:
    """Return what is published of windows that begin at a time or later, but for revisions."""
    return {
        key: {name: value for name, value in record.items() if name != "revision"}
        for key, record in driver.metrics.items()
        if record["window_end_ms"] - record["window_start_ms"] == window.size_ms
        and record["window_start_ms"] >= from_ms
    }


@pytest.mark.parametrize(
    "others",
    [(TEN,), (FIVE, HALF), pytest.param((HALF,), marks=pytest.mark.long)],
    ids=["10m", "5m, 30m", "30m"],
)
def test_windows_of_other_sizes_are_whole_from_the_panes_that_are_kept_on(
    others: tuple[Window, ...],
) -> None:
    """And those that stay are as if nothing had happened."""
    events = events_of(3, span_ms=12 * HOUR_MS)
    batches = list(cut(as_inputs(events), [120]))
    disorder_ms = disorder_of(events)
    plain = driver_of(*{FIVE, *others}, disorder_ms=disorder_ms)
    changed = driver_of(FIVE, disorder_ms=disorder_ms)
    for number, batch in enumerate(batches):
        plain.feed(batch)
        changed.feed(batch)
        if number == len(batches) // 2:
            clock_ms = changed.monitors[0].watermark_ms
            go_over(changed, *others)
    for driver in (plain, changed):
        driver.finish()

    kept_ms = clock_ms - 2 * HORIZON_MS - 2 * FIVE.size_ms
    for window in others:
        from_ms = 0 if window is FIVE else kept_ms
        found = metrics(changed, window)
        assert metrics(changed, window, from_ms=from_ms) == metrics(plain, window, from_ms=from_ms)
        assert found == metrics(changed, window, from_ms=from_ms)
        assert min(key[3] for key in found) < clock_ms - HORIZON_MS  # type: ignore[index]


def test_what_nobody_revises_any_more_is_deleted_and_what_is_final_stays() -> None:
    events = events_of(4, span_ms=6 * HOUR_MS)
    batches = list(cut(as_inputs(events), [40]))
    driver = driver_of(FIVE, disorder_ms=disorder_of(events))
    for batch in batches[: len(batches) // 2]:
        driver.feed(batch)
    before = metrics(driver, FIVE)
    final = {key: record for key, record in before.items() if record["final"]}  # type: ignore[index]

    go_over(driver, TEN)
    for batch in batches[len(batches) // 2 :]:
        driver.feed(batch)

    assert 0 < len(final) < len(before)
    assert metrics(driver, FIVE) == final
    assert not any(
        b"page" in key and b"\xce\x00\x04\x93\xe0" in key for key in driver.monitor_logs[0]
    )
    [said] = [kind for kind in driver.kinds if "windows" in kind]
    assert said == (
        "the state of partition 0 has windows of 5m: it goes on with 10m, from the panes that are"
        " kept"
    )


def test_a_restart_before_all_rows_are_restored_begins_the_new_windows_all_the_same() -> None:
    events = events_of(5, span_ms=6 * HOUR_MS)
    inputs = as_inputs(events)
    once, twice = (driver_of(FIVE, disorder_ms=2 * HOUR_MS) for _ in "ab")
    for driver in (once, twice):
        for batch in cut(inputs[:400], [20]):
            driver.feed(batch)
        go_over(driver, TEN)
        driver.monitor.rows_at_once = 5
    twice.feed([])
    left = len(twice.monitors[0].reread)
    twice.restart(random.Random(3))
    for driver in (once, twice):
        driver.feed(inputs[400:])
        driver.finish()

    assert left
    assert twice.result() == once.result()


def test_windows_of_a_day_go_on_from_hours_that_are_kept() -> None:
    events = events_of(6, span_ms=60 * HOUR_MS)
    batches = list(cut(as_inputs(events), [160]))
    disorder_ms, half = disorder_of(events), Window(12 * HOUR_MS, HOUR_MS)
    plain, changed = (
        driver_of(*w, disorder_ms=disorder_ms, coarse=Coarse())
        for w in ((TEN, DAY, half), (TEN, DAY))
    )
    for number, batch in enumerate(batches):
        plain.feed(batch)
        changed.feed(batch)
        if number == len(batches) // 2:
            go_over(changed, TEN, half, coarse=Coarse())
            clock_ms = changed.monitors[0].watermark_ms
    for driver in (plain, changed):
        driver.finish()

    found = metrics(changed, half)
    from_ms = min(key[3] for key in found)  # type: ignore[index]
    assert found == metrics(plain, half, from_ms=from_ms)
    assert from_ms < START_MS + 3 * HOUR_MS < clock_ms - 20 * HOUR_MS


def test_windows_that_the_panes_do_not_divide_are_refused_with_the_fix() -> None:
    driver = driver_of(Window(15 * MINUTE_MS, 5 * MINUTE_MS))
    driver.feed(as_inputs([prediction("a"), label("a")]))

    says = (
        "the state was made with windows of 15m every 5m, the settings say 5m, 7m; what is counted"
        " in panes of 5m cannot be divided: take multiples of 5m, keep windows of 15m every 5m, or"
        " use another --prefix"
    )
    with pytest.raises(StateError, match=re.escape(says)):
        go_over(driver, FIVE, Window(7 * MINUTE_MS, 7 * MINUTE_MS))
