"""Where the scores of predictions lie, which is known before any label."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.answers import Answers
from streams.families.family import (
    EVERY_TASK,
    KINDS,
    ON_PREDICTIONS,
    PREDICTIONS,
    REGRESSION,
    Cells,
    Counts,
    Estimate,
    Family,
    Floats,
    Ints,
    Metric,
    Observed,
    Sums,
)
from streams.families.histograms import (
    pair_values,
    quantile_estimates,
    score_values,
)
from streams.families.intervals import normal

_TASKS = EVERY_TASK - {REGRESSION}


class Score(Family):
    """Mean and median of scores; where there is none, of predictions that are probabilities."""

    name = "score"
    reads = PREDICTIONS
    columns = {
        "scored": Counts(2),  # a score, and none but a prediction from 0 to 1
        "score": Sums(),
        "score_squares": Sums(),
        "chance": Sums(),
        "chance_squares": Sums(),
    }
    uses = (Answers,)
    metrics = (
        Metric(
            name="score_mean",
            help="mean of `score`, or of predictions that are probabilities",
            interval="normal",
            lowest=-math.inf,
            tasks=_TASKS,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
        ),
        Metric(
            name="score_p50",
            help="median of them, by a histogram with bins under 2 %",
            interval="ranks",
            lowest=-math.inf,
            tasks=_TASKS,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Conover (1999), §3.2",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        own = rows.predictions
        scored = ~np.isnan(own.score)
        chance = ~scored & (own.code < 0) & (own.number >= 0) & (own.number <= 1)
        found: dict[str, Observed] = {"scored": np.where(scored, 0, np.where(chance, 1, -1))}
        if scored.any():
            found |= {"score": own.score, "score_squares": own.score * own.score}
        if chance.any():
            share = np.where(chance, own.number, np.nan)
            found |= {"chance": share, "chance_squares": share * share}
        return found

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        own = cells.kind != KINDS.index("regression")
        scored, chance = np.where(own, cells.counts("scored").T, 0)
        likely = (cells.kind == KINDS.index("probability")) & (scored == 0)
        chance = np.where(likely, chance, 0)
        count = scored + chance
        if not count.any():
            return
        mean, squares = (
            np.where(
                likely, cells.sums(f"chance{of}").means(chance), cells.sums(name).means(scored)
            )
            for name, of in (("score", ""), ("score_squares", "_squares"))
        )
        yield Estimate("score_mean", mean, *normal(mean, squares, count), count)
        for name, wanted, values in (
            ("score_bins", own & ~likely, score_values),
            ("prediction_bins", likely, _chances),
        ):
            group, number, counts = cells.entries(name)
            kept = wanted[group]
            entries = group[kept], number[kept], counts[kept]
            yield from quantile_estimates(
                [("score_p50", 0.5)], entries, cells.groups, values=values
            )


def _chances(numbers: Ints) -> Floats:
    """Return the middle of every bin of predictions that are probabilities."""
    return np.minimum(pair_values(numbers), 1.0)
