"""Watchers: what looks at values in order, for changes of level.

A watcher is one file here and one line in `WATCHERS`; what `monitors.yaml` may say of it, what is
written down of it and how it is tested follow from what it declares.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from streams.errors import ConfigError
from streams.watchers.adwin import Adwin
from streams.watchers.page_hinkley import PageHinkley
from streams.watchers.watcher import Parameters, Watcher

WATCHERS: tuple[Watcher, ...] = (
    Adwin(),
    PageHinkley(),
)
BY_NAME = {watcher.name: watcher for watcher in WATCHERS}


def watcher_of(name: str) -> Watcher:
    """Return a watcher by its name in `monitors.yaml`.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in BY_NAME:
        raise ConfigError(f"detector: {name!r} is unknown; choose one of {', '.join(BY_NAME)}")
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
    info = msgspec.inspect.type_info(watcher.parameters)
    assert isinstance(info, msgspec.inspect.StructType)
    kinds = {field.name: field.type for field in info.fields}
    typed: dict[str, float] = {}
    for name, value in given.items():
        where = f"detector {watcher.name}"
        if name not in kinds:
            known = ", ".join(sorted(kinds))
            raise ConfigError(f"{where}: unknown parameter {name!r}; it has {known}")
        whole = isinstance(kinds[name], msgspec.inspect.IntType)
        if whole and value % 1 != 0:
            raise ConfigError(f"{where}: {name} {value:g} is no whole number")
        typed[name] = int(value) if whole else value
        try:
            msgspec.convert({name: typed[name]}, watcher.parameters)
        except msgspec.ValidationError:
            said = ", ".join(_bounds(kinds[name]))
            raise ConfigError(f"{where}: {name} {value:g} is out of range: {said}") from None
    return msgspec.convert(typed, watcher.parameters)


_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def _bounds(kind: Any) -> Iterator[str]:
    return (
        f"{words} {getattr(kind, side):g}"
        for side, words in _WORDS.items()
        if getattr(kind, side) is not None
    )
