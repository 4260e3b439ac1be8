"""How many predictions there were, and how many of them have a label."""

from collections.abc import Iterator

import numpy as np

from streams.families.family import (
    ON_LABELS,
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Metric,
)
from streams.families.intervals import wilson


class Traffic(Family):
    """Predictions, labels and coverage: of the counts that every cell has."""

    name = "traffic"
    reads = PREDICTIONS
    metrics = (
        Metric(
            name="predictions",
            help="predictions in the window",
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            counts=True,
            headline=True,
        ),
        Metric(
            name="labels",
            help="of these, how many have a label",
            better="higher",
            at_most="labels",
            counts=True,
            headline=True,
        ),
        Metric(
            name="coverage",
            help="labels / predictions that did not fail",
            better="higher",
            interval="Wilson",
            highest=1.0,
            rests_on=ON_PREDICTIONS | ON_LABELS,
            at_most="predictions",
            source="Wilson (1927)",
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        predictions, labels = cells.predictions, cells.labels
        yield Estimate("predictions", predictions.astype(np.float64), None, None, predictions)
        yield Estimate("labels", labels.astype(np.float64), None, None, labels)
        answered = cells.answered
        with np.errstate(all="ignore"):
            share = np.where(answered != 0, labels / answered, np.nan)
        bounds = wilson(np.minimum(labels, answered), answered)
        yield Estimate("coverage", share, *bounds, answered)
