"""How the values of a feature are distributed, numbers and categories, against its baseline."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.categories import codes
from streams.events import ABSENT
from streams.families.distances import (
    ENOUGH,
    beside,
    by_chance,
    categories,
    distance_metrics,
    kolmogorov_smirnov,
    stability,
    tenths,
)
from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Metric,
    Observed,
    Part,
    Sparse,
)
from streams.families.histograms import group_sums, value_bins
from streams.families.intervals import wilson

SHIFT = 1
"""64 bins for values that differ by a factor of two: a bin is 1.1 % to 1.6 % of its value."""


MOST_FEATURES = 256
"""Of predictions with more features nothing is counted: a cell with all of them has to fit into a
record."""


class Distribution(Family):
    """PSI of all values of a feature, KS of those that are numbers, and what is new of texts."""

    name = "distribution"
    reads, scope = PREDICTIONS, FEATURE
    columns = {"bins": Sparse(), "texts": Sparse()}
    metrics = (
        Metric(
            name="text_rate",
            help="share of a feature's values that are texts, where there are numbers, too",
            interval="Wilson",
            highest=1.0,
            part=Part.FEATURE,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Wilson (1927)",
        ),
        *distance_metrics(
            ("psi", "ks"),
            (
                "population stability index of a feature against its baseline",
                "Kolmogorov–Smirnov distance of a numeric feature from its baseline",
            ),
            part=Part.FEATURE,
        ),
        Metric(
            name="unseen_rate",
            help="share of a feature's texts that its baseline does not have",
            better="lower",
            interval="Wilson",
            highest=1.0,
            part=Part.FEATURE,
            compares=True,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Wilson (1927)",
        ),
    )

    def observe(self, rows: Any) -> Mapping[str, Observed]:
        values = rows.block.values
        bins, texts = value_bins(values) >> SHIFT, codes(values)
        if values.shape[1] > MOST_FEATURES:
            wide = np.count_nonzero(values != ABSENT, axis=1) > MOST_FEATURES
            bins[wide] = texts[wide] = -1
        return {"bins": bins, "texts": texts} if (texts >= 0).any() else {"bins": bins}

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        numbers, texts = cells.entries("bins"), cells.entries("texts")
        before = cells.baseline
        many = group_sums(texts[0], texts[2], cells.groups)
        if len(texts[0]):
            every = group_sums(numbers[0], numbers[2], cells.groups) + many
            with np.errstate(all="ignore"):
                share = np.where((many > 0) & (many < every), many / every, np.nan)
            yield Estimate("text_rate", share, *wilson(many, every), every)
        if before is None:
            return
        known = beside(numbers, before.entries("bins"), cells.groups)
        words = beside(texts, before.entries("texts"), cells.groups)
        sides = (known, tenths(known)), (words, categories(words))
        yield by_chance("psi", *stability(sides, cells.groups))
        yield by_chance("ks", *kolmogorov_smirnov(known), known.size, highest=1.0)
        unseen = group_sums(words.group, np.where(words.before > 0, 0, words.now), cells.groups)
        with np.errstate(all="ignore"):
            share = np.where(words.known >= ENOUGH, unseen / many, np.nan)
        yield Estimate("unseen_rate", share, *wilson(unseen, many), many)
