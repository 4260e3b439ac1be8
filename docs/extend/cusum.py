"""Tabular CUSUM: sums of what is above a slack, and of what is below it, of scaled values."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from msgspec import Meta

from streams.watchers.scaling import Scales
from streams.watchers.series import Series
from streams.watchers.state import State
from streams.watchers.watcher import Parameters, Shift, Watcher

Positive = Annotated[float, Meta(gt=0)]


class CusumParameters(Parameters, frozen=True, forbid_unknown_fields=True):
    """What can be set of CUSUM.

    Attributes
    ----------
    slack
        By how many spreads a value may always differ.
    limit
        How large the sum of what is beyond that must be.
    """

    slack: Positive = 0.5
    limit: Positive = 15.0


class Cusum(Watcher):
    """Tabular CUSUM, two-sided (Montgomery, Introduction to Statistical Quality Control, §9.1)."""

    name = "cusum"
    parameters = CusumParameters
    state = {"sums": np.zeros(2), "counts": np.zeros(2)}  # what rises, what falls

    def advance(
        self, state: State, series: Series, parameters: CusumParameters, *, scales: Scales | None
    ) -> Iterator[Shift]:
        for lanes, at in series.turns():  # the next value of every lane that has one
            rise = series.values[at]
            beyond = np.stack([rise, -rise], axis=1) - parameters.slack
            sums = np.maximum(state["sums"][lanes] + beyond, 0)
            counts = np.where(sums > 0, state["counts"][lanes] + 1, 0)
            found = sums > parameters.limit
            for one, side in np.argwhere(found).tolist():
                distance = parameters.slack + float(sums[one, side] / counts[one, side])
                level = -distance if side else distance
                yield Shift(series.place(int(at[one])), int(lanes[one]), 0.0, level)
            sums[found.any(axis=1)] = counts[found.any(axis=1)] = 0
            state["sums"][lanes], state["counts"][lanes] = sums, counts
