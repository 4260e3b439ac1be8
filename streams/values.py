"""What a prediction may do without: a bad value costs the value, and is counted.

Scores, features, segments and latencies come from other code than the model's answer does: two
clocks make a latency negative, a library writes a bare NaN. The prediction counts all the same.
Nothing here is on the way of good records; see `streams.decoding`.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from streams.categories import category
from streams.limits import RecordLimits

LARGEST_NUMBER = 1e150
"""The square of a number up to here is finite."""

FIELDS = ("score", "scores", "features", "segments", "latency_ms")
"""Fields whose values can be left out."""

NOT_FINITE = b'["NaN"]'
"""Stands for a bare NaN or infinity: of no field that a record needs a valid value."""

_NOT_FINITE = ["NaN"]
_SHOWN_CHARS = 80

# A record has room for 100,000 bad values, and to say how one looks takes longer than to read 100.
_MOST_NAMED = 8

# Nested as deeply as JSON may be, a value would be too deep for `repr`.
_brief = reprlib.Repr()
_brief.maxstring = _brief.maxlong = _SHOWN_CHARS

# A string, whose end may be missing, or a word. No part gives back what it has taken: a text of
# quotes and backslashes costs no more than others.
_WORDS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|-?(?:NaN|Infinity)', re.DOTALL)

T = TypeVar("T")
_decode = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Dropped(msgspec.Struct, frozen=True):
    """A value that was left out, or one of several and how many there were.

    Attributes
    ----------
    field
        One of `FIELDS`.
    value
        How it looked, shortened; line feeds and escapes cannot do harm in a log.
    """

    field: str
    value: str
    why: str
    count: int = 1
    model: str = ""

    def of(self, count: int) -> Dropped:
        """Return it as the example of so many."""
        return msgspec.structs.replace(self, count=count)

    def __str__(self) -> str:
        return f"{self.field} of model {_shown(self.model)}: {self.value} {self.why}"


def add_dropped(found: dict[str, Dropped], more: Iterable[Dropped]) -> None:
    """Count by field, in place; the first one stays the example."""
    for one in more:
        first = found.get(one.field)
        found[one.field] = one if first is None else first.of(first.count + one.count)


def read_tolerantly(decode: Callable[[bytes], T], value: bytes) -> T:
    r"""Decode JSON in which numbers may be NaN or infinite, as Python's `json.dumps` writes them.

    They become `NOT_FINITE`. Only what fails as it is costs more than `decode`.

    Examples
    --------
    >>> read_tolerantly(msgspec.json.decode, b'{"a": -Infinity, "NaN": "say \\"NaN"}')
    {'a': ['NaN'], 'NaN': 'say "NaN'}
    """
    try:
        return decode(value)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if b"NaN" not in value and b"Infinity" not in value:
            raise
    return decode(_WORDS.sub(_replacement, value))


def _replacement(word: re.Match[bytes]) -> bytes:
    return word[0] if word[0].startswith(b'"') else NOT_FINITE


class Values:
    """Take what is good among the values of one prediction.

    Parameters
    ----------
    dropped
        What is left out is appended here.
    """

    def __init__(self, limits: RecordLimits, dropped: list[Dropped]) -> None:
        self._limits = limits
        self._dropped = dropped
        self._last: dict[str, int] = {}  # where the last of a field is

    def number(
        self, raw: msgspec.Raw, *, field: str, smallest: float = -LARGEST_NUMBER
    ) -> float | None:
        """Return a score or a latency, `None` if there is none or a bad one."""
        value = _value(raw)
        if value is None:
            return None
        if why := _not_a_number(value):
            self._drop(field, value, why)
            return None
        if value < smallest:
            self._drop(field, value, "is negative")
            return None
        return float(value)

    def scores(self, raw: msgspec.Raw) -> dict[str, float] | None:
        """Return scores by class."""
        found: dict[str, float] = {}
        members = self._members(raw, field="scores", most=self._limits.scores)
        if members is None:
            return None
        for name, value in members.items():
            if value is None:
                continue
            if why := self._bad_name(name) or _not_a_number(value):
                self._drop("scores", value, why, name=name)
            else:
                found[name] = float(value)
        return found

    def segments(self, raw: msgspec.Raw) -> dict[str, str] | None:
        """Return values of segments by name."""
        found: dict[str, str] = {}
        members = self._members(raw, field="segments", most=self._limits.segments)
        if members is None:
            return None
        for name, value in members.items():
            if value is None:
                continue
            if why := self._bad_name(name) or self._no_segment(name, value):
                self._drop("segments", value, why, name=name)
            else:
                found[name] = value
        return found

    def features(self, raw: msgspec.Raw) -> dict[str, float | None] | None:
        """Return features by name: booleans as 0 and 1, `None` where missing, or NaN.

        Text is what stands for it, see `streams.categories`.
        """
        found: dict[str, float | None] = {}
        members = self._members(raw, field="features", most=self._limits.features)
        if members is None:
            return None
        for name, value in members.items():
            if why := self._bad_name(name):
                self._drop("features", value, why, name=name)
            elif value is None or isinstance(value, bool | str):
                found[name] = category(value) if isinstance(value, str) else _as_float(value)
            elif why := _not_a_number(value):
                self._drop("features", value, why, name=name)
                if value == _NOT_FINITE:
                    found[name] = None
            else:
                found[name] = float(value)
        return found

    def _members(self, raw: msgspec.Raw, *, field: str, most: int) -> dict[str, Any] | None:
        """Return what an object holds, no more than is allowed: nobody looks at the rest."""
        try:
            found = _decode(raw)
        except msgspec.ValidationError:  # it holds a number that is out of range
            found = _apart(raw)
        if found is None:
            return None
        if isinstance(found, dict):
            return self._first_by_name(found, field=field, most=most)
        self._drop(field, found, f"is {_kind(found)}, not an object")
        return None

    def _first_by_name(self, found: dict[str, T], *, field: str, most: int) -> dict[str, T]:
        if len(found) <= most:
            return found
        names = sorted(found)
        for name in names[most:]:
            del found[name]
        why = f"is one of {len(names)}, at most {most} are allowed"
        self._drop(field, names[most], why, count=len(names) - most)
        return found

    def _bad_name(self, name: str) -> str:
        if self._limits.allow(name):
            return ""
        return f"has a name of over {self._limits.name_bytes} bytes"

    def _no_segment(self, name: str, value: object) -> str:
        if not name:
            return "has no name"
        if not isinstance(value, str):
            return f"is {_kind(value)}, not a string"
        return "" if self._limits.allow(value) else f"is over {self._limits.name_bytes} bytes long"

    def _drop(
        self, field: str, value: object, why: str, *, name: str | None = None, count: int = 1
    ) -> None:
        last = self._last.get(field)
        if last is not None and len(self._dropped) >= _MOST_NAMED:
            one = self._dropped[last]
            self._dropped[last] = one.of(one.count + count)
            return
        shown = _shown(value) if name is None else f"{_shown(name)}: {_shown(value)}"
        self._last[field] = len(self._dropped)
        self._dropped.append(Dropped(field, shown, why, count))


def _value(raw: msgspec.Raw) -> Any:
    """Decode a value of any kind; infinity where a number is out of range."""
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        return float("inf")


def _apart(raw: msgspec.Raw) -> Any:
    try:
        return {name: _value(part) for name, part in _decode_members(raw).items()}
    except msgspec.ValidationError:
        return float("inf")


def _as_float(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _not_a_number(value: object) -> str:
    """Say why something is no number that can be counted with, nothing if it is one."""
    if value == _NOT_FINITE:
        return "is NaN or infinite"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {_kind(value)}, not a number"
    return "" if abs(value) <= LARGEST_NUMBER else f"is beyond {LARGEST_NUMBER:.0e}"


_KINDS: Mapping[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _kind(value: object) -> str:
    return _KINDS[type(value)]


def _shown(value: object) -> str:
    if value == _NOT_FINITE:
        return "NaN"
    text = _brief.repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
