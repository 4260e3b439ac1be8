"""The grid of cells: rows of a batch are counted where they belong, for all families at once.

Families do not know models, segments, panes and weights; this does not know what a row means.
A cell is a model in a segment (a subject) and a pane; a unit is one layout of features in a cell:
as many rows of the table of features as the layout has names, behind each other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import Classes, ClassNames, Subjects, Texts, grown
from streams.columns import Column, Table, counts_column, sparse_column, sums_column, totals_column
from streams.families.family import Counts, Family, Reads, Scope, Sparse, Totals
from streams.features import Block
from streams.grouping import distinct
from streams.outcomes import OutcomeRows, PredictionRows
from streams.tables import OutcomeColumns, segment_layers
from streams.tables import Table as Rows

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

Wanted: TypeAlias = Callable[[NDArray[np.integer], list[str], Ints], Mask]
"""Tells of rows whether their segment is counted: by their models, names, and name of each."""

PANE_BITS = 41
BUCKET_BITS = 9
ROWS = ("", "rows")
"""Name of the column that every cell has: how many rows were counted, by their weights."""

_LAYOUT_BITS = 24
_NONE = -1


class PredictionsSeen(NamedTuple):
    """What a family sees of predictions."""

    predictions: PredictionRows


class FeaturesSeen(NamedTuple):
    """What a family sees of features."""

    block: Block


class OutcomesSeen(NamedTuple):
    """What a family sees of outcomes: codes of classes are those within their model."""

    columns: OutcomeColumns
    predicted: Ints
    true: Ints


class Observed(NamedTuple):
    """What all families see of a batch, by name of the column; counted into any grid.

    Attributes
    ----------
    features
        By block.
    """

    predictions: dict[tuple[str, str], Any]
    features: list[tuple[Block, dict[tuple[str, str], Any]]]
    outcomes: dict[tuple[str, str], Any]


class World:
    """The names that all grids of a partition share, and where their models are kept.

    Attributes
    ----------
    bucket_of
        By the code of a model.
    """

    def __init__(self) -> None:
        self.subjects = Subjects()
        self.class_names = ClassNames()
        self.classes = Classes(self.class_names)
        self.features = Texts()
        self.bucket_of = np.empty(0, np.int64)

    def add_model(self, code: int, *, bucket: int) -> None:
        """Add the next model."""
        self.bucket_of = grown(self.bucket_of, code + 1)
        self.bucket_of[code] = bucket


class Cells:
    """Cells of one kind of rows, and which of them belong to a pane and bucket.

    Attributes
    ----------
    members
        Rows of the table, by number of the pane, then by bucket.
    dirty
        Panes and buckets that are not written down as they are.
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        self.families, self.world = families, world
        self.table = Table({ROWS: counts_column(), **_columns(families)})
        self.members: dict[int, dict[int, list[NDArray[np.int32]]]] = {}
        self.dirty: set[tuple[int, int]] = set()

    def find(self, subjects: Ints, numbers: Ints, *, add: bool = False) -> NDArray[np.int32]:
        """Return the rows of cells, -1 where there is none; new ones if need be."""
        keys = np.where(numbers >= 0, subjects << PANE_BITS | numbers, _NONE)
        rows, fresh = self.table.find(keys, add=add)
        if len(fresh):
            keys = self.table.key[fresh]
            buckets = self.world.bucket_of[self.world.subjects.models[keys >> PANE_BITS]]
            places = (keys & ((1 << PANE_BITS) - 1)) << BUCKET_BITS | buckets
            order = np.argsort(places, kind="stable")
            values, starts = np.unique(places[order], return_index=True)
            for place, own in zip(values.tolist(), np.split(fresh[order], starts[1:]), strict=True):
                pane = self.members.setdefault(place >> BUCKET_BITS, {})
                pane.setdefault(place & ((1 << BUCKET_BITS) - 1), []).append(own)
        return rows

    def touch(self, models: NDArray[np.integer], numbers: Ints) -> None:
        """Note that cells of these models and panes change."""
        if not len(models):
            return
        places, _ = distinct(numbers << BUCKET_BITS | self.world.bucket_of[models])
        low = (1 << BUCKET_BITS) - 1
        self.dirty.update((place >> BUCKET_BITS, place & low) for place in places.tolist())

    def rows_of(self, number: int, bucket: int) -> NDArray[np.int32]:
        """Return the rows of a pane and bucket."""
        parts = self.members.get(number, {}).get(bucket, [])
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def every_row(self) -> NDArray[np.int32]:
        """Return the rows of all cells."""
        parts = [r for pane in self.members.values() for found in pane.values() for r in found]
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def drop(self, number: int) -> list[int]:
        """Forget a pane; return the buckets that it had."""
        buckets = self.members.pop(number, {})
        parts = [rows for found in buckets.values() for rows in found if len(rows)]
        if parts:  # all at once: to drop a few rows costs about as much as to drop hundreds
            rows = np.concatenate(parts)
            self.before_drop(rows)
            self.table.drop(self.table.key[rows])
        self.dirty.difference_update([(number, bucket) for bucket in buckets])
        return list(buckets)

    def drop_bucket(self, number: int, bucket: int) -> None:
        """Forget the cells of a pane and bucket."""
        rows = self.rows_of(number, bucket)
        if len(rows):
            self.before_drop(rows)
            self.table.drop(self.table.key[rows])
        self.dirty.discard((number, bucket))
        pane = self.members.get(number, {})
        pane.pop(bucket, None)
        if not pane:
            self.members.pop(number, None)

    def drop_model(self, model: int) -> None:
        """Forget all cells of a model."""
        bucket, subjects = int(self.world.bucket_of[model]), self.world.subjects
        for number in [number for number, pane in self.members.items() if bucket in pane]:
            rows = self.rows_of(number, bucket)
            own = subjects.models[self.table.key[rows] >> PANE_BITS] == model
            if not own.any():
                continue
            self.before_drop(rows[own])
            self.table.drop(self.table.key[rows[own]])
            self.members[number][bucket] = [rows[~own]]
            self.dirty.add((number, bucket))

    def before_drop(self, rows: NDArray[np.int32]) -> None:
        """Forget what hangs on cells."""

    def counted(self, rows: NDArray[np.int32]) -> Ints:
        """Return how many rows were counted in cells, by their weights."""
        places = np.arange(len(rows))
        found: Ints = self.table.columns[ROWS].merged(rows, places, len(rows))[:, 0]
        return found

    def merge(self, rows: NDArray[np.int32], other: "Cells", others: NDArray[np.int32]) -> None:
        """Add cells of another table to cells of this."""
        self.table.merge(rows, other.table, others)


