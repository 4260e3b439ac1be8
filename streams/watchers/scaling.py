"""Scales of many inputs in columns; what a scale is, is said in `streams.scale`.

The first values of an input (100, or all of a shorter reference) are kept until its scale is
measured: that is done once, for one input after the other. Everything else is done for all of them
at once. What comes out is the same to the bit, whatever the batches.
"""

from collections.abc import Sequence

import numpy as np

from streams.scale import CLIP, SAMPLE, Scale, measure
from streams.watchers.series import Floats, Ints, Series
from streams.watchers.state import State

_COLUMNS = {"centre": 0.0, "spread": 0.0, "low": 0.0, "high": 0.0, "unit": 0.0}
_MEANS = {"mean": 0.0, "squares": 0.0}


class Scales:
    """Scales of the lanes of a drift monitor.

    Parameters
    ----------
    reference
        How many first values of a lane are not handed on.
    of_means
        Whether mean and deviation of the reference are learnt (Welford 1962), and rare values told
        apart.

    Attributes
    ----------
    state
        `Scale`; `unit`, where only signs count (a spread of 0): how far the first value after the
        reference that differed did so; `mean` and `squares` of the scaled values of the reference.
    samples
        First values of the lanes that have no scale yet.
    """

    def __init__(self, reference: int, *, of_means: bool) -> None:
        self.reference, self.of_means = reference, of_means
        self.state = State(_COLUMNS | _MEANS if of_means else _COLUMNS)
        self.samples = Samples(min(SAMPLE, reference))

    def begin(self, lanes: Ints) -> None:
        """Let lanes begin anew, or for the first time."""
        self.state.begin(lanes)
        self.samples.forget(lanes)

    def take(self, series: Series, seen: Ints) -> Series:
        """Learn from the values of references; return those after them, scaled.

        Parameters
        ----------
        seen
            How many values each lane of the series had before.
        """
        if (seen >= self.reference).all():
            return self._fresh(series)
        numbers = seen[series.runs] + series.positions
        sampled = numbers < self.samples.size
        if sampled.any():
            self.samples.add(series.kept(sampled), numbers[sampled])
            full = (seen < self.samples.size) & (seen + series.counts >= self.samples.size)
            for lane in series.lanes[full].tolist():
                self._measure(lane)
        fresh = numbers >= self.reference
        learning = ~(sampled | fresh)
        if self.of_means and learning.any():
            self._learn(self._scaled(series.kept(learning)), numbers[learning])
        return self._fresh(series.kept(fresh))

    def _measure(self, lane: int) -> None:
        sample = self.samples.take(lane)
        scale = measure(sample, wide=self.of_means)
        for name, value in zip(Scale._fields, scale, strict=True):
            self.state[name][lane] = value
        if self.of_means:
            mean, squares = _welford(_scaled(sample, scale))
            self.state["mean"][lane], self.state["squares"][lane] = mean, squares

    def _learn(self, series: Series, numbers: Ints) -> None:
        """Take scaled values after the samples into mean and squares; numbers count from 0."""
        lanes = series.lanes[series.by_length]
        mean, squares = self.state["mean"][lanes], self.state["squares"][lanes]
        for own, at in series.turns():
            end, values = len(own), series.values[at]
            step = values - mean[:end]
            mean[:end] += step / (numbers[at] + 1)
            squares[:end] += step * (values - mean[:end])
        self.state["mean"][lanes], self.state["squares"][lanes] = mean, squares

    def _fresh(self, series: Series) -> Series:
        """Scale values after the reference."""
        unset = (self.state["spread"][series.lanes] == 0) & (self.state["unit"][series.lanes] == 0)
        if unset.any():
            own = series.kept(unset[series.runs])
            apart = np.abs(own.values - self.state["centre"][own.lanes][own.runs])
            differing = own.kept(apart != 0)
            first = np.flatnonzero(apart != 0)[differing.starts]
            self.state["unit"][differing.lanes] = apart[first]
        return self._scaled(series)

    def _scaled(self, series: Series) -> Series:
        centre, spread, low, high = (
            np.repeat(self.state[name][series.lanes], series.counts) for name in Scale._fields
        )
        scaled = np.minimum(np.maximum(series.values, low), high)
        scaled -= centre
        signs = spread == 0
        if signs.any():
            scaled[signs] = np.sign(series.values[signs] - centre[signs]) * CLIP
            spread[signs] = 1.0
        scaled /= spread
        return Series(series.lanes, series.counts, scaled, series.places)

    def deviation(self, lanes: Ints) -> Floats:
        """Return standard deviations of references; of a constant, as of one value that differs."""
        deviation = np.sqrt(self.state["squares"][lanes] / self.reference)
        deviation[deviation == 0] = CLIP / np.sqrt(self.reference + 2)
        return deviation

    def unscaled(self, lane: int, level: float) -> float:
        """Return a mean of scaled values in the input's own unit."""
        columns = (self.state[name][lane] for name in ("spread", "unit", "centre"))
        spread, unit, centre = map(float, columns)
        return level * (spread or unit / CLIP) + centre


