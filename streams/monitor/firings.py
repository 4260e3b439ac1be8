"""An alert that fires, and how it is written down."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from streams.alerts import Alert
from streams.consequences import Consequence


class Firing(NamedTuple):
    """An alert that fires, and when its monitor last found something.

    Attributes
    ----------
    quiet
        Whether it is not published: it is there for composites alone.
    silent_ms
        Until when nobody is to be told of it; -1 if that is over.
    then
        What it asks for once that is over.
    """

    alert: Alert
    last_ms: int
    quiet: bool = False
    silent_ms: int = -1
    then: tuple[Consequence, ...] = ()


def packed(one: Firing) -> list[Any]:
    """Return an alert in a form that msgpack can write; what is as usual is left out."""
    found: list[Any] = [msgspec.to_builtins(one.alert), one.last_ms]
    if one.silent_ms < 0:
        return [*found, True] if one.quiet else found
    then = [msgspec.to_builtins(one.then)] if one.then else []
    return [*found, one.quiet, one.silent_ms, *then]


def unpacked(content: Sequence[Any]) -> Firing:
    """Return what `packed` was given."""
    return msgspec.convert(content, Firing)
