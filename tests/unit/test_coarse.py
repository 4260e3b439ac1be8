"""Coarse panes: what is merged is what would have been counted, and no window notices."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.cells.coarse import CoarsePanes, Finished
from streams.cells.grid import Grid
from streams.cells.levels import (
    DAY_MS,
    DAYS,
    HOUR_MS,
    HOURS,
    between,
    hour_of_week,
    hours_of_week,
    merged_ms,
)
from streams.cells.prediction_cells import PredictionCells
from streams.cells.records import CellRecords
from streams.cells.windows import KINDS
from streams.monitors import Coarse, Monitors, Window
from streams.specification import write_specification
from tests.builders import MINUTE_MS, Event, delayed, history, multiclass, regression
from tests.driver import Driver, as_inputs, cut, disorder_of
from tests.examples import some
from tests.grid_case import FAMILIES, PANE_MS, PANES, Case

FINE_MS = HOUR_MS // PANES  # the windows of a case are hours
NOTHING = Finished(0, 0, 0, hours_of_week=False)
ALL = NOTHING._replace(panes_ms=DAY_MS)


def merged(grid: Grid, finished: Finished = ALL, *, most: int = 1 << 30) -> CoarsePanes:
    """Merge the panes of a grid, so many cells at a time."""
    records = [CellRecords(side, [(f"m{code}", "") for code in range(100)]) for side in grid.sides]
    coarse = CoarsePanes(grid, list(zip(KINDS, records, strict=True)))
    list(coarse.merge(finished, pane_ms=FINE_MS, most=most))
    while coarse.behind:
        list(coarse.merge(finished, pane_ms=FINE_MS, most=most))
    return coarse


def counted(case: Case, number_of: Callable[[int], int]) -> Grid:
    """Return a grid that has counted rows into panes of other numbers."""
    grid = Grid(FAMILIES, case.world)
    for table, columns in case.tables:
        observed = grid.observe(table, columns)
        for rows, count in (
            (table.predictions, grid.count_predictions),
            (table.outcomes, grid.count_outcomes),
        ):
            numbers = [number_of(number) for number in (rows.time_ms // PANE_MS).tolist()]
            list(count(table, observed, np.array(numbers, np.int64)))
        readings = case.readings[id(table)]
        numbers = [number_of(number) for number in (readings.time_ms // PANE_MS).tolist()]
        grid.count_readings(readings, grid.observe_readings(readings), np.array(numbers, np.int64))
    return grid


def contents(grid: Grid) -> dict[Any, Any]:
    """Return the bytes of every cell, and of all features in it, by side and key."""
    found: dict[Any, Any] = {}
    for place, side in enumerate(grid.sides):
        rows = np.sort(side.every_row())
        keys = side.table.key[rows].tolist()
        data, ends = side.table.pack(rows)
        for key, part in zip(keys, np.split(data, ends[:-1]), strict=True):
            found[place, key] = bytes(part)
        if isinstance(side, PredictionCells):
            for layout, at, first in side.units_of(rows):
                names = [side.world.features.texts[code] for code in side.layouts[layout]]
                for cell, one in zip(at.tolist(), first.tolist(), strict=True):
                    units = np.arange(one, one + len(names), dtype=np.int32)
                    found[keys[cell], tuple(names)] = bytes(side.units.pack(units)[0])
    return found


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("seed", range(8))
def test_an_hour_has_what_counting_its_rows_gives(seed: int) -> None:
    case = Case(seed)
    grid = case.counted(case.tables)

    merged(grid, most=1)

    assert contents(grid) == contents(counted(case, lambda pane: HOURS.first + pane // PANES))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("seed", range(4))
def test_days_and_hours_of_the_week_have_what_counting_their_rows_gives(seed: int) -> None:
    case = Case(seed)
    grid = case.counted(case.tables)

    merged(grid, Finished(DAY_MS, DAY_MS, 0, hours_of_week=True), most=1)

    found = contents(grid)
    assert found == contents(counted(case, lambda _: DAYS.first)) | contents(
        counted(case, lambda pane: hour_of_week(pane // PANES))
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hours", [0, 2, 5])
def test_windows_are_the_same_whatever_is_merged_of_them(seed: int, hours: int) -> None:
    case = Case(seed)
    grid = case.counted(case.tables)
    whole = case.values(grid)

    coarse = merged(grid, ALL._replace(panes_ms=hours * HOUR_MS + FINE_MS))

    starts_ms = case.windows(grid).first * FINE_MS
    places = coarse.places(starts_ms, starts_ms + HOUR_MS, pane_ms=FINE_MS)
    assert case.values(grid, places) == whole
    assert (places is None) == (hours == 0)


def test_what_is_merged_is_deleted_and_written_once() -> None:
    """Nor is it written again while the next hour fills."""
    case = Case(1)
    grid = case.counted(case.tables)
    names = [(f"m{code}", "") for code in range(3)]
    records = [CellRecords(side, names) for side in grid.sides]
    coarse = CoarsePanes(grid, list(zip(KINDS, records, strict=True)))
    log = {}
    for records_of in records:
        for one in records_of.write(limit_bytes=1 << 30):
            log[id(records_of), *one[:3]] = one.content

    deleted = [key for key, _ in coarse.merge(ALL, pane_ms=FINE_MS, most=1 << 30)]
    written = [one for own in records for one in own.write(limit_bytes=1 << 30)]
    again = [one for own in records for one in own.write(limit_bytes=1 << 30)]
    list(coarse.merge(ALL, pane_ms=FINE_MS, most=1 << 30))

    assert len(deleted) >= len(log)
    assert {one.number // 8 for one in written} == {HOURS.first // 8}
    assert all(one.content is not None for one in written)
    assert again == [one for own in records for one in own.write(limit_bytes=1 << 30)] == []


def test_days_are_forgotten_and_hours_of_the_week_after_five_weeks() -> None:
    case = Case(2)
    grid = case.counted(case.tables)
    every = Finished(DAY_MS, DAY_MS, 0, hours_of_week=True)
    coarse = merged(grid, every)
    [end_ms] = {end_ms for _, end_ms in hours_of_week(coarse.numbers)}

    list(coarse.merge(every._replace(days_ms=end_ms - 1), pane_ms=FINE_MS, most=1))
    assert DAYS.known(coarse.numbers) == []
    assert hours_of_week(coarse.numbers, place=72)
    list(coarse.merge(every._replace(days_ms=end_ms), pane_ms=FINE_MS, most=1))

    assert not coarse.numbers
    assert [side.table.live for side in grid.sides] == [0, 0, 0]


def test_a_window_that_cuts_a_merged_pane_is_refused() -> None:
    start = np.array([FINE_MS])

    with pytest.raises(ValueError, match="begins or ends within a pane of 3600000 ms"):
        between(start, start + HOUR_MS, pane_ms=FINE_MS, numbers=[HOURS.first])

    assert merged_ms([HOURS.first]) == {0: HOUR_MS}


# ------------------------------------------------------------------ the monitor

MONITORS = Monitors(
    windows=(
        Window(10 * MINUTE_MS, 10 * MINUTE_MS),
        Window(12 * HOUR_MS, 6 * HOUR_MS),
        Window(2 * DAY_MS, DAY_MS),
    ),
)
COARSE = Coarse(hours_ms=DAY_MS, days_ms=2 * DAY_MS, hours_of_week=True)


@st.composite
def traffic(draw: st.DrawFn) -> list[Event]:
    """Draw days of one kind of model."""
    seed = draw(st.integers(0, 2**32 - 1))
    arrivals = {
        "binary": lambda: history(seed, count=60, span_ms=6 * DAY_MS),
        "multiclass": lambda: multiclass(seed, count=60, classes=("a", "", "c d", 4, "True")),
        "regression": lambda: regression(seed, count=60),
    }[draw(st.sampled_from(["binary", "binary", "multiclass", "regression"]))]()
    return delayed(arrivals, seed=seed, bound_ms=MINUTE_MS)


def run(
    events: list[Event], sizes: list[int], partitions: int, *, restarts: int, coarse: bool
) -> Driver:
    monitors = msgspec.structs.replace(MONITORS, coarse=COARSE if coarse else None)
    driver = Driver(partitions=partitions, disorder_ms=disorder_of(events), monitors=monitors)
    luck = random.Random(restarts)
    for batch in cut(as_inputs(events), sizes):
        driver.feed(batch)
        if restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


@settings(max_examples=some(5))
@given(
    traffic(),
    st.lists(st.integers(5, 40), min_size=1, max_size=3),
    st.sampled_from([1, 3]),
    st.integers(0, 3),
)
def test_results_are_those_of_fine_panes(
    events: list[Event], sizes: list[int], partitions: int, restarts: int
) -> None:
    plain = run(events, [len(events)], 1, restarts=0, coarse=False)

    found = run(events, sizes, partitions, restarts=restarts, coarse=True)

    assert found.result() == plain.result()


def test_a_worker_keeps_hours_and_days_and_writes_each_once() -> None:
    events = delayed(history(1, count=150, span_ms=6 * DAY_MS), seed=1, bound_ms=MINUTE_MS)
    monitors = msgspec.structs.replace(MONITORS, coarse=COARSE)
    driver = Driver(disorder_ms=disorder_of(events), monitors=monitors)
    written: list[tuple[int, ...]] = []
    step = driver.monitor.step

    def noted(*inputs: Any, **more: Any) -> Any:
        effects = step(*inputs, **more)
        keys = [(msgspec.msgpack.decode(k or b""), v) for k, v in effects.state]
        written.extend(
            tuple(key) for key, value in keys if value is not None and _is_coarse(key, until=DAYS)
        )
        return effects

    driver.monitor.step = noted  # type: ignore[method-assign]
    for batch in cut(as_inputs(events), [10]):
        driver.feed(batch)
    driver.finish()

    [state] = driver.monitors
    numbers = state.windows.coarse.numbers
    assert len(written) == len(set(written)) > 100
    assert HOURS.known(numbers)
    assert DAYS.known(numbers)
    assert hours_of_week(numbers)
    fine = [number for number in numbers if number < HOURS.first]
    assert min(fine) * 10 * MINUTE_MS >= merged_ms(numbers)[0]


def test_a_specification_takes_effect_whatever_is_merged() -> None:
    events = delayed(history(1, count=100, span_ms=3 * DAY_MS), seed=1, bound_ms=MINUTE_MS)
    monitors = msgspec.structs.replace(MONITORS, coarse=COARSE)
    driver = Driver(disorder_ms=disorder_of(events), monitors=monitors)
    for batch in cut(as_inputs(events), [10]):
        driver.feed(batch)

    rule = {"name": "floor", "metric": "accuracy", "below": 0.9}
    at_ms = driver.monitors[0].watermark_ms
    driver.specify(write_specification({"thresholds": [rule]}, effective_ms=at_ms))
    driver.finish()

    [state] = driver.monitors
    assert HOURS.known(state.windows.coarse.numbers)
    assert state.specifications.holding is not None
    assert state.specifications.holding.from_ms - at_ms <= DAY_MS


def _is_coarse(key: Any, *, until: Any) -> bool:
    return key[0] in KINDS and HOURS.first <= key[1] < until.end
