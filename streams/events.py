"""The vocabulary: predictions and labels, decoded from JSON and checked.

What passes `decode_prediction` and `decode_label` is safe for everything behind them;
what does not is a `RecordError` with a reason slug. This module knows nothing of topics.
"""

import math
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from streams.errors import RecordError

LONGEST_TEXT = 1024
LARGEST_NUMBER = 1e150
"""The square of a number up to here is finite."""

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Number = Annotated[float, Meta(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Scalar: TypeAlias = Text | Whole | Number | bool
Identifier = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
Time = Annotated[int, Meta(ge=0)]
Segments = dict[Annotated[str, Meta(min_length=1, max_length=256)], Text]

NOT_NUMERIC = math.inf
"""Stands in a feature column for a value that is there but is no number (JSON has no infinity)."""

ABSENT = -math.inf
"""Stands in a feature column for a feature that the prediction does not name at all."""

MAX_VALUE_BYTES = 1_000_000
MAX_FEATURES = 1_000
MAX_SEGMENTS = 16
MAX_FUTURE_MS = 86_400_000

EARLIEST_MS = 100_000_000_000
"""March 1973. Less is no time in milliseconds that anybody means: in seconds it lasts until the
year 5138, and a date such as 20260101 is less, too."""

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999; more are microseconds or nanoseconds."""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said about one case."""

    prediction_id: Identifier
    model: Identifier
    version: Text = ""
    timestamp_ms: Time | None = None
    prediction: Scalar
    score: Number | None = None
    scores: dict[Text, Number] | None = None
    features: dict[Text, Number | None] | None = None
    segments: Segments | None = None
    latency_ms: Annotated[float, Meta(ge=0, le=LARGEST_NUMBER)] | None = None


class _NoFeatures(Prediction, frozen=True, kw_only=True):
    """The same with features that are not looked at."""

    features: msgspec.Raw = msgspec.Raw(b"null")  # type: ignore[assignment]


class _AnyFeatures(Prediction, frozen=True, kw_only=True):
    """The same with features of any JSON type; slower to decode, so tried second."""

    features: dict[Text, str | Whole | Number | bool | None] | None = None  # type: ignore[assignment]


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What turned out to be true, or that an earlier label is taken back.

    A label with `prediction` and `model` carries its own prediction: it counts without a join,
    and `decode_prediction` reads that prediction from the same bytes.
    """

    prediction_id: Identifier
    label: Scalar | None = None
    timestamp_ms: Time
    model: Text = ""
    retract: bool = False
    prediction: Scalar | None = None


_ABSENT = msgspec.Raw(b"null")


class _Kind(msgspec.Struct):
    prediction: msgspec.Raw = _ABSENT
    label: msgspec.Raw = _ABSENT
    retract: bool = False


class _Timed(msgspec.Struct):
    timestamp_ms: Time | None = None


_decode_prediction = msgspec.json.Decoder(Prediction).decode
_decode_no_features = msgspec.json.Decoder(_NoFeatures).decode
_decode_any_features = msgspec.json.Decoder(_AnyFeatures).decode
_decode_label = msgspec.json.Decoder(Label).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_timed = msgspec.json.Decoder(_Timed).decode


def decode_prediction(value: bytes | None, *, features: bool = True) -> Prediction:
    """Decode and check one prediction.

    Features come out as numbers: booleans as 0 and 1, `None` where missing,
    `NOT_NUMERIC` for text.

    Parameters
    ----------
    features
        Whether they are looked at; if not, they mean nothing in what is returned.

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
    if not features:
        return _few_segments(_decoded(_decode_no_features, _checked(value), "prediction"))
    try:
        found = _decode_prediction(_checked(value))
    except msgspec.ValidationError:
        found = _with_numeric_features(_decoded(_decode_any_features, value, "prediction"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_json(error) from None
    if found.features is not None and len(found.features) > MAX_FEATURES:
        raise RecordError("invalid_prediction", f"more than {MAX_FEATURES} features")
    return _few_segments(found)


def decode_label(value: bytes) -> Label:
    """Decode and check one label, which may be a retraction.

    Raises
    ------
    RecordError
        With one of the reasons `too_large invalid_utf8 invalid_json invalid_label`.
    """
    label: Label = _decoded(_decode_label, _checked(value), "label")
    if label.label is None and not label.retract:
        raise RecordError("invalid_label", "neither `label` nor `retract: true`")
    return label


def kind_of(value: bytes) -> str:
    """Tell what a line of a recorded file is: `prediction` or `label`.

    A line with both is a label that carries its own prediction.

    Raises
    ------
    RecordError
        If it is neither, or no JSON object.
    """
    kind = _decoded(_decode_kind, _checked(value), "record")
    if _present(kind.label) or kind.retract:
        return "label"
    if _present(kind.prediction):
        return "prediction"
    raise RecordError("invalid_record", "neither `prediction` nor `label` nor `retract: true`")


def peek_time_ms(value: bytes | None) -> int | None:
    """Return what a record says its event time is, None if it says nothing that can be read.

    Examples
    --------
    >>> peek_time_ms(b'{"prediction_id": "a", "timestamp_ms": 1767225942000}')
    1767225942000
    >>> peek_time_ms(b"no JSON")
    """
    if value is None or len(value) > MAX_VALUE_BYTES:
        return None
    try:
        return _decode_timed(value).timestamp_ms
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def check_time(time_ms: int, *, now_ms: int) -> int:
    """Return an event time if it is plausible, in milliseconds and at most a day in the future.

    Parameters
    ----------
    now_ms
        The wall clock; whoever does not go by it gives `LATEST_MS`.

    Examples
    --------
    >>> check_time(1767225600, now_ms=LATEST_MS)
    Traceback (most recent call last):
        ...
    streams.errors.RecordError: implausible_time: timestamp_ms 1767225600 is before 1973-03-03; \
milliseconds since 1970 are wanted, neither seconds nor a date
    """
    if time_ms < 0:
        raise RecordError("implausible_time", "neither the event nor its record has a time")
    said = f"timestamp_ms {time_ms} is"
    if time_ms < EARLIEST_MS:
        wanted = "milliseconds since 1970 are wanted, neither seconds nor a date"
        raise RecordError("implausible_time", f"{said} before 1973-03-03; {wanted}")
    if time_ms > LATEST_MS:
        wanted = "milliseconds since 1970 are wanted, not microseconds or nanoseconds"
        raise RecordError("implausible_time", f"{said} after the year 9999; {wanted}")
    if time_ms > latest_ms(now_ms):
        raise RecordError("implausible_time", f"{said} over a day in the future")
    return time_ms


def latest_ms(now_ms: int) -> int:
    """Return the latest event time that is plausible now."""
    return min(now_ms + MAX_FUTURE_MS, LATEST_MS)


def _checked(value: bytes) -> bytes:
    if len(value) > MAX_VALUE_BYTES:
        raise RecordError("too_large", f"{len(value)} bytes, at most {MAX_VALUE_BYTES} are allowed")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise RecordError("invalid_utf8", str(error)) from None
    return value


def _decoded(decode, value: bytes, kind: str):  # type: ignore[no-untyped-def]
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        raise RecordError(f"invalid_{kind}", str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_json(error) from None


def _not_json(error: Exception) -> RecordError:
    return RecordError("invalid_json", str(error))


def _present(raw: msgspec.Raw) -> bool:
    return bytes(raw) != b"null"


def _few_segments(prediction: Prediction) -> Prediction:
    if prediction.segments is not None and len(prediction.segments) > MAX_SEGMENTS:
        raise RecordError("invalid_prediction", f"more than {MAX_SEGMENTS} segments")
    return prediction


def _with_numeric_features(prediction: Prediction) -> Prediction:
    features: dict[str, Any] | None = prediction.features
    if features is None:
        return prediction
    numeric = {
        name: NOT_NUMERIC if isinstance(value, str) else None if value is None else float(value)
        for name, value in features.items()
    }
    return msgspec.structs.replace(prediction, features=numeric)
