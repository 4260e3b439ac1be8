"""Columns between the stages: what `join` found out about one model in one transaction.

One `Outcomes` record holds any number of rows of two kinds. *Prediction rows* exist once per
prediction, as soon as it is known. *Outcome rows* say that a label took effect (weight +1) or
no longer does (weight -1). A Kafka record costs microseconds, a row in a column nanoseconds.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.errors import StateError
from streams.events import ABSENT, Scalar, class_name
from streams.interning import Interner
from streams.steps import LARGEST_VALUE_BYTES

SCHEMA = 1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]

Features: TypeAlias = dict[str, float | None] | None

Identity: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Model, version and segments (`name=value`, sorted) of a prediction."""

_EXACT = 2**53


class PredictionRows(msgspec.Struct):
    """Prediction rows as columns of equal length.

    Attributes
    ----------
    time_ms
        Event time of the prediction.
    tie
        Hash of the prediction id: orders rows of the same millisecond.
    number, code
        The prediction: `code` indexes `Outcomes.strings`, or is -1 and `number` has the value.
        Whole numbers that a float cannot tell apart have both.
    score, latency_ms
        NaN where not given.
    segments
        Index into `Outcomes.segment_sets`.
    features
        One column per name in `Outcomes.features`; NaN is null, infinity is not numeric,
        minus infinity is not even named.
    """

    time_ms: Ints
    tie: Ints
    number: Floats
    code: Codes
    score: Floats
    latency_ms: Floats
    segments: Codes
    features: Floats


class OutcomeRows(msgspec.Struct):
    """Outcome rows as columns of equal length.

    Attributes
    ----------
    time_ms
        Event time of the prediction: decides the window.
    label_ms
        Event time of the label that counts or no longer counts.
    at_ms
        Event time at which prediction and label were both there: decides the order.
    weight
        +1 or -1.
    first
        1 on the first label of a prediction that took effect: what detectors see.
    delay
        0 if the label came with its prediction, so that its delay is unknown.
    number, code, label_number, label_code
        Prediction and label, see `PredictionRows`.
    score, label_score
        Score of the prediction, and of the class that the label names; NaN where not given.
    """

    time_ms: Ints
    label_ms: Ints
    at_ms: Ints
    weight: Ints
    first: Ints
    delay: Ints
    tie: Ints
    number: Floats
    code: Codes
    label_number: Floats
    label_code: Codes
    score: Floats
    label_score: Floats
    segments: Codes


class Outcomes(msgspec.Struct):
    """Rows of one model version."""

    model: str
    version: str
    strings: list[str]
    segment_sets: list[list[str]]
    features: list[str]
    predictions: PredictionRows
    outcomes: OutcomeRows


class ClockNotice(msgspec.Struct, frozen=True):
    """How far the event-time clock of one join partition is.

    Attributes
    ----------
    sources
        How many join partitions there are.
    clock_ms
        No record older than this is expected any more from this partition.
    newest_ms
        Newest event time seen by the partition, -1 before the first.
    idle
        The partition has nothing to read, so it must not hold back the others.
    """

    source: int
    sources: int
    clock_ms: int
    newest_ms: int
    idle: bool


class PredictionChunk(NamedTuple):
    """Prediction rows of any models as columns, by the join's own codes.

    Attributes
    ----------
    identity
        Code of model, version and segments.
    features
        One dictionary a row, `None` without features.
    """

    identity: Codes
    time_ms: Ints
    tie: Ints
    number: Floats
    code: Codes
    score: Floats
    latency_ms: Floats
    features: Sequence[Features]


class OutcomeChunk(NamedTuple):
    """Outcome rows of any models as columns, by the join's own codes."""

    identity: Codes
    time_ms: Ints
    label_ms: Ints
    at_ms: Ints
    weight: Ints
    first: Ints
    delay: Ints
    tie: Ints
    number: Floats
    code: Codes
    label_number: Floats
    label_code: Codes
    score: Floats
    label_score: Floats


_PREDICTION_KINDS = ("<i4", "<i8", "<i8", "<f8", "<i4", "<f8", "<f8")
_OUTCOME_KINDS = ("<i4", *["<i8"] * 7, "<f8", "<i4", "<f8", "<i4", "<f8", "<f8")


