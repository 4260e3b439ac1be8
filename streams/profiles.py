"""Profiles: what a table of predictions was like, as JSON that windows can be compared with.

A profile holds what the families that compare have counted of the table, in the same bins as of
windows; of texts nothing but hashes. What counts is `streams.cells.profiling`; this is the record.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

import msgspec

from streams import families
from streams.errors import ConfigError
from streams.families.family import PREDICTIONS, Family, Scope, Sparse

SCHEMA = "driftline.profile"
FORMAT = 1

Entries = list[tuple[int, int]]
"""Bins and counts, in rising order."""

_MOST_BIN = (1 << 32) - 1
_MOST_ROWS = 1 << 50
_AGAIN = "make it again: driftline profile TABLE --out FILE"


class Slot(NamedTuple):
    """A column that is in profiles."""

    family: Family
    column: str

    @property
    def key(self) -> tuple[str, str]:
        """What the column is called in cells."""
        return self.family.name, self.column

    @property
    def name(self) -> str:
        """What it is called in a profile."""
        return ".".join(self.key)


def comparing() -> tuple[Family, ...]:
    """Return the families with columns that are compared with those of something.

    Examples
    --------
    >>> [family.name for family in comparing()]
    ['answers', 'distribution']
    """
    every = (f for f in families.CATALOGUE.families if f.columns)
    found = (f for f in every if any(m.compares for m in f.metrics))
    return tuple(sorted(found, key=lambda family: family.name))


def slots(scope: Scope) -> list[Slot]:
    """Return the columns of windows, or of features, that are in profiles."""
    return [
        Slot(family, column)
        for family in comparing()
        if family.scope is scope and family.reads is PREDICTIONS
        for column, declared in family.columns.items()
        if isinstance(declared, Sparse)
    ]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one segment.

    Attributes
    ----------
    segment
        Empty for all traffic.
    columns, features
        Counts by the name of the column; for features by the feature, too. Each is a step from bin
        to bin and a count, in turns.
    """

    segment: str
    rows: int
    columns: dict[str, list[int]]
    features: dict[str, dict[str, list[int]]]


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a table was like.

    Attributes
    ----------
    schema, format
        `SCHEMA` and `FORMAT`.
    model, versions
        Of which its rows were.
    kind
        What the model was judged to be; empty where there were no labels.
    from_ms, until_ms
        From the hour of its first prediction to the end of that of its last.
    families
        Versions of the families that counted.
    """

    schema: str = SCHEMA
    format: int = FORMAT
    model: str
    versions: list[str]
    kind: str = ""
    rows: int
    from_ms: int
    until_ms: int
    families: dict[str, int]
    segments: list[Part]

    @property
    def days(self) -> int:
        """How many days its rows are from, begun ones counted."""
        day_ms = 86_400_000
        return (self.until_ms - 1) // day_ms - self.from_ms // day_ms + 1


def steps_of(entries: Iterable[tuple[int, int]]) -> list[int]:
    """Return bins and counts as they are written.

    Examples
    --------
    >>> steps_of([(7, 2), (9, 5)])
    [7, 2, 2, 5]
    """
    found: list[int] = []
    last = 0
    for number, count in entries:
        found += number - last, count
        last = number
    return found


def entries_of(steps: list[int]) -> Entries:
    """Return bins and counts.

    Examples
    --------
    >>> entries_of([7, 2, 2, 5])
    [(7, 2), (9, 5)]
    """
    return list(zip(accumulate(steps[::2]), steps[1::2], strict=True))


def read_profile(data: object, *, where: str) -> Profile:
    """Read what a profile's JSON says.

    Parameters
    ----------
    where
        What named it, for errors.

    Raises
    ------
    ConfigError
        If it is none, or one that this build cannot compare with.

    Examples
    --------
    >>> read_profile({"schema": "other"}, where="ref.json")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streams.errors.ConfigError: ref.json: its schema is 'other', not 'driftline.profile'...
    """
    try:
        return _read(data)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read(data: object) -> Profile:
    if not isinstance(data, Mapping):
        raise ConfigError(f"is no profile, but {data!r:.40}; {_AGAIN}")
    if data.get("schema") != SCHEMA:
        found = data.get("schema")
        raise ConfigError(f"its schema is {found!r:.40}, not {SCHEMA!r}; {_AGAIN}")
    if data.get("format") != FORMAT:
        found = data.get("format")
        raise ConfigError(f"its format is {found!r:.40}, this build reads {FORMAT}; {_AGAIN}")
    try:
        profile = msgspec.convert(data, Profile)
    except msgspec.ValidationError as error:
        said = re.sub(r"`\$\.?(.*?)`$", r"\1", str(error)).replace("`", "")
        raise ConfigError(f"is a damaged profile: {said}; {_AGAIN}") from None
    _check(profile)
    return profile


def _check(profile: Profile) -> None:
    if profile.rows < 1 or not profile.segments:
        raise ConfigError(f"the profile has no rows, so that nothing can be compared; {_AGAIN}")
    known = {family.name: family.version for family in comparing()}
    for name, version in profile.families.items():
        if name not in known:
            raise ConfigError(
                f"the profile has a family {name!r} that this build has not; {_AGAIN}"
            )
        if known[name] != version:
            raise ConfigError(
                f"family {name!r} is of version {version} in the profile, this build counts"
                f" otherwise, by version {known[name]}; {_AGAIN}"
            )
    for part in profile.segments:
        for name, steps in _columns(part):
            _check_steps(part.segment, name, steps)


def _columns(part: Part) -> Iterator[tuple[str, list[int]]]:
    yield from part.columns.items()
    for columns in part.features.values():
        yield from columns.items()


def _check_steps(segment: str, name: str, steps: list[int]) -> None:
    odd = len(steps) % 2
    wrong = odd or any(step < (1 if place else 0) for place, step in enumerate(steps[::2]))
    if wrong or any(not 0 < count < _MOST_ROWS for count in steps[1::2]):
        raise ConfigError(f"is a damaged profile: counts of {name}, segment {segment!r}; {_AGAIN}")
    if sum(steps[::2]) > _MOST_BIN:
        raise ConfigError(f"is a damaged profile: a bin of {name}, segment {segment!r}; {_AGAIN}")


def write_profile(profile: Profile) -> bytes:
    """Return the JSON of a profile."""
    return msgspec.json.encode(profile)
