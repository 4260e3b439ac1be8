"""From what a YAML parser gives to what is meant, with errors that say what would be valid."""

import re
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from streams.errors import ConfigError
from streams.nearest import nearest

T = TypeVar("T")

_AT = re.compile(r" - at `(?:key` in `)?\$\.?(?P<path>.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")


def entry(section: str, place: int, given: object, kind: type[T]) -> T:
    """Convert one entry of a list; it goes by its name, or by its place where it has none."""
    name = given.get("name") if isinstance(given, dict) else None
    return converted(given, kind, where=f"{section} {place if name is None else repr(name)}")


def converted(given: object, kind: type[T], *, where: str = "") -> T:
    """Convert a value.

    Raises
    ------
    ConfigError
        With the key and the value, and what would have been valid.
    """
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        said = _explained(str(error), given, kind)
        raise ConfigError(f"{where}: {said}" if where else said) from None


def _explained(text: str, given: Any, kind: type) -> str:
    """Say what msgspec says with the value, and with what would have been valid."""
    found = _AT.search(text)
    path = found["path"] if found else ""
    said = text[: found.start()] if found else text
    if unknown := _UNKNOWN.fullmatch(said):
        return f"no such key {unknown['name']!r}{nearest(unknown['name'], _keys(kind))}"
    if missing := _MISSING.fullmatch(said):
        return f"the key {missing['name']!r} is missing"
    name = path.partition(".")[0].partition("[")[0]
    if not name:
        return f"{given!r:.60} is no mapping of keys to values"
    value = given[name]
    words = _words(get_type_hints(kind).get(name))
    if words:
        return f"{name}: {value!r} is unknown{nearest(str(value), words)}"
    return f"{name}: {value!r:.60}: {said[0].lower()}{said[1:].replace('`', '')}{_fix(said, value)}"


def _fix(said: str, value: object) -> str:
    """Say how to write a value of the wrong type, where that is all that is wrong with it."""
    if "`str" in said.partition(", got")[0] and not isinstance(value, dict | list):
        return "; write it in quotes"
    if isinstance(value, str) and said.startswith(("Expected `float", "Expected `int")):
        # YAML takes 1e308 for a text: exponents have a point and a sign there.
        return "; write a number, without quotes, such as 0.001 or 1.0e-3"
    return ""


def _keys(kind: type) -> list[str]:
    """Return the keys of a mapping, as a file writes them."""
    if not issubclass(kind, msgspec.Struct):
        return list(get_type_hints(kind))
    return [one.encode_name for one in msgspec.structs.fields(kind)]


def _words(kind: Any) -> list[str]:
    """Return the words that are allowed, where a type names them all."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if kind is bool:
        return ["true", "false"]
    if get_origin(kind) in {Union, UnionType}:
        each = [_words(one) for one in get_args(kind)]
        return [word for words in each for word in words] if all(each) else []
    return []
