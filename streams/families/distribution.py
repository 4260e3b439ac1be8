"""How the values of a numeric feature are distributed, compared with its baseline."""

from collections.abc import Iterator, Mapping
from typing import Any

from streams.families.distances import estimates
from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Metric,
    Observed,
    Part,
    Sparse,
)
from streams.families.histograms import value_bins

SHIFT = 1
"""64 bins for values that differ by a factor of two: a bin is 1.1 % to 1.6 % of its value."""


class Distribution(Family):
    """PSI and KS of the values of a feature that are numbers."""

    name = "distribution"
    reads, scope = PREDICTIONS, FEATURE
    columns = {"bins": Sparse()}
    metrics = (
        Metric(
            name="psi",
            help="population stability index of a numeric feature, in tenths of its baseline",
            interval="chance",
            part=Part.FEATURE,
            compares=True,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Lewis (1994)",
        ),
        Metric(
            name="ks",
            help="Kolmogorov–Smirnov distance of a numeric feature from its baseline",
            interval="chance",
            highest=1.0,
            part=Part.FEATURE,
            compares=True,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Smirnov (1939)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        return {"bins": value_bins(rows.block.values) >> SHIFT}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        yield from estimates(("psi", "ks"), cells, cells.baseline, "bins")
