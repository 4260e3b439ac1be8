"""Columns between the stages: what `join` found out about models in one transaction.

One `Outcomes` record holds any number of rows of two kinds, of all models that a partition of the
next stage evaluates. *Prediction rows* exist once per prediction, as soon as it is known. *Outcome
rows* say that a label took effect (weight +1) or no longer does (weight -1). A Kafka record costs
microseconds, a row in a column nanoseconds.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.features import Block, choose, merged
from streams.formats import Format
from streams.grouping import distinct
from streams.interning import Interner
from streams.steps import LARGEST_VALUE_BYTES

FORMAT = Format("an outcomes record", 3)

# Calls of numpy cost microseconds, however few rows there are.
_FEW = 48

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Signs = NDArray[np.int8]

Identity: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Model, version and segments (`name=value`, sorted) of a prediction."""


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


class Outcomes(msgspec.Struct):
    """Rows of any model versions."""

    models: list[tuple[str, str]]
    strings: list[str]
    segment_sets: list[tuple[str, ...]]
    predictions: PredictionRows
    features: list[Block]
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


class PredictionChunk(NamedTuple):
    """Prediction rows of any models as columns, by the join's own codes.

    Attributes
    ----------
    identity
        Code of model, version and segments.
    """

    identity: Codes
    time_ms: Ints
    tie: Ints
    number: Floats
    code: Codes
    score: Floats
    latency_ms: Floats
    features: Sequence[Block]


class OutcomeChunk(NamedTuple):
    """Outcome rows of any models as columns, by the join's own codes."""

    identity: Codes
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


