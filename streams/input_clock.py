"""How far one input of one partition has surely come: records from the future do not count.

The clock decides what may be forgotten, so that a single record with a wrong time, believed, costs
everybody else's labels. What decides is the sequence of event times of good records (whatever
becomes of them), never how batches are cut; the wall clock says no more than how long a pause was.

* A record up to `Limits.reach_ms` ahead of the newest is *near* and moves it. The reach follows
  the typical step from record to record, so that a stream of one record a minute, or an hour,
  moves with every record.
* What is further *ahead* is joined like any record, and does not move the clock before a share of
  the last records, of different ids, has come as far: then the newest is as far as so many of
  them have come, and goes on from there by what is near.
* The first records are all ahead. Until there are enough, the clock waits; if nothing more comes
  meanwhile, it is as far as *all* of them have come, and goes on from there by what is near.

Why it is not simpler:

* *The newest time* (what it was): one prediction a day ahead made all labels of a day orphans.
* *The second newest*, or a count of records ahead: one producer sends its record twice.
* *A quantile, or a third of the last 30*: a host with a fifth of the traffic has ten of the last
  thirty records once in thirty attempts. So more is wanted of few: `Limits` wants all of the last
  20, and 38 % of the last 5,120, six standard deviations above the share; then a host below the
  share passes by chance once in a billion records.
* *A share of the last 5,120 alone*: after a quiet night the clock would stand still for hours.
* *Records alone*: where traffic falls to a tenth, or a night is over, the clock would wait for 20
  records all the same, and nobody be told that traffic has fallen. So a worker says for how long
  it has known that there was nothing to read: what comes then may be ahead by so much, and not by
  more. It never makes a record the truth that is ahead of the wall clock, if what was before was
  not; a recording has no such pauses, and waits.
* *A fixed reach*: with 5 s, a stream of one record a minute would wait for 20 records each time.
* *Whatever is near*: one record in forty, each a little further than the one before, would drag the
  clock along for ever, and nobody be ahead of it. So where two thirds of a block of records come
  late for what the others have made of the clock, nothing is near in the next block, and only
  what enough have reached moves it.
* *Any reach that the stream suggests*: a partition that gets a record in 20 minutes would follow
  a host that is two hours fast. Half a horizon harms no label, so that is where it ends, but for a
  stream whose regular step is longer still.
* *The first record as the truth until others come*: it may be the one that is a day ahead.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.clock_limits import BLOCK, LONGEST, Limits, climb, median_step_ms

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

_GONE = 0, -1


class Seen(NamedTuple):
    """What the clock must know of the good records of a batch, whatever became of them.

    Attributes
    ----------
    ids
        Half of the hashes of their ids.
    model_of
        Names the model of the record at an index, `None` if nobody knows it.
    """

    times_ms: Ints
    ids: Keys
    model_of: Callable[[int], str | None]


class InputClock:
    """How far one input has come.

    Attributes
    ----------
    newest_ms
        Event time that it has surely reached; -1 as long as there were too few records.
    idle
        Read to its end, and quiet.
    count
        Good records so far; one that repeats an id that is ahead is none.
    step_ms
        How far apart records are in event time, typically.
    base_ms
        What `newest_ms` was when the current block of records began, jumps taken out.
    late, held
        How many records of the current block came further behind the newest than is allowed, and
        whether in the block before they were so many that nothing is near now.
    streak
        How many of the last records were ahead, one after the other, repeated ids as well.
    ahead
        By hash of the id: number and time of records that were ahead when they came. Those that
        are not ahead any more, or too far back, mean nothing.
    fresh
        Ids in `ahead` of which the state log was not told yet.
    followed
        Of the last time that the clock followed some records against others: how many of how
        many, and by how much.

    Examples
    --------
    >>> clock, limits = InputClock(), Limits(disorder_ms=5_000, horizon_ms=3_600_000)
    >>> ids = np.arange(100, dtype=np.uint64)
    >>> int(clock.follow(1_000 * np.arange(60), ids[:60], limits=limits)[-1])
    59000
    >>> day_ahead = np.array([86_400_000, 60_000])
    >>> clock.follow(day_ahead, ids[60:62], limits=limits).tolist()
    [59000, 60000]
    >>> later = 40_000_000 + 1_000 * np.arange(20)
    >>> clock.follow(later, ids[62:82], limits=limits)[-2:].tolist()
    [60000, 40019000]
    """

    def __init__(self, newest_ms: int = -1, *, idle: bool = False) -> None:
        self.newest_ms, self.idle = newest_ms, idle
        self.count = self.step_ms = self.streak = self.late = 0
        self.held = False
        self.base_ms = newest_ms
        self.ahead: dict[int, tuple[int, int]] = {}
        self.fresh: set[int] = set()
        self._numbers: list[int] = []
        self.followed: tuple[int, int, int] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InputClock) and self.pack(whole=True) == other.pack(whole=True)

    __hash__ = None  # type: ignore[assignment]  # it changes

    # --- looking

    def settled_ms(self, limits: Limits) -> int:
        """Return how far it has come if nothing more comes; -1 if nobody can say.

        Of the first records none is known to be right; with one alone the clock stays where it is.

        Examples
        --------
        >>> limits = Limits(disorder_ms=5_000, horizon_ms=3_600_000)
        >>> def after(*minutes):
        ...     clock = InputClock()
        ...     times_ms = np.array(minutes) * 60_000
        ...     ids = np.arange(len(minutes), dtype=np.uint64)
        ...     _ = clock.follow(times_ms, ids, limits=limits)
        ...     return clock.settled_ms(limits) / 60_000
        >>> after(1, 2, 3, 1200, 4), after(1200, 7)
        (4.0, 7.0)
        """
        if self.newest_ms >= 0:
            return self._resettled_ms(limits)
        times_ms = sorted(time_ms for _, time_ms in self.ahead.values())
        if len(times_ms) < 2:
            return -1
        reach_ms = limits.least_ms
        if len(times_ms) > 2:
            reach_ms = limits.reach_ms(median_step_ms(times_ms))
        return climb(times_ms[0], times_ms, reach_ms)

    def _resettled_ms(self, limits: Limits) -> int:
        """Return how far it has come by the records after which nothing else has come.

        Traffic that falls to a tenth looks like records from the future, until there are 20. But
        those of a host that is hours fast, and sends little, are hours apart: their step tells
        nothing, so that none is near for being regular.
        """
        last = self.count - self.streak
        times_ms = sorted(time_ms for number, time_ms in self._standing().values() if number > last)
        if len(times_ms) < 3:
            return self.newest_ms
        reach_ms = min(limits.reach_ms(median_step_ms(times_ms)), limits.farthest_ms)
        return climb(self.newest_ms, times_ms, reach_ms)

    def lead(self) -> tuple[int, int]:
        """Return how many of the last records are ahead, and how far the furthest is.

        Those after which nothing else has come are not counted: it may be that a pause is over.
        """
        if self.newest_ms < 0:
            return 0, 0
        last = self.count - self.streak
        times_ms = [time_ms for number, time_ms in self._standing().values() if number <= last]
        return len(times_ms), max(times_ms, default=self.newest_ms) - self.newest_ms

    def latest_ms(self) -> int:
        """Return the newest time of all, be it right or wrong."""
        return max((time_ms for _, time_ms in self.ahead.values()), default=self.newest_ms)

    # --- following

    def follow(self, times_ms: Ints, ids: Keys, *, limits: Limits, pause_ms: int = 0) -> Ints:
        """Take good records, in their order; return `newest_ms` after each.

        Parameters
        ----------
        ids
            Hashes of their ids.
        pause_ms
            For how long it is known that nothing was there to be read before these.
        """
        self.followed = None
        paused = pause_ms > 0 and self.newest_ms >= 0
        until_ms = self.newest_ms + pause_ms + limits.least_ms if paused else -1
        if self.newest_ms >= 0 and not self.held:
            newest = np.maximum(np.maximum.accumulate(times_ms), self.newest_ms)
            late = self._late_by_block(times_ms < newest - limits.least_ms)
            few = max(late) < limits.most_late
            if few and _largest_jump(self.newest_ms, newest) <= limits.least_ms:
                self._all_near(newest)
                self.late = late[-1]
                self._forget()
                return newest
        newest = np.empty(len(times_ms), np.int64)
        at = 0
        while at < len(newest):
            count = self.count
            until = at + BLOCK - count % BLOCK
            piece, out = times_ms[at:until], newest[at:until]
            run = np.maximum(np.maximum.accumulate(piece), self.newest_ms)
            if self.newest_ms >= 0 and _largest_jump(self.newest_ms, run) <= self._reach_ms(limits):
                out[:] = run
                self._all_near(run)
                self.late += int(np.count_nonzero(piece < run - limits.least_ms))
            else:
                self._each((piece.tolist(), ids[at:until].tolist()), out, limits, until_ms)
            if self.count > count and self.count % BLOCK == 0:
                self.held, self.late = self.late >= limits.most_late, 0
            at += len(piece)
        self._forget()
        return newest

    def _reach_ms(self, limits: Limits) -> int:
        return 0 if self.held else limits.reach_ms(self.step_ms)

    def end(self, newest_ms: int) -> None:
        """Say that nothing more comes, and that it has come so far."""
        self.newest_ms = max(self.newest_ms, newest_ms)
        self._forget()

    def _late_by_block(self, late: NDArray[np.bool_]) -> list[int]:
        """Return how many records are late of each block that is begun, ended or under way."""
        first = self.count % BLOCK
        blocks = (first + len(late)) // BLOCK + 1
        if not late.any():
            return [self.late] if blocks == 1 else [self.late, 0]
        counts = np.bincount((first + np.flatnonzero(late)) // BLOCK, minlength=blocks)
        counts[0] += self.late
        return counts.tolist()  # type: ignore[no-any-return]

    def _all_near(self, newest: Ints) -> None:
        """Count records of which none is ahead."""
        count, self.count = self.count, self.count + len(newest)
        self.streak = 0
        self.newest_ms = int(newest[-1])
        last = self.count // BLOCK * BLOCK - count - 1  # where the last full block ends
        if last >= 0:
            before = int(newest[last - BLOCK]) if last >= BLOCK else self.base_ms
            self.step_ms, self.base_ms = (int(newest[last]) - before) // BLOCK, int(newest[last])

    def _each(
        self, records: tuple[list[int], list[int]], newest: Ints, limits: Limits, until_ms: int
    ) -> None:
        """Take records one by one, of which some are ahead, unless a pause explains it."""
        reach_ms = self._reach_ms(limits)
        times_ms, ids = records
        for index, time_ms in enumerate(times_ms):
            near_ms = self.newest_ms + reach_ms
            if self.newest_ms >= 0 and time_ms <= max(near_ms, until_ms):
                if time_ms > near_ms:
                    self.base_ms += time_ms - self.newest_ms  # a pause is no step
                self.newest_ms = max(self.newest_ms, time_ms)
                self.late += time_ms < self.newest_ms - limits.least_ms
                self.count += 1
                self.streak = 0
                counted = True
            else:
                counted = self._take_ahead(ids[index], time_ms)
                if self._confirm(limits):
                    reach_ms = self._reach_ms(limits)
            if counted and self.count % BLOCK == 0 and self.newest_ms >= 0:
                self.step_ms = (self.newest_ms - self.base_ms) // BLOCK
                self.base_ms = self.newest_ms
                reach_ms = self._reach_ms(limits)
            newest[index] = self.newest_ms

    def _take_ahead(self, key: int, time_ms: int) -> bool:
        """Note a record that is ahead; return whether it counts."""
        self.streak += 1
        self.fresh.add(key)
        known = self.ahead.get(key)
        if known is not None and self._stands(*known):
            self.ahead[key] = known[0], time_ms
            return False
        self.ahead.pop(key, None)  # so that they are in the order of their numbers
        self.count += 1
        self.ahead[key] = self.count, time_ms
        self._numbers.append(self.count)
        return True

    def _stands(self, number: int, time_ms: int) -> bool:
        return time_ms > self.newest_ms and number > self.count - LONGEST

    def _standing(self) -> dict[int, tuple[int, int]]:
        return {key: one for key, one in self.ahead.items() if self._stands(*one)}

    def _forget(self) -> None:
        """Drop what is not ahead any more, or too far back: nobody asks for it."""
        if self.ahead:
            self.ahead = self._standing()
            self._numbers = [number for number, _ in self.ahead.values()]

    # --- being followed

    def _confirm(self, limits: Limits) -> bool:
        """Follow those that are ahead if they are enough; return whether they were."""
        if self._group(limits) is None and self.streak < LONGEST:
            return False
        self._forget()  # the numbers of those that are not ahead any more were counted, too
        found = self._group(limits)
        if found is None and self.streak >= LONGEST:
            # A label job that calls all ids "None" would stop the clock for ever.
            found = LONGEST, len(self.ahead)
        if found is None:
            return False
        length, wanted = found
        times_ms = sorted(t for number, t in self.ahead.values() if number > self.count - length)
        before_ms, self.newest_ms = self.newest_ms, times_ms[-wanted]
        step_ms = median_step_ms(times_ms[-wanted:]) * wanted // length
        self.step_ms = max(self.step_ms, step_ms)
        every_ms = sorted(time_ms for _, time_ms in self.ahead.values())
        self.newest_ms = climb(self.newest_ms, every_ms, limits.reach_ms(self.step_ms))
        if before_ms < 0:
            self.base_ms = times_ms[-wanted]
        else:
            self.base_ms += self.newest_ms - before_ms
            if len(times_ms) < length:
                self.followed = len(times_ms), length, self.newest_ms - before_ms
        self.streak = 0
        self._forget()
        return True

    def _group(self, limits: Limits) -> tuple[int, int] | None:
        """Return the shortest look-back of which enough are ahead, and how many are wanted."""
        numbers = self._numbers
        for length, wanted in limits.wanted:
            if len(numbers) < wanted:
                return None
            if numbers[-wanted] > self.count - length:
                return length, wanted
        return None

    # --- writing down

    def pack(self, *, whole: bool) -> list[Any]:
        """Return what the state log is told: all of `ahead`, or only what is `fresh`."""
        ahead = [(key, *one) for key, one in self.ahead.items() if whole or key in self.fresh]
        if not whole:  # a repeated id may have come to be no longer ahead
            ahead += [(key, *_GONE) for key in sorted(self.fresh.difference(self.ahead))]
        known = self.newest_ms, self.idle, self.count, self.step_ms, self.base_ms, self.streak
        return [*known, self.late, self.held, ahead]

    def unpack(self, packed: Sequence[Any], *, whole: bool) -> None:
        """Take what `pack` returned."""
        self.newest_ms, self.idle, self.count, self.step_ms, self.base_ms, self.streak = packed[:6]
        self.late, self.held = packed[6:8]
        if whole:
            self.ahead = {}
        for key, number, time_ms in packed[8]:
            if self.ahead.get(key, (0,))[0] != number:
                self.ahead.pop(key, None)
            self.ahead[key] = number, time_ms
        self._forget()


def _largest_jump(before_ms: int, newest: Ints) -> int:
    return int(np.diff(newest, prepend=before_ms).max())
