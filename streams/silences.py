"""Silences: when nobody is to be told of alerts, and of which.

Once, from one moment until another, or on days of the week and between times of the day, UTC. What
counts is the event time at which an alert begins: an alert that begins in a silence is recorded as
any other, but as one that nobody is told of. If it still fires when the silence ends, it is
recorded again, for all to hear.
"""

import fnmatch
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from streams.errors import ConfigError, RecordError
from streams.file_values import converted
from streams.moments import parse_time_ms, time_text
from streams.nearest import nearest

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[str, ...] = get_args(Weekday)

_FIRST_WEEKDAY = WEEKDAYS.index("thu")  # of the first day of 1970
_MINUTE_MS, DAY_MS = 60_000, 24 * 3_600_000
_DAY_MINUTES = DAY_MS // _MINUTE_MS
_FOREVER_MS = 1 << 62
_MOST = 1_000


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """One silence.

    Attributes
    ----------
    model, monitor
        Patterns of what is silent.
    from_ms, until_ms
        From when on, and until when, exclusive.
    weekdays, between_ms
        Spans within that: days on which one begins, from Monday (0) on, when in the day, and how
        long it is; no days for the whole of it.
    """

    model: str = "*"
    monitor: str = "*"
    why: str
    from_ms: int = 0
    until_ms: int = _FOREVER_MS
    weekdays: tuple[int, ...] = ()
    between_ms: tuple[int, int] = (0, DAY_MS)

    def ends_ms(self, at_ms: int) -> int:
        """Return when the span ends that a moment is in; -1 if it is in none.

        Examples
        --------
        >>> nights = Silence(why="batch", weekdays=(3,), between_ms=(0, 3_600_000))
        >>> nights.ends_ms(60_000), nights.ends_ms(3_600_000)
        (3600000, -1)
        """
        if not self.from_ms <= at_ms < self.until_ms:
            return -1
        if not self.weekdays:
            return self.until_ms
        starts_ms, length_ms = self.between_ms
        today = at_ms // DAY_MS
        for day in (today, today - 1):  # one may go on after midnight
            begins_ms = day * DAY_MS + starts_ms
            own = (day + _FIRST_WEEKDAY) % len(WEEKDAYS) in self.weekdays
            if own and begins_ms <= at_ms < begins_ms + length_ms:
                return min(begins_ms + length_ms, self.until_ms)
        return -1

    def __str__(self) -> str:
        said = [f"model {self.model!r}", f"monitor {self.monitor!r}"]
        if self.from_ms:
            said.append(f"from {time_text(self.from_ms)}")
        if self.until_ms != _FOREVER_MS:
            said.append(f"until {time_text(self.until_ms)}")
        if 0 < len(self.weekdays) < len(WEEKDAYS):
            said.append(f"on {' '.join(WEEKDAYS[day] for day in self.weekdays)}")
        starts_ms, length_ms = self.between_ms
        if length_ms != DAY_MS:
            said.append(f"between {_clock(starts_ms)}-{_clock((starts_ms + length_ms) % DAY_MS)}")
        return ", ".join(said)


class Silences(tuple[Silence, ...]):
    """All silences of a specification."""

    __slots__ = ()

    def check(self, monitors: Sequence[str]) -> None:
        """Refuse one of monitors that there are not.

        Raises
        ------
        ConfigError
            Naming the silence, and the nearest monitor.
        """
        for place, one in enumerate(self, start=1):
            if not fnmatch.filter(monitors, one.monitor):
                raise ConfigError(
                    f"silence {place}: monitor: no monitor is called"
                    f" {one.monitor!r:.60}{nearest(one.monitor, monitors)}"
                )

    def until_ms(self, model: str, monitor: str, at_ms: int) -> int:
        """Return until when a monitor of a model is silent for now; -1 if it is not.

        Then another silence may go on: who asks asks again.
        """
        return max(
            (
                one.ends_ms(at_ms)
                for one in self
                if fnmatch.fnmatchcase(model, one.model)
                and fnmatch.fnmatchcase(monitor, one.monitor)
            ),
            default=-1,
        )


