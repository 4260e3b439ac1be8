"""One model's stream of a month, as columns: what was predicted, and what turned out to be true."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
MONDAY_MS = 1_767_571_200_000
"""Monday, 5 January 2026, 00:00 UTC."""
DAYS = 30
NEVER = -1
"""Time of a label that does not come."""


@dataclass(frozen=True)
class Stream:
    """Predictions in the order of time.

    Attributes
    ----------
    begun_ms, ended_ms
        The first is a midnight; nothing comes at or after the second.
    number, label
        Prediction and truth: classes are whole numbers.
    label_ms
        When the label comes, `NEVER` if it does not.
    score, latency_ms
        NaN where there is none.
    features
        By name; texts as `streams.categories.category` says them.
    segment, segments
        Of every prediction, an index into the names; "" is none.
    version
        Of every prediction; 1 is the first.
    """

    begun_ms: int
    time_ms: Ints
    number: Floats
    label: Floats
    label_ms: Ints
    score: Floats
    latency_ms: Floats
    features: Mapping[str, Floats] = field(default_factory=dict)
    segment: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    segments: tuple[str, ...] = ("",)
    version: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def ended_ms(self) -> int:
        """When it is over."""
        return self.begun_ms + DAYS * DAY_MS

    @property
    def outcome_ms(self) -> Ints:
        """When prediction and label are both there, `NEVER` if that is never."""
        return np.where(
            self.label_ms == NEVER, NEVER, np.maximum(self.label_ms, self.time_ms)
        ).astype(np.int64)

    def losses(self) -> tuple[Ints, Floats]:
        """Return times and losses of outcomes in their order: distances, or 1 for a wrong class."""
        at_ms, loss = self.outcome_ms, np.abs(self.number - self.label)
        known = np.flatnonzero((at_ms != NEVER) & (at_ms < self.ended_ms))
        order = known[np.lexsort((self.time_ms[known], at_ms[known]))]
        whole = (self.number % 1 == 0).all() and (self.label % 1 == 0).all()
        return at_ms[order], (loss != 0).astype(float)[order] if whole else loss[order]


def made(
    rng: Rng,
    *,
    begun_ms: int,
    time_ms: Ints,
    number: Floats,
    label: Floats,
    score: Floats | None = None,
    delay_minutes: float | Floats = 10.0,
) -> Stream:
    """Return a stream whose labels come after min(Exp(`delay_minutes`), 55 minutes) and a second.

    Latencies are lognormal about 50 ms.
    """
    count = len(time_ms)
    delay_ms = np.minimum(rng.exponential(1.0, count) * delay_minutes, 55.0) * MINUTE_MS + 1_000
    return Stream(
        begun_ms=begun_ms,
        time_ms=time_ms,
        number=number,
        label=label,
        label_ms=time_ms + delay_ms.astype(np.int64),
        score=np.full(count, np.nan) if score is None else score,
        latency_ms=np.round(rng.lognormal(np.log(50.0), 0.3, count), 2),
        segment=np.zeros(count, np.int64),
        version=np.ones(count, np.int64),
    )


def with_features(stream: Stream, features: Mapping[str, Floats]) -> Stream:
    """Return the stream with these features beside those that it has."""
    return replace(stream, features={**stream.features, **features})


def hour_angle(time_ms: Ints) -> Floats:
    """Return the time of day as an angle: 0 at midnight, 2 pi at the next.

    Examples
    --------
    >>> round(float(hour_angle(np.array([MONDAY_MS + 6 * HOUR_MS]))[0]), 4)
    1.5708
    """
    return time_ms % DAY_MS / DAY_MS * 2 * np.pi


def at_weekend(time_ms: Ints) -> NDArray[np.bool_]:
    """Tell which times are on Saturdays and Sundays.

    Examples
    --------
    >>> days = MONDAY_MS + DAY_MS * np.arange(7)
    >>> at_weekend(days).tolist()
    [False, False, False, False, False, True, True]
    """
    # 1970 began with a Thursday.
    return (time_ms // DAY_MS + 3) % 7 >= 5
