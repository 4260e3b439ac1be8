"""Values of a model server as JSON can say them: a bad one costs the value, not the prediction.

Whatever numpy, pandas, torch and the like hand over is converted. What cannot be, or what workers
would leave out, is left out here, and the caller is told. Nothing here raises but `plain`, `name`,
`time_ms` and `answer`, for what a record cannot do without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from numbers import Real
from typing import Any, SupportsInt, TypeVar

import msgspec

Scalar = str | int | float | bool
Drop = Callable[[str, str, int], None]
"""Called with the field, what is wrong with its value, and how many values that are."""

_PLAIN = frozenset({str, int, float, bool, type(None)})
_TEXT, _FLOAT = frozenset({str}), frozenset({float})
_LARGEST_NUMBER = 1e150
_SHOWN_CHARS, _REMEMBERED_CHARS = 80, 4_096

# Less are seconds or a date such as 20260101, more are microseconds or nanoseconds: workers
# refuse both, when nobody looks.
_EARLIEST_MS, _LATEST_MS = 100_000_000_000, 253_402_300_799_999

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one record may hold at most; these are the defaults of workers, see their settings.

    Attributes
    ----------
    record_bytes
        Of a record's value; a larger one is dropped as ``too_large``.
    name_bytes
        UTF-8 bytes of ids and names of models and versions, beyond which a record is ``invalid``,
        and of names of features, segments and classes, beyond which that value is left out.
    features, segments, scores
        Most of them in one prediction; of more, the last by name are left out.
    """

    record_bytes: int = 1_000_000
    name_bytes: int = 256
    features: int = 1_000
    segments: int = 16
    scores: int = 1_000

    def allow(self, text: str) -> bool:
        """Tell whether a name is short enough, and can be written at all."""
        if 4 * len(text) <= self.name_bytes and text.isascii():
            return True
        try:
            return len(text.encode()) <= self.name_bytes
        except UnicodeEncodeError:  # half of a character
            return False

    def certainly_allow(self, texts: Iterable[str]) -> bool:
        """Tell, sooner, whether all of them are short enough, whatever characters they have."""
        return 4 * max(map(len, texts), default=0) <= self.name_bytes


# --- what a record cannot do without


def name(value: object, field: str, limits: Limits) -> str:
    """Return an id or a name; ValueError if it is empty or too long."""
    if type(value) is str and 0 < 4 * len(value) <= limits.name_bytes:
        return value  # half of a character is for the encoder to find
    found = text(value, field, limits)
    if not found:
        raise ValueError(f"{field} must not be empty")
    return found


def text(value: object, field: str, limits: Limits) -> str:
    """Return a name, which may be empty."""
    if type(value) is str and 4 * len(value) <= limits.name_bytes:
        return value
    found = value if type(value) is str else plain(value)
    if not isinstance(found, str):
        raise TypeError(f"{field} must be a string, got {type(value).__name__}")
    if not limits.allow(found):
        raise ValueError(f"{field} must have at most {limits.name_bytes} bytes of UTF-8")
    return found


def time_ms(value: SupportsInt) -> int:
    """Return a time in milliseconds."""
    if isinstance(value, (bool, str)):
        raise TypeError(f"timestamp_ms must be an integer, got {type(value).__name__}")
    found = int(value)
    if not _EARLIEST_MS <= found <= _LATEST_MS:
        raise ValueError(
            f"timestamp_ms must be milliseconds since 1970, from 1973 to 9999, got {value!r:.40}; "
            "time.time() gives seconds: int(1000 * time.time())"
        )
    return found


def answer(value: object, field: str) -> Scalar:
    """Return a prediction or a label."""
    found = plain(value)
    if found is None or (type(found) is float and not abs(found) <= _LARGEST_NUMBER):
        raise ValueError(f"{field} must not be {found}")
    if type(found) is int and not -(2**63) <= found < 2**63:
        raise ValueError(f"{field} must fit in 64 bits, got {found}; send a string")
    return found


def plain(value: object) -> Scalar | None:
    """Convert to the exact JSON scalar types: the encoder refuses other types and subclasses."""
    if type(value) in _PLAIN:
        return value  # type: ignore[return-value]  # a set of types does not narrow
    if getattr(value, "ndim", None) == 0:
        value = value.item()  # type: ignore[attr-defined]  # numpy, torch: duck-typed
        if type(value) in _PLAIN:
            return value  # type: ignore[return-value]  # as above
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (Real, Decimal)):
        return float(value)
    raise TypeError(f"{type(value).__name__} is neither string nor number nor boolean")


# --- what it can


def number(
    value: object, field: str, drop: Drop, *, smallest: float = -_LARGEST_NUMBER
) -> float | None:
    """Return a score or a latency, None for a bad one."""
    if type(value) is float and smallest <= value <= _LARGEST_NUMBER:
        return value
    found, why = _number(value, smallest)
    if why:
        drop(field, why, 1)
    return found


# Most predictions name the same features and segments. What is equal to a string without being one
# passes here, and the encoder refuses it: then all of it is looked at.
@lru_cache(maxsize=64)
def _good_names(names: tuple[object, ...], limits: Limits) -> bool:
    return len(names) <= limits.features and all(_is_name(one, limits) for one in names)


