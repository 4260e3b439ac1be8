"""Columns between the stages: what `join` found out about one model in one transaction.

One `Outcomes` record holds any number of rows of two kinds. *Prediction rows* exist once per
prediction, as soon as it is known. *Outcome rows* say that a label took effect (weight +1) or
no longer does (weight -1). A Kafka record costs microseconds, a row in a column nanoseconds.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.errors import StateError
from streams.events import ABSENT, Scalar, class_name
from streams.steps import LARGEST_VALUE_BYTES

SCHEMA = 1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]

_EXACT = 2**53


class PredictionRows(msgspec.Struct):
    """Prediction rows as columns of equal length.

    Attributes
    ----------
    time_ms
        Event time of the prediction.
    tie
        CRC-32 of the prediction id: orders rows of the same millisecond.
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


class _Dictionary:
    """Numbers values in the order of their first appearance."""

    def __init__(self) -> None:
        self.index: dict[Any, int] = {}

    def code(self, value: Any) -> int:
        return self.index.setdefault(value, len(self.index))


class RowBuilder:
    """Collects the rows of one model version while a batch is joined."""

    def __init__(self, model: str, version: str) -> None:
        self.model = model
        self.version = version
        self.predictions: list[tuple[Any, ...]] = []
        self.outcomes: list[tuple[Any, ...]] = []
        self.features: list[dict[str, float | None] | None] = []

    def encode(self) -> list[bytes]:
        """Turn the collected rows into the values of as many records as their size needs."""
        return list(self._encode(self.predictions, self.features, self.outcomes))

    def _encode(
        self,
        predictions: list[tuple[Any, ...]],
        features: list[dict[str, float | None] | None],
        outcomes: list[tuple[Any, ...]],
    ) -> Iterator[bytes]:
        names = _names(features)
        last = len(predictions) + len(outcomes) <= 2
        if last or len(predictions) * len(names) * 8 <= LARGEST_VALUE_BYTES:
            value = self._record(predictions, _feature_matrix(features, names), names, outcomes)
            if last or len(value) <= LARGEST_VALUE_BYTES:
                yield value
                return
        half, middle = len(predictions) // 2, len(outcomes) // 2
        yield from self._encode(predictions[:half], features[:half], outcomes[:middle])
        yield from self._encode(predictions[half:], features[half:], outcomes[middle:])

    def _record(
        self,
        predictions: list[tuple[Any, ...]],
        matrix: bytes,
        names: list[str],
        outcomes: list[tuple[Any, ...]],
    ) -> bytes:
        strings, sets = _Dictionary(), _Dictionary()
        columns = _prediction_columns(predictions, strings=strings, sets=sets)
        outcome_columns = _outcome_columns(outcomes, strings=strings, sets=sets)
        return _encode(
            (
                SCHEMA,
                self.model,
                self.version,
                list(strings.index),
                [list(pairs) for pairs in sets.index],
                names,
                [*columns, matrix],
                outcome_columns,
            )
        )


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


def _prediction_columns(
    rows: list[tuple[Any, ...]], *, strings: _Dictionary, sets: _Dictionary
) -> list[bytes]:
    if not rows:
        return [b""] * 7
    times, ties, values, scores, latencies, segments = zip(*rows, strict=True)
    number, code = _scalars(values, strings)
    return [
        _ints(times),
        _ints(ties),
        number,
        code,
        _floats(scores),
        _floats(latencies),
        _codes([sets.code(pairs) for pairs in segments]),
    ]


def _outcome_columns(
    rows: list[tuple[Any, ...]], *, strings: _Dictionary, sets: _Dictionary
) -> list[bytes]:
    if not rows:
        return [b""] * 14
    *ints, values, labels, scores, label_scores, segments = zip(*rows, strict=True)
    return [
        *map(_ints, ints),
        *_scalars(values, strings),
        *_scalars(labels, strings),
        _floats(scores),
        _floats(label_scores),
        _codes([sets.code(pairs) for pairs in segments]),
    ]


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


def _ints(values: Sequence[int]) -> bytes:
    return np.array(values, "<i8").tobytes()


def _codes(values: Sequence[int]) -> bytes:
    return np.array(values, "<i4").tobytes()


def _floats(values: Sequence[float | None]) -> bytes:
    return np.array(values, "<f8").tobytes()  # numpy turns None into NaN


def _scalars(values: Sequence[Scalar], strings: _Dictionary) -> tuple[bytes, bytes]:
    if str not in set(map(type, values)):
        numbers = np.array(values, "<f8")
        if np.abs(numbers).max() < _EXACT:
            return numbers.tobytes(), np.full(len(values), -1, "<i4").tobytes()
    codes = [
        strings.code(class_name(value)) if isinstance(value, str) or abs(value) >= _EXACT else -1
        for value in values
    ]
    return _floats([None if isinstance(v, str) else v for v in values]), _codes(codes)


def _names(rows: list[dict[str, float | None] | None]) -> list[str]:
    """Return the names in all rows; mostly they have the same names in the same order."""
    names: dict[str, None] = {}
    for layout in {tuple(row): None for row in rows if row}:
        names.update(dict.fromkeys(layout))
    return sorted(names)


def _feature_matrix(rows: list[dict[str, float | None] | None], names: list[str]) -> bytes:
    """Lay the features out as rows x names."""
    if not names:
        return b""
    absent, empty = [ABSENT] * len(names), dict[str, float | None]()
    table = [list(map((row or empty).get, names, absent)) for row in rows]
    return np.array(table, "<f8").tobytes()
