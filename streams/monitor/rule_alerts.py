"""What alerts say of rules: on metrics, on what does not come, and on what fires."""

from typing import Any

from streams import families
from streams.alerts import Alert, alert_id, retract
from streams.durations import format_duration
from streams.model_keys import Name
from streams.moments import time_text
from streams.monitors import Threshold
from streams.rule_kinds import Slo
from streams.rules import Finding
from streams.rules.absences import Absent
from streams.rules.composites import Combined
from streams.rules.retracting import Retraction

ABSENCE, COMPOSITE = "absence", "composite"
KEEPS_NOBODY = frozenset({ABSENCE, COMPOSITE})
"""Kinds of alerts that end with their model when it is forgotten; it is kept for the others."""


def threshold_alert(name: Name, found: Finding) -> Alert:
    """Return what is said of a metric that is beyond its limit."""
    rule = found.threshold
    side = "below" if found.value < found.limit else "above"
    about = families.CATALOGUE.metric(rule.metric)
    assert about is not None
    return Alert(
        alert_id=alert_id(*name, rule.segment, rule.name, found.at_ms),
        state="firing",
        model=name[0],
        version=name[1],
        segment=rule.segment,
        monitor=rule.name,
        kind="threshold",
        severity=rule.severity,
        at_ms=found.at_ms,
        value=found.value,
        threshold=found.limit,
        direction="changed" if about.of_data else "worse",
        detector="threshold",
        message=f"{rule.metric} is {found.value:.4g}, {side} {found.limit:.4g}",
        revision=0,
        evidence={
            "metric": found.metric,
            "count": found.counts,
            "low": found.low,
            "high": found.high,
            "reference": found.reference,
            **({} if found.window_ms is None else {"window_ms": found.window_ms}),
            **({"late_labels": found.late} if found.late else {}),
            **({} if rule.slo is None else {"slo": _burned(rule.slo, rule, found.value)}),
        },
    )


def threshold_retracted(alert: Alert, found: Retraction) -> Alert:
    """Return the revision that takes back an alert of a metric, and which labels are why."""
    rule, ground = found.threshold, found.ground
    kinds = {
        "corrected": ground.corrected,
        "retracted": ground.retracted,
        "late": ground.late,
    }
    why = " and ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    now = "no longer there" if found.value is None else f"{found.value:.4g}"
    window = {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "count": found.counts,
        "start_ms": ground.start_ms,
        "end_ms": ground.end_ms,
    }
    return retract(
        alert,
        at_ms=found.at_ms,
        message=(
            f"the window it opened on has other labels now ({why}):"
            f" {rule.metric} is {now}, limit {ground.limit:.4g}"
        ),
        evidence={"retraction": {"labels": kinds, "window": window}},
    )


def _burned(slo: Slo, rule: Threshold, value: float) -> dict[str, Any]:
    """Return how fast an error budget is used up, and how fast it may be."""
    bad = 1.0 - value if rule.falling else value
    limit = (1.0 - rule.given if rule.falling else rule.given) / slo.budget
    return {
        "name": slo.name,
        "objective": slo.slo.objective,
        "window": rule.window,
        "burn_rate": bad / slo.budget,
        "burn_rate_limit": round(limit, 6),
    }


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
