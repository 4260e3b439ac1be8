"""Predictions that are probabilities: those of exactly 0 and 1 have been counted as classes."""

import numpy as np

from streams.classes import binary_name
from streams.exact_sum import exact
from streams.probabilities import TINY
from streams.task import Judged
from tests import plain_bins as bins
from tests.plain_tallies import Mean, Outcomes


def with_sure(tally: Outcomes, judged: Judged) -> Outcomes:
    """Return a tally whose scores have the predictions of exactly 0 and 1, too.

    A forest whose trees all agree predicts 1.0: to leave it out would leave out what is easy. What
    a prediction is shows when others are between 0 and 1, which may be after it was counted.
    """
    if not tally.sure:
        return tally
    found = Outcomes()
    found.merge(tally, {"scores", "brier", "log_loss"})
    for (predicted, label), count in tally.sure.items():
        share, true = float(predicted), binary_name(label) == judged.positive
        [number] = bins.score_bins(np.array([share])).tolist()
        bins.add_counts(found.scores.setdefault(label, {}), [(number, count)])
        _add(found.brier, (share - true) ** 2, count)
        likely = share if true else 1.0 - share
        _add(found.log_loss, float(-np.log(np.clip(likely, TINY, 1.0))), count)
    return found


def _add(mean: Mean, value: float, count: int) -> None:
    mean.add(count, count * exact(value), count * exact(value * value))
