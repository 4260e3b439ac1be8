"""Rows that a step of the join has made, as columns, by the join's own codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.features import Block, choose, merged
from streams.outcomes import (
    OUTCOME_KINDS,
    PREDICTION_KINDS,
    Codes,
    FateRows,
    Floats,
    Ints,
    Signs,
)


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

    def where(self, chosen: NDArray[np.bool_]) -> OutcomeChunk:
        """Return some of them."""
        return OutcomeChunk._make(column[chosen] for column in self)


class Rows(NamedTuple):
    """Rows of all kinds; the models of `fates` are identities of the join, with their segments."""

    predictions: PredictionChunk
    outcomes: OutcomeChunk
    fates: FateRows

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many there are of each kind."""
        counts = self.predictions.time_ms, self.outcomes.time_ms, self.fates.model
        return len(counts[0]), len(counts[1]), len(counts[2])

    def chosen(self, predictions: Ints, outcomes: Ints, fates: Ints) -> Rows:
        """Return some rows, by their positions."""
        count = self.sizes[0]
        columns = [column[predictions] for column in self.predictions[:-1]]
        features = choose(self.predictions.features, predictions, count=count)
        return Rows(
            PredictionChunk._make([*columns, features]),
            OutcomeChunk._make(column[outcomes] for column in self.outcomes),
            FateRows(*(column[fates] for column in self.fates.columns)),
        )

    def halves(self) -> list[Rows]:
        """Return two of half as many rows, the kinds behind each other."""
        ends = np.cumsum(self.sizes)
        middle = int(ends[-1]) // 2
        cuts = np.clip(middle - (ends - self.sizes), 0, self.sizes).tolist()
        first = [np.arange(cut) for cut in cuts]
        rest = [np.arange(cut, size) for cut, size in zip(cuts, self.sizes, strict=True)]
        return [self.chosen(*first), self.chosen(*rest)]


def together(
    predictions: Sequence[PredictionChunk], outcomes: Sequence[OutcomeChunk], fates: FateRows
) -> Rows:
    """Put chunks behind each other."""
    features = merged([(chunk.features, len(chunk.time_ms)) for chunk in predictions])
    columns = _joined([chunk[:-1] for chunk in predictions], PREDICTION_KINDS)
    return Rows(
        PredictionChunk._make([*columns, features]),
        OutcomeChunk(*_joined(outcomes, OUTCOME_KINDS)),
        fates,
    )


def _joined(chunks: Sequence[Sequence[Any]], kinds: Sequence[str]) -> list[Any]:
    if len(chunks) == 1:
        return list(chunks[0])
    if not chunks:
        return [np.empty(0, kind) for kind in kinds]
    return [np.concatenate(columns) for columns in zip(*chunks, strict=True)]