class PredictionCells(Cells):
    """Cells of predictions, with those of their features.

    Attributes
    ----------
    units
        The table of features; a row is one feature of a cell.
    feature_of
        By its row, the code of the feature.
    layouts
        Codes of the features of every layout.
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        super().__init__([f for f in families if f.scope is Scope.WINDOW], world)
        self.unit_families = [f for f in families if f.scope is Scope.FEATURE]
        self.units = Table(_columns(self.unit_families))
        self.feature_of = np.empty(0, np.int32)
        self.layouts: list[Ints] = []
        self._name_bytes: list[int] = []
        self._layout_of: dict[tuple[str, ...], int] = {}
        self._first = np.empty(0, np.int32)  # of a cell's units, which are a list
        self._next = np.empty(0, np.int32)

    def layout(self, names: tuple[str, ...]) -> int:
        """Return the code of a layout, a new one if need be."""
        code = self._layout_of.get(names)
        if code is None:
            code = self._layout_of[names] = len(self.layouts)
            self.layouts.append(self.world.features.codes(names))
            self._name_bytes.append(sum(len(name.encode()) + 1 for name in names))
        return code

    def name_bytes(self, layout: int) -> int:
        """Return how much the names of a layout take."""
        return self._name_bytes[layout]

    def find_units(self, cells: NDArray[np.int32], layout: int) -> NDArray[np.int32]:
        """Return the first row of the unit of every cell (-1: none), made where it is new."""
        codes = self.layouts[layout]
        keys = np.where(cells >= 0, cells.astype(np.int64) << _LAYOUT_BITS | layout, _NONE)
        rows = np.full(len(cells), _NONE, np.int32)
        inside = np.flatnonzero(cells >= 0)
        every = len(inside) == len(cells)
        found, fresh = self.units.find(keys if every else keys[inside], len(codes), add=True)
        rows[inside] = found
        if len(fresh):
            size = len(self.units.key)
            self._next = grown(self._next, size, fill=_NONE)
            self.feature_of = grown(self.feature_of, size)
            self._first = grown(self._first, len(self.table.key), fill=_NONE)
            owners = self.units.key[fresh] >> _LAYOUT_BITS
            self._next[fresh] = self._first[owners]
            self._first[owners] = fresh
            self.feature_of[fresh[:, None] + np.arange(len(codes))] = codes
        return rows

    def units_of(
        self, cells: NDArray[np.int32]
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int32]]]:
        """Yield the units of cells: a layout, places among the cells, first rows."""
        here = np.flatnonzero((cells >= 0) & (cells < len(self._first)))
        units = self._first[cells[here]]
        while len(here):
            inside = units >= 0
            here, units = here[inside], units[inside]
            layouts = self.units.key[units] & ((1 << _LAYOUT_BITS) - 1)
            for layout in distinct(layouts)[0].tolist():
                mine = layouts == layout
                yield layout, here[mine], units[mine]
            units = self._next[units]

    def merge(self, rows: NDArray[np.int32], other: Cells, others: NDArray[np.int32]) -> None:
        """Add cells of another table to cells of this, with their features."""
        super().merge(rows, other, others)
        assert isinstance(other, PredictionCells)
        for layout, places, first in list(other.units_of(others)):
            names = other.layouts[layout]
            texts = tuple(self.world.features.texts[code] for code in names.tolist())
            own = self.find_units(rows[places], self.layout(texts))
            span = np.arange(len(names), dtype=np.int32)
            self.units.merge(
                (own[:, None] + span).ravel(), other.units, (first[:, None] + span).ravel()
            )

    def before_drop(self, rows: NDArray[np.int32]) -> None:
        """Forget the units of cells."""
        for layout, _, units in list(self.units_of(rows)):
            self.units.drop(self.units.key[units], len(self.layouts[layout]))
            self._next[units] = _NONE
        inside = rows[rows < len(self._first)]
        self._first[inside] = _NONE


class Grid:
    """Cells of one length of panes.

    Parameters
    ----------
    families
        In the order of the catalogue.
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        self.world, self.families = world, families
        by_reads = {r: [f for f in families if f.reads is r] for r in Reads}
        self.predictions = PredictionCells(by_reads[Reads.PREDICTIONS], world)
        self.outcomes = Cells(by_reads[Reads.OUTCOMES], world)
        self.sides: tuple[Cells, Cells] = (self.predictions, self.outcomes)

    def observe(self, table: Rows, columns: OutcomeColumns) -> Observed:
        """Let families see a batch; grids with the same families and names can count it."""
        side = self.predictions
        predictions, features, outcomes = {}, [], {}
        if len(table.predictions.time_ms):
            predictions = _observed(side.families, PredictionsSeen(table.predictions))
            features = [
                (block, _observed(side.unit_families, FeaturesSeen(block)))
                for block in table.features
                if len(block.rows)
            ]
        if len(table.outcomes.time_ms):
            outcomes = _observed(self.outcomes.families, self._seen(columns))
        return Observed(predictions, features, outcomes)

    def _seen(self, columns: OutcomeColumns) -> OutcomesSeen:
        """Return what families see of outcomes: classes get their codes within their model."""
        names = self.world.class_names.codes(columns.classes)
        models = columns.rows.model
        named: Any = columns.classed | (columns.chance & ~np.isnan(columns.score))
        if named.all():
            named = slice(None)
        codes = []
        for side in (columns.predicted, columns.true):
            code = np.zeros(len(models), np.int64)
            code[named] = self.world.classes.of(models[named], names[side[named]])
            codes.append(code)
        return OutcomesSeen(columns, *codes)

    def count_predictions(
        self,
        table: Rows,
        observed: Observed,
        numbers: Ints,
        *,
        chosen: Mask | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Ints, Ints]]:
        """Count predictions; yield subjects and panes that have changed, by layer of segments.

        Parameters
        ----------
        numbers
            Of the pane of every row.
        chosen
            Which rows are counted; `None` for all.
        wanted
            Tells which segments of models are counted; `None` for all.
        """
        rows, side = table.predictions, self.predictions
        for own, subjects, cells in self._layers(table, rows, numbers, chosen, wanted):
            _add(side.table, observed.predictions, own, cells, None)
            for block, seen in observed.features:
                self._count_features(block, seen, own, cells, len(numbers))
            yield subjects, numbers if own is None else numbers[own]

    def _count_features(
        self,
        block: Block,
        seen: Mapping[Any, Any],
        own: Ints | None,
        cells: NDArray[np.int32],
        count: int,
    ) -> None:
        side = self.predictions
        if own is not None:
            every = np.full(count, _NONE, np.int32)
            every[own] = cells
            cells = every
        first = side.find_units(cells[block.rows], side.layout(block.names))
        for name, values in seen.items():
            side.units.columns[name].add(first, len(block.names), values, None)

    def count_outcomes(
        self,
        table: Rows,
        observed: Observed,
        numbers: Ints,
        *,
        chosen: Mask | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Ints, Ints]]:
        """Count outcomes, with their weights; see `count_predictions`."""
        rows, side = table.outcomes, self.outcomes
        weight = None if (rows.weight == 1).all() else np.ascontiguousarray(rows.weight, np.int8)
        for own, subjects, cells in self._layers(table, rows, numbers, chosen, wanted):
            here = weight if weight is None or own is None else weight[own]
            _add(side.table, observed.outcomes, own, cells, here)
            yield subjects, numbers if own is None else numbers[own]

    def _layers(
        self,
        table: Rows,
        rows: PredictionRows | OutcomeRows,
        numbers: Ints,
        chosen: Mask | None,
        wanted: Wanted | None,
    ) -> Iterator[tuple[Ints | None, Ints, NDArray[np.int32]]]:
        """Yield, for every layer of segments, the rows (`None`: all), subjects and cells."""
        subjects = self.world.subjects
        side = self.predictions if rows is table.predictions else self.outcomes
        for names, layer, name in segment_layers(table, rows.segments):
            own: Ints | None = layer
            kept = None if chosen is None else chosen[layer]
            if wanted is not None:
                asked = wanted(rows.model[layer], names, name)
                kept = asked if kept is None else kept & asked
            if kept is not None and not kept.all():
                own, name = layer[kept], name[kept]  # noqa: PLW2901
            elif len(layer) == len(numbers):
                own = None
            models, panes = (
                (rows.model, numbers) if own is None else (rows.model[own], numbers[own])
            )
            if not len(panes):
                continue
            codes = subjects.names.codes(names)
            side.touch(models, panes)
            found = subjects.of(models, int(codes[0]) if len(codes) == 1 else codes[name])
            yield own, found, side.find(found, panes, add=True)


