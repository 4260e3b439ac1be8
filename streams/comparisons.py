"""What the windows of a model are compared with, where that is not how the model began.

A monitors file says it for all models (`baseline`) or for those of a name or pattern (`models`).
"""

import fnmatch
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from streams.errors import ConfigError
from streams.nearest import nearest
from streams.profiles import Profile, read_profile

EVERY_MODEL = "*"


class Own(msgspec.Struct, frozen=True):
    """How the model itself began; says so where another entry says something else of all."""

    def __str__(self) -> str:
        """Name it for people."""
        return "its own first days"


class OfProfile(msgspec.Struct, frozen=True):
    """A profile that was made of a table."""

    profile: Profile

    def __str__(self) -> str:
        """Name it for people."""
        one = self.profile
        days = "1 day" if one.days == 1 else f"{one.days:,} days"
        return f"a profile of {one.model}, {one.rows:,} rows of {days}"


Comparison: TypeAlias = Own | OfProfile

_NAMES = ("file", "own")


def read_comparison(given: Mapping[str, Any], *, where: str) -> Comparison:
    """Read the mapping that stands under `baseline`.

    Parameters
    ----------
    where
        Which entry it is, for errors.

    Raises
    ------
    ConfigError
        Naming the entry, the value and the fix.

    Examples
    --------
    >>> read_comparison({"filex": "ref.json"}, where="baseline")
    Traceback (most recent call last):
    streams.errors.ConfigError: baseline: no such key 'filex'; did you mean file?
    """
    for name in given:
        if name not in (*_NAMES, "profile"):
            raise ConfigError(f"{where}: no such key {name!r:.40}{nearest(str(name), _NAMES)}")
    if "file" in given:
        raise ConfigError(
            f"{where}: file: {given['file']!r:.60} was not read; a specification on the topic has"
            " the profile itself: driftline monitors apply puts it there"
        )
    if not given:
        raise ConfigError(f"{where}: says nothing; say one of {', '.join(_NAMES)}")
    if len(given) > 1:
        raise ConfigError(f"{where}: says {' and '.join(map(str, given))}; say one of them")
    if "own" in given:
        if given["own"] is not True:
            raise ConfigError(f"{where}: own: {given['own']!r:.60} must be true, or left out")
        return Own()
    return OfProfile(read_profile(given["profile"], where=f"{where}: profile"))


def check_kind(found: Comparison, *, task: str, where: str) -> None:
    """Refuse a profile of another kind of models.

    Raises
    ------
    ConfigError
        Naming both.
    """
    if not isinstance(found, OfProfile) or task == "auto" or not found.profile.kind:
        return
    kind = "binary" if found.profile.kind == "probability" else found.profile.kind
    if kind != task:
        raise ConfigError(
            f"{where}: the profile is of a {kind} model, but task: {task} is said of this one;"
            " take a profile of predictions of this model"
        )


def compared_with(every: Mapping[str, Comparison], model: str) -> Comparison | None:
    """Return what is said of a model: by its name, or by the first pattern that fits.

    Examples
    --------
    >>> compared_with({"*": Own()}, "fraud")
    Own()
    """
    if model in every:
        return every[model]
    fits = (one for name, one in every.items() if fnmatch.fnmatchcase(model, name))
    return next(fits, None)
