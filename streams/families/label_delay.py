"""How long labels took to come."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.family import Cells, Estimate, Family, Metric, Observed, Sparse
from streams.families.histograms import quantile_estimates, value_bins


class LabelDelay(Family):
    """Quantiles of the time from prediction to label."""

    name = "label_delay"
    says = False
    columns = {"delays": Sparse()}
    metrics = tuple(
        Metric(
            name=name,
            help=text,
            unit="ms",
            better="lower",
            interval="ranks",
            lowest=-math.inf,  # a label may come first
            at_most="labels",
            binned=True,
            source="Conover (1999), §3.2",
        )
        for name, text in (
            ("label_delay_p50_ms", "median time from prediction to label"),
            ("label_delay_p95_ms", "95 % quantile"),
        )
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        own = rows.columns.rows
        delay_ms = (own.label_ms - own.time_ms).astype(np.float64)
        return {"delays": np.where(own.delay == 1, value_bins(delay_ms), -1)}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        wanted = [pair for pair in _SHARES.items() if cells.wants(pair[0])]
        yield from quantile_estimates(wanted, cells.entries("delays"), cells.groups)


_SHARES = {"label_delay_p50_ms": 0.5, "label_delay_p95_ms": 0.95}