_PREDICTION_KINDS = ("<i4", "<i8", "<i8", "<f8", "<i4", "<f8", "<f8")
_OUTCOME_KINDS = (
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


class RowCollector:
    """Collects the rows of one step, and writes them down for the partitions of the next stage.

    Parameters
    ----------
    strings, identities
        What the codes in the chunks stand for. Derived of an identity is the partition of the next
        stage that its model belongs to.
    """

    def __init__(self, strings: Sequence[str], identities: Interner[Identity]) -> None:
        self.strings, self.identities = strings, identities
        self.predictions: list[PredictionChunk] = []
        self.outcomes: list[OutcomeChunk] = []

    def encode(self) -> Iterator[tuple[int, bytes]]:
        """Yield partition and value of every record that the rows need."""
        if not self.predictions and not self.outcomes:
            return
        features = merged([(chunk.features, len(chunk.time_ms)) for chunk in self.predictions])
        columns = _joined([chunk[:-1] for chunk in self.predictions], _PREDICTION_KINDS)
        predictions = PredictionChunk._make([*columns, features])
        outcomes = OutcomeChunk(*_joined(self.outcomes, _OUTCOME_KINDS))
        owner_of = self.identities.derived
        owners = [owner_of[rows.identity] for rows in (predictions, outcomes)]
        for partition in np.flatnonzero(np.bincount(np.concatenate(owners))).tolist():
            mine = [np.flatnonzero(owner == partition) for owner in owners]
            rows = _chosen(predictions, mine[0]), OutcomeChunk._make(c[mine[1]] for c in outcomes)
            for value in self._values(*rows):
                yield partition, value

    def _values(self, predictions: PredictionChunk, outcomes: OutcomeChunk) -> Iterator[bytes]:
        size_bytes = sum(block.values.nbytes for block in predictions.features)
        rows = len(predictions.time_ms), len(outcomes.time_ms)
        last = sum(rows) <= 1
        if last or size_bytes <= LARGEST_VALUE_BYTES:
            value = self._record(predictions, outcomes)
            if last or len(value) <= LARGEST_VALUE_BYTES:
                yield value
                return
        middle = min(sum(rows) // 2, rows[0])
        middles = middle, sum(rows) // 2 - middle
        for first in (True, False):
            of_predictions, of_outcomes = (
                np.arange(middle) if first else np.arange(middle, count)
                for middle, count in zip(middles, rows, strict=True)
            )
            yield from self._values(
                _chosen(predictions, of_predictions),
                OutcomeChunk._make(column[of_outcomes] for column in outcomes),
            )

    def _record(self, predictions: PredictionChunk, outcomes: OutcomeChunk) -> bytes:
        (p_code, o_code, o_label), strings = renumber(
            [predictions.code, outcomes.code, outcomes.label_code]
        )
        (p_who, o_who), codes = renumber([predictions.identity, outcomes.identity])
        identities = [self.identities.values[code] for code in codes]
        model_of, models = _numbered([identity[:2] for identity in identities])
        set_of, sets = _numbered([identity[2] for identity in identities])
        p = predictions._replace(identity=model_of[p_who], code=p_code)
        o = outcomes._replace(identity=model_of[o_who], code=o_code, label_code=o_label)
        return _encode(
            (
                *(*FORMAT.head, models, [self.strings[code] for code in strings], sets),
                [*(column.tobytes() for column in p[:-1]), set_of[p_who].tobytes()],
                [
                    (block.names, block.rows.astype("<i4").tobytes(), block.values.tobytes())
                    for block in p.features
                ],
                [*(column.tobytes() for column in o), set_of[o_who].tobytes()],
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
    if sum(map(len, columns)) <= _FEW:
        return _renumber_few(columns)
    every = np.concatenate(columns)
    if every.max() < 0:
        return list(columns), []
    codes, places = distinct(every)
    first = np.full(len(codes), len(every))
    np.minimum.at(first, places, np.arange(len(every)))
    used = codes >= 0
    order = np.argsort(first[used])
    ranks = np.full(len(codes), -1, np.int32)
    ranks[np.flatnonzero(used)[order]] = np.arange(len(order))
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return np.split(ranks[places], ends), codes[used][order].tolist()


def _renumber_few(columns: Sequence[Codes]) -> tuple[list[Codes], list[int]]:
    """Do the same by hand, which costs a fifth for a handful of rows."""
    new: dict[int, int] = {}
    found = [
        [-1 if code < 0 else new.setdefault(code, len(new)) for code in column.tolist()]
        for column in columns
    ]
    return [np.array(codes, np.int32) for codes in found], list(new)


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
    schema, version, *fields = _decode_parts(value)
    FORMAT.check(_decode(schema), _decode(version))
    if len(fields) == 1:
        return ClockNotice(*_decode(fields[0]))
    models, strings, sets = map(_decode, fields[:3])
    predictions, features, outcomes = fields[3:]
    return Outcomes(
        [(model, version) for model, version in models],
        strings,
        [tuple(pairs) for pairs in sets],
        PredictionRows(*_columns(_decode_columns(predictions), (*_PREDICTION_KINDS, "<i4"))),
        [_block(*block) for block in _decode_blocks(features)],
        OutcomeRows(*_columns(_decode_columns(outcomes), (*_OUTCOME_KINDS, "<i4"))),
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
# Columns may have megabytes: they are views of the record, and not aligned.
_decode_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_columns = msgspec.msgpack.Decoder(list[memoryview]).decode
_decode_blocks = msgspec.msgpack.Decoder(list[tuple[list[str], memoryview, memoryview]]).decode


def _joined(chunks: Sequence[Sequence[Any]], kinds: Sequence[str]) -> list[Any]:
    """Put the columns of chunks behind each other."""
    if len(chunks) == 1:
        return list(chunks[0])
    if not chunks:
        return [np.empty(0, kind) for kind in kinds]
    return [np.concatenate(columns) for columns in zip(*chunks, strict=True)]


def _chosen(rows: PredictionChunk, chosen: Ints) -> PredictionChunk:
    count = len(rows.time_ms)
    columns = [column[chosen] for column in rows[:-1]]
    return PredictionChunk._make([*columns, choose(rows.features, chosen, count=count)])


def _numbered(values: Sequence[Any]) -> tuple[Codes, list[Any]]:
    """Give values codes from 0, equal ones the same; return the codes and what they stand for."""
    if values and not any(values):  # no segments anywhere, as is usual
        return np.zeros(len(values), "<i4"), [values[0]]
    numbers: dict[Any, int] = {}
    codes = [numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(codes, "<i4"), list(numbers)


def _columns(packed: Sequence[memoryview], kinds: Sequence[str]) -> Iterator[Any]:
    return (np.frombuffer(column, kind) for column, kind in zip(packed, kinds, strict=True))


def _block(names: list[str], rows: memoryview, values: memoryview) -> Block:
    matrix = aligned(np.frombuffer(values, "<f8")).reshape(-1, len(names))
    return Block(tuple(names), np.frombuffer(rows, "<i4").astype(np.int64), matrix)


def aligned(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column that starts at a multiple of its item's size: the same, or a copy."""
    return column if column.flags.aligned else column.copy()
