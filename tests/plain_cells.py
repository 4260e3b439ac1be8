"""Cells of dictionaries, one row after the other: what families must get of any real store."""

import copy
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import exact_sum
from streams.classes import binary_name, class_name
from streams.failures import have_failed
from streams.families.family import (
    KINDS,
    OUTCOMES,
    PREDICTIONS,
    RESOURCES,
    Family,
    Scope,
    Sums,
    Totals,
)
from streams.features import Block
from streams.outcomes import OutcomeRows, PredictionRows
from streams.readings import ReadingRows
from streams.tables import OutcomeColumns
from streams.task import Judged, Task
from tests.plain_quality import Value


class PlainGrid:
    """Cells of windows, each of one model.

    Parameters
    ----------
    models
        Of every window.
    """

    def __init__(self, families: Iterable[Family], models: Sequence[int]) -> None:
        self.families, self.models = tuple(families), models
        self.counts: Any = defaultdict(Counter)
        self.sums: Any = defaultdict(int)
        self.predictions: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()
        self.labels: Counter[int] = Counter()
        self.features: set[tuple[int, str]] = set()
        self.names: list[str] = []
        self._codes: dict[tuple[int, str], int] = {}

    def name(self, text: str) -> int:
        """Return the code of a name, and make sure that there is that of its binary name."""
        for one in (text, binary_name(text)):
            if one not in self.names:
                self.names.append(one)
        return self.names.index(text)

    def class_code(self, model: int, name: str) -> int:
        """Return the code of a class within its model."""
        known = sum(1 for owner, _ in self._codes if owner == model)
        return self._codes.setdefault((model, name), known)

    def count_predictions(
        self,
        rows: PredictionRows,
        windows: Sequence[int],
        blocks: Sequence[Block],
        *,
        strings: Sequence[str] = (),
        settled: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        """Count every row in its window."""
        self.predictions.update(windows)
        failed = have_failed(rows.number).tolist()
        self.failed.update(w for w, gone in zip(windows, failed, strict=True) if gone)
        own = [f for f in self.families if f.reads is PREDICTIONS]
        none = np.zeros(len(windows), np.bool_)
        late = none if settled is None else settled(rows.model, rows.time_ms)
        predicted = []
        for window, number, code, gone in zip(
            windows, rows.number.tolist(), rows.code.tolist(), late.tolist(), strict=True
        ):
            if gone or (code < 0 and number % 1 != 0):
                predicted.append(-1)
                continue
            name = class_name(strings[code] if code >= 0 else number)
            self.name(name)
            predicted.append(self.class_code(self.models[window], name))
        seen = SimpleNamespace(predictions=rows, predicted=np.array(predicted, np.int64))
        self._count([f for f in own if f.scope is Scope.WINDOW], seen, windows, [1] * len(windows))
        for block in blocks:
            keys = [(windows[row], name) for row in block.rows.tolist() for name in block.names]
            self.features.update(keys)
            of_features = [f for f in own if f.scope is Scope.FEATURE]
            self._count(of_features, SimpleNamespace(block=block), keys, [1] * len(keys))

    def count_outcomes(self, columns: OutcomeColumns, windows: Sequence[int]) -> None:
        """Count every row in its window, by its weight."""
        weights = columns.rows.weight.tolist()
        predicted, true = (
            np.array(
                [
                    self.class_code(self.models[window], columns.classes[place])
                    for window, place in zip(windows, side.tolist(), strict=True)
                ],
                np.int64,
            )
            for side in (columns.predicted, columns.true)
        )
        for name in columns.classes:
            self.name(name)
        for window, weight in zip(windows, weights, strict=True):
            self.labels[window] += weight
        seen = SimpleNamespace(columns=columns, predicted=predicted, true=true)
        self._count([f for f in self.families if f.reads is OUTCOMES], seen, windows, weights)

    def count_readings(self, rows: ReadingRows, windows: Sequence[int]) -> None:
        """Count every reading in its window."""
        own = [f for f in self.families if f.reads is RESOURCES]
        self._count(own, SimpleNamespace(values=rows.values), windows, [1] * len(windows))

    def _count(
        self, families: Iterable[Family], seen: Any, keys: Sequence[Any], weights: Sequence[int]
    ) -> None:
        for family in families:
            for name, seen_of in family.observe(seen).items():
                kind = family.columns[name]
                values, amounts = seen_of if isinstance(kind, Totals) else (seen_of, None)
                every = np.ravel(values).tolist()
                added = [1] * len(keys) if amounts is None else np.ravel(amounts).tolist()
                for key, value, weight, amount in zip(keys, every, weights, added, strict=True):
                    if isinstance(kind, Sums):
                        if math.isfinite(value):
                            self.sums[family.name, name, key] += weight * exact_sum.exact(value)
                    elif value >= 0:
                        assert value < 2**32
                        self.counts[family.name, name, key][int(value)] += weight * amount

    def values(self, judged: Sequence[Judged]) -> list[dict[str, Value]]:
        """Return by window what families compute."""
        found: list[dict[str, Value]] = [{} for _ in judged]
        for family in self.families:
            if family.across:  # it gets segments, of which there are none here
                continue
            cells = PlainCells(self, family, judged)
            for one in family.compute(cells):
                groups = range(cells.groups) if one.group is None else one.group.tolist()
                for place, group in enumerate(groups):
                    value = float(one.value[place])
                    if math.isnan(value):
                        continue
                    window, name = cells.window_of(group), one.metric
                    if one.part is not None:
                        name = f"{name}:{self.names[one.part[place]]}"
                    elif family.scope is Scope.FEATURE:
                        name = f"{name}:{cells.keys[group][1]}"
                    assert name not in found[window]
                    low, high = _bound(one.low, place), _bound(one.high, place)
                    found[window][name] = Value(name, value, low, high, int(one.count[place]))
        return found


def _bound(bounds: NDArray[np.float64] | None, place: int) -> float | None:
    if bounds is None or np.isnan(bounds[place]):
        return None
    return float(bounds[place])


class PlainCells:
    """What `compute` gets."""

    def __init__(self, grid: PlainGrid, family: Family, judged: Sequence[Judged]) -> None:
        self._grid, self._family = grid, family
        of_features = family.scope is Scope.FEATURE
        self.baseline = None
        self.keys: list[Any] = sorted(grid.features) if of_features else list(range(len(judged)))
        self.groups = len(self.keys)
        windows = [self.window_of(group) for group in range(self.groups)]
        self.predictions = np.array([grid.predictions[w] for w in windows], np.int64)
        self.answered = self.predictions - np.array([grid.failed[w] for w in windows], np.int64)
        self.labels = np.array([grid.labels[w] for w in windows], np.int64)
        self.kind = np.array([KINDS.index(judged[w].kind) for w in windows], np.int8)
        self.words = np.array([judged[w].words for w in windows], np.bool_)
        self.names = grid.names
        known = [judged[w].positive for w in windows]
        self.positive = np.array(
            [grid.names.index(name) if name in grid.names else -2 for name in known], np.int64
        )

    def window_of(self, group: int) -> int:
        key = self.keys[group]
        return key if isinstance(key, int) else key[0]

    @property
    def two(self) -> NDArray[np.int64]:
        return np.array([self._grid.name(binary_name(n)) for n in list(self.names)], np.int64)

    def classes(self, group: Any, code: Any) -> NDArray[np.int64]:
        of_code = {(m, c): name for (m, name), c in self._grid._codes.items()}
        models = [self._grid.models[self.window_of(one)] for one in group.tolist()]
        found = [of_code[pair] for pair in zip(models, code.tolist(), strict=True)]
        return np.array([self._grid.name(name) for name in found], np.int64)

    def of_feature(self, name: str) -> "PlainCells | None":
        windows = [(window, name) for window in self.keys]
        if not self._grid.features.intersection(windows):
            return None
        found = copy.copy(self)
        found.keys = windows
        return found

    def wants(self, *_: str) -> bool:
        return True

    def counts(self, name: str) -> NDArray[np.int64]:
        holder = self._holder(name)
        width = holder.columns[name].width  # type: ignore[union-attr]
        known = [self._grid.counts[holder.name, name, key] for key in self.keys]
        return np.array([[one[b] for b in range(width)] for one in known], np.int64).reshape(
            self.groups, width
        )

    def entries(self, name: str) -> tuple[Any, Any, Any]:
        found = [
            (group, number, count)
            for group, key in enumerate(self.keys)
            for number, count in sorted(
                self._grid.counts[self._holder(name).name, name, key].items()
            )
            if count
        ]
        columns = np.array(found, np.int64).reshape(len(found), 3)
        return columns[:, 0], columns[:, 1], columns[:, 2]

    def sums(self, name: str) -> "_PlainSums":
        holder = self._holder(name)
        return _PlainSums([self._grid.sums[holder.name, name, key] for key in self.keys])

    def _holder(self, column: str) -> Any:
        own = self._family.holder(column)
        return next(f for f in self._grid.families if f.name == own)


class _PlainSums:
    def __init__(self, totals: list[int]) -> None:
        self._totals = totals

    def means(self, counts: Any) -> NDArray[np.float64]:
        pairs = zip(self._totals, counts.tolist(), strict=True)
        return np.array([exact_sum.mean(t, n) if n else np.nan for t, n in pairs], np.float64)

    def totals(self, groups: Sequence[int]) -> list[int]:
        return [self._totals[group] for group in groups]


def coded(prefix: str, values: Sequence[Any], strings: Sequence[str]) -> dict[str, Any]:
    """Return predictions, or labels, as columns of outcome rows."""
    numbers = [np.nan if isinstance(value, str) else float(value) for value in values]
    codes = [strings.index(value) if isinstance(value, str) else -1 for value in values]
    return {
        f"{prefix}number": np.array(numbers),
        f"{prefix}code": np.array(codes, np.int32),
    }


def count_answers(
    grid: PlainGrid, said: Any, true: Any, *, scores: Any = None, window: int = 0
) -> None:
    """Count predictions with their labels in a window."""
    said, true = (np.asarray(side, object).tolist() for side in (said, true))
    size = len(said)
    strings = sorted({value for value in (*said, *true) if isinstance(value, str)})
    none = np.full(size, np.nan)
    zeros, ones = np.zeros(size, np.int64), np.ones(size, np.int8)
    models = np.full(size, grid.models[window], np.int32)
    rows = OutcomeRows(
        *(models, zeros, zeros, zeros, ones, ones, ones, zeros),
        *(*coded("", said, strings).values(), *coded("label_", true, strings).values()),
        *(none if scores is None else scores, none, np.full(size, -1, np.int32)),
    )
    settled_ms = np.full(max(grid.models) + 1, 2**62)
    columns = OutcomeColumns(rows, strings, task_of=lambda _: Task(), settled_ms=settled_ms)
    grid.count_outcomes(columns, [window] * size)


def count_said(grid: PlainGrid, said: Any, *, scores: Any = None, window: int = 0) -> None:
    """Count predictions, which have no labels, in a window."""
    said = np.asarray(said, object).tolist()
    size = len(said)
    strings = sorted({value for value in said if isinstance(value, str)})
    none, zeros = np.full(size, np.nan), np.zeros(size, np.int64)
    models = np.full(size, grid.models[window], np.int32)
    rows = PredictionRows(
        *(models, zeros, zeros, *coded("", said, strings).values()),
        *(none if scores is None else scores, none, np.full(size, -1, np.int32)),
    )
    grid.count_predictions(rows, [window] * size, [], strings=strings)
