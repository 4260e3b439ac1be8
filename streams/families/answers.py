"""How scores and predicted numbers are distributed, compared with the baseline."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.distances import distance_metrics, of_numbers
from streams.families.distribution import SHIFT
from streams.families.family import (
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
    return distance_metrics(
        (f"{of}_psi", f"{of}_ks"),
        (
            f"population stability index of {_WORDS[of]}, in tenths of the baseline",
            f"Kolmogorov–Smirnov distance of {_WORDS[of]} from the baseline",
        ),
    )


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
