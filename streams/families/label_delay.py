"""How long labels took to come."""

import math

from streams.families.family import Family, Metric, Sparse


class LabelDelay(Family):
    """The median of the time from prediction to label."""

    name = "label_delay"
    columns = {"delays": Sparse()}
    metrics = (
        Metric(
            name="label_delay_p50_ms",
            help="median time from prediction to label",
            unit="ms",
            better="lower",
            interval="ranks",
            lowest=-math.inf,  # a label may come first
            binned=True,
            source="Conover (1999), §3.2",
        ),
    )
