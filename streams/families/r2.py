"""How much of the spread of labels predictions explain."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.family import (
    REGRESSION,
    Cells,
    Estimate,
    Family,
    Metric,
    Observed,
    Sums,
    labelled,
)
from streams.families.intervals import spread_known
from streams.families.regression import Regression


class R2(Family):
    """The coefficient of determination, of the errors that the root of their squares is of."""

    name = "r2"
    columns = {"truth": Sums(), "truth_squares": Sums()}
    uses = (Regression,)
    metrics = (
        Metric(
            name="r2",
            help="share of the spread of labels that predictions explain; below 0 they are worse"
            " than the mean of the labels",
            better="higher",
            lowest=-math.inf,
            highest=1.0,
            tasks=frozenset({REGRESSION}),
            at_most="errors",
            source="Wright (1921)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        error = dict(rows.columns.means).get("error")
        if error is None:
            return {}
        truth = np.where(np.isnan(error), np.nan, rows.columns.rows.label_number)
        return {"truth": truth, "truth_squares": truth * truth}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        own = labelled(cells, "regression")
        if not own.any():
            return
        count = np.where(own, cells.counts("errors")[:, 0], 0)
        squares, mean, every = (
            cells.sums(name).means(count) for name in ("squares", "truth", "truth_squares")
        )
        with np.errstate(all="ignore"):
            known = (count >= 2) & spread_known(mean, every)
            value = np.where(known, 1 - squares / (every - mean * mean), np.nan)
        yield Estimate("r2", value, None, None, count)