class LayoutOfSilence(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A silence as a file has it."""

    why: Annotated[str, Meta(min_length=1, max_length=1_000)]
    model: str = "*"
    monitor: str = "*"
    from_: int | str | None = None
    until: int | str | None = None
    weekdays: list[Weekday] | None = None
    between: str | None = None


def read_silences(given: Sequence[Any]) -> Silences:
    """Return what the silences of a file say.

    Raises
    ------
    ConfigError
        Naming the silence by its place, the value and what is allowed.

    Examples
    --------
    >>> nights = {"weekdays": ["sat"], "between": "22:00-04:00", "why": "batch"}
    >>> print(read_silences([nights])[0])
    model '*', monitor '*', on sat, between 22:00-04:00
    >>> read_silences([{"from": "2026-02-01", "until": "2026-01-01", "why": "x"}])
    Traceback (most recent call last):
    streams.errors.ConfigError: silence 1: until: 2026-01-01T00:00:00Z is not after from: \
2026-02-01T00:00:00Z
    """
    if len(given) > _MOST:
        raise ConfigError(f"silences: {len(given):,} are too many; at most {_MOST:,}")
    return Silences(_silence(one, f"silence {place}") for place, one in enumerate(given, start=1))


def over_by(silences: Silences, now_ms: int) -> list[str]:
    """Say which silences have ended by a time, so that they do nothing any more."""
    return [
        f"silence {place} ({one.why}) ended at {time_text(one.until_ms)}: it silences nothing that"
        " happens from now on; take it out, or give another until"
        for place, one in enumerate(silences, start=1)
        if one.until_ms <= now_ms
    ]


def _silence(given: Any, where: str) -> Silence:
    if isinstance(given, dict):  # YAML makes dates of what looks like one
        given = {
            key: value.isoformat() if isinstance(value, date) else value
            for key, value in given.items()
        }
    found = converted(given, LayoutOfSilence, where=where)
    from_ms = 0 if found.from_ is None else _time_ms(found.from_, f"{where}: from")
    until_ms = _FOREVER_MS if found.until is None else _time_ms(found.until, f"{where}: until")
    if until_ms <= from_ms:
        raise ConfigError(
            f"{where}: until: {time_text(until_ms)} is not after from: {time_text(from_ms)}"
        )
    if not found.why.strip():
        raise ConfigError(f"{where}: why: {found.why!r:.60} is empty; say why nobody is to be told")
    weekdays, between_ms = _days(found, where), _between(found.between, where)
    always = len(weekdays) in (0, len(WEEKDAYS)) and between_ms[1] == DAY_MS
    if until_ms == _FOREVER_MS and always:
        raise ConfigError(
            f"{where}: it never ends; give until, weekdays or between, or take the monitor out"
        )
    return Silence(
        model=found.model,
        monitor=found.monitor,
        why=found.why,
        from_ms=from_ms,
        until_ms=until_ms,
        weekdays=weekdays,
        between_ms=between_ms,
    )


def _time_ms(given: int | str, where: str) -> int:
    try:
        return parse_time_ms(given, setting=where)
    except RecordError as error:
        raise ConfigError(error.detail) from None


def _days(found: LayoutOfSilence, where: str) -> tuple[int, ...]:
    if found.weekdays is None:
        return () if found.between is None else tuple(range(len(WEEKDAYS)))
    if not found.weekdays:
        raise ConfigError(f"{where}: weekdays: [] are none; leave it out for all of them")
    return tuple(sorted({WEEKDAYS.index(day) for day in found.weekdays}))


def _between(given: str | None, where: str) -> tuple[int, int]:
    """Return when in the day a span begins, and how long it is."""
    if given is None:
        return 0, DAY_MS
    parts = [_minutes(part) for part in given.split("-")]
    starts, ends = parts if len(parts) == 2 else (-1, -1)
    if min(starts, ends) < 0 or starts in (ends, _DAY_MINUTES):
        raise ConfigError(
            f"{where}: between: {given!r:.60} is no span of a day; write it as 02:00-04:00, UTC"
        )
    return starts * _MINUTE_MS, ((ends - starts - 1) % _DAY_MINUTES + 1) * _MINUTE_MS


def _minutes(text: str) -> int:
    """Return a time of the day in minutes, -1 if it is none; 24:00 is its end."""
    hours, colon, minutes = text.strip().partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2):
        return -1
    found = int(hours) * 60 + int(minutes)
    return found if int(minutes) < 60 and found <= _DAY_MINUTES else -1


def _clock(of_day_ms: int) -> str:
    hours, minutes = divmod(of_day_ms // _MINUTE_MS, 60)
    return f"{hours:02}:{minutes:02}"
