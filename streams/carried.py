"""Labels that carry their own prediction: they count without anything being remembered."""

from collections.abc import Mapping, Sequence

import numpy as np

from streams.classes import score_of, scores_by_class
from streams.events import Label, Prediction
from streams.failures import have_failed
from streams.features import blocks_of
from streams.held import hash_ids
from streams.identities import Identity
from streams.join_state import JoinState
from streams.row_chunks import OutcomeChunk, PredictionChunk
from streams.scalars import answers, scalars


def rows_of(
    state: JoinState, events: Sequence[tuple[Label, Prediction]], *, features: bool
) -> tuple[PredictionChunk, OutcomeChunk]:
    """Return the rows of labels and the predictions in them, which are of the same time."""
    labels, predictions = zip(*events, strict=True)
    number, code = answers(predictions).coded(state.strings)
    values = scalars([label.label for label in labels])
    label_number, label_code = values.coded(state.strings)
    codes = [state.identities.code(_identity(event)) for event in predictions]
    identity = np.array(codes, np.int32)
    time_ms = np.array([one.timestamp_ms for one in labels])
    one = np.ones(len(events), np.int8)
    tie = hash_ids([label.prediction_id.encode() for label in labels]).low.view(np.int64)
    scores = np.array(list(map(_scores, labels, predictions)), np.float64)
    own, shown, label_score = scores.T.copy()
    latency_ms = np.array([event.latency_ms for event in predictions], np.float64)
    blocks = blocks_of([event.features for event in predictions]) if features else []
    return (
        PredictionChunk(identity, time_ms, tie, number, code, shown, latency_ms, blocks),
        OutcomeChunk(
            *(identity, time_ms, time_ms, time_ms, one, one, 0 * one, tie),
            *(number, code, label_number, label_code, own, label_score),
        ).where(~have_failed(number)),
    )


def _scores(label: Label, event: Prediction) -> tuple[float | None, float | None, float | None]:
    """Return the score that was given, the one of the prediction, and of the label's class."""
    assert label.label is not None
    own, scores = event.score, scores_by_class(event.scores or {})
    if event.prediction is None:
        return None, None, None
    shown = score_of(scores, event.prediction) if own is None else own
    return own, shown, score_of(scores, label.label)


def _identity(prediction: Prediction) -> Identity:
    return prediction.model, prediction.version, segment_names(prediction.segments)


def segment_names(segments: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return segments as they are in an `Identity`."""
    return tuple(sorted(f"{k}={v}" for k, v in segments.items())) if segments else ()
