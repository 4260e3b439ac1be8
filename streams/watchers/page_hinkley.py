"""Page-Hinkley (Page 1954), two-sided, over means of `block` scaled values.

Bare Page-Hinkley alarms on pure noise: its sums have the unit of the input, and rare errors are
large jumps. Block means, in standard errors of a reference, make `threshold` mean the same for
every input; a block also costs one update instead of `block`.

Every lane does the float operations of river's detector in river's order, so that it fires at the
same index: a test compares them.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streams.watchers.scaling import Scales
from streams.watchers.series import Ints, Series
from streams.watchers.state import State
from streams.watchers.watcher import Parameters, Shift, Watcher, Whole

_KEPT = 1 - 0.0001  # of the sums, from one block to the next: as river
_FEWEST = 10  # blocks, before anything is found
_NEWEST = 0.25  # of the level after a change: the last few blocks

_SUMS = {"count": 0, "mean": 0.0, "up": 0.0, "down": 0.0, "low": math.inf, "high": -1.0}

Positive = Annotated[float, Meta(gt=0)]


class PageHinkleyParameters(Parameters, frozen=True, forbid_unknown_fields=True):
    """What can be set of Page-Hinkley.

    Attributes
    ----------
    block
        How many values make a mean.
    delta
        By how many standard errors a mean may always differ.
    threshold
        How large the sum of what is beyond that must be.
    """

    reference: Whole = 1_000
    block: Whole = 32
    delta: Positive = 0.5
    threshold: Positive = 30.0


class PageHinkley(Watcher):
    """Page-Hinkley in all lanes of a drift monitor."""

    name = "page_hinkley"
    parameters = PageHinkleyParameters
    state: ClassVar = {"filled": 0, "partial": 0.0, "blocks": 0, "level": 0.0, **_SUMS}
    of_means = True

    def advance(
        self,
        state: State,
        series: Series,
        parameters: PageHinkleyParameters,
        *,
        scales: Scales | None,
    ) -> Iterator[Shift]:
        """Take the next values; look at the means of the blocks that they complete."""
        assert scales is not None
        means = _block_means(state, series, parameters.block)
        lanes = means.lanes[means.by_length]
        s = state.take(lanes)
        middle = scales.state["mean"][lanes]
        error = scales.deviation(lanes) / math.sqrt(parameters.block)
        for own, at in means.turns():
            end = slice(len(own))
            now = {name: column[end] for name, column in s.items()}  # views
            fired = _advance(now, means.values[at], (middle[end], error[end]), parameters)
            for one in np.flatnonzero(fired).tolist():
                levels = _levels(now, one, (middle, error), parameters.threshold)
                yield Shift(int(means.places[at[one]]), int(own[one]), *levels)
            if fired.any():
                for name, start in _SUMS.items():
                    now[name][fired] = start
        state.put(lanes, s)

    def is_sound(self, state: State, lanes: Ints, parameters: PageHinkleyParameters) -> bool:
        """Tell whether counts are none that cannot be."""
        filled, blocks, count = (state[name][lanes] for name in ("filled", "blocks", "count"))
        return bool(
            ((filled >= 0) & (filled < parameters.block) & (count >= 0) & (blocks >= count)).all()
        )


def _block_means(state: State, series: Series, size: int) -> Series:
    """Add values up, one at a time; return the means of the blocks that are complete."""
    lanes, filled = series.lanes, state["filled"][series.lanes]
    slots = filled[series.runs] + series.positions
    whole = (filled + series.counts) // size
    ends = np.cumsum(whole + 1)  # the last block of a lane is not complete
    firsts = ends - whole - 1
    sums = np.zeros(int(ends[-1]) if len(ends) else 0)
    sums[firsts] = state["partial"][lanes]
    np.add.at(sums, firsts[series.runs] + slots // size, series.values)
    state["partial"][lanes] = sums[ends - 1]
    state["filled"][lanes] = filled + series.counts - whole * size
    complete = np.ones(len(sums), bool)
    complete[ends - 1] = False
    completing = (slots + 1) % size == 0
    some = whole > 0
    return Series(lanes[some], whole[some], sums[complete] / size, series.places[completing])


def _advance(
    s: dict[str, NDArray[Any]],
    means: NDArray[np.float64],
    reference: tuple[NDArray[np.float64], NDArray[np.float64]],
    parameters: PageHinkleyParameters,
) -> NDArray[np.bool_]:
    """Take one block mean of every lane, in place; tell where a change is found."""
    middle, error = reference
    s["blocks"] += 1
    s["level"] += (means - s["level"]) * np.maximum(_NEWEST, 1 / s["blocks"])
    values = (means - middle) / error
    s["count"] += 1
    s["mean"] += 1.0 / s["count"] * (values - s["mean"])
    gap = values - s["mean"]
    s["up"][:] = _KEPT * s["up"] + gap - parameters.delta
    s["down"][:] = _KEPT * s["down"] + gap + parameters.delta
    np.minimum(s["low"], s["up"], out=s["low"])
    np.maximum(s["high"], s["down"], out=s["high"])
    rose, fell = s["up"] - s["low"], s["high"] - s["down"]
    beyond = (rose > parameters.threshold) | (fell > parameters.threshold)
    found: NDArray[np.bool_] = (s["count"] >= _FEWEST) & beyond
    return found


def _levels(
    s: dict[str, NDArray[Any]],
    lane: int,
    reference: tuple[NDArray[np.float64], NDArray[np.float64]],
    threshold: float,
) -> tuple[float, float]:
    """Return the level before a change and after it."""
    middle, error = (float(column[lane]) for column in reference)
    before = float(s["mean"][lane]) * error + middle
    level, rose = float(s["level"][lane]), s["up"][lane] - s["low"][lane] > threshold
    return before, max(level, before) if rose else min(level, before)
