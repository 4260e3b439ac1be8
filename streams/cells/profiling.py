"""Cells as profiles, and profiles as cells: what is compared is counted by the same code."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import PANE_BITS
from streams.families.family import Scope
from streams.profiles import Part, Slot, entries_of, slots, steps_of

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]


def parts_of(side: PredictionCells, models: Sequence[int], *, number: int) -> list[Part]:
    """Return what the cells of a pane hold of some models together, by segment.

    Parameters
    ----------
    models
        Their codes.
    number
        Of the pane.
    """
    world = side.world.subjects
    places = [(number, bucket) for bucket in side.members.get(number, {})]
    rows = side.rows_at(places)
    subjects = side.table.key[rows] >> PANE_BITS
    own = np.isin(world.models[subjects], list(models))
    rows, segments = rows[own], world.segments[subjects[own]]
    names = {world.names.texts[code]: code for code in np.unique(segments).tolist()}
    return [_part(side, name, rows[segments == names[name]]) for name in sorted(names)]


def _part(side: PredictionCells, segment: str, rows: Rows) -> Part:
    columns = {
        slot.name: steps
        for slot in slots(Scope.WINDOW)
        if slot.key in side.table.columns and (steps := _steps(side.table.columns[slot.key], rows))
    }
    features = {}
    for name, units in sorted(_units(side, rows)):
        found = {
            slot.name: steps
            for slot in slots(Scope.FEATURE)
            if slot.key in side.units.columns
            and (steps := _steps(side.units.columns[slot.key], units))
        }
        if found:
            features[name] = found
    count = int(side.counted(rows).sum())
    return Part(segment=segment, rows=count, columns=columns, features=features)


def _steps(column: Any, rows: Rows) -> list[int]:
    _, bins, counts = column.merged(rows, np.zeros(len(rows), np.int64), 1)
    return steps_of(zip(bins.tolist(), counts.tolist(), strict=True))


def _units(side: PredictionCells, cells: Rows) -> Iterator[tuple[str, Rows]]:
    """Yield every feature of cells, and the rows of its units."""
    found: dict[int, list[int]] = {}
    for layout, _, first in side.units_of(cells):
        for place, code in enumerate(side.layouts[layout].tolist()):
            found.setdefault(code, []).extend((first + place).tolist())
    for code, units in found.items():
        yield side.world.features.texts[code], np.array(units, np.int32)


def put_part(side: PredictionCells, part: Part, *, number: int) -> None:
    """Make a cell of a part of a profile, of no model and no pane that is written down.

    Parameters
    ----------
    number
        Of its pane, which no other has; see `forget_part`.
    """
    keys = np.array([number], np.int64)
    rows, _ = side.table.find(keys, add=True)
    _put(side.table.columns, int(rows[0]), slots(Scope.WINDOW), part.columns)
    names = tuple(sorted(part.features))
    if not names:
        return
    [first] = side.find_units(rows, side.layout(names)).tolist()
    for place, name in enumerate(names):
        _put(side.units.columns, first + place, slots(Scope.FEATURE), part.features[name])


def _put(columns: Any, row: int, every: Sequence[Slot], steps: dict[str, list[int]]) -> None:
    for slot in every:
        if slot.key not in columns:  # no model has a metric of it
            continue
        columns[slot.key].put(row, entries_of(steps.get(slot.name, [])))


def forget_part(side: PredictionCells, *, number: int) -> None:
    """Forget what `put_part` has made."""
    keys = np.array([number], np.int64)
    rows, _ = side.table.find(keys)
    side.before_drop(rows)
    side.table.drop(keys)
