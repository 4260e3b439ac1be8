"""How good probabilities are: those of the positive class, or those of the true one of several."""

import math

from streams.families.family import BINARY, CLASSIFICATION, Counts, Family, Metric, Sums
from streams.families.sure import Sure
from streams.probabilities import TINY


class Chances(Family):
    """Log loss and Brier score; of what is no probability there is none."""

    name = "chances"
    columns = {
        "outside": Counts(),
        "inside": Counts(),
        "log_loss": Sums(),
        "log_loss_squares": Sums(),
        "brier": Sums(),
        "brier_squares": Sums(),
        "class_outside": Counts(),
        "class_inside": Counts(),
        "class_log_loss": Sums(),
        "class_log_loss_squares": Sums(),
    }
    uses = (Sure,)
    metrics = (
        Metric(
            name="log_loss",
            help="mean of −ln of the probability given to the truth, which counts as 1e-15 where"
            " it is less: no answer costs more than 34.5",
            better="lower",
            interval="normal",
            highest=-math.log(TINY),
            tasks=CLASSIFICATION,
        ),
        Metric(
            name="brier",
            help="mean squared error of the score",
            better="lower",
            interval="normal",
            highest=1.0,
            tasks=frozenset({BINARY}),
            source="Brier (1950)",
        ),
    )
