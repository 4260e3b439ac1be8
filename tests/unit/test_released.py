"""Rows whose time has come: in order, whatever batches they came in."""

from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import released
from streams.features import ABSENT, blocks_of
from streams.noticed import Noticed
from streams.outcomes import OutcomeRows, PredictionRows
from streams.released import losses, ordered, seen
from streams.shown import Shown
from streams.tables import OutcomeColumns, Table
from streams.task import Task
from streams.watchers.lanes import Input
from tests.examples import some

NOTHING = np.empty(0)
FEATURES = [
    None,
    {"a": 1.0, "b": 2.0},
    {"a": 3.0, "b": None},
    {"b": 1.0, "a": 2.0},
    {"a": "text", "c": 7.0},
    {"c": 1.0},
]


class Waits(NamedTuple):
    """Rows that wait; `columns` are computed as the monitor does."""

    table: Table
    columns: OutcomeColumns


@pytest.mark.parametrize("largest_key", [1, 1 << 62])
@given(
    rows=st.lists(st.tuples(*[st.integers(0, 2)] * 3, st.integers(-2, 2)), min_size=1, max_size=40),
    first_ms=st.sampled_from([0, 1 << 52]),
)
def test_rows_are_ordered_by_model_time_and_ties(
    largest_key: int, rows: list[tuple[int, ...]], first_ms: int
) -> None:
    models, times_ms, made_ms, ties = np.array(rows, np.int64).T

    with patch.object(released, "_LARGEST_KEY", largest_key):
        found, unclear = ordered(models, times_ms + first_ms, made_ms, ties)

    assert sorted(found.tolist()) == list(range(len(rows)))
    assert [rows[index] for index in found.tolist()] == sorted(rows)
    assert unclear == (len(set(rows)) < len(rows))


# --- predictions

said = st.tuples(
    st.integers(0, 2),  # model
    st.integers(0, 6),  # time
    st.integers(0, 2),  # tie
    st.sampled_from([0.1, 0.2, np.nan]),
    st.sampled_from(FEATURES),
)


def predictions(rows: list[Any]) -> Waits:
    models, times, ties, scores, features = zip(*rows, strict=True) if rows else ((),) * 5
    size = len(rows)
    table = Table(
        ["x"],
        [()],
        PredictionRows(
            np.array(models, np.int64),
            np.array(times, np.int64),
            np.array(ties, np.int64),
            np.ones(size),
            np.full(size, -1),
            np.array(scores, float),
            np.full(size, np.nan),
            np.zeros(size, np.int64),
        ),
        blocks_of(features),
        OutcomeRows(*[NOTHING.astype(np.int64)] * 9, NOTHING, *[NOTHING.astype(np.int64)] * 5),  # type: ignore[arg-type]
    )
    return Waits(table, None)  # type: ignore[arg-type]


@settings(max_examples=some(200))
@given(rows=st.lists(said, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=3))
def test_every_input_of_every_model_comes_in_order_whatever_the_batches(
    rows: list[Any], cuts: list[int]
) -> None:
    parts = np.split(np.arange(len(rows)), sorted(cuts))
    waiting = [predictions([rows[i] for i in part]) for part in parts]

    found = seen(waiting, lambda source: source != "feature:c", from_ms=1, until_ms=5)

    expected: dict[tuple[int, str], list[Any]] = {}
    for model, time, tie, score, features in rows:
        values = {f"feature:{name}": value for name, value in (features or {}).items()}
        for source, value in ({"score": score} | values).items():
            number = value if isinstance(value, float) else ABSENT
            if 1 <= time < 5 and np.isfinite(number) and source != "feature:c":
                expected.setdefault((model, source), []).append((time, tie, number))
    assert flat(found) == {
        key: [(time, value) for time, _, value in sorted(own)] for key, own in expected.items()
    }


