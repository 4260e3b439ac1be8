"""Times as people write them: an hour of today, or a date with or without one; UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time

from streams.errors import ConfigError


def parse_time_ms(text: str, *, now: datetime) -> int:
    """Turn `10:00`, `10:00:30`, `2026-11-29` or `2026-11-29T10:00+01:00` into milliseconds.

    Raises
    ------
    ConfigError
        If it is no time, or still to come.

    Examples
    --------
    >>> now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> parse_time_ms("10:00", now=now) == parse_time_ms("2026-01-01T11:00+01:00", now=now)
    True
    """
    try:
        found = _parsed(text.strip(), now)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time; write one of today, such as 10:00 (UTC), or a date, such as"
            " 2026-11-29T10:00"
        ) from None
    if found > now:
        raise ConfigError(
            f"{text!r} is {found:%Y-%m-%d %H:%M:%S} UTC, which is still to come; it is"
            f" {now:%Y-%m-%d %H:%M:%S} now"
        )
    return int(found.timestamp() * 1_000)


def _parsed(text: str, now: datetime) -> datetime:
    if ":" in text and "-" not in text[:5] and "T" not in text:
        found = datetime.combine(now.astimezone(UTC).date(), time.fromisoformat(text))
    else:
        found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
