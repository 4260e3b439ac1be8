"""How far predictions and labels agree beyond what chance would do."""

from collections.abc import Iterator

import numpy as np

from streams.families.classification import Classification, by_class, pairs_of
from streams.families.family import CLASSIFICATION, Cells, Estimate, Family, Metric, labelled
from streams.families.histograms import group_sums


class CohenKappa(Family):
    """Cohen's kappa: of the confusion that accuracy is of, so that nothing more is counted."""

    name = "cohen_kappa"
    uses = (Classification,)
    metrics = (
        Metric(
            name="cohen_kappa",
            help="agreement of predictions and labels beyond chance",
            better="higher",
            lowest=-1.0,
            highest=1.0,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Cohen (1960)",
        ),
    )

    def compute(self, cells: Cells) -> Iterator[Estimate]:
        pairs = pairs_of(cells, labelled(cells, "binary", "multiclass"))
        classes = by_class(pairs, cells.names)
        right, total = (
            group_sums(classes.group, counts, cells.groups)
            for counts in (classes.hits, classes.real)
        )
        chance = np.bincount(classes.group, classes.said * classes.real, cells.groups)
        with np.errstate(all="ignore"):  # without labels, or with one class alone, there is none
            agreed, expected = right / total, chance / total**2
            kappa = (agreed - expected) / (1 - expected)
        yield Estimate("cohen_kappa", kappa, None, None, total)
