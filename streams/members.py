"""The members of a record, taken one by one: what is wrong with one is said by its name."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from streams.errors import RecordError
from streams.limits import RecordLimits
from streams.values import NOT_FINITE, read_tolerantly

ABSENT_MEMBER, MISSING_MEMBER = msgspec.Raw(b"null"), msgspec.Raw(b"")
"""What stands for a member that is not there: one that may be left out, and one that may not."""

Time = Annotated[int, Meta(ge=0)]

Decode = Callable[[bytes], Any]
decode_text: Decode = msgspec.json.Decoder(str).decode
decode_time: Decode = msgspec.json.Decoder(Time).decode


class Members:
    """The members of one record, and what its fields must be.

    Parameters
    ----------
    decode
        Makes a struct of the members, each as it is (`msgspec.Raw`).

    Attributes
    ----------
    raw
        That struct.
    """

    def __init__(self, decode: Decode, value: bytes, *, kind: str, limits: RecordLimits) -> None:
        self._reason, self._limits = f"invalid_{kind}", limits
        check_text(value, limits)
        try:
            self.raw = read_tolerantly(decode, value)
        except msgspec.ValidationError as error:
            raise RecordError(self._reason, str(error)) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise not_json(error) from None

    def __call__(self, field: str, decode: Decode) -> Any:
        """Decode a member."""
        raw = getattr(self.raw, field)
        if raw is MISSING_MEMBER:
            raise RecordError(self._reason, f"`{field}` is missing")
        try:
            return decode(raw)
        except msgspec.ValidationError as error:
            why = "is NaN or infinite" if bytes(raw) == NOT_FINITE else f"is wrong: {error}"
            raise RecordError(self._reason, f"`{field}` {why}") from None

    def name(self, field: str, *, empty: bool = True) -> str:
        """Decode a name, which must not be too long."""
        found: str = self(field, decode_text)
        if not found and not empty:
            raise RecordError(self._reason, f"`{field}` is empty")
        if not self._limits.allow(found):
            allowed = f"at most {self._limits.name_bytes} are allowed"
            long = f"`{field}` has {len(found.encode())} bytes, {allowed}"
            raise RecordError(self._reason, long)
        return found

    def scalar(self, field: str, decode: Decode) -> Any:
        """Decode a prediction or a label."""
        return class_of(self(field, decode), self._limits)


def class_of(value: Any, limits: RecordLimits) -> Any:
    """Return a value, named where its text is too long for a name."""
    return limits.class_of(value) if isinstance(value, str) else value


def check_text(value: bytes, limits: RecordLimits) -> None:
    """Refuse a record that is too large, or no UTF-8."""
    if len(value) > limits.record_bytes:
        allowed = f"at most {limits.record_bytes} are allowed"
        raise RecordError("too_large", f"{len(value)} bytes, {allowed}")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise RecordError("invalid_utf8", str(error)) from None


def not_json(error: Exception) -> RecordError:
    """Return what to say of a record that is no JSON."""
    return RecordError("invalid_json", str(error))
