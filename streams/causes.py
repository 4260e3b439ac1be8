"""What an alert points to: the data, the model itself, or what is around it.

It follows from what its metric rests on, or from what an input of the scan declares, so that a new
one needs no line here.
"""

from streams import families
from streams.alerts import Alert
from streams.families.family import ON_LABELS, RESOURCES, Metric, Part
from streams.scan import inputs as scan_inputs

DATA, MODEL, ENVIRONMENT = "data", "model", "environment"
CAUSES = (DATA, MODEL, ENVIRONMENT)

_TIME = "ms"


def cause_of(alert: Alert) -> str:
    """Return the cause that an alert points to.

    Notes
    -----
    *Data*: features, scores and shares of classes moved. *Model*: answers are wrong more often.
    *Environment*: hosts, latency, failed requests, traffic, labels that come late or not at all.
    """
    name = alert.evidence.get("metric")
    if isinstance(name, str):
        about = families.CATALOGUE.metric(name.partition(":")[0])
        return MODEL if about is None else _of_metric(about)
    source = str(alert.evidence.get("input", "")).partition(":")[0]
    if source in scan_inputs.CAUSES:
        return scan_inputs.CAUSES[source]
    about = families.CATALOGUE.metric(source)
    return DATA if about is None else _of_metric(about)


def _of_metric(about: Metric) -> str:
    """Return what a metric is about."""
    if about.of_data and not about.counts and RESOURCES not in about.rests_on:
        return DATA
    if about.part is Part.FEATURE or about.compares:
        return DATA
    if about.part is Part.KEY:
        return MODEL
    around = about.rests_on != ON_LABELS or about.counts or about.unit == _TIME
    return ENVIRONMENT if around else MODEL
