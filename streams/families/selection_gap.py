"""Whether a model says yes to some segments more often than to others: before any label."""

from collections.abc import Iterator
from typing import cast

import numpy as np

from streams.families.family import (
    BINARY,
    KINDS,
    OTHER_APART,
    PREDICTIONS,
    Across,
    Cells,
    Estimate,
    Family,
    Siblings,
)
from streams.families.histograms import group_sums
from streams.families.prediction_share import PredictionShare
from streams.families.segment_gaps import gap_metric, gaps

_TASKS = frozenset({BINARY})


class SelectionGap(Family):
    """Demographic parity: difference and ratio of shares of positive predictions."""

    name = "selection_gap"
    reads, across = PREDICTIONS, Across.SEGMENTS
    uses = (PredictionShare,)
    metrics = (
        gap_metric(
            "selection_rate_difference",
            "largest difference of the shares of positive predictions of two segments of a key",
            tasks=_TASKS,
            reads=PREDICTIONS,
        ),
        gap_metric(
            "selection_rate_ratio",
            "least share of positive predictions of a segment of a key / the largest",
            tasks=_TASKS,
            reads=PREDICTIONS,
            ratio=True,
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        group, code, count = cells.entries("said")
        beyond = np.bincount(group, code >= OTHER_APART, cells.groups) > 0
        own = (cells.kind == KINDS.index("binary")) & ~beyond
        kept = own[group]
        group, code, count = group[kept], code[kept], count[kept]
        if not len(group):
            return
        names = cells.classes(group, code)
        names = np.where(cells.words[group], names, cells.two[names])
        positive = names == cells.positive[group]
        hits = group_sums(group, np.where(positive, count, 0), cells.groups)
        totals = group_sums(group, count, cells.groups)
        names_of = tuple(metric.name for metric in self.metrics)
        yield from gaps(cast(Siblings, cells), names_of, hits, totals)
