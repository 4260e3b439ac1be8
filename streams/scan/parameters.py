"""What `monitors.yaml` may set of the scan."""

from typing import Annotated

import msgspec
from msgspec import Meta

from streams.errors import ConfigError
from streams.monitors import SCAN, Drift
from streams.nearest import nearest
from streams.scan.inputs import WATCHED

MOST_PER_YEAR = 365.0


class ScanParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set of the scan.

    Attributes
    ----------
    false_alarms_per_year
        So many a monitor may raise of one model where nothing changes; all of its lanes share it.
    """

    false_alarms_per_year: Annotated[float, Meta(gt=0, le=MOST_PER_YEAR)]


BUDGETS = {
    "loss": 6.0,
    "features": 12.0,
    "score": 1.2,
    "missing": 2.4,
    "predictions": 1.2,
    "traffic": 0.6,
    "labels": 0.6,
    "latency": 0.6,
    "label_delay": 0.6,
}
"""False alarms a year of a monitor that says nothing, by its input."""


def parameters_of(drift: Drift) -> ScanParameters:
    """Check the parameters of a monitor and complete them.

    Raises
    ------
    ConfigError
        Naming what is wrong, and what is allowed.

    Examples
    --------
    >>> parameters_of(Drift(name="x", input="loss", detector="scan"))
    ScanParameters(false_alarms_per_year=6.0)
    """
    given: dict[str, float] = {"false_alarms_per_year": _budget(drift.input)} | drift.parameters
    try:
        return msgspec.convert(given, ScanParameters)
    except msgspec.ValidationError:
        unknown = sorted(set(given) - {"false_alarms_per_year"})
        said = (
            f"unknown parameter {unknown[0]!r}; it has false_alarms_per_year"
            if unknown
            else f"false_alarms_per_year {given['false_alarms_per_year']:g} is out of range:"
            f" more than 0, at most {MOST_PER_YEAR:g}"
        )
        raise ConfigError(f"detector {SCAN}: {said}") from None


def _budget(watched: str) -> float:
    """Return the usual budget of an input; one feature has that of all."""
    return BUDGETS.get(watched, BUDGETS["features"])


def check(drift: Drift) -> None:
    """Refuse what the scan cannot watch.

    Raises
    ------
    ConfigError
        Naming the key, its value and what is allowed.
    """
    feature = drift.input.removeprefix("feature:")
    if drift.input not in WATCHED and (feature == drift.input or not feature):
        allowed = nearest(drift.input, [*WATCHED, "feature:<name>"])
        raise ConfigError(f"input: {drift.input!r} is unknown{allowed}")
    if drift.version != "*":
        raise ConfigError(
            f"version: {drift.version!r}: the scan compares a new version with those before it, and"
            " goes by model alone; leave it out"
        )
    parameters_of(drift)
