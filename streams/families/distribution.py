"""How the values of a feature are distributed, numbers and categories, against its baseline."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.categories import codes
from streams.events import ABSENT
from streams.families.distances import (
    ENOUGH,
    Beside,
    beside,
    by_chance,
    categories,
    cramers_v,
    distance_metric,
    distance_metrics,
    jensen_shannon,
    kolmogorov_smirnov,
    outside,
    parted,
    stability,
    tenths,
    wasserstein,
)
from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Cells,
    Estimate,
    Family,
    Ints,
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


_COMPARED = (
    *("psi", "ks", "js", "wasserstein", "cramers_v"),
    *("unseen_rate", "out_of_range_rate"),
)


class Distribution(Family):
    """How far a feature is from its baseline, by all of its values, numbers, or texts."""

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
        distance_metric(
            "js",
            "Jensen–Shannon distance (the root, base 2) of a feature from its baseline, in the"
            " parts that PSI has",
            source="Lin (1991)",
            highest=1.0,
            default=False,
        ),
        distance_metric(
            "wasserstein",
            "Wasserstein distance of a numeric feature from its baseline, in standard deviations"
            " of the baseline",
            source="Vallender (1974); Johnson & Killeen (1983)",
            default=False,
        ),
        distance_metric(
            "cramers_v",
            "Cramér's V of a feature's texts and whether they are of the window or the baseline,"
            " of which both weigh the same; its interval reaches 0 where chi-square finds nothing",
            source="Cramér (1946)",
            highest=1.0,
            default=False,
        ),
        Metric(
            name="out_of_range_rate",
            help="share of a feature's numbers that are below or above all of its baseline",
            better="lower",
            interval="Wilson",
            highest=1.0,
            part=Part.FEATURE,
            compares=True,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Wilson (1927)",
            default=False,
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
        if before is None or not cells.wants(*_COMPARED):
            return
        known = beside(numbers, before.entries("bins"), cells.groups)
        words = beside(texts, before.entries("texts"), cells.groups)
        yield from _distances(cells, known, words)
        if cells.wants("unseen_rate"):
            many = words.size
            new = group_sums(words.group, np.where(words.before > 0, 0, words.now), cells.groups)
            yield _share("unseen_rate", new, many, words.known)
        if cells.wants("out_of_range_rate"):
            yield _share("out_of_range_rate", outside(known), known.size, known.known)


def _distances(cells: Cells, known: Beside, words: Beside) -> Iterator[Estimate]:
    """Yield distances of numbers, of texts, and of both together."""
    numbers, texts = (known, tenths(known)), (words, categories(words))
    if cells.wants("psi", "js"):
        parts = parted((numbers, texts), cells.groups)
        yield by_chance("psi", *stability(parts))
        if cells.wants("js"):
            yield by_chance("js", *jensen_shannon(parts), highest=1.0)
    if cells.wants("ks"):
        yield by_chance("ks", *kolmogorov_smirnov(known), known.size, highest=1.0)
    if cells.wants("wasserstein"):
        yield by_chance("wasserstein", *wasserstein(known))
    if cells.wants("cramers_v"):
        found = cramers_v(parted((texts,), cells.groups))
        yield by_chance("cramers_v", *found, highest=1.0)


def _share(metric: str, part: Ints, whole: Ints, known: Ints) -> Estimate:
    """Return a share where the baseline has enough values."""
    with np.errstate(all="ignore"):
        share = np.where((known >= ENOUGH) & (whole > 0), part / whole, np.nan)
    return Estimate(metric, share, *wilson(part, whole), whole)
