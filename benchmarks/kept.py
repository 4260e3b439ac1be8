"""Memory of what a worker keeps of windows: fine panes, hours and days of many models.

    python -m benchmarks.kept --models 1000

Rows are counted as the monitor counts them: of every model so many a minute, each in every cell of
its model. Two hours of them are counted; other hours are copies of these, and days are merged from
24. The last line is JSON: resident memory in MB, and bytes a cell of each kind, its features
included.
"""

import argparse
import gc
import json
import time
from typing import Any

import numpy as np
import psutil

from streams import families
from streams.cells.grid import Grid
from streams.cells.levels import DAYS, HOURS
from streams.cells.store import BUCKET_BITS, World
from streams.features import Block
from streams.outcomes import OutcomeRows, PredictionRows
from streams.tables import OutcomeColumns, Table
from streams.task import Task

MINUTE_MS, PANES_AN_HOUR, HOURS_A_DAY = 60_000, 60, 24
COUNTED_HOURS = 2


class Kept:
    """Cells of models.

    Parameters
    ----------
    cells
        Of every model in a pane: one without a segment, the others with one each.
    rows
        In every cell of a pane.
    """

    def __init__(self, models: int, *, cells: int, rows: int, features: int) -> None:
        self.models, self.rows, self.features = models, rows, features
        self.segments = tuple(f"segment={number}" for number in range(1, cells))
        self.random = np.random.default_rng(1)
        world = World()
        for code in range(models):
            world.add_model(code, bucket=code % (1 << BUCKET_BITS))
        self.grid = Grid(families.CATALOGUE.families, world)

    def count(self, number: int) -> None:
        """Count the rows of a minute into a pane."""
        size = self.models * self.rows
        time_ms = np.full(size, 0)
        table = self._table(size, time_ms)
        columns = OutcomeColumns(
            table.outcomes,
            table.strings,
            task_of=lambda _: Task(),
            settled_ms=np.full(self.models, 1 << 62),
        )
        observed, numbers = self.grid.observe(table, columns), np.full(size, number)
        for _ in self.grid.count_predictions(table, observed, numbers):
            pass
        for _ in self.grid.count_outcomes(table, observed, numbers):
            pass

    def _table(self, size: int, time_ms: Any) -> Table:
        random, none = self.random, np.full(size, -1, np.int32)
        model = np.tile(np.arange(self.models, dtype=np.int32), self.rows)
        score = random.integers(0, 10_001, size) / 10_000
        truth = (random.random(size) < score).astype(float)
        said = (score >= 0.5).astype(float)
        segments = np.zeros(size, np.int32)
        latency_ms = random.lognormal(3.0, 0.5, size)
        predictions = PredictionRows(
            model, time_ms, np.arange(size), said, none, score, latency_ms, segments
        )
        ones, delays_ms = np.ones(size, np.int8), random.integers(1_000, 3_600_000, size)
        outcomes = OutcomeRows(
            *(model, time_ms, time_ms + delays_ms, time_ms + delays_ms, ones, ones, ones),
            *(np.arange(size), said, none, truth, none, score, np.full(size, np.nan), segments),
        )
        blocks = []
        if self.features:
            names = tuple(f"f{number}" for number in range(self.features))
            values = np.rint(random.standard_normal((size, self.features)) * 1_000) / 1_000
            blocks.append(Block(names, np.arange(size), values))
        return Table([], [self.segments], predictions, blocks, outcomes)

    def copy(self, number: int, into: int) -> None:
        """Add the cells of a pane to another."""
        for side in self.grid.sides:
            for bucket in list(side.members[number]):
                side.gather([(number, bucket)], into, bucket)

    def packed_bytes(self, number: int) -> float:
        """Return how much a cell of a pane takes in the state, without names."""
        total = count = 0
        for side in self.grid.sides:
            rows = self._rows(side, number)
            total += len(side.table.pack(rows)[0])
            count = len(rows)
        for layout, _, first in self.grid.predictions.units_of(
            self._rows(self.grid.predictions, number)
        ):
            width = len(self.grid.predictions.layouts[layout])
            units = (first[:, None] + np.arange(width, dtype=np.int32)).ravel()
            total += len(self.grid.predictions.units.pack(units)[0])
        return total / max(count, 1)

    @staticmethod
    def _rows(side: Any, number: int) -> Any:
        return np.concatenate([side.rows_of(number, own) for own in side.members[number]])

    @property
    def cells(self) -> int:
        """How many cells there are, of predictions."""
        return self.grid.predictions.table.live


def measure(kept: Kept, *, panes: int, hours: int, days: int) -> dict[str, float]:
    """Fill cells, and return what they take."""
    kept.count(0)
    begun = before = _resident()
    found: dict[str, float] = {"cells": 0}
    firsts = {"pane": 0, "hour": HOURS.first, "day": DAYS.first}
    steps = {"pane": _panes(kept, panes), "hour": _hours(kept, hours), "day": _days(kept, days)}
    for name, step in steps.items():
        had, started_s = kept.cells, time.process_time()
        for _ in step:
            pass
        now = _resident()
        made = max(kept.cells - had, 1)
        found[f"{name}_cell_bytes"] = round((now - before) / made)
        found[f"{name}_cell_packed_bytes"] = round(kept.packed_bytes(firsts[name]))
        found[f"{name}s_mb"] = round((now - before) / 1e6)
        found[f"{name}s_cpu_s"] = round(time.process_time() - started_s, 1)
        before = now
    return {**found, "cells": kept.cells, "all_mb": round((before - begun) / 1e6)}


def _panes(kept: Kept, panes: int) -> Any:
    for number in range(1, panes):
        yield kept.count(number)


def _hours(kept: Kept, hours: int) -> Any:
    for hour in range(hours):
        if hour < COUNTED_HOURS:
            for _ in range(PANES_AN_HOUR):
                yield kept.count(HOURS.first + hour)
        else:
            yield kept.copy(HOURS.first + hour % COUNTED_HOURS, HOURS.first + hour)


def _days(kept: Kept, days: int) -> Any:
    for day in range(days):
        if day:
            yield kept.copy(DAYS.first, DAYS.first + day)
        else:
            for hour in range(HOURS_A_DAY):
                yield kept.copy(HOURS.first + hour, DAYS.first)


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1_000)
    parser.add_argument("--cells", type=int, default=5, help="of a model in a pane")
    parser.add_argument("--rows", type=int, default=20, help="in a cell of a pane")
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--panes", type=int, default=120)
    parser.add_argument("--hours", type=int, default=72)
    parser.add_argument("--days", type=int, default=35)
    options = parser.parse_args()
    kept = Kept(options.models, cells=options.cells, rows=options.rows, features=options.features)
    print(json.dumps(measure(kept, panes=options.panes, hours=options.hours, days=options.days)))


if __name__ == "__main__":
    main()