@lru_cache(maxsize=256)
def _good_segments(pairs: tuple[tuple[object, object], ...], limits: Limits) -> bool:
    return len(pairs) <= limits.segments and all(
        one != "" and _is_name(one, limits) and _is_name(value, limits) for one, value in pairs
    )


def _is_name(value: object, limits: Limits) -> bool:
    return type(value) is str and limits.allow(value)


def scores(values: object, drop: Drop, limits: Limits) -> dict[str, float] | None:
    """Return scores by the names of classes, which become text as JSON writes them."""
    if (
        type(values) is dict
        and len(values) <= limits.scores
        and _FLOAT.issuperset(map(type, values.values()))
        and _TEXT.issuperset(map(type, values))
        and limits.certainly_allow(values)
        and -1e9 < sum(values.values()) < 1e9
        and max(map(abs, values.values()), default=0.0) < 1e9
    ):
        return values

    def take(key: object, value: object) -> tuple[str, float | None, str]:
        found = key if type(key) is str else plain(key)
        if isinstance(found, bool):
            found = int(found)  # True is the class 1, and the text "true" need not be
        label = found if isinstance(found, str) else _encode(found).decode()
        return label, *_number(value, -_LARGEST_NUMBER)

    return _members(values, "scores", take, drop=drop, limits=limits, most=limits.scores)


def segments(
    values: object, drop: Drop, limits: Limits, *, careful: bool = False
) -> dict[str, str] | None:
    """Return values of segments by name, texts by text; `careful` as for features."""
    if type(values) is dict and not careful:
        try:
            short = sum(map(len, values.values())) <= _REMEMBERED_CHARS
            if short and _good_segments(tuple(values.items()), limits):
                return values
        except TypeError:  # one that has no length, or cannot be looked up, is no string
            pass

    def take(key: object, value: object) -> tuple[str, str | None, str]:
        label, found = text(key, "a segment's name", limits), plain(value)
        if not label or not isinstance(found, str):
            return label, None, "" if found is None else f"{_shown(value)} is no string with a name"
        return label, found, "" if limits.allow(found) else f"{_shown(value)} is too long"

    return _members(values, "segments", take, drop=drop, limits=limits, most=limits.segments)


def features(
    values: object, drop: Drop, limits: Limits, *, careful: bool = False
) -> dict[str, Any] | None:
    """Return features by name; NaN and the infinities mean missing, as null does.

    Parameters
    ----------
    careful
        Look at each value, too: one of them could not be encoded.
    """
    # Two C loops decide for the common case, a dictionary of plain values, which needs no copy; the
    # encoder writes NaN and the infinities as null.
    if (
        type(values) is dict
        and not careful
        and _PLAIN.issuperset(map(type, values.values()))
        and _good_names(tuple(values), limits)
    ):
        return values

    def take(key: object, value: object) -> tuple[str, Scalar | None, str]:
        label = text(key, "a feature's name", limits)
        found = plain(value)
        if isinstance(found, str):
            found.encode()  # or it is left out, like whatever raises
        elif type(found) is float and not math.isfinite(found):
            return label, None, ""
        elif type(found) is not bool and found is not None:
            return label, *_number(found, -_LARGEST_NUMBER)
        return label, found, ""

    return _members(
        values, "features", take, drop=drop, limits=limits, most=limits.features, missing=True
    )


def _members(
    values: object,
    field: str,
    take: Callable[[object, object], tuple[str, T | None, str]],
    *,
    drop: Drop,
    limits: Limits,
    most: int,
    missing: bool = False,
) -> dict[str, Any] | None:
    """Take the members of a mapping that are good; None of them are kept where `missing`."""
    try:
        items: Iterable[tuple[object, object]] = dict(values).items()  # type: ignore[call-overload]
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        drop(field, f"{_shown(values)} is no mapping", 1)
        return None
    found: dict[str, T | None] = {}
    for key, value in items:
        try:
            label, taken, why = take(key, value)
            why = why or ("" if limits.allow(label) else "the name is too long")
        except Exception as error:  # noqa: BLE001 - as above
            label, taken, why = "", None, str(error)
        if why:
            drop(field, f"{_shown(key)}: {why}", 1)
        elif taken is not None or missing:
            found[label] = taken
    return _first_by_name(found, field, drop=drop, most=most)


def _first_by_name(found: dict[str, T], field: str, *, drop: Drop, most: int) -> dict[str, T]:
    if len(found) <= most:
        return found
    last = sorted(found)[most:]
    drop(field, f"{len(found)} of them, at most {most} are allowed", len(last))
    return {key: value for key, value in found.items() if key not in {*last}}


def _number(value: object, smallest: float) -> tuple[float | None, str]:
    try:
        found = plain(value)
    except Exception as error:  # noqa: BLE001 - as above
        return None, str(error)
    if found is None:
        return None, ""
    if isinstance(found, (str, bool)):
        return None, f"{_shown(value)} is no number"
    if not smallest <= found <= _LARGEST_NUMBER:
        return None, f"{_shown(value)} is negative, NaN or beyond {_LARGEST_NUMBER:.0e}"
    return (found if abs(found) < 2**63 else float(found)), ""


def _shown(value: object) -> str:
    try:
        return f"{value!r:.{_SHOWN_CHARS}}"
    except Exception:  # noqa: BLE001 - as above
        return f"a {type(value).__name__}"
