"""An order to adopt the level that an alert is about: from then on, it is what is usual.

It stands on the topic of feedback, each alert under a key of its own:
``{"effective_at": 1767225600000, "by": "ann", "adopt": {"alert_id": "081e6a", "model": "m"}}``.
A tombstone says nothing: what was adopted stays so.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from streams.errors import RecordError
from streams.moments import parse_time_ms

LARGEST_BYTES = 10_000

ADOPTED = "drift"
"""The kind of alerts that can be adopted; rules have limits of the monitors file."""

_KIND = "adopt"


class Adoption(msgspec.Struct, frozen=True, array_like=True):
    """Somebody takes the level that an alert is about for the usual one.

    Attributes
    ----------
    model
        That of the alert.
    by, note
        Who, and why.
    effective_ms
        Event time from which on.
    """

    alert_id: str
    model: str
    by: str
    note: str
    effective_ms: int


class _Alert(msgspec.Struct, forbid_unknown_fields=True):
    alert_id: Annotated[str, Meta(min_length=1, max_length=200)]
    model: Annotated[str, Meta(min_length=1, max_length=1_000)]


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    effective_at: int | str
    adopt: _Alert
    by: Annotated[str, Meta(max_length=200, pattern=r"\S")]
    note: Annotated[str, Meta(max_length=2_000)] = ""


def is_adoption(key: bytes | None) -> bool:
    """Tell whether a record of the topic is such an order, by its key.

    Examples
    --------
    >>> is_adoption(adoption_key("081e6a")), is_adoption(b"081e6a")
    (True, False)
    """
    return key is not None and key.startswith(b'["adopt",')


def adoption_key(alert_id: Any) -> bytes:
    """Return the key of an order.

    Examples
    --------
    >>> adoption_key("081e6a")
    b'["adopt","081e6a"]'
    """
    return msgspec.json.encode([_KIND, alert_id])


def read_adoption(value: bytes, *, key: bytes | None = None) -> Adoption:
    """Read an order.

    Parameters
    ----------
    key
        Must be that of the alert; `None`: it is not known.

    Raises
    ------
    RecordError
        With the reason ``invalid_feedback``.

    Examples
    --------
    >>> about = b'"adopt": {"alert_id": "a1", "model": "fraud"}'
    >>> read_adoption(b'{"effective_at": "2026-01-01", "by": "ann", %b}' % about)
    Adoption(alert_id='a1', model='fraud', by='ann', note='', effective_ms=1767225600000)
    """
    if len(value) > LARGEST_BYTES:
        raise _refused(f"it has over {LARGEST_BYTES:,} bytes")
    try:
        record = msgspec.json.decode(value, type=_Record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _refused(str(error)) from None
    own = adoption_key(record.adopt.alert_id)
    if key is not None and key != own:
        raise _refused(f"the key is {key!r:.60}; it must be {own.decode()}")
    try:
        effective_ms = parse_time_ms(record.effective_at)
    except RecordError as error:
        raise _refused(error.detail) from None
    about = record.adopt
    return Adoption(about.alert_id, about.model, record.by.strip(), record.note, effective_ms)


def write_adoption(given: Adoption) -> bytes:
    """Return the value of a record."""
    about = _Alert(given.alert_id, given.model)
    return msgspec.json.encode(_Record(given.effective_ms, about, given.by, given.note))


def key_of_adoption(given: Any) -> bytes | None:
    """Return the key that a line of a recording would have; `None` if it is no such order."""
    about = given.get(_KIND) if isinstance(given, dict) else None
    if not isinstance(about, dict) or "effective_at" not in given:
        return None
    return adoption_key(about.get("alert_id"))


def _refused(detail: str) -> RecordError:
    return RecordError("invalid_feedback", detail)
