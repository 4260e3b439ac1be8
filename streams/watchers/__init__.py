"""Watchers: what looks at values in order, for changes of level.

A watcher is one file here and one line in `WATCHERS`; what `monitors.yaml` may say of it, what is
written down of it and how it is tested follow from what it declares.
"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, NamedTuple

import msgspec

from streams.errors import ConfigError
from streams.monitors import SCAN
from streams.watchers.adwin import Adwin
from streams.watchers.page_hinkley import PageHinkley
from streams.watchers.watcher import Parameters, Watcher

WATCHERS: tuple[Watcher, ...] = (
    Adwin(),
    PageHinkley(),
)
BY_NAME = {watcher.name: watcher for watcher in WATCHERS}


class Described(NamedTuple):
    """A parameter of a watcher: what is allowed, whether it is whole, and what it means."""

    name: str
    default: Any
    allowed: str
    whole: bool
    meaning: str


def watcher_of(name: str) -> Watcher:
    """Return a watcher by its name in `monitors.yaml`.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in BY_NAME:
        names = ", ".join((*BY_NAME, SCAN))
        raise ConfigError(f"detector: {name!r} is unknown; choose one of {names}")
    return BY_NAME[name]


def parameters_of(watcher: Watcher, given: dict[str, float]) -> Parameters:
    """Check the parameters of a watcher and complete them with the defaults.

    Raises
    ------
    ConfigError
        Naming the parameter, its value and what is allowed.

    Examples
    --------
    >>> parameters_of(Adwin(), {"reference": 300.0})
    AdwinParameters(reference=300, delta=0.002)
    >>> parameters_of(Adwin(), {"delta": 1.0})
    Traceback (most recent call last):
    streams.errors.ConfigError: detector adwin: delta 1 is out of range: more than 0, less than 1
    """
    known = {one.name: one for one in described(watcher)}
    typed: dict[str, float] = {}
    for name, value in given.items():
        where = f"detector {watcher.name}"
        if name not in known:
            names = ", ".join(sorted(known))
            raise ConfigError(f"{where}: unknown parameter {name!r}; it has {names}")
        if known[name].whole and value % 1 != 0:
            raise ConfigError(f"{where}: {name} {value:g} is no whole number")
        typed[name] = int(value) if known[name].whole else value
        try:
            msgspec.convert({name: typed[name]}, watcher.parameters)
        except msgspec.ValidationError:
            said = f"{where}: {name} {value:g} is out of range: {known[name].allowed}"
            raise ConfigError(said) from None
    return msgspec.convert(typed, watcher.parameters)


_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def described(watcher: Watcher) -> Iterator[Described]:
    """Yield what can be set of a watcher, as its type and docstrings say."""
    info = msgspec.inspect.type_info(watcher.parameters)
    assert isinstance(info, msgspec.inspect.StructType)
    documented = "\n".join(cleandoc(one.__doc__ or "") for one in watcher.parameters.__mro__)
    for field in info.fields:
        kind = field.type
        said = re.search(rf"^{field.name}\n((?:    .+\n?)+)", documented, re.MULTILINE)
        meaning = " ".join(said[1].split()).rstrip(".") if said else ""
        whole = isinstance(kind, msgspec.inspect.IntType)
        yield Described(field.name, field.default, allowed(kind), whole, meaning)


def allowed(kind: Any) -> str:
    """Return the bounds of a type of numbers, in words.

    Examples
    --------
    >>> allowed(msgspec.inspect.type_info(PageHinkley.parameters).fields[0].type)
    'at least 1, at most 1e+12'
    """
    bounds = ((words, getattr(kind, side)) for side, words in _WORDS.items())
    return ", ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
