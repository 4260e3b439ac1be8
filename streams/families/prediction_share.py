"""How often every class is predicted, which is known before any label."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.classification import MAX_CLASSES, in_order
from streams.families.family import (
    CLASSIFICATION,
    KINDS,
    ON_PREDICTIONS,
    OTHER_APART,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Metric,
    Observed,
    Part,
    Sparse,
)
from streams.families.histograms import group_sums, together
from streams.families.intervals import wilson

_FEW = 20
"""A model without labels may predict numbers: more different ones than these are no classes."""

_NAME_BITS = 32


class PredictionShare(Family):
    """The share of each class among predictions.

    Of two classes it is that of the positive one. What a model is tells its labels: one without
    any passes for a model of two classes, and has the shares of more if it predicts more.
    """

    name = "prediction_share"
    reads = PREDICTIONS
    columns = {"said": Sparse()}
    metrics = (
        Metric(
            name="prediction_share",
            help="share of predictions that are positive",
            interval="Wilson",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            has_mean=False,
            source="Wilson (1927)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        return {"said": rows.predicted}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        group, code, count = cells.entries("said")
        kinds = [cells.kind == KINDS.index(kind) for kind in ("binary", "multiclass")]
        beyond = np.bincount(group, code >= OTHER_APART, cells.groups) > 0
        kept = ((kinds[0] | kinds[1]) & ~beyond)[group]
        group, code, count = group[kept], code[kept], count[kept]
        if not len(group):
            return
        names = cells.classes(group, code)
        names = np.where(cells.words[group], names, cells.two[names])
        codes, [places] = in_order(cells.names, names)
        keys, count = together(group << _NAME_BITS | places, count)
        group, name = keys >> _NAME_BITS, codes[keys & ((1 << _NAME_BITS) - 1)]
        total, positive = group_sums(group, count, cells.groups), name == cells.positive[group]
        classes, ones = (
            np.bincount(group, mask, cells.groups) for mask in (np.ones(len(group)), positive)
        )
        two = kinds[0] & (classes + (ones == 0) <= len(("positive", "negative")))
        said = group_sums(group, np.where(positive, count, 0), cells.groups)
        with np.errstate(all="ignore"):
            share = np.where(two & (total > 0), said / total, np.nan)
        yield Estimate("prediction_share", share, *wilson(said, total), total)
        most = np.where(kinds[0], _FEW, MAX_CLASSES)
        shown = (~two & (classes <= most) & (total > 0))[group]
        group, name, count = group[shown], name[shown], count[shown]
        bounds, of = wilson(count, total[group]), total[group]
        yield Estimate("prediction_share", count / of, *bounds, of, group, name)
