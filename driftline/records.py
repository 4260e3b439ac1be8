"""What a publisher sends: records as JSON."""

from __future__ import annotations

import msgspec

from driftline import values
from driftline.values import Limits, Scalar


class PredictionRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """A prediction; what is not given is not sent."""

    prediction_id: str
    model: str
    timestamp_ms: int
    prediction: Scalar | None = None
    version: str = ""
    score: float | None = None
    scores: dict[str, float] | None = None
    features: dict[str, Scalar | None] | None = None
    segments: dict[str, str] | None = None
    latency_ms: float | None = None
    error: str | None = None


class LabelRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """A label, or that it is taken back."""

    prediction_id: str
    timestamp_ms: int
    label: Scalar | None = None
    model: str | None = None
    retract: bool = False


encode = msgspec.json.Encoder().encode


def encoded(record: PredictionRecord, drop: values.Drop, limits: Limits) -> bytes:
    """Encode a prediction; features and segments that JSON cannot write are left out."""
    try:
        return encode(record)
    except Exception:  # noqa: BLE001 - a number of too many digits, half of a character
        if record.features is not None:
            record.features = values.features(record.features, drop, limits, careful=True)
        if record.segments is not None:
            record.segments = values.segments(record.segments, drop, limits, careful=True)
        return encode(record)
