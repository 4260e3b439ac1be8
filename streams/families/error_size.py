"""How large the larger errors of predicted numbers are."""

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
    Sparse,
    labelled,
)
from streams.families.histograms import quantile_estimates, value_bins


class ErrorSize(Family):
    """Quantiles of absolute errors: what a mean of them hides."""

    name = "error_size"
    columns = {"sizes": Sparse()}
    metrics = tuple(
        Metric(
            name=name,
            help=text,
            better="lower",
            interval="ranks",
            tasks=frozenset({REGRESSION}),
            at_most="labels",
            binned=True,
            source="Conover (1999), §3.2",
        )
        for name, text in (
            ("ae_p50", "median of absolute errors, by a histogram with bins under 1 %"),
            ("ae_p95", "95 % quantile of absolute errors"),
        )
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        error = dict(rows.columns.means).get("error")
        return {} if error is None else {"sizes": value_bins(np.abs(error))}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        own = labelled(cells, "regression")
        if not own.any():
            return
        group, number, count = cells.entries("sizes")
        kept = own[group]
        entries = group[kept], number[kept], count[kept]
        wanted = [pair for pair in _SHARES.items() if cells.wants(pair[0])]
        yield from quantile_estimates(wanted, entries, cells.groups)


_SHARES = {"ae_p50": 0.5, "ae_p95": 0.95}