class Samples:
    """The first `size` values of each lane, one row of a matrix a lane, until they are taken."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values = np.empty((0, size))
        self._row_of = np.empty(0, np.int64)
        self._free: list[int] = []

    @property
    def room(self) -> int:
        """How many lanes there is memory for."""
        return len(self._values)

    def add(self, series: Series, numbers: Ints) -> None:
        """Add values; numbers say which of its lane each is, from 0."""
        self._reserve(series.lanes)
        self._values[self._row_of[series.lanes][series.runs], numbers] = series.values

    def _reserve(self, lanes: Ints) -> None:
        missing = int(lanes.max(initial=-1)) + 1 - len(self._row_of)
        if missing > 0:
            more = np.full(max(missing, len(self._row_of) // 2), -1)
            self._row_of = np.concatenate([self._row_of, more])
        new = lanes[self._row_of[lanes] < 0]
        rows = len(self._values)
        if len(new) > len(self._free):
            more = np.empty((max(len(new), rows // 2), self.size))
            self._values = np.concatenate([self._values, more])
            self._free += range(rows, len(self._values))
        if len(new):
            self._row_of[new] = self._free[-len(new) :]
            del self._free[-len(new) :]

    def take(self, lane: int) -> list[float]:
        """Return all values of a lane and forget them."""
        sample: list[float] = self._values[self._row_of[lane]].tolist()
        self.forget(np.array([lane]))
        return sample

    def forget(self, lanes: Ints) -> None:
        """Forget what there is of lanes."""
        for lane in lanes[lanes < len(self._row_of)].tolist():
            if self._row_of[lane] >= 0:
                self._free.append(int(self._row_of[lane]))
                self._row_of[lane] = -1

    def pack(self, lanes: Ints, seen: Ints) -> list[bytes]:
        """Return what there is of every lane."""
        packed = [b""] * len(lanes)
        for place in np.flatnonzero((seen < self.size) & (seen > 0)).tolist():
            row = self._values[self._row_of[lanes[place]], : seen[place]]
            packed[place] = row.astype("<f8").tobytes()
        return packed

    def restore(self, lanes: Ints, seen: Ints, packed: Sequence[bytes]) -> bool:
        """Put back what `pack` returned; tell whether it is so many values."""
        counts = np.where(seen < self.size, seen, 0).tolist()
        if [len(one) for one in packed] != [8 * count for count in counts]:
            return False
        some = np.array([bool(one) for one in packed], bool)
        self._reserve(lanes[some])
        for lane, one in zip(lanes[some].tolist(), filter(None, packed), strict=True):
            self._values[self._row_of[lane], : len(one) // 8] = np.frombuffer(one, "<f8")
        return True


def _scaled(values: Sequence[float], scale: Scale) -> list[float]:
    centre, spread, low, high = scale
    if not spread:
        return [CLIP * ((value > centre) - (value < centre)) for value in values]
    return [(min(max(value, low), high) - centre) / spread for value in values]


def _welford(values: Sequence[float]) -> tuple[float, float]:
    mean = squares = 0.0
    for count, value in enumerate(values, 1):
        step = value - mean
        mean += step / count
        squares += step * (value - mean)
    return mean, squares
