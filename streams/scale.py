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
from typing import NamedTuple

CLIP = 5.0
"""Scaled values are about within this; it is where a 0 lies under a constant 1."""

SAMPLE = 100
"""So many first values of an input say what its scale is."""

_QUARTILES = 1.349  # between the quartiles of a normal distribution lie so many deviations
_APART = 5.0
_ROUNDING = 1e-14
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