class RowCollector:
    """Collects the rows of one step, and writes them down model by model.

    Parameters
    ----------
    strings, identities
        What the codes in the chunks stand for.
    """

    def __init__(self, strings: Sequence[str], identities: Sequence[Identity]) -> None:
        self.strings, self.identities = strings, identities
        self.predictions: list[PredictionChunk] = []
        self.outcomes: list[OutcomeChunk] = []

    def encode(self) -> Iterator[tuple[str, bytes]]:
        """Yield model and value of every record that the rows need."""
        features = [row for chunk in self.predictions for row in chunk.features]
        predictions = _joined([chunk[:-1] for chunk in self.predictions], _PREDICTION_KINDS)
        outcomes = _joined(self.outcomes, _OUTCOME_KINDS)
        names: dict[tuple[str, str], int] = {}
        groups = [self._groups(rows[0], names) for rows in (predictions, outcomes)]
        parts = (_split(group, len(names)) for group in groups)
        for (model, version), of_predictions, of_outcomes in zip(names, *parts, strict=True):
            columns = [column[of_predictions] for column in predictions]
            own = PredictionChunk._make([*columns, _chosen(features, of_predictions)])
            own_outcomes = OutcomeChunk._make(column[of_outcomes] for column in outcomes)
            for value in self._values((model, version), own, own_outcomes):
                yield model, value

    def _groups(self, identity: Codes, names: dict[tuple[str, str], int]) -> Ints:
        """Return for every row the number of its model version, new ones added to `names`."""
        codes, inverse = np.unique(identity, return_inverse=True)
        numbers = [
            names.setdefault(self.identities[code][:2], len(names)) for code in codes.tolist()
        ]
        return np.array(numbers, np.int64)[inverse]

    def _values(
        self, name: tuple[str, str], predictions: PredictionChunk, outcomes: OutcomeChunk
    ) -> Iterator[bytes]:
        names = _names(predictions.features)
        rows = len(predictions.time_ms), len(outcomes.time_ms)
        last = sum(rows) <= 2
        if last or rows[0] * len(names) * 8 <= LARGEST_VALUE_BYTES:
            value = self._record(name, predictions, outcomes, names=names)
            if last or len(value) <= LARGEST_VALUE_BYTES:
                yield value
                return
        half, middle = rows[0] // 2, rows[1] // 2
        for first, second in (
            (slice(None, half), slice(None, middle)),
            (slice(half, None), slice(middle, None)),
        ):
            yield from self._values(
                name,
                PredictionChunk._make(column[first] for column in predictions),
                OutcomeChunk._make(column[second] for column in outcomes),
            )

    def _record(
        self,
        name: tuple[str, str],
        predictions: PredictionChunk,
        outcomes: OutcomeChunk,
        *,
        names: list[str],
    ) -> bytes:
        (p_code, o_code, o_label), strings = renumber(
            [predictions.code, outcomes.code, outcomes.label_code]
        )
        (p_set, o_set), sets = renumber([predictions.identity, outcomes.identity])
        p = predictions._replace(code=p_code)
        o = outcomes._replace(code=o_code, label_code=o_label)
        return _encode(
            (
                SCHEMA,
                *name,
                [self.strings[code] for code in strings],
                [list(self.identities[code][2]) for code in sets],
                names,
                [
                    *(c.tobytes() for c in (*p[1:-1], p_set)),
                    _feature_matrix(predictions.features, names),
                ],
                [c.tobytes() for c in (*o[1:], o_set)],
            )
        )


def renumber(columns: Sequence[Codes]) -> tuple[list[Codes], list[int]]:
    """Give codes new numbers, from 0 in the order of their first appearance; -1 stays.

    Returns
    -------
    tuple
        The columns with new codes, and the old code of each new one.

    Examples
    --------
    >>> [new], old = renumber([np.array([7, -1, 3, 7], np.int32)])
    >>> new.tolist(), old
    ([0, -1, 1, 0], [7, 3])
    """
    every = np.concatenate(columns)
    if not len(every) or every.max() < 0:
        return list(columns), []
    codes, first, inverse = np.unique(every, return_index=True, return_inverse=True)
    used = codes >= 0
    order = np.argsort(first[used])
    ranks = np.full(len(codes), -1, np.int32)
    ranks[np.flatnonzero(used)[order]] = np.arange(len(order))
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return np.split(ranks[inverse], ends), codes[used][order].tolist()


