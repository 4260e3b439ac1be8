"""The grid of cells: rows of a batch are counted where they belong, for all families at once.

Families do not know models, segments, panes and weights; this does not know what a row means.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import NONE, ROWS, Cells, World
from streams.columns import Table
from streams.families.family import OTHER, OTHER_APART, Family, Reads
from streams.features import Block
from streams.outcomes import FateRows, OutcomeRows, PredictionRows
from streams.readings import ReadingRows
from streams.tables import OutcomeColumns, class_places, segment_layers
from streams.tables import Table as Rows

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

Wanted: TypeAlias = Callable[[NDArray[np.integer], list[str], Ints], Mask]
"""Tells of rows whether their segment is counted: by their models, names, and name of each."""


class PredictionsSeen(NamedTuple):
    """What a family sees of predictions: codes of classes as of outcomes, -1 of what is none."""

    predictions: PredictionRows
    predicted: Ints


class FeaturesSeen(NamedTuple):
    """What a family sees of features."""

    block: Block


class OutcomesSeen(NamedTuple):
    """What a family sees of outcomes: codes of classes are those within their model."""

    columns: OutcomeColumns
    predicted: Ints
    true: Ints


class ReadingsSeen(NamedTuple):
    """What a family sees of readings of hosts: by name of the gauge, NaN where it was not read."""

    values: Mapping[str, NDArray[np.float64]]


class FatesSeen(NamedTuple):
    """What a family sees of fates: of each record, the place of its fate in `MODEL_FATES`."""

    fate: NDArray[np.integer]


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


class Grid:
    """Cells of one length of panes.

    Parameters
    ----------
    families
        In the order of the catalogue.

    Attributes
    ----------
    predictions, outcomes, resources
        Cells of each kind of rows.
    sides
        All of these, in this order.
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        self.world, self.families = world, families
        by_reads = {r: [f for f in families if f.reads is r] for r in Reads}
        self._of_fates = by_reads[Reads.FATES]
        self.predictions = PredictionCells([*by_reads[Reads.PREDICTIONS], *self._of_fates], world)
        self.outcomes = Cells(by_reads[Reads.OUTCOMES], world)
        self.resources = Cells(by_reads[Reads.RESOURCES], world)
        self.sides: tuple[Cells, ...] = (self.predictions, self.outcomes, self.resources)

    def side(self, reads: Reads) -> Cells:
        """Return the cells of a kind of rows."""
        return self.sides[_PLACES[reads]]

    def observe(self, table: Rows, columns: OutcomeColumns) -> Observed:
        """Let families see a batch; grids with the same families and names can count it."""
        side = self.predictions
        predictions, features, outcomes = {}, [], {}
        if len(table.predictions.time_ms):
            seen = PredictionsSeen(table.predictions, self._predicted(table, columns))
            families = [one for one in side.families if one.reads is Reads.PREDICTIONS]
            predictions = _observed(families, seen)
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
        models, classes = columns.rows.model, self.world.classes
        named = columns.classed | (columns.chance & ~np.isnan(columns.score))
        sides = [side[named] for side in (columns.predicted, columns.true)]
        # Of a model with too many classes, nobody remembers what others are called.
        room = ~classes.are_full(models[named])
        names = self._names(columns.classes, *(side[room] for side in sides))
        codes = np.zeros((2, len(models)), np.int64)
        for code, side in zip(codes, sides, strict=True):
            code[named] = classes.of(models[named], names[side])
        apart = (codes[0] == OTHER) & (codes[1] == OTHER) & (columns.predicted != columns.true)
        codes[1][apart] = OTHER_APART
        if classes.full:
            classes.other_rows += int(np.count_nonzero(np.maximum(*codes) >= OTHER_APART))
        return OutcomesSeen(columns, *codes)

    def _predicted(self, table: Rows, columns: OutcomeColumns) -> Ints:
        """Return the codes of predicted classes: texts and whole numbers, unless models have none.

        Labels, which tell what kind of model it is, come later, and predictions of a number or
        of a text may all be different: so fewer of them get a code than of outcomes.
        """
        rows, classes = table.predictions, self.world.classes
        named = (rows.code >= 0) | (rows.number % 1 == 0)
        named &= ~columns.settled(rows.model, rows.time_ms)
        codes = np.full(len(rows.model), -1)
        if named.any():
            models = rows.model[named]
            texts, places = class_places(rows.number, rows.code, table.strings, nameless=~named)
            places = places[named]
            room = ~classes.are_many(models)
            codes[named] = classes.of_few(models, self._names(texts, places[room])[places])
        return codes

    def _names(self, texts: Sequence[str], *new: Ints) -> Ints:
        """Return the codes of names of classes; -1 of those that are neither known nor new."""
        wanted = np.zeros(len(texts), np.bool_)
        for places in new:
            wanted[places] = True
        return self.world.class_names.known(texts, wanted)

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
            every = np.full(count, NONE, np.int32)
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

    def observe_readings(self, rows: ReadingRows) -> dict[tuple[str, str], Any]:
        """Let families see readings of hosts."""
        return _observed(self.resources.families, ReadingsSeen(rows.values))

    def count_readings(
        self,
        rows: ReadingRows,
        observed: Mapping[tuple[str, str], Any],
        numbers: Ints,
        *,
        chosen: Mask | None = None,
    ) -> tuple[Ints, Ints]:
        """Count readings, which are in no segment; return subjects and panes that have changed."""
        side, subjects = self.resources, self.world.subjects
        own = None if chosen is None or chosen.all() else np.flatnonzero(chosen)
        models, panes = (rows.model, numbers) if own is None else (rows.model[own], numbers[own])
        if not len(models):
            return models, panes
        side.touch(models, panes)
        found = subjects.of(models, subjects.names.code(""))
        cells = side.find(found, panes, add=True)
        _add(side.table, observed, own, cells, None)
        return found, panes

    def count_fates(self, table: Rows, numbers: Ints, chosen: Mask) -> Iterator[tuple[Ints, Ints]]:
        """Count what became of records; yield subjects and panes that have changed."""
        every = np.repeat(np.flatnonzero(chosen), table.fates.count[chosen])
        if not (len(every) and self._of_fates):
            return
        rows = FateRows(*(column[every] for column in table.fates.columns))
        columns, numbers = self.predictions.table.columns, numbers[every]
        seen = _observed(self._of_fates, FatesSeen(rows.fate))
        for own, subjects, cells in self._layers(table, rows, numbers, None, None):
            for name, values in seen.items():
                columns[name].add(cells, 1, _part(values, own), None)
            yield subjects, numbers if own is None else numbers[own]

    def _layers(
        self,
        table: Rows,
        rows: PredictionRows | OutcomeRows | FateRows,
        numbers: Ints,
        chosen: Mask | None,
        wanted: Wanted | None,
    ) -> Iterator[tuple[Ints | None, Ints, NDArray[np.int32]]]:
        """Yield, for every layer of segments, the rows (`None`: all), subjects and cells."""
        subjects = self.world.subjects
        side = self.outcomes if rows is table.outcomes else self.predictions
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


_PLACES = {Reads.PREDICTIONS: 0, Reads.OUTCOMES: 1, Reads.RESOURCES: 2, Reads.FATES: 0}


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
