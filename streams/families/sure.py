"""Predictions of exactly 0 and 1 without a score: probabilities, if others are between them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from streams.families.family import (
    CLASS_BITS,
    CLASS_MASK,
    KINDS,
    Cells,
    Family,
    Ints,
    Mask,
    Observed,
    Sparse,
)


class Sure(Family):
    """Counts for others, no metric of its own.

    A forest whose trees all agree predicts 1.0: to leave it out would leave out what is easy. What
    a prediction is shows when others are between 0 and 1, which may be after it was counted.
    """

    name = "sure"
    columns = {"sure": Sparse()}  # whether it is 1, and the true class

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        c = rows.columns
        counted = c.classed & c.sure
        if not counted.any():
            return {}
        one = (c.rows.number == 1).astype(np.int64)
        return {"sure": np.where(counted, one << CLASS_BITS | rows.true, -1)}


class Certain(NamedTuple):
    """Predictions of exactly 0 and 1 of models that predict probabilities.

    Attributes
    ----------
    one
        Whether 1 was predicted, else 0.
    positive
        Whether the label is the positive class.
    """

    group: Ints
    one: Mask
    positive: Mask
    counts: Ints


def certain(cells: Cells) -> Certain:
    """Return those of all groups that are judged to predict probabilities."""
    own = cells.kind == KINDS.index("probability")
    if not own.any():
        none = np.empty(0, np.int64)
        return Certain(none, none != 0, none != 0, none)
    group, number, count = cells.entries("sure")
    kept = own[group]
    group, number, count = group[kept], number[kept], count[kept]
    label = cells.classes(group, number & CLASS_MASK)
    positive = cells.two[label] == cells.positive[group]
    return Certain(group, number >> CLASS_BITS == 1, positive, count)
