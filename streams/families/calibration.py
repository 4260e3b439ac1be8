"""Whether probabilities are what they say: of those told 0.8, eight in ten come true."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from streams.families.chances import Chances, judged, means
from streams.families.family import (
    BINARY,
    Cells,
    Counts,
    Estimate,
    Family,
    Ints,
    Metric,
    Observed,
    Totals,
    labelled,
)
from streams.families.intervals import normal
from streams.families.sure import Certain, Sure
from streams.probabilities import too_many

BINS = 15
UNIT = 1 << 32
"""Probabilities are added up as whole multiples of 2**-32: exact in any order."""


class Calibration(Family):
    """How far probabilities of the positive class are from how often it is true."""

    name = "calibration"
    columns = {
        "reliability": Counts(2 * BINS),  # of every bin, others and positives
        "reliability_chances": Totals(BINS),
    }
    uses = (Chances, Sure)
    metrics = (
        Metric(
            name="ece",
            help="expected calibration error: how far off probabilities are in 15 equal bins, on"
            " average; of few labels it is above 0 by chance alone",
            better="lower",
            highest=1.0,
            tasks=frozenset({BINARY}),
            at_most="labels",
            source="Naeini et al. (2015)",
        ),
        Metric(
            name="calibration_bias",
            help="mean probability − share of positives",
            better="nearer zero",
            interval="normal",
            lowest=-1.0,
            highest=1.0,
            tasks=frozenset({BINARY}),
            at_most="labels",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        c = rows.columns
        known = ~np.isnan(c.share)
        if not known.any():
            return {}
        share = np.where(known, c.share, 0.0)
        place = np.minimum((share * BINS).astype(np.int64), BINS - 1)
        amount = np.rint(share * UNIT).astype(np.int64)
        return {
            "reliability": np.where(known, 2 * place + c.positive, -1),
            "reliability_chances": (np.where(known, place, -1), amount),
        }

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        found = reliability(cells)
        if found is None:
            return
        rows, chances, count, sure = found
        off = chances - rows[:, :, 1] * UNIT
        with np.errstate(all="ignore"):
            ece, bias = (
                np.where(count > 0, total / UNIT / count, np.nan)
                for total in (np.abs(off).sum(axis=1), off.sum(axis=1))
            )
        yield Estimate("ece", ece, None, None, count)
        squares = means(cells, "brier", count, sure)
        low, high = normal(bias, squares, count)
        bounds = np.maximum(low, -1.0), np.minimum(high, 1.0)
        yield Estimate("calibration_bias", bias, *bounds, count)


class Reliability(NamedTuple):
    """Outcomes of groups by what was predicted.

    Attributes
    ----------
    rows
        By group and bin, how many are none of the positive class, and how many are.
    chances
        By group and bin, the sum of what was predicted, in units.
    size
        How many in all bins; 0 where probabilities mean nothing.
    sure
        Those of exactly 0 and 1 without a score, which are among them.
    """

    rows: Ints
    chances: Ints
    size: Ints
    sure: Certain


def reliability(cells: Cells) -> Reliability | None:
    """Return how often what was predicted came true; `None` where nobody predicts so."""
    outside, inside, sure = judged(cells)
    own = labelled(cells, "binary", "probability") & ~too_many(outside, inside=inside)
    if not own.any():
        return None
    rows = cells.counts("reliability").astype(np.int64).reshape(-1, BINS, 2)
    chances = cells.counts("reliability_chances").copy()
    place = np.where(sure.one, BINS - 1, 0)
    np.add.at(rows, (sure.group, place, sure.positive.astype(np.int64)), sure.counts)
    np.add.at(chances, (sure.group, place), sure.counts * sure.one * UNIT)
    return Reliability(rows, chances, np.where(own, rows.sum(axis=(1, 2)), 0), sure)
