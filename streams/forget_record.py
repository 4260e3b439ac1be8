"""An order to forget a model, as a record: which one, and since when.

It stands on the topic of specifications, each model under a key of its own:
``{"effective_at": 1767225600000, "forget": {"model": "fraud", "version": "7"}}``. Without a version
it is for all of them. A tombstone says nothing: what is forgotten is gone.
"""

from typing import Any

import msgspec

from streams.errors import RecordError
from streams.moments import parse_time_ms

LARGEST_BYTES = 10_000

_KIND = "forget"


class Forget(msgspec.Struct, frozen=True):
    """Forget what is known of a model from rows of predictions before a moment.

    Attributes
    ----------
    version
        `None` for all.
    effective_ms
        That moment, in event time.
    """

    model: str
    version: str | None
    effective_ms: int


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    version: str | None = None


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    effective_at: int | str
    forget: _Model


def is_forget(key: bytes | None) -> bool:
    """Tell whether a record of the topic is such an order, by its key.

    Examples
    --------
    >>> is_forget(forget_key("fraud", "7")), is_forget(b"monitors")
    (True, False)
    """
    return key is not None and key.startswith(b'["forget",')


def forget_key(model: Any, version: Any) -> bytes:
    """Return the key of an order.

    Examples
    --------
    >>> forget_key("fraud", None)
    b'["forget","fraud",null]'
    """
    return msgspec.json.encode([_KIND, model, version])


def read_forget(value: bytes, *, key: bytes | None = None) -> Forget:
    """Read an order.

    Parameters
    ----------
    key
        Must be that of the model; `None`: it is not known, as of a line of a recording.

    Raises
    ------
    RecordError
        With the reason ``invalid_monitors``.

    Examples
    --------
    >>> read_forget(b'{"effective_at": "2026-01-01", "forget": {"model": "fraud"}}')
    Forget(model='fraud', version=None, effective_ms=1767225600000)
    """
    if len(value) > LARGEST_BYTES:
        raise _refused(f"it has over {LARGEST_BYTES:,} bytes")
    try:
        record = msgspec.json.decode(value, type=_Record)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _refused(str(error)) from None
    about = record.forget
    own = forget_key(about.model, about.version)
    if key is not None and key != own:
        raise _refused(f"the key is {key!r:.60}; it must be {own.decode()}")
    return Forget(about.model, about.version, parse_time_ms(record.effective_at))


def write_forget(model: str, version: str | None, *, effective_ms: int) -> bytes:
    """Return the value of an order."""
    return msgspec.json.encode(_Record(effective_ms, _Model(model, version)))


def key_of_line(given: Any) -> bytes | None:
    """Return the key that a line of a recording would have; `None` if it is no such order."""
    about = given.get(_KIND) if isinstance(given, dict) else None
    if not isinstance(about, dict) or "effective_at" not in given:
        return None
    return forget_key(about.get("model"), about.get("version"))


def _refused(detail: str) -> RecordError:
    return RecordError("invalid_monitors", detail)
