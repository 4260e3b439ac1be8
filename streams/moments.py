"""Moments as people write them (`2026-01-01T00:00:00Z`), and as the code carries them."""

from datetime import UTC, datetime, timedelta

from streams.errors import RecordError
from streams.limits import EARLIEST_MS
from streams.plausible_times import LATEST_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time_ms(given: int | str, *, setting: str = "effective_at") -> int:
    """Return a time in milliseconds since 1970; a text is ISO 8601, UTC where it names no zone.

    Parameters
    ----------
    setting
        Name of it, for the error.

    Raises
    ------
    RecordError
        If it is none, or in other units.

    Examples
    --------
    >>> parse_time_ms("2026-01-01T02:00:00+02:00")
    1767225600000
    """
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            wanted = "write it as 2026-01-31T12:00:00Z, or as milliseconds since 1970"
            raise _refused(f"{setting}: {given!r:.60} is no time; {wanted}") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    if not EARLIEST_MS <= given <= LATEST_MS:
        raise _refused(f"{setting}: {given} is no time in milliseconds since 1970")
    return given


def time_text(time_ms: int) -> str:
    """Return a time as people read it, and as `parse_time_ms` does.

    Examples
    --------
    >>> time_text(1767225600000)
    '2026-01-01T00:00:00Z'
    """
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    spec = "milliseconds" if time_ms % 1_000 else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")


def _refused(detail: str) -> RecordError:
    return RecordError("invalid_monitors", detail)
