"""The mean of a numeric feature."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Counts,
    Estimate,
    Family,
    Metric,
    Observed,
    Part,
    Sums,
)
from streams.families.intervals import normal


class Mean(Family):
    """The mean of the values of a feature that are numbers."""

    name = "mean"
    reads, scope = PREDICTIONS, FEATURE
    columns = {"numbers": Counts(), "value": Sums(), "value_squares": Sums()}
    metrics = (
        Metric(
            name="mean",
            help="mean of a numeric feature",
            interval="normal",
            lowest=-math.inf,
            part=Part.FEATURE,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        known = np.isfinite(rows.block.values)
        values = np.where(known, rows.block.values, np.nan)
        numbers = np.where(known, 0, -1)
        return {"numbers": numbers, "value": values, "value_squares": values * values}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        count = cells.counts("numbers")[:, 0]
        mean, squares = (cells.sums(name).means(count) for name in ("value", "value_squares"))
        yield Estimate("mean", mean, *normal(mean, squares, count), count)
