"""How well scores find positives that are rare: average precision."""

from collections.abc import Iterator

import numpy as np

from streams.families.family import BINARY, Cells, Estimate, Family, Floats, Metric, labelled
from streams.families.histograms import SCORE_BITS, are_real, group_sums
from streams.families.intervals import logit
from streams.families.roc_auc import RocAuc, by_score
from streams.families.sure import Sure


class PrAuc(Family):
    """Average precision, by the histograms of the area under the ROC curve."""

    name = "pr_auc"
    uses = (RocAuc, Sure)
    metrics = (
        Metric(
            name="pr_auc",
            help="average precision, by a histogram of scores; by chance it is the share of"
            " positives",
            better="higher",
            interval="logit",
            highest=1.0,
            tasks=frozenset({BINARY}),
            at_most="labels",
            source="Davis & Goadrich (2006); Boyd, Eng & Page (2013)",
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        own = labelled(cells, "binary", "probability")
        if not own.any():
            return
        keys, ups, downs = by_score(cells, own)
        group = keys >> SCORE_BITS
        ones, zeros = (group_sums(group, side, cells.groups) for side in (ups, downs))
        before, false = (
            whole[group] - (np.cumsum(side) - (np.cumsum(whole) - whole)[group])
            for side, whole in ((ups, ones), (downs, zeros))
        )
        real = are_real(keys, group)
        with np.errstate(all="ignore"):
            tied = (before + ups) / (before + false + ups + downs)
            spread = sum(
                weight * _precision(before + part * ups, false + part * downs)
                for part, weight in ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))
            )
            each = np.where(ups != 0, np.where(real, tied, spread), 0.0)
            value = np.bincount(group, ups * each, cells.groups) / ones
        value = np.where((ones > 0) & (zeros > 0), value, np.nan)
        yield Estimate("pr_auc", value, *logit(value, ones), ones + zeros)


def _precision(found: Floats, false: Floats) -> Floats:
    """Return the precision at the next positive, after so many with higher scores.

    Of a bin in which positives and others are in an unknown order, they are taken as evenly mixed:
    the mean over its positives is that of the first, middle and last, by Simpson's rule.
    """
    return (found + 0.5) / (found + 0.5 + false)
