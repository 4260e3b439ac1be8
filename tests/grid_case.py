"""Random rows of several models, windows and segments: in a grid, and in dictionaries."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streams import families
from streams.cells.grid import Grid
from streams.cells.levels import Places
from streams.cells.metric_sets import MetricSets
from streams.cells.publication import Publisher
from streams.cells.store import World
from streams.cells.view import Judgements, Windows
from streams.classes import binary_name
from streams.families.family import KINDS
from streams.features import choose
from streams.outcomes import OutcomeRows, PredictionRows
from streams.readings import ReadingRows
from streams.tables import OutcomeColumns, Table
from tests.plain_cells import PlainGrid
from tests.plain_quality import Value
from tests.row_batches import TASKS, Batch, judgement, random_readings

FAMILIES = families.CATALOGUE.families
PANE_MS, PANES = 20_000, 3  # of the windows of a batch, which are minutes
SEGMENTS = [(), ("region=eu",), ("region=eu", "tier=1"), ("tier=1",)]


class Case:
    """Random rows in the grid, and in dictionaries; one window of each model at a time.

    Attributes
    ----------
    keys
        Window of a batch, and the place of a segment's name in `names`, of all that is compared.
    """

    names = ("", "region=eu", "tier=1")

    def __init__(self, seed: int, *, windows: int = 5) -> None:
        self.random = random = np.random.default_rng(seed)
        self.models = random.integers(0, 3, windows).tolist()
        self.keys = [(w, s) for w in range(windows) for s in range(len(self.names))]
        self.world = World()
        for code in range(3):
            self.world.add_model(code, bucket=code % 2)
        self.plain = PlainGrid(FAMILIES, [self.models[window] for window, _ in self.keys])
        told = [TASKS[random.integers(len(TASKS))] for _ in range(3)]
        self.tables: list[tuple[Table, OutcomeColumns]] = []
        self.readings: dict[int, ReadingRows] = {}
        for _ in range(2):
            size = int(random.integers(1, 200))
            batch = Batch(random, self.models, size, segments=len(SEGMENTS))
            rows, blocks = batch.predictions()
            columns, where = batch.outcomes(told)
            self.tables.append(
                (Table(batch.strings, SEGMENTS, rows, blocks, columns.rows), columns)
            )
            self._count_plainly((rows, batch.strings), batch.windows, blocks, columns, where)
            # Of windows with readings alone, nothing is published of models.
            readings, within = random_readings(random, self.models, count=30)
            kept = np.isin(within, batch.windows)
            self.readings[id(self.tables[-1][0])] = readings.only(kept)
            own = [self.keys.index((within[i], 0)) for i in np.flatnonzero(kept).tolist()]
            self.plain.count_readings(readings.only(kept), own)
        classes = [bool(self._confusion(place)) for place in range(len(self.keys))]
        self.judged = [judgement(random, classes=known) for known in classes]

    def _count_plainly(
        self,
        predictions: tuple[PredictionRows, list[str]],
        windows: Any,
        blocks: Any,
        columns: OutcomeColumns,
        where: Any,
    ) -> None:
        rows, strings = predictions
        for number, name in enumerate(self.names):
            kept = [i for i, s in enumerate(rows.segments.tolist()) if _is_in(name, s)]
            own = [self.keys.index((windows[i], number)) for i in kept]
            fields = (getattr(rows, field)[kept] for field in rows.__struct_fields__)
            chosen = choose(blocks, np.array(kept, np.int64), count=len(windows))
            self.plain.count_predictions(
                PredictionRows(*fields), own, chosen, strings=strings, settled=columns.settled
            )
            kept = [i for i, s in enumerate(columns.rows.segments.tolist()) if _is_in(name, s)]
            own = [self.keys.index((where[i], number)) for i in kept]
            self.plain.count_outcomes(columns_of(columns, kept), own)

    def _confusion(self, place: int) -> Any:
        return self.plain.counts["classification", "confusion", place]

    def counted(self, tables: Sequence[tuple[Table, OutcomeColumns]]) -> Grid:
        """Return a grid of the same world that has counted these."""
        grid = Grid(FAMILIES, self.world)
        for table, columns in tables:
            observed = grid.observe(table, columns)
            of_panes = (rows.time_ms // PANE_MS for rows in (table.predictions, table.outcomes))
            predictions, outcomes = of_panes
            list(grid.count_predictions(table, observed, predictions))
            list(grid.count_outcomes(table, observed, outcomes))
            self.count_readings(grid, table)
        return grid

    def count_readings(self, grid: Grid, table: Table) -> None:
        """Count the readings that came with a table."""
        rows = self.readings[id(table)]
        grid.count_readings(rows, grid.observe_readings(rows), rows.time_ms // PANE_MS)

    def windows(self, grid: Grid, places: Places | None = None) -> Windows:
        """Return all windows that are compared."""
        subjects, names = self.world.subjects, self.world.class_names
        models = np.array([self.models[window] for window, _ in self.keys])
        segments = subjects.names.codes(self.names[number] for _, number in self.keys)
        first = np.array([window * PANES for window, _ in self.keys])
        judgements = Judgements(
            np.array([KINDS.index(one.kind) for one in self.judged], np.int8),
            np.array([one.words for one in self.judged], np.bool_),
            names.codes(binary_name(one.positive) for one in self.judged),
        )
        of = subjects.of(models, segments)
        return Windows(grid, of, first, panes=PANES, judged=judgements, places=places)

    def values(self, grid: Grid, places: Places | None = None) -> list[dict[str, Value]]:
        """Return what is published of them."""
        sets = MetricSets()
        numbers = Publisher(sets, []).compute(self.windows(grid, places), FAMILIES)
        found: list[dict[str, Value]] = [{} for _ in self.keys]
        for window, code, value, low, high, count in zip(
            *(column.tolist() for column in numbers), strict=True
        ):
            bounds = [None if np.isnan(bound) else bound for bound in (low, high)]
            name = sets.names.texts[code]
            assert name not in found[window]
            found[window][name] = Value(name, value, bounds[0], bounds[1], count)
        return found


def _is_in(name: str, segments: int) -> bool:
    return name in ("", *SEGMENTS[segments])


def columns_of(columns: OutcomeColumns, kept: list[int]) -> OutcomeColumns:
    """Return what columns say of some of their rows."""
    found = object.__new__(OutcomeColumns)
    for name, value in vars(columns).items():
        if name == "rows":
            fields = (getattr(value, field)[kept] for field in value.__struct_fields__)
            found.rows = OutcomeRows(*fields)
        elif name == "means":
            found.means = [(mean, values[kept]) for mean, values in value]
        else:
            is_column = isinstance(value, np.ndarray)
            setattr(found, name, value[kept] if is_column else value)
    return found
