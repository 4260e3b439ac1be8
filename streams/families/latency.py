"""How long predictions took."""

from collections.abc import Iterator, Mapping
from typing import Any

from streams.families.family import (
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Metric,
    Observed,
    Sparse,
)
from streams.families.histograms import quantile_estimates, value_bins

PERCENTS = (50, 95, 99)
_WORDS = {50: "median of `latency_ms`, by a histogram with bins under 1 %"}


class Latency(Family):
    """Quantiles of `latency_ms`."""

    name = "latency"
    reads = PREDICTIONS
    columns = {"latencies": Sparse()}
    metrics = tuple(
        Metric(
            name=f"latency_p{percent}_ms",
            help=_WORDS.get(percent, f"{percent} % quantile"),
            unit="ms",
            better="lower",
            interval="ranks",
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            binned=True,
            source="Conover (1999), §3.2",
        )
        for percent in PERCENTS
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        return {"latencies": value_bins(rows.predictions.latency_ms)}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        shares = [(f"latency_p{percent}_ms", percent / 100) for percent in PERCENTS]
        yield from quantile_estimates(shares, cells.entries("latencies"), cells.groups)
