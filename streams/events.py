"""The vocabulary: predictions and labels, decoded from JSON and checked.

What passes `decode_prediction` and `decode_label` is safe for everything behind them;
what does not is a `RecordError` with a reason slug. This module knows nothing of topics.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from streams.errors import RecordError
from streams.limits import EARLIEST_MS, LIMITS, RecordLimits
from streams.values import LARGEST_NUMBER, NOT_FINITE, NOT_NUMERIC, Dropped, Values, read_tolerantly

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Number = Annotated[float, Meta(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Scalar: TypeAlias = str | Whole | Number | bool
Time = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1)]

ABSENT = -math.inf
"""Stands in a feature column for a feature that the prediction does not name at all."""

MAX_FUTURE_MS = 86_400_000

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999; more are microseconds or nanoseconds."""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said about one case."""

    prediction_id: str
    model: str
    version: str = ""
    timestamp_ms: int | None = None
    prediction: Scalar
    score: float | None = None
    scores: dict[str, float] | None = None
    features: dict[str, float | None] | None = None
    segments: dict[str, str] | None = None
    latency_ms: float | None = None


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


_ABSENT, _MISSING = msgspec.Raw(b"null"), msgspec.Raw(b"")


class _Prediction(msgspec.Struct):
    """The members of a prediction as they are.

    Of a name that comes twice, the last one counts, whatever the others are: a record's fate must
    not depend on which of the ways of decoding it goes.
    """

    prediction_id: msgspec.Raw = _MISSING
    model: msgspec.Raw = _MISSING
    version: msgspec.Raw = msgspec.Raw(b'""')
    timestamp_ms: msgspec.Raw = _ABSENT
    prediction: msgspec.Raw = _MISSING
    score: msgspec.Raw = _ABSENT
    scores: msgspec.Raw = _ABSENT
    features: msgspec.Raw = _ABSENT
    segments: msgspec.Raw = _ABSENT
    latency_ms: msgspec.Raw = _ABSENT


class _Label(msgspec.Struct):
    """The members of a label, likewise."""

    prediction_id: msgspec.Raw = _MISSING
    label: msgspec.Raw = _ABSENT
    timestamp_ms: msgspec.Raw = _MISSING
    model: msgspec.Raw = msgspec.Raw(b'""')
    retract: msgspec.Raw = msgspec.Raw(b"false")
    prediction: msgspec.Raw = _ABSENT


class _Head(msgspec.Struct):
    """What has to be known of a record before it is decoded in full, likewise."""

    prediction_id: msgspec.Raw = _ABSENT
    timestamp_ms: msgspec.Raw = _ABSENT
    prediction: msgspec.Raw = _ABSENT
    label: msgspec.Raw = _ABSENT
    retract: msgspec.Raw = _ABSENT


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


class _GoodWithoutFeatures(_Good):
    features: msgspec.Raw = _ABSENT  # type: ignore[assignment]


_Decode = Callable[[bytes], Any]
_good: _Decode = msgspec.json.Decoder(_Good).decode
_good_without_features: _Decode = msgspec.json.Decoder(_GoodWithoutFeatures).decode
_prediction_members: _Decode = msgspec.json.Decoder(_Prediction).decode
_label_members: _Decode = msgspec.json.Decoder(_Label).decode
_head_members: _Decode = msgspec.json.Decoder(_Head).decode
_text: _Decode = msgspec.json.Decoder(str).decode
_flag: _Decode = msgspec.json.Decoder(bool).decode
_time: _Decode = msgspec.json.Decoder(Time).decode
_time_or_none: _Decode = msgspec.json.Decoder(Time | None).decode
_scalar: _Decode = msgspec.json.Decoder(Scalar).decode
_scalar_or_none: _Decode = msgspec.json.Decoder(Scalar | None).decode


def decode_prediction(
    value: bytes | None,
    *,
    features: bool = True,
    limits: RecordLimits = LIMITS,
    dropped: list[Dropped] | None = None,
) -> Prediction:
    """Decode and check one prediction.

    What it needs (who, when and what) must be right. A bad value of anything else is left out.
    Features come out as numbers: booleans as 0 and 1, `None` where missing, `NOT_NUMERIC` for text.

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
    _check_text(value, limits)
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
        prediction=_class_of(found.prediction, limits),
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
    take = _Members(_prediction_members, value, kind="prediction", limits=limits)
    dropped: list[Dropped] = []
    try:
        values, raw = Values(limits, dropped), take.raw
        found = Prediction(
            prediction_id=take.name("prediction_id", empty=False),
            model=take.name("model", empty=False),
            version=take.name("version"),
            timestamp_ms=take("timestamp_ms", _time_or_none),
            prediction=take.scalar("prediction", _scalar),
            score=values.number(raw.score, field="score"),
            scores=values.scores(raw.scores),
            features=values.features(raw.features) if features else None,
            segments=values.segments(raw.segments),
            latency_ms=values.number(raw.latency_ms, field="latency_ms", smallest=0.0),
        )
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_json(error) from None
    return found, dropped


