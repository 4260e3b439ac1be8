"""Times as people write them into tables, as milliseconds since 1970, UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from streams.errors import RecordError
from streams.plausible_times import LATEST_MS, check_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_USUAL_DIGITS = 13  # milliseconds from 2001 to 2286
_DAY = re.compile(r"[0-9]{8}")
_COMPACT = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9])?)?"
)
# "… UTC" of BigQuery, "… +0000" of Snowflake, "… +0000 UTC" of Go, "…z" of RFC 3339.
_UTC = re.compile(r"(.*[0-9])\s*(?:[zZ]|UTC|GMT)")
# Only after a clock time: the last 01 of 2026-01-01 is no offset.
_OFFSET = re.compile(r"(.*[T:].*?)\s*([-+][0-9]{2}(?::?[0-9]{2})?)")


def is_compact(value: Any) -> bool:
    """Tell whether a cell reads as a date, or date and time, in digits only.

    Examples
    --------
    >>> is_compact("20260101"), is_compact("20260101235959"), is_compact("1767225600000")
    (True, True, False)
    """
    if isinstance(value, int):
        value = str(value)
    return isinstance(value, str) and _COMPACT.fullmatch(value) is not None


def time_ms(value: Any, *, compact: bool) -> int:
    """Read a time.

    Parameters
    ----------
    value
        A text, whole milliseconds, or what Python has for dates and times.
    compact
        Whether all of the column are dates in digits. 202601012359 alone could as well be
        milliseconds of 1976; 20260101 is a date in any company.

    Raises
    ------
    RecordError
        With the reason `invalid_row` or `implausible_time`.

    Examples
    --------
    >>> time_ms("2026-01-01 00:00:00.5 UTC", compact=False)
    1767225600500
    >>> time_ms("20260101", compact=False)
    1767225600000
    """
    if isinstance(value, datetime | date):
        return _since_epoch(value)
    text = str(value)
    if len(text) == _USUAL_DIGITS and text.isascii() and text.isdecimal():
        return int(text)
    if compact or (_DAY.fullmatch(text) and is_compact(text)):
        return _since_epoch(_compact(text))
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        return _since_epoch(_iso(text))
    return _whole_ms(text)


def _whole_ms(text: str) -> int:
    number = Decimal(text)
    found = check_time(max(0, int(number)), now_ms=LATEST_MS)
    if number != found:
        raise RecordError("invalid_row", f"{text} is no whole number of milliseconds")
    return found


def _compact(text: str) -> datetime:
    day, clock = text[:8], text[8:]
    try:
        return datetime.fromisoformat(f"{day}T{clock}" if clock else day)
    except ValueError as error:  # 20260231
        raise RecordError("invalid_row", f"{text!r} is no date: {error}") from None


def _iso(text: str) -> datetime:
    utc = _UTC.fullmatch(text)
    time = (utc[1] if utc else text).replace("t", "T")
    offset = _OFFSET.fullmatch(time)
    try:
        return datetime.fromisoformat(offset[1] + offset[2] if offset else time)
    except ValueError:
        raise RecordError(
            "invalid_row", f"{text!r} is no time: neither ISO 8601 nor milliseconds since 1970"
        ) from None


def _since_epoch(value: datetime | date) -> int:
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    found = (aware - _EPOCH) // _MS
    if found < 0:
        raise RecordError("implausible_time", f"{value.isoformat()} is before 1970")
    return found
