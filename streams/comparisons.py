"""What the windows of a model are compared with, where that is not how the model began.

A monitors file says it for all models (`baseline`) or for those of a name or pattern (`models`).
"""

import fnmatch
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from streams.durations import format_duration, parse_duration_ms
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


class OfVersion(msgspec.Struct, frozen=True):
    """The longest baseline of one version; it is kept, however long that version is silent."""

    version: str

    def __str__(self) -> str:
        """Name it for people."""
        return f"version {self.version}"


class Trailing(msgspec.Struct, frozen=True):
    """The last whole days, UTC, before the day in which a window begins, of all versions.

    Attributes
    ----------
    weekday
        Whether only those of the same weekday.
    """

    days: int
    weekday: bool = False

    def __str__(self) -> str:
        """Name it for people."""
        which = f"same weekdays of the last {self.days} days" if self.weekday else ""
        return which or ("the last day" if self.days == 1 else f"the last {self.days} days")

    @property
    def before(self) -> range:
        """How many days before."""
        return range(_WEEK, self.days + 1, _WEEK) if self.weekday else range(1, self.days + 1)


Comparison: TypeAlias = Own | OfProfile | OfVersion | Trailing

DAY_MS = 86_400_000
MOST_DAYS = 35
_WEEK = 7
_NAMES = ("file", "version", "trailing", "own")


def says_spans(given: object) -> bool:
    """Tell whether what stands under `baseline` says how much of a model's beginning counts."""
    return not isinstance(given, Mapping) or bool(given.keys() & {"spans", "rows"})


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
        if name not in (*_READERS, "same_weekday"):
            raise ConfigError(f"{where}: no such key {name!r:.40}{nearest(str(name), _NAMES)}")
    said = [name for name in given if name != "same_weekday"]
    if not said:
        raise ConfigError(f"{where}: says nothing; say one of {', '.join(_NAMES)}")
    if len(said) > 1:
        raise ConfigError(f"{where}: says {' and '.join(said)}; say one of them")
    if len(given) > 1 and said != ["trailing"]:
        raise ConfigError(f"{where}: same_weekday belongs to trailing, such as trailing: 28d")
    return _READERS[said[0]](given, where)


def _file(given: Mapping[str, Any], where: str) -> Comparison:
    raise ConfigError(
        f"{where}: file: {given['file']!r:.60} was not read; a specification on the topic has the"
        " profile itself: driftline monitors apply puts it there"
    )


def _profile(given: Mapping[str, Any], where: str) -> OfProfile:
    return OfProfile(read_profile(given["profile"], where=f"{where}: profile"))


def _version(given: Mapping[str, Any], where: str) -> OfVersion:
    version = given["version"]
    if not isinstance(version, str):
        raise ConfigError(f"{where}: version: {version!r:.60} is no text; write it in quotes")
    return OfVersion(version)


def _own(given: Mapping[str, Any], where: str) -> Own:
    if given["own"] is not True:
        raise ConfigError(f"{where}: own: {given['own']!r:.60} must be true, or left out")
    return Own()


def _trailing(given: Mapping[str, Any], where: str) -> Trailing:
    span, weekday = given["trailing"], given.get("same_weekday", False)
    if not isinstance(weekday, bool):
        raise ConfigError(f"{where}: same_weekday: {weekday!r:.60} must be true or false")
    where = f"{where}: trailing"
    if not isinstance(span, str):
        raise ConfigError(f"{where}: {span!r:.60} is no duration such as 28d")
    days, rest = divmod(parse_duration_ms(span, setting=where), DAY_MS)
    if rest or not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"{where}: {span!r} is no whole number of days from 1d to {MOST_DAYS}d")
    if weekday and days < _WEEK:
        raise ConfigError(f"{where}: {span!r} holds no day of the same weekday; take 7d or more")
    return Trailing(days, weekday)


_READERS: dict[str, Callable[[Mapping[str, Any], str], Comparison]] = {
    "file": _file,
    "profile": _profile,
    "version": _version,
    "trailing": _trailing,
    "own": _own,
}


def check_comparisons(
    every: Mapping[str, Comparison], *, spans_ms: tuple[int, ...], pane_ms: int
) -> None:
    """Refuse what cannot be compared with, given the baselines and panes of a worker.

    Raises
    ------
    ConfigError
        Naming the models and the fix.

    Examples
    --------
    >>> check_comparisons({"*": Trailing(7)}, spans_ms=(), pane_ms=60_000)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streams.errors.ConfigError: baseline of '*': the last 7 days: leave `baseline: off` out...
    """
    for name, found in every.items():
        where = f"baseline of {name!r}: {found}"
        if not isinstance(found, OfVersion | Trailing):
            continue
        if not spans_ms:
            raise ConfigError(
                f"{where}: leave `baseline: off` out, with which nothing is kept of models"
            )
        if isinstance(found, Trailing) and DAY_MS % pane_ms:
            panes = format_duration(pane_ms)
            raise ConfigError(
                f"{where}: panes of {panes} do not divide a day; take windows that do, such as 5m"
            )


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
