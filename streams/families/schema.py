"""Whether features have gone or come since the baseline."""

from collections.abc import Iterator

import numpy as np

from streams.families.distances import ENOUGH
from streams.families.distribution import Distribution
from streams.families.family import (
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Columns,
    Estimate,
    Family,
    Ints,
    Mask,
    Metric,
)
from streams.families.histograms import together

CHANCE = 0.01
"""What is rare is not there at times: that it is not is told where chance does less than this."""

_FEATURE_BITS = 32


class Schema(Family):
    """How many features the baseline has and the window has not, and the other way round.

    A feature is there if it has a value: null is none.
    """

    name = "schema"
    reads = PREDICTIONS
    uses = (Distribution,)
    metrics = tuple(
        Metric(
            name=name,
            help=f"{text}; one that is rare is not counted if by chance, at {CHANCE:.0%}, it could",
            better="lower",
            compares=True,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
        )
        for name, text in (
            ("features_missing", "how many features of the baseline have no value at all"),
            ("features_new", "how many features have values and have none in the baseline"),
        )
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        before = cells.baseline
        if before is None:
            return
        sides = [_features(columns) for columns in (cells, before)]
        keys, now, known = together(
            np.concatenate([keys for keys, _ in sides]),
            np.concatenate([sides[0][1], np.zeros_like(sides[1][1])]),
            np.concatenate([np.zeros_like(sides[0][1]), sides[1][1]]),
        )
        group = keys >> _FEATURE_BITS
        # Of a baseline from a file only its values are known: the feature with most tells its rows.
        rows = np.zeros(cells.groups, np.int64)
        np.maximum.at(rows, group, known)
        there = (rows >= ENOUGH) & (cells.predictions > 0)
        for metric, here, other, sizes in (
            ("features_missing", known, now, (rows, cells.predictions)),
            ("features_new", now, known, (cells.predictions, rows)),
        ):
            gone = (here > 0) & (other == 0) & _told(here, sizes[0][group], sizes[1][group])
            count = np.bincount(group, gone, cells.groups)
            yield Estimate(metric, np.where(there, count, np.nan), None, None, cells.predictions)


def _features(columns: Columns) -> tuple[Ints, Ints]:
    """Return group and feature as one number, rising, and how many values there are."""
    found = [columns.features(name) for name in ("bins", "texts")]
    keys = np.concatenate([group << _FEATURE_BITS | feature for group, feature, _ in found])
    keys, counts = together(keys, np.concatenate([count for _, _, count in found]))
    return keys, np.maximum(counts, 0)


def _told(here: Ints, rows: Ints, others: Ints) -> Mask:
    """Tell of what is in so many of some rows whether others, who have none, would have it."""
    with np.errstate(all="ignore"):
        found: Mask = others * np.log1p(-np.minimum(here / rows, 1.0)) <= np.log(CHANCE)
    return found
