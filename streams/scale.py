"""The scale of an input, from its first values: neither units nor sentinels matter.

Detectors see values in spreads about a centre. Mean and deviation will not do: one 999999999 among
500 ages makes a deviation in which no age ever differs from another. Median and quartiles are not
moved by it (Huber 1981, §5). The spread is the smaller of the distance of quartiles, in
deviations of a normal distribution, and the deviation without the outermost 1 % on each side.
Three inputs have no quartiles to speak of:

* rare values, such as an error of 1 in 20: only the deviation counts, but no more of it than the
  centre, so that `2, 2, …, 999999999` is a constant;
* a constant, up to 1 % of the values: a fifth of it, so that 0.002 that doubles moves as far as
  2.0 that doubles;
* a constant 0: it has no unit, and only the sign of what differs from it counts.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.errors import StateError

Floats = NDArray[np.float64]

CLIP = 5.0
"""Scaled values are about within this; it is where a 0 lies under a constant 1."""

SAMPLE = 100
_QUARTILES = 1.349  # between the quartiles of a normal distribution lie so many deviations
_APART = 5.0
_ROUNDING = 1e-14
_FEW = 24
_WIDEST = 100.0


class Scale(NamedTuple):
    """Where values lie: ``(value - centre) / spread``, clipped to `low` and `high` before.

    Attributes
    ----------
    spread
        0 where only the sign of what differs counts.
    """

    centre: float
    spread: float
    low: float
    high: float


def measure(sample: Sequence[float], *, wide: bool) -> Scale:
    """Return the scale of values.

    Parameters
    ----------
    wide
        Whether rare values are kept apart although they are over `CLIP` spreads away: means of
        many values are then those of an input of 0 and 1.

    Examples
    --------
    >>> measure([5.0, 4.0, 6.0, 5.0, 4.5, 5.5, 999999999.0], wide=False)
    Scale(centre=5.0, spread=0.5890150893739515, low=2.0549245531302422, high=7.945075446869758)
    >>> measure([0.002] * 100, wide=False)
    Scale(centre=0.002, spread=0.0004, low=0.0, high=0.004)
    """
    ordered = sorted(sample)
    count = len(ordered)
    centre = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    first, third = ordered[count // 4], ordered[count - 1 - count // 4]
    quartiles = (third - first) / _QUARTILES
    trimmed = min(-(-count // 100), (count - 1) // 2)
    lowest, highest = ordered[trimmed], ordered[count - 1 - trimmed]
    usual = _deviation([min(max(value, lowest), highest) for value in ordered])
    if first == third:
        spread = min(usual, abs(centre)) if centre else usual
    elif centre in (first, third):  # many are alike, such as most amounts 0: the rest tells more
        spread = min(usual, _APART * quartiles)
    else:
        spread = min(usual, quartiles)
    if spread <= _ROUNDING * abs(centre):
        spread = abs(centre) / CLIP
    low, high = centre - CLIP * spread, centre + CLIP * spread
    if wide and first == third:
        low = min(low, max(lowest, centre - _WIDEST * spread))
        high = max(high, min(highest, centre + _WIDEST * spread))
    return Scale(centre, spread, low, high)


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation, of numbers of any size."""
    unit = max(map(abs, values))
    if min(values) == max(values):
        return 0.0
    parts = [value / unit for value in values]
    mean = math.fsum(parts) / len(parts)
    return unit * math.sqrt(math.fsum((part - mean) ** 2 for part in parts) / len(parts))


class Reference:
    """The first `size` values of an input: the scale of the first 100, mean and deviation of all.

    Attributes
    ----------
    count
        Values so far, `size` at most.
    sample
        Values until there is a scale.
    mean, squares
        Of scaled values (Welford 1962).
    unit
        Where only signs count: how far the first value after the reference differed.
    """

    __slots__ = ("count", "mean", "sample", "scale", "size", "squares", "unit", "wide")

    def __init__(self, size: int, *, wide: bool) -> None:
        self.size, self.wide = size, wide
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.sample: list[float] = []
        self.scale: Scale | None = None
        self.unit = 0.0

    def take(self, values: Floats) -> Floats:
        """Use the first values up to `size`; return the rest."""
        room = self.size - self.count
        if room <= 0:
            return values
        fresh, rest = values[:room].tolist(), values[room:]
        if self.scale is None:
            missing = min(SAMPLE, self.size) - len(self.sample)
            self.sample += fresh[:missing]
            self.count += len(fresh[:missing])
            fresh = fresh[missing:]
            if self.count < min(SAMPLE, self.size):
                return rest
            self.scale = measure(self.sample, wide=self.wide)
            self._learn(self.sample, before=0)
            self.sample = []
        self._learn(fresh, before=self.count)
        self.count += len(fresh)
        return rest

    def _learn(self, values: list[float], *, before: int) -> None:
        mean, squares = self.mean, self.squares
        for count, value in enumerate(self._few(values), before + 1):
            step = value - mean
            mean += step / count
            squares += step * (value - mean)
        self.mean, self.squares = mean, squares

    @property
    def deviation(self) -> float:
        """Standard deviation of scaled values; of a constant, as of one value that differs."""
        variance = self.squares / self.count if self.count else 0.0
        return math.sqrt(variance) or CLIP / math.sqrt(self.count + 2)

    def scaled(self, values: Floats) -> Floats | list[float]:
        """Scale values after the reference; a few of them without numpy's cost of a call."""
        assert self.scale is not None
        centre, spread, low, high = self.scale
        if not spread:
            if not self.unit:
                apart = np.abs(values[values != centre] - centre)
                self.unit = float(apart[0]) if len(apart) else 0.0
            return np.sign(values - centre) * CLIP
        if len(values) < _FEW:
            return self._few(values.tolist())
        scaled = np.minimum(np.maximum(values, low), high)
        scaled -= centre
        scaled /= spread
        return scaled

    def _few(self, values: list[float]) -> list[float]:
        """Do what `scaled` does, to the bit."""
        assert self.scale is not None
        centre, spread, low, high = self.scale
        if not spread:
            return [CLIP * ((value > centre) - (value < centre)) for value in values]
        return [(min(max(value, low), high) - centre) / spread for value in values]

    def unscaled(self, level: float) -> float:
        """Return a mean of scaled values in the input's own unit."""
        assert self.scale is not None
        return level * (self.scale.spread or self.unit / CLIP) + self.scale.centre

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        sample = np.array(self.sample, "<f8").tobytes()
        scale = None if self.scale is None else list(self.scale)
        return [self.count, self.mean, self.squares, self.unit, scale, sample]

    def restore(self, packed: Sequence[Any]) -> None:
        """Continue from what `pack` returned.

        Raises
        ------
        StateError
            If it is something else.
        """
        self.count, self.mean, self.squares, self.unit, scale, sample = packed
        self.scale = None if scale is None else Scale(*scale)
        left = 0 if scale is not None else self.count
        if len(sample) != 8 * left or left > SAMPLE:
            raise StateError(f"reference: {len(sample)} bytes are no sample of {left} values")
        self.sample = np.frombuffer(sample, "<f8").tolist()
