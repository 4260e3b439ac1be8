"""The event-time clock: how far time has surely come, judged by the records alone.

The clock of a partition follows its *slowest* input: with the fastest, most outcomes would be
lost whenever one topic is read ahead of the other. An input that is idle (read to its end and
quiet) does not hold it back; when all are idle, everything seen so far is settled. How far an
input has come says `input_clock`: what is idle makes no outlier the truth, since the clock of
the others, or of all, is made of what was accepted.

The clock of all partitions likewise. But it is never further than a share of the partitions has
come, and from there by what is near: when little comes, all but one of them are idle, and that
one may be the one that has begun with a host that is hours fast.

Where nothing comes at all, ticks say how long, and the *soft* clock is so much further: what it
passes is unlabelled, or final, unless something comes after all. It never says what the time is,
and nothing is forgotten by it, nor taken in order: a backfill that pauses, for longer than a
horizon, may go on where it was. What comes again ends it.
"""

import math
from collections.abc import Iterable

from streams.clock_limits import SHARE, Limits, climb
from streams.input_clock import InputClock
from streams.outcomes import ClockNotice


def partition_clock_ms(inputs: Iterable[InputClock], limits: Limits) -> int:
    """Return the event time before which nothing is expected any more, -1 if unknown.

    An active input of which nobody knows where it starts holds the clock at -1.

    Examples
    --------
    >>> limits = Limits(disorder_ms=5_000, horizon_ms=3_600_000)
    >>> fast, slow = InputClock(90_000), InputClock(60_000)
    >>> partition_clock_ms([fast, slow], limits)
    55000
    >>> slow.idle = True
    >>> partition_clock_ms([fast, slow], limits)
    85000
    >>> fast.idle = True
    >>> partition_clock_ms([fast, slow], limits)
    90001
    """
    inputs = list(inputs)
    active = [clock.newest_ms for clock in inputs if not clock.idle]
    if not active:
        newest = settled_ms(inputs, limits)
        return newest + 1 if newest >= 0 else -1
    return max(min(active) - limits.disorder_ms, -1) if min(active) >= 0 else -1


def settled_ms(inputs: Iterable[InputClock], limits: Limits) -> int:
    """Return how far a partition has come if nothing more comes, -1 if nobody can say."""
    return max(clock.settled_ms(limits) for clock in inputs)


def joint_clock_ms(notices: Iterable[ClockNotice], *, sources: int) -> int:
    """Return the clock of all join partitions together, -1 until each was heard of.

    Examples
    --------
    >>> def notice(source, newest_ms, *, idle):
    ...     return ClockNotice(source, 3, newest_ms - 5, newest_ms, idle=idle, near_ms=50)
    >>> joint_clock_ms([notice(0, 75, idle=False), notice(1, 30, idle=True)], sources=2)
    70
    >>> joint_clock_ms([notice(0, 75, idle=False)], sources=2)
    -1

    Only the last of four is active, and nobody else is anywhere near:

    >>> quiet = [notice(source, 30 + source, idle=True) for source in range(3)]
    >>> joint_clock_ms([*quiet, notice(3, 9_000, idle=False)], sources=4)
    33
    """
    notices = list(notices)
    if len(notices) < sources or not notices:
        return -1
    active = [notice.clock_ms for notice in notices if not notice.idle]
    supported = _supported_ms(notices)
    if active:
        return min(*active, supported + 1)
    return supported + 1 if supported >= 0 else -1


def joint_passed_ms(notices: Iterable[ClockNotice], *, sources: int) -> int:
    """Return how long nothing has come in any partition, by their ticks.

    Examples
    --------
    >>> def quiet(source, passed_ms):
    ...     return ClockNotice(source, 2, 31, 30, idle=True, passed_ms=passed_ms)
    >>> joint_passed_ms([quiet(0, 90_000), quiet(1, 60_000)], sources=2)
    60000
    >>> joint_passed_ms([quiet(0, 90_000), quiet(1, 0)], sources=2)
    0
    """
    notices = list(notices)
    if len(notices) < sources or not all(notice.idle for notice in notices):
        return 0
    return min((notice.passed_ms for notice in notices), default=0)


def _supported_ms(notices: Iterable[ClockNotice]) -> int:
    """Return how far a share of the partitions has come, of those that have begun, and near."""
    begun = sorted((one.newest_ms, one.near_ms) for one in notices if one.newest_ms >= 0)
    if not begun:
        return -1
    first = len(begun) - math.ceil(len(begun) * SHARE)
    near_ms = max(near_ms for _, near_ms in begun[: first + 1])
    return climb(begun[first][0], [newest_ms for newest_ms, _ in begun], near_ms)