def flat(inputs: list[Input]) -> dict[tuple[int, str], list[tuple[int, float]]]:
    """Return the values of every model and input, each of which must come once."""
    found: dict[tuple[int, str], list[tuple[int, float]]] = {}
    for one in inputs:
        ends = np.cumsum(one.counts)
        assert ends[-1] == len(one.values) == len(one.times_ms)
        for model, start, end in zip(one.models.tolist(), ends - one.counts, ends, strict=True):
            times, values = one.times_ms[start:end].tolist(), one.values[start:end].tolist()
            assert (model, one.source) not in found
            found[model, one.source] = list(zip(times, values, strict=True))
    return found


# --- outcomes

SEGMENT = np.zeros(1, np.int64)
labelled = st.tuples(
    st.integers(0, 2),  # model
    st.integers(0, 40),  # time at which both were there
    st.integers(0, 2),  # time of the prediction
    st.integers(0, 1),  # tie
    st.sampled_from([0.0, 1.0, 2.0, 3.5, np.inf]),  # prediction; the last is a text
    st.sampled_from([0.0, 1.0, 2.0]),  # label
    st.integers(0, 1),  # whether it is the first label
)


def outcomes(rows: list[Any]) -> Table:
    columns = zip(*rows, strict=True) if rows else ((),) * 7
    model, at, made, tie, number, label, first = (np.array(c, np.float64) for c in columns)
    size = len(rows)
    none, code = np.full(size, np.nan), np.full(size, -1)
    text = np.isinf(number)
    empty = predictions([]).table
    return empty._replace(
        outcomes=OutcomeRows(
            model.astype(np.int64),
            made.astype(np.int64),
            at.astype(np.int64),
            at.astype(np.int64),
            np.ones(size, np.int8),
            first.astype(np.int8),
            np.ones(size, np.int8),
            tie.astype(np.int64),
            np.where(text, np.nan, number),
            np.where(text, 0, -1),
            label,
            code,
            none,
            none,
            np.zeros(size, np.int64),  # type: ignore[arg-type]
        )
    )


@settings(max_examples=some(300))
@given(
    rows=st.lists(labelled, max_size=25),
    cuts=st.lists(st.integers(0, 25), max_size=3),
    every_ms=st.sampled_from([5, 1_000]),
)
def test_losses_come_in_order_measured_by_what_each_model_was_known_to_be(
    rows: list[Any], cuts: list[int], every_ms: int
) -> None:
    """A model turns to a regression at a boundary, in the middle of what is due."""
    noticed = Noticed()
    for _ in range(3):
        noticed.put(len(noticed.shown), Shown(Task(), every_ms=every_ms))
    parts = np.split(np.arange(len(rows)), sorted(cuts))
    waiting = []
    for table in (outcomes([rows[i] for i in part]) for part in parts):
        columns = OutcomeColumns(
            table.outcomes, table.strings, task_of=lambda _: Task(), settled_ms=noticed.settled_ms
        )
        noticed.take(columns)
        waiting.append(Waits(table, columns))

    found = losses(waiting, noticed, from_ms=3, until_ms=35)

    expected: dict[int, list[tuple[int, float, int]]] = {}
    for model, at, _, _, number, label, first in sorted(rows, key=_place):
        if first and 3 <= at < 35:
            kind = noticed.shown[model].at(at).kind
            regression = kind == "regression"
            distance = regression and np.isfinite(number)
            loss = abs(number - label) if distance else float(number != label)
            expected.setdefault(model, []).append((at, loss, 3 if regression else 1))
    taken: dict[int, list[tuple[int, float, int]]] = {}
    for one in found:
        assert one.measures is not None
        measures = np.repeat(one.measures, one.counts)
        models = np.repeat(one.models, one.counts).tolist()
        for model, *row in zip(models, one.times_ms, one.values, measures, strict=True):
            taken.setdefault(model, []).append(tuple(map(float, row)))  # type: ignore[arg-type]
    assert taken == expected


def _place(row: Any) -> Any:
    model, at, made, tie, number, label, _ = row
    return model, at, made, tie, float(number != label), abs(number - label)
