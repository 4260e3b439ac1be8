"""Random rows of every sort of model, for whoever counts them in two ways."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from streams.categories import category
from streams.events import ABSENT
from streams.features import Block
from streams.outcomes import OutcomeRows, PredictionRows
from streams.readings import GAUGES, ReadingRows
from streams.tables import OutcomeColumns
from streams.task import Judged, Task
from tests.plain_cells import coded

Random = np.random.Generator


def _scores(random: Random, size: int) -> Any:
    """Return scores: probabilities, few or many different, percentages, logits, or anything."""
    return random.choice(SCORES)(random, size)


SCORES: tuple[Callable[[Random, int], Any], ...] = (
    lambda random, size: random.random(size),
    lambda random, size: random.random(size) ** 20,
    lambda random, size: 1 - random.random(size) ** 40,
    lambda random, size: random.integers(0, 11, size) / 10,
    lambda random, size: random.integers(0, 3, size) / 2,
    lambda random, size: 1000 + random.integers(0, 40, size) / 10,
    lambda random, size: random.normal(0, 8, size),
    lambda random, size: random.normal(0, 1, size) * 10.0 ** random.integers(-150, 150, size),
    lambda random, size: np.where(random.random(size) < 0.015, 7.0, random.random(size)),
    lambda random, size: random.choice([0.0, 1.0, 1 + 1e-7, -1e-7, 0.5, 1e-300], size),
    lambda _, size: np.full(size, np.nan),
)

ANSWERS: tuple[tuple[Any, ...], ...] = (
    (0, 1),
    (1, -1),
    ("yes", "No", "true", 0, 1),
    ("fraud", "legit"),
    ("cat", "dog", "fox", "yes", "1"),
    ("positive", "negative", "neutral", 0, 1),
    tuple(f"class {number:03}" for number in range(150)),
    tuple(range(120)),
    (0.25, 0.5, 0.0, 1.0, 0.999),
    (1.5, -2.25, 1e150, -1e150, 3.0),
    (0, 1, 0.75, "yes", "2", 2.5, -3),
)


class Batch:
    """Predictions and outcomes of some windows.

    Parameters
    ----------
    models
        Of every window.
    segments
        How many sets of segments there are; 0: no row is in any.
    """

    def __init__(
        self, random: Random, models: Sequence[int], size: int, *, segments: int = 0
    ) -> None:
        self.random, self.size, self.segments = random, size, segments
        self.windows = random.integers(0, len(models), size)
        self.models = np.array(models)[self.windows]
        self.strings: list[str] = []  # of predictions
        self.times_ms = self.windows * 60_000 + random.integers(0, 60_000, size)

    def predictions(self) -> tuple[PredictionRows, list[Block]]:
        size, random = self.size, self.random
        latency = np.abs(random.normal(50, 30, size)) * 10.0 ** random.integers(-3, 4, size)
        latency[random.random(size) < random.choice([0.0, 0.6])] = 0.0
        latency[random.random(size) < random.choice([0.0, 0.3, 1.0])] = np.nan
        segments = self._segments()
        [own] = random.spawn(1)  # what is drawn below takes nothing from what others draw
        answers = [ANSWERS[own.integers(len(ANSWERS))] for _ in range(int(self.models.max()) + 1)]
        said = [answers[model][own.integers(len(answers[model]))] for model in self.models]
        self.strings = sorted({value for value in said if isinstance(value, str)})
        score = np.where(own.random(size) < own.choice([0.0, 0.2, 1.0]), np.nan, _scores(own, size))
        rows = PredictionRows(
            self.models.astype(np.int32),
            self.times_ms,
            np.arange(size),
            *coded("", said, self.strings).values(),
            score,
            latency,
            segments,
        )
        return rows, self._blocks()

    def _segments(self) -> Any:
        if not self.segments:
            return np.full(self.size, -1, np.int32)
        return self.random.integers(0, self.segments, self.size).astype(np.int32)

    def _blocks(self) -> list[Block]:
        random, size = self.random, self.size
        parts = np.array_split(random.permutation(size), 3)[:2]
        layouts = (("cost", "age", "city"), ("queue_ms", "zip", "age", "debt"))
        blocks = []
        for rows, names in zip(parts, layouts, strict=True):
            shape = len(rows), len(names)
            values = random.normal(0, 1, shape) * 10.0 ** random.integers(-150, 150, shape)
            odd = random.random(shape)
            values[odd < 0.3] = np.nan
            values[odd < 0.2] = category("Rome")
            values[odd < 0.1] = ABSENT
            if random.random() < 0.5:
                values[:, -1] = np.nan
            blocks.append(Block(names, rows, values))
        return blocks

    def outcomes(self, told: Sequence[Task]) -> tuple[OutcomeColumns, Any]:
        """Return outcomes with their windows; some take back what others added."""
        random, size, models = self.random, self.size, int(self.models.max()) + 1
        answers = [random.choice(len(ANSWERS)) for _ in range(models)]
        said, true = (
            [ANSWERS[answers[m]][random.integers(len(ANSWERS[answers[m]]))] for m in self.models]
            for _ in range(2)
        )
        strings = sorted({value for value in (*said, *true) if isinstance(value, str)})
        score, label_score = (
            np.where(random.random(size) < 0.1, np.nan, _scores(random, size)) for _ in range(2)
        )
        label_score[random.random(models)[self.models] < 0.5] = np.nan
        columns = {
            "model": self.models.astype(np.int32),
            "time_ms": self.times_ms,
            "label_ms": self.times_ms + random.integers(-5_000, int(random.choice(DELAYS)), size),
            "at_ms": self.times_ms + 1,
            "weight": np.ones(size, np.int8),
            "first": np.ones(size, np.int8),
            "delay": random.integers(0, 2, size).astype(np.int8),
            "tie": np.arange(size),
            **coded("", said, strings),
            **coded("label_", true, strings),
            "score": score,
            "label_score": label_score,
            "segments": self._segments(),
        }
        gone = np.flatnonzero(random.random(size) < 0.2)
        every = {name: np.concatenate([c, c[gone]]) for name, c in columns.items()}
        every["weight"][size:] = -1
        settled_ms = np.where(random.random(models) < 0.1, 0, 2**62)
        rows = OutcomeRows(**every)
        found = OutcomeColumns(rows, strings, task_of=told.__getitem__, settled_ms=settled_ms)
        return found, np.concatenate([self.windows, self.windows[gone]])


DELAYS = (-4_000, 5_000, 900_000)
TASKS = (Task(), Task(), Task("binary"), Task("binary", "dog"), Task("multiclass"))
TASKS += (Task("regression"), Task(positive="fraud"))
POSITIVES = ("1", "fraud", "cat", "ghost", "0", "class 003")


def judgement(random: Random, *, classes: bool) -> Judged:
    kind = str(random.choice(["binary", "probability", "multiclass", "regression", "text"]))
    if kind == "multiclass" and not classes:
        kind = "binary"  # who has several classes has shown some
    positive = str(random.choice(POSITIVES))
    return Judged(kind, "", positive, kind == "multiclass" and bool(random.integers(2)))


def random_readings(
    random: np.random.Generator, models: list[int], *, count: int
) -> tuple[ReadingRows, list[int]]:
    """Return readings of hosts and the window of each; a gauge in three is not read."""
    windows = random.integers(0, len(models), count)
    values = {}
    for name in GAUGES:
        if random.random() < 0.7:
            column = np.where(random.random(count) < 0.2, 1.0, random.random(count).round(2))
            if name == "gpu_ecc_errors":
                column = column.round()
            if name == "gpu_throttled":
                column = (column > 0.5).astype(np.float64)
            values[name] = np.where(random.random(count) < 0.3, np.nan, column)
    times_ms = windows * 60_000 + random.integers(0, 60_000, count)
    own = np.array(models, np.int64)[windows]
    return ReadingRows(own, times_ms, values), windows.tolist()