def _columns(families: Sequence[Family]) -> dict[tuple[str, str], Column]:
    """Return what families declare, as columns without any rows."""
    return {
        (family.name, name): _column(declared)
        for family in families
        for name, declared in family.columns.items()
    }


def _column(declared: Any) -> Column:
    if isinstance(declared, Counts):
        return counts_column(declared.width)
    if isinstance(declared, Totals):
        return totals_column(declared.width)
    return sparse_column() if isinstance(declared, Sparse) else sums_column()


def _observed(families: Sequence[Family], seen: Any) -> dict[tuple[str, str], Any]:
    """Return what families see of rows, by name of the column."""
    return {
        (family.name, name): values
        for family in families
        for name, values in family.observe(seen).items()
    }


def _add(
    table: Table,
    seen: Mapping[tuple[str, str], Any],
    own: Ints | None,
    cells: NDArray[np.int32],
    weight: NDArray[np.int8] | None,
) -> None:
    table.columns[ROWS].add(cells, 1, np.zeros(len(cells), np.int32), weight)
    for name, values in seen.items():
        table.columns[name].add(cells, 1, _part(values, own), weight)


def _part(values: Any, own: Ints | None) -> Any:
    if own is None:
        return values
    if isinstance(values, tuple):
        return tuple(column[own] for column in values)
    return values[own]
