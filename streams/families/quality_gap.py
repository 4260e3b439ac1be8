"""Whether a model is worse for some segments than for others."""

from collections.abc import Iterator
from typing import cast

import numpy as np

from streams.families.classification import Classification, pairs_of
from streams.families.family import (
    BINARY,
    CLASSIFICATION,
    OUTCOMES,
    Across,
    Cells,
    Estimate,
    Family,
    Ints,
    Mask,
    Siblings,
    labelled,
)
from streams.families.histograms import group_sums
from streams.families.segment_gaps import gap_metric, gaps


class QualityGap(Family):
    """Equal opportunity, which is of recall, and the difference of error rates."""

    name = "quality_gap"
    across = Across.SEGMENTS
    uses = (Classification,)
    metrics = (
        gap_metric(
            "recall_difference",
            "largest difference of the recall of two segments of a key",
            tasks=frozenset({BINARY}),
            reads=OUTCOMES,
        ),
        gap_metric(
            "error_difference",
            "largest difference of the shares of wrong answers of two segments of a key",
            tasks=CLASSIFICATION,
            reads=OUTCOMES,
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        two, several = labelled(cells, "binary"), labelled(cells, "multiclass")
        if not (two | several).any():
            return
        pairs, beside = pairs_of(cells, two | several), cast(Siblings, cells)

        def added(mask: Mask) -> Ints:
            return group_sums(pairs.group, np.where(mask, pairs.counts, 0), cells.groups)

        real = (pairs.true == cells.positive[pairs.group]) & two[pairs.group]
        yield from gaps(beside, ("recall_difference",), added(real & pairs.right), added(real))
        every = np.ones(len(pairs.group), np.bool_)
        yield from gaps(beside, ("error_difference",), added(~pairs.right), added(every))
