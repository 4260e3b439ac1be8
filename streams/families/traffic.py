"""How many predictions there were, and how many of them have a label."""

from streams.families.family import ON_LABELS, ON_PREDICTIONS, PREDICTIONS, Family, Metric


class Traffic(Family):
    """Predictions, labels and coverage: of the counts that every cell has."""

    name = "traffic"
    reads = PREDICTIONS
    metrics = (
        Metric(
            name="predictions",
            help="predictions in the window",
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            counts=True,
            headline=True,
        ),
        Metric(
            name="labels",
            help="of these, how many have a label",
            better="higher",
            at_most="labels",
            counts=True,
            headline=True,
        ),
        Metric(
            name="coverage",
            help="labels / predictions",
            better="higher",
            interval="Wilson",
            highest=1.0,
            rests_on=ON_PREDICTIONS | ON_LABELS,
            at_most="predictions",
            source="Wilson (1927)",
        ),
    )
