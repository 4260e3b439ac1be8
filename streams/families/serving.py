"""How long predictions waited, and what they cost, where they say so.

Both are features, of names that are known: who does not send them pays nothing for them.
"""

import math
from collections.abc import Iterator

import numpy as np

from streams import exact_sum
from streams.families.distribution import Distribution
from streams.families.family import (
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Metric,
)
from streams.families.histograms import pair_values, quantile_estimates
from streams.families.intervals import normal
from streams.families.latency import PERCENTS
from streams.families.mean import Mean

QUEUE, COST = "queue_ms", "cost"
"""Features that it reads."""

_QUEUE = {f"queue_p{percent}_ms": percent / 100 for percent in PERCENTS}
_COST = "cost_mean", "cost_total"


def _metric(name: str, text: str, **more: object) -> Metric:
    found: dict[str, object] = {
        "better": "lower",
        "lowest": -math.inf,
        "rests_on": ON_PREDICTIONS,
        "at_most": "predictions",
        **more,
    }
    return Metric(name=name, help=text, **found)  # type: ignore[arg-type]


class Serving(Family):
    """Quantiles of the feature `queue_ms`; mean and sum of the feature `cost`."""

    name = "serving"
    reads = PREDICTIONS
    uses = (Mean, Distribution)
    metrics = (
        *(
            _metric(
                name,
                f"{share:.0%} quantile of the feature `{QUEUE}`, within 0.8 %",
                unit="ms",
                interval="ranks",
                source="Conover (1999), §3.2",
            )
            for name, share in _QUEUE.items()
        ),
        _metric(
            _COST[0], f"mean of the feature `{COST}`, what a prediction costs", interval="normal"
        ),
        _metric(_COST[1], f"sum of the feature `{COST}`, exact but for one rounding", grows=True),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        wanted = [(name, share) for name, share in _QUEUE.items() if cells.wants(name)]
        queue = cells.of_feature(QUEUE) if wanted else None
        if queue is not None:
            entries = queue.entries("bins")
            yield from quantile_estimates(wanted, entries, cells.groups, values=pair_values)
        cost = cells.of_feature(COST) if cells.wants(*_COST) else None
        if cost is None:
            return
        count = cost.counts("numbers")[:, 0]
        mean, squares = (cost.sums(name).means(count) for name in ("value", "value_squares"))
        yield Estimate(_COST[0], mean, *normal(mean, squares, count), count)
        own = np.flatnonzero(count > 0)
        total = np.full(cells.groups, np.nan)
        total[own] = [exact_sum.mean(one, 1) for one in cost.sums("value").totals(own.tolist())]
        yield Estimate(_COST[1], total, None, None, count)
