"""How well scores rank positives above negatives."""

from streams.families.family import BINARY, Family, Metric, Sparse
from streams.families.sure import Sure


class RocAuc(Family):
    """Area under the ROC curve, by histograms of the scores of every true class."""

    name = "roc_auc"
    columns = {"scores": Sparse()}
    uses = (Sure,)
    metrics = (
        Metric(
            name="roc_auc",
            help="area under the ROC curve, by a histogram of scores",
            better="higher",
            interval="Hanley–McNeil",
            highest=1.0,
            tasks=frozenset({BINARY}),
            headline=True,
            source="Mann & Whitney (1947); Hanley & McNeil (1982)",
        ),
    )
