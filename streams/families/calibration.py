"""Whether probabilities are what they say: of those told 0.8, eight in ten come true."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.families.chances import Chances, judged, means
from streams.families.family import (
    BINARY,
    Cells,
    Counts,
    Estimate,
    Family,
    Metric,
    Observed,
    Totals,
    labelled,
)
from streams.families.intervals import normal
from streams.families.sure import Sure
from streams.probabilities import too_many

BINS = 15
_UNIT = 1 << 32
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
        amount = np.rint(share * _UNIT).astype(np.int64)
        return {
            "reliability": np.where(known, 2 * place + c.positive, -1),
            "reliability_chances": (np.where(known, place, -1), amount),
        }

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        outside, inside, sure = judged(cells)
        own = labelled(cells, "binary", "probability") & ~too_many(outside, inside=inside)
        if not own.any():
            return
        rows = cells.counts("reliability").astype(np.int64).reshape(-1, BINS, 2)
        chances = cells.counts("reliability_chances").copy()
        place = np.where(sure.one, BINS - 1, 0)
        np.add.at(rows, (sure.group, place, sure.positive.astype(np.int64)), sure.counts)
        np.add.at(chances, (sure.group, place), sure.counts * sure.one * _UNIT)
        count = np.where(own, rows.sum(axis=(1, 2)), 0)
        off = chances - rows[:, :, 1] * _UNIT
        with np.errstate(all="ignore"):
            ece, bias = (
                np.where(count > 0, total / _UNIT / count, np.nan)
                for total in (np.abs(off).sum(axis=1), off.sum(axis=1))
            )
        yield Estimate("ece", ece, None, None, count)
        squares = means(cells, "brier", count, sure)
        low, high = normal(bias, squares, count)
        bounds = np.maximum(low, -1.0), np.minimum(high, 1.0)
        yield Estimate("calibration_bias", bias, *bounds, count)
