"""What `monitors.yaml` may set of the scan, and how many false alarms that leaves to monitors."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from streams.errors import ConfigError
from streams.monitors import SCAN, Drift
from streams.nearest import nearest
from streams.scan.inputs import WATCHED

MOST_PER_YEAR = 365.0
WARNINGS_PER_MONTH = 1.0
WARNINGS_PER_YEAR = 12 * WARNINGS_PER_MONTH
INFOS_FOR_A_WARNING = 5.0
"""Where one warning a month may be false, so many infos may."""


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
    "loss_by_class": 1.8,
    "loss_by_segment": 1.8,
    "log_loss": 0.6,
    "features": 12.0,
    "score": 1.2,
    "missing": 2.4,
    "type": 1.2,
    "unseen": 1.2,
    "predictions": 1.2,
    "traffic": 0.6,
    "labels": 0.6,
    "coverage": 0.6,
    "latency": 0.6,
    "label_delay": 0.6,
}
"""False alarms a year of a monitor that says nothing, by its input; where 12 may be warnings."""


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


def allowances(drifts: Sequence[Drift], *, per_month: float) -> dict[str, float]:
    """Share what a model may raise a year among its monitors; what one says itself, it has.

    Parameters
    ----------
    per_month
        So many warnings, or worse, and five times as many infos.

    Examples
    --------
    >>> loss = Drift(name="loss", input="loss", detector="scan")
    >>> age = Drift(name="age", input="feature:age", detector="scan")
    >>> allowances([loss], per_month=0.5), allowances([loss, age], per_month=1.0)
    ({'loss': 3.0}, {'loss': 4.0, 'age': 8.0})
    """
    found = {one.name: parameters_of(one).false_alarms_per_year for one in drifts}
    for is_info, most in ((False, 1.0), (True, INFOS_FOR_A_WARNING)):
        own = [one for one in drifts if (one.severity == "info") == is_info]
        usual = [one.name for one in own if "false_alarms_per_year" not in one.parameters]
        total = sum(found[name] for name in usual)
        share = per_month * min(1.0, most * WARNINGS_PER_YEAR / max(total, 1e-9))
        found |= {name: found[name] * share for name in usual}
    return found


def check_budget(per_month: float) -> float:
    """Return how many false alarms a month a model may have.

    Raises
    ------
    ConfigError
        If there is no such number, with what to say instead.

    Examples
    --------
    >>> check_budget(0.5)
    0.5
    """
    if 0 < per_month <= MOST_PER_YEAR / 12:
        return per_month
    raise ConfigError(
        f"false_alarms_per_month: {per_month:g} is out of range: more than 0, at most"
        f" {MOST_PER_YEAR / 12:.3g}; no monitor is never wrong, so allow one in many months, such"
        " as 0.1, or leave out the monitors whose detector is scan"
    )


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


def is_other(before: Drift | None, now: Drift | None) -> bool:
    """Tell whether a monitor is another one, whichever models it watches."""
    if before is None or now is None:
        return True
    return before != msgspec.structs.replace(now, model=before.model)
