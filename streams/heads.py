"""What has to be known of a record before it is decoded in full."""

from typing import Any, NamedTuple

import msgspec

from streams.adoption_record import key_of_adoption
from streams.errors import RecordError
from streams.failures import is_error
from streams.forget_record import key_of_line
from streams.limits import LIMITS
from streams.members import ABSENT_MEMBER, Decode, Members, decode_text, decode_time
from streams.readings import model_of_reading
from streams.specification import KEY
from streams.values import read_tolerantly


class _Head(msgspec.Struct):
    """What has to be known of a record before it is decoded in full, likewise."""

    prediction_id: msgspec.Raw = ABSENT_MEMBER
    timestamp_ms: msgspec.Raw = ABSENT_MEMBER
    prediction: msgspec.Raw = ABSENT_MEMBER
    label: msgspec.Raw = ABSENT_MEMBER
    retract: msgspec.Raw = ABSENT_MEMBER
    error: msgspec.Raw = ABSENT_MEMBER


_head_members: Decode = msgspec.json.Decoder(_Head).decode


class Head(NamedTuple):
    """The little that has to be known of a line of a recording before it is decoded in full.

    Attributes
    ----------
    kind
        `prediction`, `label` or `reading` (of a host). A line with the first two is a label that
        carries its own prediction.
    prediction_id
        Empty where it is none; of a reading, its model.
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
        If it is none of these, or no JSON object.
    """
    raw = Members(_head_members, value, kind="record", limits=LIMITS).raw
    said = {name: bytes(getattr(raw, name)) for name in ("prediction", "label", "retract")}
    if said["label"] != b"null" or said["retract"] == b"true":
        kind = "label"
    elif said["prediction"] != b"null" or is_error(raw.error):
        kind = "prediction"
    elif said["retract"] not in (b"null", b"false"):
        kind = "label"  # where it is refused with the reason
    elif (model := model_of_reading(value)) is not None:
        return Head("reading", model, _or_none(decode_time, raw.timestamp_ms))
    else:
        raise RecordError("invalid_record", "neither `prediction` nor `label` nor `retract: true`")
    return Head(
        kind,
        _or_none(decode_text, raw.prediction_id) or "",
        _or_none(decode_time, raw.timestamp_ms),
    )


class Said(NamedTuple):
    """What a line of a recording would be that is for all partitions.

    Attributes
    ----------
    feedback
        Whether it stands on the topic of feedback, or on that of specifications.
    """

    feedback: bool
    key: bytes


def said_in(value: bytes) -> Said | None:
    """Tell whether a line of a recording says what to watch, to forget or to adopt, or judges.

    See `streams.specification`, `streams.forget_record`, `streams.adoption_record` and
    `streams.verdicts`.

    Examples
    --------
    >>> said_in(b'{"effective_at": "2026-01-01", "forget": {"model": "fraud"}}')
    Said(feedback=False, key=b'["forget","fraud",null]')
    >>> said_in(b'{"effective_at": "2026-01-01", "monitors": null}')
    Said(feedback=False, key=b'monitors')
    >>> said_in(b'{"alert_id": "081e6a", "verdict": "true"}')
    Said(feedback=True, key=b'081e6a')
    """
    try:
        given = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if not isinstance(given, dict):
        return None
    key = KEY if "monitors" in given else key_of_line(given)
    if key is not None:
        return Said(feedback=False, key=key)
    key = key_of_adoption(given)
    if key is None and "verdict" in given and isinstance(given.get("alert_id"), str):
        key = given["alert_id"].encode(errors="replace")
    return None if key is None else Said(feedback=True, key=key)


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
    time_ms: int | None = _or_none(decode_time, raw)
    return time_ms


def _or_none(decode: Decode, raw: msgspec.Raw) -> Any:
    try:
        return decode(raw)
    except msgspec.DecodeError:
        return None
