"""Columns between the stages: what `join` found out about models in one transaction.

One `Outcomes` record holds any number of rows of two kinds, of all models that a partition of the
next stage evaluates. *Prediction rows* exist once per prediction, as soon as it is known. *Outcome
rows* say that a label took effect (weight +1) or no longer does (weight -1). A Kafka record costs
microseconds, a row in a column nanoseconds. Beside them stands how often which fate came that is
not the usual one, by model.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.features import Block
from streams.formats import Format
from streams.model_keys import Models

FORMAT = Format("an outcomes record", 5, before=1)

_WITHOUT_TIMES = 4
"""Format of records whose fates have no times."""

MODEL_FATES = (
    "duplicate_prediction",
    "conflicting_prediction",
    "duplicate_label",
    "correction",
    "retraction",
    "late_label",
)
"""Fates of records that belong to a prediction that is known, and with it to a model: of the first
prediction of an id, also where a conflicting one names another model."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Signs = NDArray[np.int8]


class PredictionRows(msgspec.Struct):
    """Prediction rows as columns of equal length.

    Attributes
    ----------
    model
        Index into `Outcomes.models`.
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
    """

    model: Codes
    time_ms: Ints
    tie: Ints
    number: Floats
    code: Codes
    score: Floats
    latency_ms: Floats
    segments: Codes


class OutcomeRows(msgspec.Struct):
    """Outcome rows as columns of equal length.

    Attributes
    ----------
    model
        Index into `Outcomes.models`.
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

    model: Codes
    time_ms: Ints
    label_ms: Ints
    at_ms: Ints
    weight: Signs
    first: Signs
    delay: Signs
    tie: Ints
    number: Floats
    code: Codes
    label_number: Floats
    label_code: Codes
    score: Floats
    label_score: Floats
    segments: Codes


class FateRows(msgspec.Struct):
    """How many records of a model had which fate, as columns of equal length; none is 0.

    What counts for all models together is the join's; here is what a model can be asked for.

    Attributes
    ----------
    model
        Index into `Outcomes.models`.
    fate
        Index into `MODEL_FATES`.
    time_ms
        Event time of the prediction; -1 where that is not known.
    segments
        Index into `Outcomes.segment_sets`, likewise.
    """

    model: Codes
    fate: Signs
    count: Ints
    time_ms: Ints
    segments: Codes

    @classmethod
    def none(cls) -> "FateRows":
        """Return no rows."""
        return cls(*(np.empty(0, kind) for kind in FATE_KINDS))

    @property
    def columns(self) -> tuple[Any, ...]:
        """All of it."""
        return self.model, self.fate, self.count, self.time_ms, self.segments


class Outcomes(msgspec.Struct):
    """Rows of any model versions."""

    models: Models
    strings: list[str]
    segment_sets: list[tuple[str, ...]]
    predictions: PredictionRows
    features: list[Block]
    outcomes: OutcomeRows
    fates: FateRows


class ClockNotice(msgspec.Struct, frozen=True):
    """How far the event-time clock of one join partition is.

    Attributes
    ----------
    sources
        How many join partitions there are.
    clock_ms
        No record older than this is expected any more from this partition.
    newest_ms
        Event time that the partition has surely reached, -1 as long as nobody can say.
    idle
        The partition has nothing to read, so it must not hold back the others.
    near_ms
        How far ahead of that a record is near; see `input_clock`.
    passed_ms
        How long nothing has come, by the ticks of the partition; 0 while something comes.
    """

    source: int
    sources: int
    clock_ms: int
    newest_ms: int
    idle: bool
    near_ms: int = 0
    passed_ms: int = 0


PREDICTION_KINDS = ("<i4", "<i8", "<i8", "<f8", "<i4", "<f8", "<f8")
OUTCOME_KINDS = (
    "<i4",
    *["<i8"] * 3,
    *["<i1"] * 3,
    "<i8",
    "<f8",
    "<i4",
    "<f8",
    "<i4",
    "<f8",
    "<f8",
)

FATE_KINDS = ("<i4", "<i1", "<i8", "<i8", "<i4")


def encode_clock(notice: ClockNotice) -> bytes:
    """Turn a clock notice into the value of a record on the outcomes topic."""
    return _encode((*FORMAT.head, msgspec.structs.astuple(notice)))


def decode_outcomes(value: bytes) -> Outcomes | ClockNotice:
    """Read a record of the outcomes topic.

    Raises
    ------
    StateError
        If another version of driftline wrote it in a form that this one cannot read.
    """
    head, version, *fields = _decode_parts(value)
    schema = _decode(head)
    FORMAT.check(schema, _decode(version))
    if len(fields) == 1:
        return ClockNotice(*_decode(fields[0]))
    keys, checks, names = _decode_columns(fields[0])
    strings, sets = map(_decode, fields[1:3])
    predictions, features, outcomes, fates = fields[3:]
    return Outcomes(
        Models(np.frombuffer(keys, "<i8"), np.frombuffer(checks, "<i8"), names),
        strings,
        [tuple(pairs) for pairs in sets],
        PredictionRows(*_columns(_decode_columns(predictions), (*PREDICTION_KINDS, "<i4"))),
        [_block(*block) for block in _decode_blocks(features)],
        OutcomeRows(*_columns(_decode_columns(outcomes), (*OUTCOME_KINDS, "<i4"))),
        _fates(_decode_columns(fates), timed=schema != _WITHOUT_TIMES),
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
# Columns may have megabytes: they are views of the record, and not aligned.
_decode_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_columns = msgspec.msgpack.Decoder(list[memoryview]).decode
_decode_blocks = msgspec.msgpack.Decoder(list[tuple[list[str], memoryview, memoryview]]).decode


def _columns(packed: Sequence[memoryview], kinds: Sequence[str]) -> Iterator[Any]:
    return (np.frombuffer(column, kind) for column, kind in zip(packed, kinds, strict=True))


def _fates(packed: Sequence[memoryview], *, timed: bool) -> FateRows:
    if timed:
        return FateRows(*_columns(packed, FATE_KINDS))
    model, fate, count = _columns(packed, FATE_KINDS[:3])
    nothing = np.full(len(model), -1)
    return FateRows(model, fate, count, nothing, nothing.astype(np.int32))


def _block(names: list[str], rows: memoryview, values: memoryview) -> Block:
    matrix = aligned(np.frombuffer(values, "<f8")).reshape(-1, len(names))
    return Block(tuple(names), np.frombuffer(rows, "<i4").astype(np.int64), matrix)


def aligned(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column that starts at a multiple of its item's size: the same, or a copy."""
    return column if column.flags.aligned else column.copy()
