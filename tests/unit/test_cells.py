"""Rows are counted into the grid as into dictionaries: any cuts, panes, layers and mergers."""

from typing import Any

import numpy as np
import pytest

from streams.cells.grid import Grid
from streams.cells.store import PANE_BITS
from streams.cells.view import CellView
from streams.families.judging import Judging
from tests.grid_case import FAMILIES, PANE_MS, Case
from tests.plain_cells import PlainCells


@pytest.mark.parametrize("seed", range(40))
def test_windows_have_what_dictionaries_have(seed: int) -> None:
    case = Case(seed)

    found = case.values(case.counted(case.tables))

    assert found == case.plain.values(case.judged)


@pytest.mark.parametrize("seed", range(15))
def test_rows_may_come_in_any_cuts_and_be_added_up_later(seed: int) -> None:
    case = Case(seed)
    whole = case.values(case.counted(case.tables))
    one, other = case.counted(case.tables[1:]), case.counted(case.tables[:1])

    for mine, theirs in zip(one.sides, other.sides, strict=True):
        every = [theirs.rows_of(n, b) for n, pane in theirs.members.items() for b in pane]
        rows = np.concatenate(every)
        keys = theirs.table.key[rows]
        own = mine.find(keys >> PANE_BITS, keys & ((1 << PANE_BITS) - 1), add=True)
        mine.merge(own, theirs, rows)

    assert case.values(one) == whole


@pytest.mark.parametrize("seed", range(15))
def test_rows_that_are_left_out_may_come_another_time(seed: int) -> None:
    case = Case(seed)
    grid = Grid(FAMILIES, case.world)

    for table, columns in case.tables:
        observed = grid.observe(table, columns)
        said, true = (
            case.random.random(len(rows.time_ms)) < 0.4
            for rows in (table.predictions, table.outcomes)
        )
        for chosen, other in ((said, true), (~said, ~true)):
            numbers = table.predictions.time_ms // PANE_MS
            list(grid.count_predictions(table, observed, numbers, chosen=chosen))
            numbers = table.outcomes.time_ms // PANE_MS
            list(grid.count_outcomes(table, observed, numbers, chosen=other))
        case.count_readings(grid, table)

    assert case.values(grid) == case.values(case.counted(case.tables))


@pytest.mark.parametrize("seed", range(15))
def test_segments_that_nobody_wants_are_not_counted(seed: int) -> None:
    case = Case(seed)
    grid = Grid(FAMILIES, case.world)

    def wanted(models: Any, names: list[str], name: Any) -> Any:
        """Want one segment of one model, and two of the others."""
        of_all = np.array([one != "" for one in names])[name]
        return of_all & ((models != 1) | np.array([one == "tier=1" for one in names])[name])

    for table, columns in case.tables:
        observed = grid.observe(table, columns)
        numbers = table.predictions.time_ms // PANE_MS
        list(grid.count_predictions(table, observed, numbers, wanted=wanted))
        numbers = table.outcomes.time_ms // PANE_MS
        list(grid.count_outcomes(table, observed, numbers, wanted=wanted))

    whole = case.values(case.counted(case.tables))
    for (window, number), found, every in zip(case.keys, case.values(grid), whole, strict=True):
        name, model = case.names[number], case.models[window]
        if name == "tier=1" or (name and model != 1):
            assert found == every
        else:
            assert found.keys() == {"predictions", "labels"}


@pytest.mark.parametrize("seed", range(15))
def test_what_is_dropped_leaves_nothing_behind(seed: int) -> None:
    """Rows of the table are used again: what was in them must be gone."""
    case = Case(seed)
    grid = case.counted(case.tables)
    whole = case.values(grid)

    for side in grid.sides:
        for number in list(side.members):
            side.drop_places([(number, bucket) for bucket in side.members[number]])
    empty = case.values(grid)
    for table, columns in case.tables:
        observed = grid.observe(table, columns)
        list(grid.count_predictions(table, observed, table.predictions.time_ms // PANE_MS))
        list(grid.count_outcomes(table, observed, table.outcomes.time_ms // PANE_MS))
        case.count_readings(grid, table)

    assert {name for values in empty for name in values} == {"predictions", "labels"}
    assert case.values(grid) == whole


@pytest.mark.parametrize("seed", range(10))
def test_a_model_that_is_forgotten_takes_nothing_of_others_along(seed: int) -> None:
    case = Case(seed)
    grid = case.counted(case.tables)
    whole = case.values(grid)
    gone = case.models[0]

    for side in grid.sides:
        side.drop_models([gone])

    for (window, _), before, after in zip(case.keys, whole, case.values(grid), strict=True):
        if case.models[window] == gone:
            assert after.keys() == {"predictions", "labels"}
        else:
            assert after == before


@pytest.mark.parametrize("seed", range(10))
def test_scores_that_are_no_probabilities_are_told_alike(seed: int) -> None:
    case = Case(seed)
    windows = case.windows(case.counted(case.tables))

    for family in FAMILIES:
        if isinstance(family, Judging):
            found = family.improper(CellView(windows, family))
            expected = family.improper(PlainCells(case.plain, family, case.judged))
            assert [one.tolist() for one in found] == [one.tolist() for one in expected]
