"""The mean of a numeric feature."""

import math

from streams.families.family import (
    FEATURE,
    ON_PREDICTIONS,
    PREDICTIONS,
    Counts,
    Family,
    Metric,
    Part,
    Sums,
)


class Mean(Family):
    """The mean of the values of a feature that are numbers."""

    name = "mean"
    reads, scope = PREDICTIONS, FEATURE
    columns = {"numbers": Counts(), "value": Sums(), "value_squares": Sums()}
    metrics = (
        Metric(
            name="mean",
            help="mean of a numeric feature",
            interval="normal",
            lowest=-math.inf,
            part=Part.FEATURE,
            rests_on=ON_PREDICTIONS,
            at_most="predictions",
        ),
    )
