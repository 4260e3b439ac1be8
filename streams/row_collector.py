"""The rows of one step of the join, put together and written down for the next stage."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.features import Block, choose, merged
from streams.identities import Identities
from streams.model_keys import pack_names
from streams.outcomes import FORMAT, OUTCOME_KINDS, PREDICTION_KINDS, Codes, Floats, Ints, Signs
from streams.renumbering import renumber
from streams.steps import LARGEST_VALUE_BYTES


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


class RowCollector:
    """Collects the rows of one step, and writes them down for the partitions of the next stage.

    Parameters
    ----------
    strings, identities
        What the codes in the chunks stand for.
    """

    def __init__(self, strings: Sequence[str], identities: Identities) -> None:
        self.strings, self.identities = strings, identities
        self.predictions: list[PredictionChunk] = []
        self.outcomes: list[OutcomeChunk] = []

    def encode(self) -> Iterator[tuple[int, bytes]]:
        """Yield partition and value of every record that the rows need."""
        if not self.predictions and not self.outcomes:
            return
        features = merged([(chunk.features, len(chunk.time_ms)) for chunk in self.predictions])
        columns = _joined([chunk[:-1] for chunk in self.predictions], PREDICTION_KINDS)
        predictions = PredictionChunk._make([*columns, features])
        outcomes = OutcomeChunk(*_joined(self.outcomes, OUTCOME_KINDS))
        owner_of, model_of = self.identities.owner, self.identities.model
        owners = [owner_of[model_of[rows.identity]] for rows in (predictions, outcomes)]
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
        [model_of], models = renumber([self.identities.model[codes].astype("<i4")])
        names = pack_names([self.identities.models.values[code] for code in models])
        keys = [column.tobytes() for column in self.identities.keys(models)]
        set_of, sets = _numbered([self.identities.values[code][2] for code in codes])
        p = predictions._replace(identity=model_of[p_who], code=p_code)
        o = outcomes._replace(identity=model_of[o_who], code=o_code, label_code=o_label)
        return _encode(
            (
                *(*FORMAT.head, [*keys, names], [self.strings[code] for code in strings], sets),
                [*(column.tobytes() for column in p[:-1]), set_of[p_who].tobytes()],
                [
                    (block.names, block.rows.astype("<i4").tobytes(), block.values.tobytes())
                    for block in p.features
                ],
                [*(column.tobytes() for column in o), set_of[o_who].tobytes()],
            )
        )


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


_encode = msgspec.msgpack.Encoder().encode
