"""Watchers that see one value of one input at a time, with river's detectors as they ship."""

import math
from collections.abc import Iterable
from functools import cached_property, reduce
from operator import add

from river import drift as river_drift

from streams.scale import CLIP, Scale, measure

Found = tuple[int, float, float]
"""Number of a value, and the levels before and after it."""


class Scaled:
    """What is usual of an input, by its first values."""

    def __init__(self, size: int, *, wide: bool) -> None:
        self.size, self.wide = size, wide
        self.first: list[float] = []
        self.unit = 0.0

    def take(self, value: float) -> float | None:
        """Return a value in spreads, `None` where it belongs to the reference."""
        if len(self.first) < self.size:
            self.first.append(value)
            return None
        if value != self.scale.centre:
            self.unit = self.unit or abs(value - self.scale.centre)
        return self._in_spreads(value)

    @cached_property
    def scale(self) -> Scale:
        """The scale of the first 100 values; there are as many, once somebody asks."""
        return measure(self.first[:100], wide=self.wide)

    def _in_spreads(self, value: float) -> float:
        centre, spread, low, high = self.scale
        if not spread:
            return math.copysign(CLIP, value - centre) if value != centre else 0.0
        return (min(max(value, low), high) - centre) / spread

    @cached_property
    def usual(self) -> tuple[float, float]:
        """Return mean and deviation of the reference (Welford 1962)."""
        mean = squares = 0.0
        for count, value in enumerate(map(self._in_spreads, self.first), 1):
            step = value - mean
            mean += step / count
            squares += step * (value - mean)
        deviation = math.sqrt(squares / self.size)
        return mean, deviation or CLIP / math.sqrt(self.size + 2)

    def unscaled(self, level: float) -> float:
        """Return a level in the input's own unit."""
        return level * (self.scale.spread or self.unit / CLIP) + self.scale.centre


def adwin(
    values: Iterable[float], *, own_scale: bool, reference: int = 500, delta: float = 0.002
) -> list[Found]:
    """Return where ADWIN fires."""
    scaled, detector = Scaled(reference, wide=False), river_drift.ADWIN(delta=delta)
    window: list[float] = []
    found = []
    for index, given in enumerate(values):
        value = given if own_scale else scaled.take(given)
        if value is None:
            continue
        value = value if own_scale else (value + CLIP) / (2 * CLIP)
        window.append(value)
        detector.update(value)
        if detector.drift_detected:
            total, dropped = reduce(add, window, 0.0), len(window) - detector.width
            before = (total - detector.total) / dropped if dropped else total / len(window)
            after = detector.total / detector.width
            if not own_scale:
                before = scaled.unscaled(before * 2 * CLIP - CLIP)
                after = scaled.unscaled(after * 2 * CLIP - CLIP)
            found.append((index, before, after))
            window = []
    return found


def page_hinkley(
    values: Iterable[float],
    *,
    own_scale: bool,
    reference: int = 1_000,
    block: int = 32,
    delta: float = 0.5,
    threshold: float = 30.0,
) -> list[Found]:
    """Return where Page-Hinkley fires."""
    scaled = Scaled(reference, wide=True)
    detector = river_drift.PageHinkley(delta=delta, threshold=threshold, min_instances=10)
    waiting: list[float] = []
    level, blocks = 0.0, 0
    found = []
    for index, given in enumerate(values):
        value = scaled.take(given)
        if value is None:
            continue
        waiting.append(value)
        if len(waiting) < block:
            continue
        mean, waiting, blocks = reduce(add, waiting, 0.0) / block, [], blocks + 1
        level += (mean - level) * max(0.25, 1 / blocks)
        usual, deviation = scaled.usual
        error = deviation / math.sqrt(block)
        detector.update((mean - usual) / error)
        if detector.drift_detected:
            before = detector._x_mean.get() * error + usual
            rose = detector._sum_increase - detector._min_increase > threshold
            after = max(level, before) if rose else min(level, before)
            found.append((index, scaled.unscaled(before), scaled.unscaled(after)))
    return found


NAIVE = {"adwin": adwin, "page_hinkley": page_hinkley}
