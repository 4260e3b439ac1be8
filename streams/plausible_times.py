"""Which event times are plausible: milliseconds, at most a day in the future."""

from streams.errors import RecordError
from streams.limits import EARLIEST_MS

MAX_FUTURE_MS = 86_400_000

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999; more are microseconds or nanoseconds."""


def check_time(time_ms: int, *, now_ms: int, earliest_ms: int = EARLIEST_MS) -> int:
    """Return an event time if it is plausible, in milliseconds and at most a day in the future.

    Parameters
    ----------
    now_ms
        The wall clock; whoever does not go by it gives `LATEST_MS`.
    earliest_ms
        What is before it is taken for seconds or a date in digits.

    Examples
    --------
    >>> check_time(1767225600, now_ms=LATEST_MS)
    Traceback (most recent call last):
        ...
    streams.errors.RecordError: implausible_time: timestamp_ms 1767225600 is before 1973-03-03; \
milliseconds since 1970 are wanted, neither seconds nor a date
    """
    if time_ms < 0:
        raise RecordError("implausible_time", "neither the event nor its record has a time")
    said = f"timestamp_ms {time_ms} is"
    if time_ms < earliest_ms:
        wanted = "milliseconds since 1970 are wanted, neither seconds nor a date"
        raise RecordError("implausible_time", f"{said} before 1973-03-03; {wanted}")
    if time_ms > LATEST_MS:
        wanted = "milliseconds since 1970 are wanted, not microseconds or nanoseconds"
        raise RecordError("implausible_time", f"{said} after the year 9999; {wanted}")
    if time_ms > latest_ms(now_ms):
        raise RecordError("implausible_time", f"{said} over a day in the future")
    return time_ms


def latest_ms(now_ms: int) -> int:
    """Return the latest event time that is plausible now."""
    return min(now_ms + MAX_FUTURE_MS, LATEST_MS)
