"""How many requests failed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.failures import have_failed
from streams.families.family import (
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Counts,
    Estimate,
    Family,
    Metric,
    Observed,
)
from streams.families.intervals import wilson

FAILED = ("error_rate", "failed")
"""Name of the column that whoever counts predictions that did not fail reads."""


class ErrorRate(Family):
    """The share of predictions that are requests without an answer."""

    name = "error_rate"
    reads = PREDICTIONS
    basic = True
    columns = {"failed": Counts()}
    metrics = (
        Metric(
            name="error_rate",
            help="share of predictions whose `error` says that the request failed",
            better="lower",
            interval="Wilson",
            highest=1.0,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Wilson (1927)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        failed = have_failed(rows.predictions.number)
        return {"failed": np.where(failed, 0, -1)} if failed.any() else {}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        failed, predictions = cells.counts("failed")[:, 0], cells.predictions
        with np.errstate(all="ignore"):
            share = np.where(predictions > 0, failed / predictions, np.nan)
        yield Estimate("error_rate", share, *wilson(failed, predictions), predictions)
