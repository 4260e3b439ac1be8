"""Features that no model cares about: independent ones, ones with a memory, seasons, counters."""

from collections.abc import Mapping

import numpy as np
from scipy.signal import lfilter

from benchmarks.signal.models import sessions
from benchmarks.signal.stream import MINUTE_MS, Floats, Ints, Rng, at_weekend, hour_angle


def remembering(rng: Rng, count: int, share: float) -> Floats:
    """Return an autoregression by row, AR(1), of variance 1."""
    steps = rng.normal(0, np.sqrt(1 - share**2), count)
    if count:
        steps[0] = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -share], steps))


def cycle(rng: Rng, time_ms: Ints, size: float) -> Floats:
    """Return a daily cycle of that size, and N(0, 1)."""
    return size * np.sin(hour_angle(time_ms)) + rng.normal(0, 1, len(time_ms))


def seventeen(rng: Rng, time_ms: Ints) -> Mapping[str, Floats]:
    """Return features of all kinds."""
    count = len(time_ms)
    session = sessions(rng, count)
    daily = cycle(rng, time_ms, 1.0)
    minutes = (time_ms - (time_ms[0] if count else 0)) / MINUTE_MS
    return {
        "gauss": rng.normal(50, 10, count),
        "lognormal": rng.lognormal(3, 1, count),
        "t3": rng.standard_t(3, count),
        "pareto": rng.pareto(1.5, count) + 1,
        "flag_1": (rng.random(count) < 0.01).astype(float),
        "flag_01": (rng.random(count) < 0.001).astype(float),
        "count": rng.poisson(3, count).astype(float),
        "random_id": rng.integers(0, 1 << 40, count).astype(float),
        "increasing_id": 1e6 + np.arange(count),
        "ar_90": remembering(rng, count, 0.9),
        "ar_99": remembering(rng, count, 0.99),
        "session": rng.normal(0, 1, int(session[-1]) + 1 if count else 0)[session],
        "cycle_03": cycle(rng, time_ms, 0.3),
        "cycle_1": daily,
        "cycle_weekend": daily + at_weekend(time_ms),
        "hour": np.floor(hour_angle(time_ms) / (2 * np.pi) * 24),
        "uptime": np.round(minutes, 3),
    }


def fifty(rng: Rng, time_ms: Ints, *, seasonal: bool) -> Mapping[str, Floats]:
    """Return 15 normal, 15 lognormal, 10 Poisson ones and 10 flags, independent by row.

    Parameters
    ----------
    seasonal
        Whether the 15 normal ones have a daily cycle of 0.3 to 1 standard deviation.
    """
    count = len(time_ms)
    found = {}
    for number in range(15):
        size = 0.3 + 0.05 * number if seasonal else 0.0
        found[f"normal_{number}"] = cycle(rng, time_ms, size)
        found[f"lognormal_{number}"] = rng.lognormal(3, 1, count)
    for number in range(10):
        found[f"count_{number}"] = rng.poisson(1 + number, count).astype(float)
        share = 0.001 * 500 ** (number / 9)
        found[f"flag_{number}"] = (rng.random(count) < share).astype(float)
    return found


def nine(rng: Rng, count: int) -> Mapping[str, Floats]:
    """Return what stands beside the one feature that changes."""
    return {f"other_{number}": rng.normal(0, 1, count) for number in range(9)}
