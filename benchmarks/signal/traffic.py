"""When predictions are made: Poisson traffic, with seasons, in bursts, with a change."""

from collections.abc import Callable

import numpy as np

from benchmarks.signal.stream import (
    DAY_MS,
    DAYS,
    MINUTE_MS,
    Floats,
    Ints,
    Rng,
    at_weekend,
    hour_angle,
)

Intensity = Callable[[Ints], Floats]
"""How much traffic there is at a time, beside the usual one; 1 is the usual."""

_BURST_ROWS = 200


def even(time_ms: Ints) -> Floats:
    """As much at any time."""
    return np.ones(len(time_ms))


def daily(time_ms: Ints) -> Floats:
    """From a tenth to nearly the double, by hour of the day."""
    return 1 + 0.9 * np.sin(hour_angle(time_ms))


def weekly(time_ms: Ints) -> Floats:
    """Two fifths at weekends."""
    return np.where(at_weekend(time_ms), 0.4, 1.0)


def poisson(rng: Rng, rate: float, begun_ms: int, intensity: Intensity = even) -> Ints:
    """Return the times of about `rate` predictions in 30 days, in order.

    With an intensity whose mean is not 1 there are more, or fewer.
    """
    minutes = begun_ms + MINUTE_MS * np.arange(DAYS * DAY_MS // MINUTE_MS)
    counts = rng.poisson(rate / len(minutes) * intensity(minutes))
    starts = np.repeat(minutes, counts)
    return np.sort(starts + rng.integers(0, MINUTE_MS, len(starts)))


def bursts(rng: Rng, rate: float, begun_ms: int) -> Ints:
    """Return times of about 200 predictions within a minute each time."""
    times = poisson(rng, rate / _BURST_ROWS, begun_ms)
    counts = rng.poisson(_BURST_ROWS, len(times))
    starts = np.repeat(np.minimum(times, begun_ms + DAYS * DAY_MS - MINUTE_MS), counts)
    return np.sort(starts + rng.integers(0, MINUTE_MS, len(starts)))
