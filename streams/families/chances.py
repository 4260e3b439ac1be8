"""How good probabilities are: those of the positive class, or those of the true one of several."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams import exact_sum
from streams.families.family import (
    BINARY,
    CLASSIFICATION,
    KINDS,
    Cells,
    Counts,
    Estimate,
    Floats,
    Ints,
    Metric,
    Observed,
    Sums,
    labelled,
)
from streams.families.intervals import normal
from streams.families.judging import Judging
from streams.families.sure import Certain, Sure, certain
from streams.probabilities import TINY, too_many

# What it costs to be sure and wrong; to be sure and right costs nothing.
_LOSS = float(-np.log(np.clip(0.0, TINY, 1.0)))
_COSTS = {"log_loss": _LOSS, "log_loss_squares": _LOSS * _LOSS, "brier": 1.0, "brier_squares": 1.0}


class Chances(Judging):
    """Log loss and Brier score; of what is no probability there is none."""

    name = "chances"
    columns = {
        "outside": Counts(),
        "inside": Counts(),
        "log_loss": Sums(),
        "log_loss_squares": Sums(),
        "brier": Sums(),
        "brier_squares": Sums(),
        "class_outside": Counts(),
        "class_inside": Counts(),
        "class_log_loss": Sums(),
        "class_log_loss_squares": Sums(),
    }
    uses = (Sure,)
    metrics = (
        Metric(
            name="log_loss",
            help="mean of −ln of the probability given to the truth, which counts as 1e-15 where"
            " it is less: no answer costs more than 34.5",
            better="lower",
            interval="normal",
            highest=-math.log(TINY),
            tasks=CLASSIFICATION,
            at_most="labels",
        ),
        Metric(
            name="brier",
            help="mean squared error of the score",
            better="lower",
            interval="normal",
            highest=1.0,
            tasks=frozenset({BINARY}),
            at_most="labels",
            source="Brier (1950)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        c = rows.columns
        found: dict[str, Observed] = {}
        for name, outside in (("outside", c.outside), ("class_outside", c.class_outside)):
            if outside is not None:
                found[name] = np.where(outside, 0, -1)
        for name, values in c.means:
            if name in self.columns:
                found |= {name: values, f"{name}_squares": values * values}
        for name, of in (("inside", "brier"), ("class_inside", "class_log_loss")):
            if of in found:
                found[name] = np.where(np.isnan(found[of]), -1, 0)
        return found

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        outside, inside, sure = judged(cells)
        kept = labelled(cells, *KINDS[:3]) & ~too_many(outside, inside=inside)
        count = np.where(kept, inside, 0)
        if not count.any():
            return
        several = cells.kind == KINDS.index("multiclass")
        two = np.where(several, 0, count)
        for metric in ("log_loss", "brier"):
            mean, squares = (means(cells, n, two, sure) for n in (metric, f"{metric}_squares"))
            if metric == "log_loss" and several.any():
                own = np.where(several, count, 0)
                mean, squares = (
                    np.where(several, cells.sums(f"class_{name}").means(own), values)
                    for name, values in ((metric, mean), (f"{metric}_squares", squares))
                )
            yield Estimate(metric, mean, *normal(mean, squares, count), count)

    def improper(self, cells: Cells) -> tuple[Ints, Ints]:
        outside, inside, _ = judged(cells)
        return np.where(too_many(outside, inside=inside), outside, 0), inside


def judged(cells: Cells) -> tuple[Ints, Ints, Certain]:
    """Return how many scores are no probabilities, and how many are, of what models are judged by.

    That are the scores of the positive class, with predictions that are sure, or, of several
    classes, those of the true one; of a regression there are none.
    """
    several = cells.kind == KINDS.index("multiclass")
    two = (cells.kind == KINDS.index("binary")) | (cells.kind == KINDS.index("probability"))
    outside, inside = np.zeros((2, cells.groups), np.int64)
    for own, prefix in ((two, ""), (several, "class_")):
        if own.any():
            outside[own] = cells.counts(f"{prefix}outside")[own, 0]
            inside[own] = cells.counts(f"{prefix}inside")[own, 0]
    sure = certain(cells)
    np.add.at(inside, sure.group, sure.counts)
    return outside, inside, sure


def means(cells: Cells, name: str, count: Ints, sure: Certain) -> Floats:
    """Return means of so many values, of which those that are sure are not in the column."""
    sums = cells.sums(name)
    found = sums.means(count)
    groups = np.unique(sure.group[count[sure.group] != 0])
    if len(groups):
        wrong = np.where(sure.one != sure.positive, sure.counts, 0)
        more = np.zeros(cells.groups, np.int64)
        np.add.at(more, sure.group, wrong)
        unit = exact_sum.exact(_COSTS[name])
        for group, total in zip(groups.tolist(), sums.totals(groups.tolist()), strict=True):
            found[group] = exact_sum.mean(total + int(more[group]) * unit, int(count[group]))
    return found
