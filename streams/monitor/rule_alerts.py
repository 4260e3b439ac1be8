"""What alerts say of rules that go by what does not come, and by what fires."""

from typing import Any

from streams.alerts import Alert, alert_id
from streams.durations import format_duration
from streams.model_keys import Name
from streams.rules.absences import Absent
from streams.rules.composites import Combined
from streams.specification import time_text

ABSENCE, COMPOSITE = "absence", "composite"
KEEPS_NOBODY = frozenset({ABSENCE, COMPOSITE})
"""Kinds of alerts that end with their model when it is forgotten; it is kept for the others."""


def absence_alert(name: Name, found: Absent) -> Alert:
    """Return what is said of a model that has fallen silent.

    What rests on ticks alone says so in `observed`: a replay, which reads none, does not find it
    unless the recording goes on.
    """
    rule = found.rule
    evidence: dict[str, Any] = {
        "metric": rule.metric,
        "since_ms": found.since_ms,
        "absent_for_ms": rule.absent_ms,
    }
    if found.ticked:
        evidence["observed"] = {"tick": True}
    since = f"since {time_text(found.since_ms)}, for {format_duration(rule.absent_ms)}"
    return _alert(
        name,
        found.rule.name,
        ABSENCE,
        severity=rule.severity,
        at_ms=found.at_ms,
        message=f"no {rule.metric} {since}",
        evidence=evidence,
    )


def composite_alert(name: Name, found: Combined) -> Alert:
    """Return what is said where several monitors fire."""
    said = ", ".join(found.firing)
    return _alert(
        name,
        found.rule.name,
        COMPOSITE,
        severity=found.rule.severity,
        at_ms=found.at_ms,
        message=f"what fires: {said}",
        evidence={"firing": list(found.firing)},
    )


def _alert(
    name: Name,
    monitor: str,
    kind: str,
    *,
    severity: str,
    at_ms: int,
    message: str,
    evidence: dict[str, Any],
) -> Alert:
    return Alert(
        alert_id=alert_id(*name, monitor, kind, at_ms),
        state="firing",
        model=name[0],
        version=name[1],
        segment="",
        monitor=monitor,
        kind=kind,
        severity=severity,
        at_ms=at_ms,
        value=None,
        threshold=None,
        direction="worse",
        detector=kind,
        message=message,
        revision=0,
        evidence=evidence,
    )
