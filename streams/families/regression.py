"""How far predicted numbers are from the truth."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.family import (
    REGRESSION,
    Cells,
    Counts,
    Estimate,
    Family,
    Metric,
    Observed,
    Sums,
    labelled,
)
from streams.families.intervals import normal, powers

_TASKS = frozenset({REGRESSION})


class Regression(Family):
    """Mean absolute error, root of the mean squared error, and bias."""

    name = "regression"
    columns = {
        "errors": Counts(),
        "error": Sums(),
        "absolute": Sums(),
        "squares": Sums(),
    }
    metrics = (
        Metric(
            name="mae",
            help="mean absolute error",
            better="lower",
            interval="normal",
            tasks=_TASKS,
            at_most="errors",
            headline=True,
        ),
        Metric(
            name="rmse",
            help="root of the mean squared error",
            better="lower",
            tasks=_TASKS,
            at_most="errors",
            headline=True,
        ),
        Metric(
            name="bias",
            help="mean of prediction − label",
            better="nearer zero",
            interval="normal",
            lowest=-math.inf,
            tasks=_TASKS,
            at_most="errors",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        means = dict(rows.columns.means)
        if "error" not in means:
            return {}
        error = means["error"]
        return {
            "errors": np.where(np.isnan(error), -1, 0),
            "error": error,
            "absolute": np.abs(error),
            "squares": error * error,
        }

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        own = labelled(cells, "regression")
        if not own.any():
            return
        count = np.where(own, cells.counts("errors")[:, 0], 0)
        mae, bias, squares = (
            cells.sums(name).means(count) for name in ("absolute", "error", "squares")
        )
        yield Estimate("mae", mae, *normal(mae, squares, count), count)
        yield Estimate("rmse", powers(squares, 0.5), None, None, count)
        yield Estimate("bias", bias, *normal(bias, squares, count), count)
