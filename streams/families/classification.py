"""How often a classifier is right, for all classes and for each."""

from streams.families.family import CLASSIFICATION, Family, Metric, Part, Sparse


class Classification(Family):
    """Accuracy, and precision, recall and F1 of the positive class, or of every class."""

    name = "classification"
    columns = {"confusion": Sparse()}
    metrics = (
        Metric(
            name="accuracy",
            help="share of right answers",
            better="higher",
            interval="Wilson",
            highest=1.0,
            tasks=CLASSIFICATION,
            at_most="labels",
            headline=True,
            source="Wilson (1927)",
        ),
        Metric(
            name="precision",
            help="right among those said to be positive",
            better="higher",
            interval="Wilson",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Wilson (1927)",
        ),
        Metric(
            name="recall",
            help="found among the positive",
            better="higher",
            interval="Wilson",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            source="Wilson (1927)",
        ),
        Metric(
            name="f1",
            help="harmonic mean of precision and recall",
            better="higher",
            interval="Wilson on Jaccard",
            highest=1.0,
            part=Part.CLASS,
            tasks=CLASSIFICATION,
            at_most="labels",
            headline=True,
            source="Wilson (1927)",
        ),
    )