def decode_label(value: bytes, *, limits: RecordLimits = LIMITS) -> Label:
    """Decode and check one label, which may be a retraction.

    Raises
    ------
    RecordError
        With one of the reasons `too_large invalid_utf8 invalid_json invalid_label`.
    """
    take = _Members(_label_members, value, kind="label", limits=limits)
    try:
        found = Label(
            prediction_id=take.name("prediction_id", empty=False),
            label=take.scalar("label", _scalar_or_none),
            timestamp_ms=take("timestamp_ms", _time),
            model=take.name("model"),
            retract=take("retract", _flag),
            prediction=take.scalar("prediction", _scalar_or_none),
        )
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_json(error) from None
    if found.label is None and not found.retract:
        raise RecordError("invalid_label", "neither `label` nor `retract: true`")
    return found


class Head(NamedTuple):
    """The little that has to be known of a line of a recording before it is decoded in full.

    Attributes
    ----------
    kind
        `prediction` or `label`. A line with both is a label that carries its own prediction.
    prediction_id
        Empty where it is none.
    timestamp_ms
        `None` where it says none that can be read.
    """

    kind: str
    prediction_id: str
    timestamp_ms: int | None


def head_of(value: bytes) -> Head:
    """Tell what a line of a recording is.

    Raises
    ------
    RecordError
        If it is neither prediction nor label, or no JSON object.
    """
    raw = _Members(_head_members, value, kind="record", limits=LIMITS).raw
    said = {name: bytes(getattr(raw, name)) for name in ("prediction", "label", "retract")}
    if said["label"] != b"null" or said["retract"] == b"true":
        kind = "label"
    elif said["prediction"] != b"null":
        kind = "prediction"
    elif said["retract"] not in (b"null", b"false"):
        kind = "label"  # where it is refused with the reason
    else:
        raise RecordError("invalid_record", "neither `prediction` nor `label` nor `retract: true`")
    return Head(kind, _or_none(_text, raw.prediction_id) or "", _or_none(_time, raw.timestamp_ms))


def kind_of(value: bytes) -> str:
    """Tell what a line of a recorded file is; see `head_of`."""
    return head_of(value).kind


def peek_time_ms(value: bytes | None) -> int | None:
    """Return what a record says its event time is, None if it says nothing that can be read.

    Examples
    --------
    >>> peek_time_ms(b'{"prediction_id": "a", "timestamp_ms": 1767225942000}')
    1767225942000
    >>> peek_time_ms(b"no JSON")
    """
    if value is None or len(value) > LIMITS.record_bytes:
        return None
    try:
        raw = read_tolerantly(_head_members, value).timestamp_ms
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    time_ms: int | None = _or_none(_time, raw)
    return time_ms


def check_time(time_ms: int, *, now_ms: int, earliest_ms: int = EARLIEST_MS) -> int:
    """Return an event time if it is plausible, in milliseconds and at most a day in the future.

    Parameters
    ----------
    now_ms
        The wall clock; whoever does not go by it gives `LATEST_MS`.
    earliest_ms
        What is before it is taken for seconds or a date in digits.

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
    if time_ms < earliest_ms:
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


class _Members:
    """The members of one record, and what its fields must be."""

    def __init__(self, decode: _Decode, value: bytes, *, kind: str, limits: RecordLimits) -> None:
        self._reason, self._limits = f"invalid_{kind}", limits
        _check_text(value, limits)
        try:
            self.raw = read_tolerantly(decode, value)
        except msgspec.ValidationError as error:
            raise RecordError(self._reason, str(error)) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise _not_json(error) from None

    def __call__(self, field: str, decode: _Decode) -> Any:
        raw = getattr(self.raw, field)
        if raw is _MISSING:
            raise RecordError(self._reason, f"`{field}` is missing")
        try:
            return decode(raw)
        except msgspec.ValidationError as error:
            why = "is NaN or infinite" if bytes(raw) == NOT_FINITE else f"is wrong: {error}"
            raise RecordError(self._reason, f"`{field}` {why}") from None

    def name(self, field: str, *, empty: bool = True) -> str:
        found: str = self(field, _text)
        if not found and not empty:
            raise RecordError(self._reason, f"`{field}` is empty")
        if not self._limits.allow(found):
            allowed = f"at most {self._limits.name_bytes} are allowed"
            long = f"`{field}` has {len(found.encode())} bytes, {allowed}"
            raise RecordError(self._reason, long)
        return found

    def scalar(self, field: str, decode: _Decode) -> Any:
        return _class_of(self(field, decode), self._limits)


def _class_of(value: Any, limits: RecordLimits) -> Any:
    return limits.class_of(value) if isinstance(value, str) else value


def _numeric(features: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    if features is None:
        return None
    return {
        name: NOT_NUMERIC if isinstance(value, str) else None if value is None else float(value)
        for name, value in features.items()
    }


def _or_none(decode: _Decode, raw: msgspec.Raw) -> Any:
    try:
        return decode(raw)
    except msgspec.DecodeError:
        return None


def _check_text(value: bytes, limits: RecordLimits) -> None:
    if len(value) > limits.record_bytes:
        allowed = f"at most {limits.record_bytes} are allowed"
        raise RecordError("too_large", f"{len(value)} bytes, {allowed}")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise RecordError("invalid_utf8", str(error)) from None


def _not_json(error: Exception) -> RecordError:
    return RecordError("invalid_json", str(error))
