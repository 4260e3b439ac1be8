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
from streams.watchers.series import Floats, Ints, Mask, Series
from streams.watchers.state import State
from streams.watchers.watcher import Parameters, Shift, Watcher, Whole

_KEPT = 1 - 0.0001  # of the sums, from one block to the next: as river
_FEWEST = 10  # blocks, before anything is found
_NEWEST = 0.25  # of the level after a change: the last few blocks

# Sums of what goes up and of what goes down. The second has river's opposite sign, which changes
# no digit, so that both are lowest before a change; river starts it at -1.
_SUMS = {"count": 0, "mean": 0.0, "sums": np.zeros(2), "lowest": np.array([math.inf, 1.0])}

Positive = Annotated[float, Meta(gt=0, le=1e12)]


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
        middle = scales.state["mean"][lanes]
        error = scales.deviation(lanes) / math.sqrt(parameters.block)
        values, s, end = means.values[means.by_turn], state.take(lanes), 0
        for own, at in means.turns():
            end += len(own)
            now = {name: column[: len(own)] for name, column in s.items()}  # views
            usual = middle[: len(own)], error[: len(own)]
            fired = _advance(now, values[end - len(own) : end], usual, parameters)
            if not fired.any():
                continue
            for one in np.flatnonzero(fired).tolist():
                levels = _levels(now, one, (middle, error), parameters.threshold)
                yield Shift(means.place(int(at[one])), int(own[one]), *levels)
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
    whole, left = np.divmod(filled + series.counts, size)
    blocks = np.cumsum(whole + 1)  # the last one of a lane is not complete
    first, last = blocks - whole - 1, blocks - 1
    lengths = np.full(len(blocks) and blocks[-1], size)
    lengths[last] = left
    lengths[first] -= filled
    sums = np.zeros(len(lengths))
    sums[first] = state["partial"][lanes]
    np.add.at(sums, np.repeat(np.arange(len(lengths)), lengths), series.values)
    state["partial"][lanes], state["filled"][lanes] = sums[last], left
    complete = np.ones(len(lengths), bool)
    complete[last] = False
    ends = np.cumsum(lengths)[complete] - 1
    places = ends if series.places is None else series.places[ends]
    some = whole > 0
    return Series(lanes[some], whole[some], sums[complete] / size, places)


def _advance(
    s: dict[str, NDArray[Any]],
    means: Floats,
    usual: tuple[Floats, Floats],
    parameters: PageHinkleyParameters,
) -> Mask:
    """Take one block mean of every lane, in place; tell where a change is found."""
    middle, error = usual
    s["blocks"] += 1
    s["level"] += (means - s["level"]) * np.maximum(_NEWEST, 1 / s["blocks"])
    values = (means - middle) / error
    s["count"] += 1
    s["mean"] += 1.0 / s["count"] * (values - s["mean"])
    gap, sums, lowest = values - s["mean"], s["sums"], s["lowest"]
    sums *= _KEPT
    sums[:, 0] += gap
    sums[:, 1] -= gap
    sums -= parameters.delta
    np.minimum(lowest, sums, out=lowest)
    beyond = sums - lowest > parameters.threshold
    fired: Mask = (beyond[:, 0] | beyond[:, 1]) & (s["count"] >= _FEWEST)
    return fired


def _levels(
    s: dict[str, NDArray[Any]], lane: int, usual: tuple[Floats, Floats], threshold: float
) -> tuple[float, float]:
    """Return the level before a change and after it."""
    middle, error = (float(column[lane]) for column in usual)
    before, level = float(s["mean"][lane]) * error + middle, float(s["level"][lane])
    rose = s["sums"][lane, 0] - s["lowest"][lane, 0] > threshold
    return before, max(level, before) if rose else min(level, before)