def code_scalars(values: Sequence[Scalar], strings: Interner[str]) -> tuple[Floats, Codes]:
    """Turn predictions or labels into numbers and codes, see `PredictionRows`."""
    if str not in set(map(type, values)):
        numbers = np.array(values, "<f8")
        if not len(values) or np.abs(numbers).max() < _EXACT:
            return numbers, np.full(len(values), -1, "<i4")
    codes = [
        strings.code(class_name(value)) if isinstance(value, str) or abs(value) >= _EXACT else -1
        for value in values
    ]
    plain = [None if isinstance(value, str) else value for value in values]
    return np.array(plain, "<f8"), np.array(codes, "<i4")  # numpy turns None into NaN


def encode_clock(notice: ClockNotice) -> bytes:
    """Turn a clock notice into the value of a record on the outcomes topic."""
    return _encode((SCHEMA, *msgspec.structs.astuple(notice)))


def decode_outcomes(value: bytes) -> Outcomes | ClockNotice:
    """Read a record of the outcomes topic.

    Raises
    ------
    StateError
        If another version of driftline wrote it in a form that this one cannot read.
    """
    fields = _decode(value)
    if fields[0] != SCHEMA:
        raise StateError(f"outcomes record of schema {fields[0]}, this build reads {SCHEMA}")
    if len(fields) == 6:
        return ClockNotice(*fields[1:])
    _, model, version, strings, sets, names, predictions, outcomes = fields
    return Outcomes(
        model, version, strings, sets, names, _prediction_rows(predictions), _outcome_rows(outcomes)
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def _joined(chunks: Sequence[Sequence[Any]], kinds: Sequence[str]) -> list[Any]:
    """Put the columns of chunks behind each other."""
    if len(chunks) == 1:
        return list(chunks[0])
    if not chunks:
        return [np.empty(0, kind) for kind in kinds]
    return [np.concatenate(columns) for columns in zip(*chunks, strict=True)]


def _split(groups: Ints, count: int) -> list[Any]:
    """Return which rows belong to each group, in their order."""
    if count == 1:
        return [slice(None)]
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(count + 1))
    return [order[first:end] for first, end in pairwise(bounds.tolist())]


def _chosen(features: list[Features], rows: Any) -> list[Features]:
    return features[rows] if isinstance(rows, slice) else [features[row] for row in rows.tolist()]


def _prediction_rows(columns: list[bytes]) -> PredictionRows:
    time_ms, tie, number, code, score, latency, segments, matrix = columns
    times = np.frombuffer(time_ms, "<i8")
    n = len(times)
    features = np.frombuffer(matrix, "<f8")
    return PredictionRows(
        times,
        np.frombuffer(tie, "<i8"),
        np.frombuffer(number, "<f8"),
        np.frombuffer(code, "<i4"),
        np.frombuffer(score, "<f8"),
        np.frombuffer(latency, "<f8"),
        np.frombuffer(segments, "<i4"),
        features.reshape(n, -1) if n else features.reshape(0, 0),
    )


def _outcome_rows(columns: list[bytes]) -> OutcomeRows:
    kinds = ["<i8"] * 7 + ["<f8", "<i4", "<f8", "<i4", "<f8", "<f8", "<i4"]
    return OutcomeRows(
        *(np.frombuffer(column, kind) for column, kind in zip(columns, kinds, strict=True))
    )


def _names(rows: Sequence[Features]) -> list[str]:
    """Return the names in all rows; mostly they have the same names in the same order."""
    names: dict[str, None] = {}
    for layout in {tuple(row): None for row in rows if row}:
        names.update(dict.fromkeys(layout))
    return sorted(names)


def _feature_matrix(rows: Sequence[Features], names: list[str]) -> bytes:
    """Lay the features out as rows x names."""
    if not names:
        return b""
    absent, empty = [ABSENT] * len(names), dict[str, float | None]()
    table = [list(map((row or empty).get, names, absent)) for row in rows]
    return np.array(table, "<f8").tobytes()
