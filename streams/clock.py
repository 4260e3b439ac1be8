"""The event-time clock: how far time has surely come, judged by the records alone.

The clock of a partition follows its *slowest* input: with the fastest, most outcomes would be
lost whenever one topic is read ahead of the other. An input that is idle (read to its end and
quiet) does not hold it back; when all are idle, everything seen so far is settled.
"""

from collections.abc import Iterable

import msgspec

from streams.outcomes import ClockNotice


class InputClock(msgspec.Struct, array_like=True):
    """Newest event time of one input, -1 before its first record, and whether it is idle."""

    newest_ms: int = -1
    idle: bool = False


def partition_clock_ms(inputs: Iterable[InputClock], *, disorder_ms: int) -> int:
    """Return the event time before which nothing is expected any more, -1 if unknown.

    An active input without records holds the clock at -1: nobody knows yet where it starts.

    Examples
    --------
    >>> fast, slow = InputClock(90_000), InputClock(60_000)
    >>> partition_clock_ms([fast, slow], disorder_ms=5_000)
    55000
    >>> slow.idle = True
    >>> partition_clock_ms([fast, slow], disorder_ms=5_000)
    85000
    >>> fast.idle = True
    >>> partition_clock_ms([fast, slow], disorder_ms=5_000)
    90001
    """
    inputs = list(inputs)
    active = [clock.newest_ms for clock in inputs if not clock.idle]
    if not active:
        newest = max(clock.newest_ms for clock in inputs)
        return newest + 1 if newest >= 0 else -1
    return max(min(active) - disorder_ms, -1) if min(active) >= 0 else -1


def joint_clock_ms(notices: Iterable[ClockNotice], *, sources: int) -> int:
    """Return the clock of all join partitions together, -1 until each was heard of.

    Examples
    --------
    >>> busy = ClockNotice(source=0, sources=2, clock_ms=70, newest_ms=75, idle=False)
    >>> quiet = ClockNotice(source=1, sources=2, clock_ms=31, newest_ms=30, idle=True)
    >>> joint_clock_ms([busy, quiet], sources=2)
    70
    >>> joint_clock_ms([busy], sources=2)
    -1
    """
    notices = list(notices)
    if len(notices) < sources or not notices:
        return -1
    active = [notice.clock_ms for notice in notices if not notice.idle]
    if active:
        return min(active)
    newest = max(notice.newest_ms for notice in notices)
    return newest + 1 if newest >= 0 else -1
