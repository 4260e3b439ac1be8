"""What the windows of a model are compared with, where that is not how the model began.

A monitors file says it for all models (`baseline`) or for those of a name or pattern (`models`).
"""

import fnmatch
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, TypeAlias

import msgspec

from streams.durations import format_duration, parse_duration_ms
from streams.errors import ConfigError, RecordError
from streams.moments import parse_time_ms, time_text
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
    hour
        Whether only the same hour of them, UTC, as that in which a window begins.
    """

    days: int
    weekday: bool = False
    hour: bool = False

    def __str__(self) -> str:
        """Name it for people.

        Examples
        --------
        >>> str(Trailing(1)), str(Trailing(28, weekday=True, hour=True))
        ('the last day', 'same hour of same weekdays of the last 28 days')
        """
        days = "the last day" if self.days == 1 else f"the last {self.days} days"
        days = f"same weekdays of {days}" if self.weekday else days
        return f"same hour of {days}" if self.hour else days

    @property
    def before(self) -> range:
        """How many days before."""
        return range(_WEEK, self.days + 1, _WEEK) if self.weekday else range(1, self.days + 1)


class Between(msgspec.Struct, frozen=True):
    """Some whole days, UTC, of all versions, once they are over; the last one is exclusive.

    Attributes
    ----------
    first, end
        How many days after 1970.
    """

    first: int
    end: int

    def __str__(self) -> str:
        """Name it for people.

        Examples
        --------
        >>> str(Between(20454, 20468))
        '2026-01-01 to 2026-01-15'
        """
        return " to ".join(time_text(day * DAY_MS)[:10] for day in (self.first, self.end))


Comparison: TypeAlias = Own | OfProfile | OfVersion | Trailing | Between

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MOST_DAYS = 35
_WEEK = 7
_NAMES = ("file", "version", "trailing", "from", "own")
_ALSO = {
    "same_weekday": ("trailing", "trailing: 28d"),
    "same_hour": ("trailing", "trailing: 28d"),
    "until": ("from", "from: 2026-01-01"),
}
"""Keys that belong to others, and what these look like."""


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
        if name not in (*_READERS, *_ALSO):
            names = nearest(str(name), (*_NAMES, *_ALSO))
            raise ConfigError(f"{where}: no such key {name!r:.40}{names}")
    said = [name for name in given if name not in _ALSO]
    for name, (whose, example) in _ALSO.items():
        if name in given and whose not in said:
            raise ConfigError(f"{where}: {name} belongs to {whose}, such as {example}")
    if not said:
        raise ConfigError(f"{where}: says nothing; say one of {', '.join(_NAMES)}")
    if len(said) > 1:
        raise ConfigError(f"{where}: says {' and '.join(said)}; say one of them")
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
    span = given["trailing"]
    same = {name: given.get(name, False) for name in ("same_weekday", "same_hour")}
    for name, one in same.items():
        if not isinstance(one, bool):
            raise ConfigError(f"{where}: {name}: {one!r:.60} must be true or false")
    weekday, hour = same.values()
    where = f"{where}: trailing"
    if not isinstance(span, str):
        raise ConfigError(f"{where}: {span!r:.60} is no duration such as 28d")
    days, rest = divmod(parse_duration_ms(span, setting=where), DAY_MS)
    if rest or not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"{where}: {span!r} is no whole number of days from 1d to {MOST_DAYS}d")
    if weekday and days < _WEEK:
        raise ConfigError(f"{where}: {span!r} holds no day of the same weekday; take 7d or more")
    return Trailing(days, weekday, hour)


def _between(given: Mapping[str, Any], where: str) -> Between:
    if "until" not in given:
        raise ConfigError(f"{where}: from: needs until, such as until: 2026-01-15")
    first, end = (_day(given[name], f"{where}: {name}") for name in ("from", "until"))
    if end <= first:
        raise ConfigError(
            f"{where}: until: {time_text(end * DAY_MS)[:10]} is not after"
            f" from: {time_text(first * DAY_MS)[:10]}"
        )
    if end - first > MOST_DAYS:
        raise ConfigError(f"{where}: {end - first} days are more than {MOST_DAYS}")
    return Between(first, end)


def _day(given: object, where: str) -> int:
    """Return the day that begins at a time."""
    if isinstance(given, date):  # YAML makes dates of what looks like one
        given = given.isoformat()
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise ConfigError(f"{where}: {given!r:.60} is no day; write it as 2026-01-31")
    try:
        day, rest = divmod(parse_time_ms(given, setting=where), DAY_MS)
    except RecordError as error:
        raise ConfigError(error.detail) from None
    if rest:
        raise ConfigError(f"{where}: {str(given)!r} is within a day, UTC; write a whole one")
    if day < 0:
        raise ConfigError(f"{where}: {str(given)!r} is before 1970")
    return day


_READERS: dict[str, Callable[[Mapping[str, Any], str], Comparison]] = {
    "file": _file,
    "profile": _profile,
    "version": _version,
    "trailing": _trailing,
    "from": _between,
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
        if not isinstance(found, OfVersion | Trailing | Between):
            continue
        if not spans_ms:
            raise ConfigError(
                f"{where}: leave `baseline: off` out, with which nothing is kept of models"
            )
        hour = isinstance(found, Trailing) and found.hour
        if not isinstance(found, OfVersion) and (HOUR_MS if hour else DAY_MS) % pane_ms:
            panes, what = format_duration(pane_ms), "an hour" if hour else "a day"
            raise ConfigError(
                f"{where}: panes of {panes} do not divide {what}; take windows that do, such as 5m"
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
