"""How well scores rank positives above negatives."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.families import intervals
from streams.families.family import (
    BINARY,
    Cells,
    Estimate,
    Family,
    Ints,
    Metric,
    Observed,
    Sparse,
    labelled,
)
from streams.families.histograms import SCORE_BITS, SCORE_MASK, areas, score_bins, together
from streams.families.sure import Sure, certain

_ZERO, _ONE = score_bins(np.array([0.0, 1.0])).tolist()


class RocAuc(Family):
    """Area under the ROC curve, by histograms of the scores of every true class."""

    name = "roc_auc"
    columns = {"scores": Sparse()}  # the true class, and the bin of the score
    uses = (Sure,)
    metrics = (
        Metric(
            name="roc_auc",
            help="area under the ROC curve, by a histogram of scores",
            better="higher",
            interval="Hanley–McNeil",
            highest=1.0,
            tasks=frozenset({BINARY}),
            at_most="labels",
            headline=True,
            source="Mann & Whitney (1947); Hanley & McNeil (1982)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        c = rows.columns
        scored = (c.classed | c.chance) & ~np.isnan(c.score)
        if not scored.any():
            return {}
        return {"scores": np.where(scored, rows.true << SCORE_BITS | score_bins(c.score), -1)}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        own = labelled(cells, "binary", "probability")
        if not own.any():
            return
        keys, ups, downs = by_score(cells, own)
        found = areas(keys, ups, downs, cells.groups)
        ones, zeros = found.positives, found.negatives
        low, high = intervals.roc_auc(found.area, ones, zeros, tied=found.tied)
        yield Estimate("roc_auc", found.area, low, high, ones + zeros)


def by_score(cells: Cells, own: NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """Return, by group and bin of the score, how many are positive and how many are not."""
    group, number, count = cells.entries("scores")
    kept = own[group]
    group, number, count = group[kept], number[kept], count[kept]
    label = cells.two[cells.classes(group, number >> SCORE_BITS)]
    up = label == cells.positive[group]
    score = number & SCORE_MASK
    sure = certain(cells)
    if len(sure.group):
        kept = own[sure.group]
        group = np.concatenate([group, sure.group[kept]])
        score = np.concatenate([score, np.where(sure.one[kept], _ONE, _ZERO)])
        up = np.concatenate([up, sure.positive[kept]])
        count = np.concatenate([count, sure.counts[kept]])
    keys = group << SCORE_BITS | score
    keys, ups, downs = together(keys, np.where(up, count, 0), np.where(up, 0, count))
    return keys, ups, downs
