"""What is near for the clock of an input, and how many records it wants: see `input_clock`."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

SHARE = 1 / 3
BLOCK = 64
"""The step is what so many records have moved the newest by, divided by their number."""

_SHORTEST, _DOUBLINGS, _DEVIATIONS = 20, 8, 6.0
LONGEST = _SHORTEST << _DOUBLINGS
"""No record that is further back than so many is looked at."""

_STEPS, _REGULAR_STEPS, _LEAST_MS = 8, 2, 1_000


class Limits:
    """What is near, and how many of the last records must be ahead to be followed.

    Parameters
    ----------
    disorder_ms
        How far records may be out of order.
    horizon_ms
        How long a label is waited for.
    share
        Share of the last records, of different ids, that the clock follows.

    Examples
    --------
    >>> limits = Limits(disorder_ms=5_000, horizon_ms=3_600_000)
    >>> limits.reach_ms(10), limits.reach_ms(60_000), limits.reach_ms(600_000)
    (5000, 480000, 1800000)
    >>> limits.wanted[:5], limits.wanted[-1]
    ([(20, 20), (40, 32), (80, 52), (160, 90), (320, 158)], (5120, 1910))
    """

    def __init__(self, *, disorder_ms: int, horizon_ms: int, share: float = SHARE) -> None:
        self.disorder_ms = disorder_ms
        self.least_ms = max(disorder_ms, _LEAST_MS)
        self._half_ms = horizon_ms // 2
        self.farthest_ms = max(self.least_ms, self._half_ms)
        self._share = share
        self.most_late = math.ceil(BLOCK * (1 - share))

    def reach_ms(self, step_ms: int) -> int:
        """Return how far ahead a record is near, where records are typically a step apart."""
        steps_ms = min(_STEPS * step_ms, self._half_ms)
        return max(self.least_ms, steps_ms, _REGULAR_STEPS * step_ms)

    @cached_property
    def wanted(self) -> list[tuple[int, int]]:
        """Look-backs, and how many of so many records must be ahead."""
        lengths = [_SHORTEST << n for n in range(_DOUBLINGS + 1)]
        return [(length, self._wanted(length)) for length in lengths]

    def _wanted(self, length: int) -> int:
        mean, variance = length * self._share, length * self._share * (1 - self._share)
        return min(length, math.ceil(mean + _DEVIATIONS * math.sqrt(variance)))


def climb(newest_ms: int, times_ms: Sequence[int], reach_ms: int) -> int:
    """Return how far one comes from a time by others, in order, that are near."""
    for time_ms in times_ms:
        if time_ms > newest_ms + reach_ms:
            break
        newest_ms = max(newest_ms, time_ms)
    return newest_ms


def median_step_ms(times_ms: Sequence[int]) -> int:
    """Return the lower median of the distances between times in order."""
    if len(times_ms) < 2:
        return 0
    steps_ms = sorted(after - before for before, after in pairwise(times_ms))
    return steps_ms[(len(steps_ms) - 1) // 2]
