"""How scores and predicted numbers are distributed, compared with the baseline."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.distances import of_numbers
from streams.families.distribution import SHIFT
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
from streams.families.histograms import score_bins, value_bins

_WORDS = {
    "score": "the scores",
    "prediction": "the predicted numbers, be they values or classes",
}


def _metrics(of: str) -> tuple[Metric, Metric]:
    psi = Metric(
        name=f"{of}_psi",
        help=f"population stability index of {_WORDS[of]}, in tenths of the baseline",
        interval="chance",
        compares=True,
        rests_on=ON_PREDICTIONS,
        at_most="predictions",
        source="Lewis (1994)",
    )
    ks = Metric(
        name=f"{of}_ks",
        help=f"Kolmogorov–Smirnov distance of {_WORDS[of]} from the baseline",
        interval="chance",
        highest=1.0,
        compares=True,
        rests_on=ON_PREDICTIONS,
        at_most="predictions",
        source="Smirnov (1939)",
    )
    return psi, ks


class Answers(Family):
    """PSI and KS of what the model says: prediction drift, which needs no labels."""

    name = "answers"
    reads = PREDICTIONS
    columns = {"score_bins": Sparse(), "prediction_bins": Sparse()}
    metrics = (*_metrics("score"), *_metrics("prediction"))

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        score, number = rows.predictions.score, rows.predictions.number
        return {
            "score_bins": np.where(np.isfinite(score), score_bins(score), -1),
            "prediction_bins": value_bins(number) >> SHIFT,
        }

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        for of in _WORDS:
            yield from of_numbers((f"{of}_psi", f"{of}_ks"), cells, cells.baseline, f"{of}_bins")
