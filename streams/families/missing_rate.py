"""How often a feature is missing: null where it is named, or not named at all."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.categories import are_null
from streams.events import ABSENT
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
)
from streams.families.intervals import wilson


class MissingRate(Family):
    """The share of a window's predictions without a feature, of all that any of them names.

    Requests that failed are none of them.
    """

    name = "missing_rate"
    reads, scope = PREDICTIONS, FEATURE
    columns = {"named": Counts(2)}  # null, and there
    metrics = (
        Metric(
            name="missing_rate",
            help="share of predictions without the feature",
            better="lower",
            interval="Wilson",
            highest=1.0,
            part=Part.FEATURE,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Wilson (1927)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        values = rows.block.values
        return {"named": np.where(values == ABSENT, -1, ~are_null(values))}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        named, predictions = cells.counts("named"), cells.answered
        missing = predictions - named[:, 1]
        with np.errstate(all="ignore"):
            share = np.where(named.any(axis=1), missing / predictions, np.nan)
        yield Estimate("missing_rate", share, *wilson(missing, predictions), predictions)
