"""Outcome records of many models put together, with what every tally needs, computed once.

Whatever is done to rows is done to all rows of a step at once: a call into numpy costs
microseconds, and a model may have only a few rows.
"""

from collections.abc import Callable, Collection, Container, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.classes import binary_name, class_name
from streams.features import Block, choose, merged
from streams.grouping import distinct
from streams.model_keys import Models
from streams.outcomes import FateRows, Floats, Ints, OutcomeRows, Outcomes, PredictionRows, aligned
from streams.probabilities import TINY, probabilities
from streams.task import Task

Settled: TypeAlias = Callable[[NDArray[np.integer], Ints], NDArray[np.bool_]]


class Table(NamedTuple):
    """Rows of any models.

    Attributes
    ----------
    predictions, outcomes, fates
        As in `streams.outcomes`, but that `model` is the monitor's own code, and that `code`,
        `label_code` and `segments` index the two lists here.
    """

    strings: list[str]
    segment_sets: list[tuple[str, ...]]
    predictions: PredictionRows
    features: list[Block]
    outcomes: OutcomeRows
    fates: FateRows = FateRows.none()


def table_of(records: Sequence[Outcomes], codes_of: Callable[[Models], Ints]) -> Table:
    """Put records together.

    Parameters
    ----------
    codes_of
        Gives the codes of the model versions of a record.
    """
    strings: dict[str, int] = {}
    sets: dict[tuple[str, ...], int] = {}
    predictions, outcomes, fates = [], [], []
    for record in records:
        models = codes_of(record.models)
        texts = _codes(record.strings, strings)
        pairs = _codes(record.segment_sets, sets)
        p, o = record.predictions, record.outcomes
        f = record.fates
        fates.append((models[f.model], *f.columns[1:-1], pairs[f.segments]))
        predictions.append(
            (models[p.model], *_fields(p)[1:4], texts[p.code], *_fields(p)[5:7], pairs[p.segments])
        )
        outcomes.append(
            (
                *(models[o.model], *_fields(o)[1:9], texts[o.code]),
                *(o.label_number, texts[o.label_code], o.score, o.label_score, pairs[o.segments]),
            )
        )
    return Table(
        list(strings),
        list(sets),
        PredictionRows(*_together(predictions)),
        merged([(record.features, len(record.predictions.time_ms)) for record in records]),
        OutcomeRows(*_together(outcomes)),
        FateRows(*_together(fates)),
    )


def _codes(values: Sequence[Any], index: dict[Any, int]) -> Ints:
    """Return codes for the values of a record, new ones added; the last is for code -1."""
    return np.array([*(index.setdefault(value, len(index)) for value in values), -1])


