"""The vocabulary: predictions and labels, decoded from JSON and checked.

What passes `decode_prediction` and `decode_label` is safe for everything behind them;
what does not is a `RecordError` with a reason slug. This module knows nothing of topics.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from streams.categories import category
from streams.errors import RecordError
from streams.failures import is_error
from streams.limits import LIMITS, RecordLimits
from streams.members import (
    ABSENT_MEMBER,
    MISSING_MEMBER,
    Decode,
    Members,
    Time,
    check_text,
    class_of,
    decode_time,
    not_json,
)
from streams.values import LARGEST_NUMBER, Dropped, Values

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Number = Annotated[float, Meta(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Scalar: TypeAlias = str | Whole | Number | bool
Name = Annotated[str, Meta(min_length=1)]

ABSENT = -math.inf
"""Stands in a feature column for a feature that the prediction does not name at all."""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said about one case; nothing, if the request has failed."""

    prediction_id: str
    model: str
    version: str = ""
    timestamp_ms: int | None = None
    prediction: Scalar | None
    score: float | None = None
    scores: dict[str, float] | None = None
    features: dict[str, float | None] | None = None
    segments: dict[str, str] | None = None
    latency_ms: float | None = None
    failed: bool = False


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What turned out to be true, or that an earlier label is taken back.

    A label with `prediction` and `model` carries its own prediction: it counts without a join,
    and `decode_prediction` reads that prediction from the same bytes.
    """

    prediction_id: str
    label: Scalar | None = None
    timestamp_ms: int
    model: str = ""
    retract: bool = False
    prediction: Scalar | None = None


class _Prediction(msgspec.Struct):
    """The members of a prediction as they are.

    Of a name that comes twice, the last one counts, whatever the others are: a record's fate must
    not depend on which of the ways of decoding it goes.
    """

    prediction_id: msgspec.Raw = MISSING_MEMBER
    model: msgspec.Raw = MISSING_MEMBER
    version: msgspec.Raw = msgspec.Raw(b'""')
    timestamp_ms: msgspec.Raw = ABSENT_MEMBER
    prediction: msgspec.Raw = MISSING_MEMBER
    score: msgspec.Raw = ABSENT_MEMBER
    scores: msgspec.Raw = ABSENT_MEMBER
    features: msgspec.Raw = ABSENT_MEMBER
    segments: msgspec.Raw = ABSENT_MEMBER
    latency_ms: msgspec.Raw = ABSENT_MEMBER
    error: msgspec.Raw = ABSENT_MEMBER


class _Label(msgspec.Struct):
    """The members of a label, likewise."""

    prediction_id: msgspec.Raw = MISSING_MEMBER
    label: msgspec.Raw = ABSENT_MEMBER
    timestamp_ms: msgspec.Raw = MISSING_MEMBER
    model: msgspec.Raw = msgspec.Raw(b'""')
    retract: msgspec.Raw = msgspec.Raw(b"false")
    prediction: msgspec.Raw = ABSENT_MEMBER


class _Good(msgspec.Struct):
    """A prediction in which nothing is odd, but for the length of names and how many they are."""

    prediction_id: Name
    model: Name
    prediction: Scalar
    version: str = ""
    timestamp_ms: Time | None = None
    score: Number | None = None
    scores: dict[str, Number] | None = None
    features: dict[str, Number | str | bool | None] | None = None
    segments: dict[Name, str] | None = None
    latency_ms: Annotated[float, Meta(ge=0, le=LARGEST_NUMBER)] | None = None
    error: msgspec.Raw = ABSENT_MEMBER


class _GoodWithoutFeatures(_Good):
    features: msgspec.Raw = ABSENT_MEMBER  # type: ignore[assignment]


_good: Decode = msgspec.json.Decoder(_Good).decode
_good_without_features: Decode = msgspec.json.Decoder(_GoodWithoutFeatures).decode
_prediction_members: Decode = msgspec.json.Decoder(_Prediction).decode
_label_members: Decode = msgspec.json.Decoder(_Label).decode
_flag: Decode = msgspec.json.Decoder(bool).decode
_time_or_none: Decode = msgspec.json.Decoder(Time | None).decode
_scalar: Decode = msgspec.json.Decoder(Scalar).decode
_scalar_or_none: Decode = msgspec.json.Decoder(Scalar | None).decode


def decode_prediction(
    value: bytes | None,
    *,
    features: bool = True,
    limits: RecordLimits = LIMITS,
    dropped: list[Dropped] | None = None,
) -> Prediction:
    """Decode and check one prediction.

    What it needs (who, when and what) must be right. A bad value of anything else is left out.
    Features come out as numbers: booleans as 0 and 1, `None` where missing, texts as
    `streams.categories` has them.

    Parameters
    ----------
    features
        Whether they are looked at; if not, there are none in what is returned.
    dropped
        What is left out is appended here.

    Raises
    ------
    RecordError
        With one of the reasons `tombstone too_large invalid_utf8 invalid_json invalid_prediction`.

    Examples
    --------
    >>> p = decode_prediction(b'{"prediction_id": "a", "model": "m", "prediction": 1}')
    >>> p.prediction, p.version
    (1, '')
    """
    if value is None:
        raise RecordError("tombstone", "a prediction cannot be deleted; retract its label instead")
    check_text(value, limits)
    found = good_prediction(value, features=features, limits=limits)
    if found is not None:
        return found
    found, own = prediction_of_members(value, features=features, limits=limits)
    if dropped is not None:
        dropped += [msgspec.structs.replace(one, model=found.model) for one in own]
    return found


def good_prediction(value: bytes, *, features: bool, limits: RecordLimits) -> Prediction | None:
    """Decode a prediction in which nothing is odd, `None` if something may be.

    What it returns is what `prediction_of_members` does, for a third of the time.
    """
    try:
        found = (_good if features else _good_without_features)(value)
    except (msgspec.DecodeError, RecursionError):
        return None
    if is_error(found.error):
        return None
    allow, names = limits.allow, [found.prediction_id, found.model, found.version]
    scores, segments = found.scores or {}, found.segments or {}
    own = (found.features or {}) if features else {}
    few = len(own) <= limits.features and len(segments) <= limits.segments
    names += [*own, *scores, *segments, *segments.values()]
    if not few or len(scores) > limits.scores or not all(map(allow, names)):
        return None
    return Prediction(
        prediction_id=found.prediction_id,
        model=found.model,
        version=found.version,
        timestamp_ms=found.timestamp_ms,
        prediction=class_of(found.prediction, limits),
        score=found.score,
        scores=found.scores,
        features=_numeric(found.features) if features else None,
        segments=found.segments,
        latency_ms=found.latency_ms,
    )


def prediction_of_members(
    value: bytes, *, features: bool, limits: RecordLimits
) -> tuple[Prediction, list[Dropped]]:
    """Decode a prediction member by member; return it and what is left out of it."""
    take = Members(_prediction_members, value, kind="prediction", limits=limits)
    dropped: list[Dropped] = []
    try:
        values, raw = Values(limits, dropped), take.raw
        failed = is_error(raw.error)
        found = Prediction(
            prediction_id=take.name("prediction_id", empty=False),
            model=take.name("model", empty=False),
            version=take.name("version"),
            timestamp_ms=take("timestamp_ms", _time_or_none),
            prediction=None if failed else take.scalar("prediction", _scalar),
            score=None if failed else values.number(raw.score, field="score"),
            scores=None if failed else values.scores(raw.scores),
            features=values.features(raw.features) if features and not failed else None,
            segments=values.segments(raw.segments),
            latency_ms=None
            if failed
            else values.number(raw.latency_ms, field="latency_ms", smallest=0.0),
            failed=failed,
        )
    except (msgspec.DecodeError, RecursionError) as error:
        raise not_json(error) from None
    return found, dropped


def decode_label(value: bytes, *, limits: RecordLimits = LIMITS) -> Label:
    """Decode and check one label, which may be a retraction.

    Raises
    ------
    RecordError
        With one of the reasons `too_large invalid_utf8 invalid_json invalid_label`.
    """
    take = Members(_label_members, value, kind="label", limits=limits)
    try:
        found = Label(
            prediction_id=take.name("prediction_id", empty=False),
            label=take.scalar("label", _scalar_or_none),
            timestamp_ms=take("timestamp_ms", decode_time),
            model=take.name("model"),
            retract=take("retract", _flag),
            prediction=take.scalar("prediction", _scalar_or_none),
        )
    except (msgspec.DecodeError, RecursionError) as error:
        raise not_json(error) from None
    if found.label is None and not found.retract:
        raise RecordError("invalid_label", "neither `label` nor `retract: true`")
    return found


def _numeric(features: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    if features is None:
        return None
    return {
        name: category(value) if isinstance(value, str) else None if value is None else float(value)
        for name, value in features.items()
    }
