"""How often a feature is missing: null where it is named, or not named at all."""

from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Counts,
    Family,
    Metric,
    Part,
)


class MissingRate(Family):
    """The share of a window's predictions without a feature, of all that any of them names."""

    name = "missing_rate"
    reads, scope = PREDICTIONS, FEATURE
    columns = {"present": Counts(2)}
    metrics = (
        Metric(
            name="missing_rate",
            help="share of predictions without the feature",
            better="lower",
            interval="Wilson",
            highest=1.0,
            part=Part.FEATURE,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
            source="Wilson (1927)",
        ),
    )
