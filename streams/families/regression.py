"""How far predicted numbers are from the truth."""

import math

from streams.families.family import REGRESSION, Counts, Family, Metric, Sums

_TASKS = frozenset({REGRESSION})


class Regression(Family):
    """Mean absolute error, root of the mean squared error, and bias."""

    name = "regression"
    columns = {
        "errors": Counts(),
        "error": Sums(),
        "error_squares": Sums(),
        "absolute": Sums(),
        "absolute_squares": Sums(),
    }
    metrics = (
        Metric(
            name="mae",
            help="mean absolute error",
            better="lower",
            interval="normal",
            tasks=_TASKS,
            at_most="errors",
            headline=True,
        ),
        Metric(
            name="rmse",
            help="root of the mean squared error",
            better="lower",
            tasks=_TASKS,
            at_most="errors",
            headline=True,
        ),
        Metric(
            name="bias",
            help="mean of prediction − label",
            better="nearer zero",
            interval="normal",
            lowest=-math.inf,
            tasks=_TASKS,
            at_most="errors",
        ),
    )
