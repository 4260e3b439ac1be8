"""The events of the comparison: the same as in driftline's own benchmark, in this one place."""

from dataclasses import dataclass

from benchmarks import worker_cost


@dataclass(frozen=True)
class Load:
    """Predictions with 8 features, 100 a second of event time, each labelled 30 s later.

    Attributes
    ----------
    events
        Predictions and labels together.
    """

    events: int = 1_000_000
    models: int = 10


def fill(servers: str, prefix: str, load: Load) -> None:
    """Write a load to the topics `<prefix>.predictions` and `<prefix>.labels`."""
    worker_cost.fill(
        servers, prefix, events=load.events, models=load.models, order=worker_cost.ORDERS[0]
    )