def _together(rows: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    return (aligned(c[0]) if len(c) == 1 else np.concatenate(c) for c in zip(*rows, strict=True))


def _fields(rows: PredictionRows | OutcomeRows) -> tuple[Any, ...]:
    return tuple(getattr(rows, name) for name in rows.__struct_fields__)


def since(table: Table, time_ms: int) -> tuple[Table, int]:
    """Return the rows that are not older, and how many are."""
    predictions = table.predictions.time_ms >= time_ms
    outcomes = table.outcomes.at_ms >= time_ms
    late = int(np.count_nonzero(~predictions) + np.count_nonzero(~outcomes))
    return (_chosen(table, predictions, outcomes), late) if late else (table, 0)


def made_between(table: Table, from_ms: int, until_ms: int) -> Table:
    """Return the rows whose predictions were made in a span of time, and no fates."""
    predictions, outcomes = (
        (rows.time_ms >= from_ms) & (rows.time_ms < until_ms)
        for rows in (table.predictions, table.outcomes)
    )
    return _chosen(table, predictions, outcomes)._replace(fates=FateRows.none())


def without(table: Table, models: Collection[int]) -> tuple[Table, int]:
    """Return the rows that are not of these models, and how many are."""
    if not models:
        return table, 0
    codes = list(models)
    predictions = ~np.isin(table.predictions.model, codes)
    outcomes = ~np.isin(table.outcomes.model, codes)
    fates = ~np.isin(table.fates.model, codes)
    table = table._replace(fates=FateRows(*(column[fates] for column in table.fates.columns)))
    gone = int(np.count_nonzero(~predictions) + np.count_nonzero(~outcomes))
    return (_chosen(table, predictions, outcomes), gone) if gone else (table, 0)


def _chosen(table: Table, predictions: NDArray[np.bool_], outcomes: NDArray[np.bool_]) -> Table:
    kept = np.flatnonzero(predictions)
    return table._replace(
        predictions=PredictionRows(*(column[kept] for column in _fields(table.predictions))),
        features=choose(table.features, kept, count=len(predictions)),
        outcomes=OutcomeRows(*(column[outcomes] for column in _fields(table.outcomes))),
    )


class OutcomeColumns:
    """Outcome rows with what every tally needs of them.

    Parameters
    ----------
    task_of
        Tells what a model, by its code, is told to be.
    settled_ms
        By code, from when on a model is known to be a regression, see `streams.shown`.

    Attributes
    ----------
    classes
        Names of the numbers in `predicted` and `true`.
    scored, text, text_label
        Whether there is a score, and whether prediction and label are texts.
    score
        Of the positive class, or of the class that the label names.
    positive
        Rows whose label is a positive class of their model.
    chance
        Rows whose prediction is between 0 and 1.
    real, no_chance
        Rows that only make sense as a regression (a fraction somewhere, and no score), and those
        that would not even if it were the prediction of a probability.
    sure
        Rows without a score whose prediction is the number 0 or 1.
    by_error
        Rows whose classes mean nothing: each number is one of its own, and a confusion of them
        would grow with the traffic.
    classed
        Rows whose classes are counted.
    loss, word_loss
        1.0 where the prediction is not the label, among two classes and beside a third.
    error
        Prediction minus label; NaN where either is text.
    share, class_share
        Score and the score of the label's class as probabilities; NaN where they are none.
    outside, class_outside
        Where there are scores that are no probabilities; `None` if nowhere.
    means
        Name and values of what is averaged; NaN where there is nothing.
    settled
        Tells of rows, by model and time, whether models were known to be no classifiers.
    """

    def __init__(
        self,
        rows: OutcomeRows,
        strings: Sequence[str],
        *,
        task_of: Callable[[int], Task],
        settled_ms: Ints,
    ) -> None:
        self.rows = rows
        self.settled: Settled = lambda models, at_ms: at_ms >= settled_ms[models]
        codes, models = distinct(rows.model)
        tasks, models = _different_tasks(list(map(task_of, codes.tolist())), models)
        self.error = rows.number - rows.label_number
        self.text, self.text_label = np.isnan(rows.number), np.isnan(rows.label_number)
        fraction = (rows.number % 1 != 0) | (rows.label_number % 1 != 0)
        self.scored = ~(np.isnan(rows.score) & np.isnan(rows.label_score))
        self.real = fraction & ~self.text & ~self.text_label & ~self.scored
        self.chance = (rows.number > 0) & (rows.number < 1)
        possible = self.chance & (rows.label_number % 1 == 0)
        self.no_chance = self.real & ~possible
        self.sure = ~self.scored & ((rows.number == 0) | (rows.number == 1))
        self.by_error = _by_error(self.real, tasks, models)
        self.classed = ~(self.by_error | self.settled(rows.model, rows.at_ms))
        nameless = ~self.classed & (rows.code < 0) & (rows.label_code < 0) & ~self.scored
        self._name_classes(rows, strings, np.concatenate([nameless, nameless & ~possible]))
        self.positive = self._positives(tasks, models)
        self._lose(nameless)
        score = np.where(self.positive, rows.label_score, 1.0 - rows.label_score)
        score = np.where(np.isnan(rows.score), score, rows.score)
        self.score = np.where(np.isnan(score) & self.chance, rows.number, score)
        self.share, self.outside = probabilities(self.score)
        self.class_share, self.class_outside = probabilities(rows.label_score)
        self.means = self._means(self.positive)

    @property
    def improper_scores(self) -> int:
        """How many rows that count have a score that is no probability."""
        found = [outside for outside in (self.outside, self.class_outside) if outside is not None]
        if not found:
            return 0
        counts = np.logical_or.reduce(found) & ~self.by_error & (self.rows.weight > 0)
        return int(np.count_nonzero(counts))

    def _name_classes(
        self, rows: OutcomeRows, strings: Sequence[str], nameless: NDArray[np.bool_]
    ) -> None:
        """Give the classes of this batch numbers; the same name has the same number.

        Parameters
        ----------
        nameless
            Predictions, then labels, whose classes are never asked for: each number would be one.
        """
        self.classes, coded = class_places(
            np.concatenate([rows.number, rows.label_number]),
            np.concatenate([rows.code, rows.label_code]),
            strings,
            nameless=nameless,
        )
        half = len(coded) // 2
        self.predicted, self.true = coded[:half], coded[half:]

    def _lose(self, nameless: NDArray[np.bool_]) -> None:
        """Tell for every row whether it has two classes, words being 1 and 0, or words."""
        index: dict[str, int] = {}
        names = map(binary_name, self.classes)
        one = np.array([index.setdefault(name, len(index)) for name in names], np.int64)
        differs = np.where(nameless, self.error != 0, self.predicted != self.true)
        self.word_loss = self.loss = differs.astype(np.float64)
        if len(index) < len(self.classes):
            differs = np.where(nameless, differs, one[self.predicted] != one[self.true])
            self.loss = differs.astype(np.float64)

    @cached_property
    def chance_loss(self) -> Floats:
        """Return how far the probability of the positive class is from the truth."""
        share = np.where(np.isnan(self.score), self.rows.number, self.score)
        distance: Floats = np.abs(share - self.positive)
        return np.where(np.isnan(distance), self.loss, distance)

    def _positives(self, tasks: Sequence[Task], models: Ints) -> NDArray[np.bool_]:
        """Tell for every row whether its label is a positive class of its model."""
        kinds = list(dict.fromkeys(task.positive for task in tasks))
        if not kinds:
            return np.zeros(0, bool)
        told = [Task(positive=kind) for kind in kinds]
        table = np.array([[task.is_positive(name) for name in self.classes] for task in told])
        kind_of = np.array([kinds.index(task.positive) for task in tasks])
        positive: NDArray[np.bool_] = table[kind_of[models], self.true]
        return positive

    def _means(self, positive: NDArray[np.bool_]) -> list[tuple[str, Floats]]:
        means = []
        known = ~np.isnan(self.score)
        error = np.where(known & ~self.by_error, np.nan, self.error)
        if not np.isnan(error).all():
            means += [("error", error), ("absolute", np.abs(error))]
        if known.any():
            share = self.share
            likely = np.where(positive, share, 1.0 - share)
            means += [
                ("brier", (share - positive.astype(np.float64)) ** 2),
                ("log_loss", -np.log(np.clip(likely, TINY, 1.0))),
            ]
        told = self.class_share
        if not np.isnan(told).all():
            means.append(("class_log_loss", -np.log(np.clip(told, TINY, 1.0))))
        return means


def _different_tasks(tasks: Sequence[Task], models: Ints) -> tuple[list[Task], Ints]:
    """Return the tasks that are different, and which of them each row has by the model's place."""
    index: dict[Task, int] = {}
    places = [index.setdefault(task, len(index)) for task in tasks]
    if len(index) < 2:
        return list(index), np.zeros(len(models), np.int64)
    return list(index), np.array(places, np.int64)[models]


def class_places(
    number: Floats,
    code: NDArray[np.integer],
    strings: Sequence[str],
    *,
    nameless: NDArray[np.bool_],
) -> tuple[list[str], Ints]:
    """Return names of classes, and the place there of every value's; the same name has the same.

    Parameters
    ----------
    number, code
        Values, see `PredictionRows`.
    nameless
        Of which the class is never asked for: each number would be one.

    Examples
    --------
    >>> number, code = np.array([1.0, np.nan, 0.5]), np.array([-1, 0, -1])
    >>> names, places = class_places(number, code, ["1.0"], nameless=number == 0.5)
    >>> names, places.tolist()
    (['1', ''], [0, 0, 1])
    """
    index: dict[str, int] = {}
    names = [*map(class_name, strings), ""]
    words = np.array([index.setdefault(name, len(index)) for name in names], np.int64)
    coded: Ints = words[code]
    numeric = (code < 0) & ~nameless
    values, places = _different(number[numeric])
    names = [class_name(value) for value in values.tolist()]
    own = np.array([index.setdefault(name, len(index)) for name in names], np.int64)
    if names:
        coded[numeric] = own[places]
    return list(index), coded


def _by_error(real: NDArray[np.bool_], tasks: Sequence[Task], models: Ints) -> NDArray[np.bool_]:
    kinds = {task.kind for task in tasks}
    if kinds <= {"auto"}:
        return real
    auto = np.array([task.kind == "auto" for task in tasks])[models]
    regression = np.array([task.kind == "regression" for task in tasks])[models]
    return np.where(auto, real, regression)


def _different(numbers: Floats) -> tuple[Floats, Ints]:
    """Return the different numbers and the place of each; most classes are small numbers."""
    whole = numbers.astype(np.int64) if len(numbers) and np.abs(numbers).max() < 2**31 else None
    if whole is None or (whole != numbers).any():
        return np.unique(numbers, return_inverse=True)
    values, places = distinct(whole)
    return values.astype(np.float64), places


def segment_layers(
    table: Table, segments: NDArray[np.integer], *, wanted: Container[str] | None = None
) -> Iterator[tuple[list[str], Ints, Ints]]:
    """Yield, for the first, second, … segment of every row: names, rows, and name of each row.

    Every row is in the segment `""`, and in as many others as it names.

    Parameters
    ----------
    segments
        Index into `segment_sets` of every row.
    wanted
        Segments to yield; `None` for all.
    """
    names: dict[str, int] = {}
    if len(segments) and (wanted is None or "" in wanted):
        yield [""], np.arange(len(segments)), np.zeros(len(segments), np.int64)
    for layer in range(max(map(len, table.segment_sets), default=0)):
        name_of = np.full(len(table.segment_sets), -1)
        for number, pairs in enumerate(table.segment_sets):
            if len(pairs) > layer and (wanted is None or pairs[layer] in wanted):
                name_of[number] = names.setdefault(pairs[layer], len(names))
        name = name_of[segments]
        rows = np.flatnonzero(name >= 0)
        if len(rows):
            yield list(names), rows, name[rows]
