"""Alerts that say what the scan has found."""

from typing import Any

import msgspec

from streams.alerts import Alert, alert_id
from streams.model_keys import Name
from streams.monitors import SCAN
from streams.scan.life import Found
from streams.scan.watch import Alarm


def scan_alert(name: Name, alarm: Alarm) -> Alert:
    """Return the first revision of an alert."""
    drift, found, detector = alarm
    evidence, monitor = found.evidence, monitor_of(alarm)
    least = found.direction == "better" or detector != SCAN
    return Alert(
        alert_id=alert_id(*name, monitor, found.source, found.at_ms),
        state="firing",
        model=name[0],
        version=name[1],
        segment=found.segment,
        monitor=monitor,
        kind="drift",
        severity="info" if least else drift.severity,
        at_ms=found.at_ms,
        value=evidence["after"],
        threshold=evidence["before"],
        direction=found.direction,
        detector=detector,
        message=_message(found),
        revision=0,
        evidence=_told(found),
    )


def monitor_of(alarm: Alarm) -> str:
    """Return how an alert names its monitor: those of other detectors are beside that of the scan.

    Examples
    --------
    >>> from streams.monitors import Drift
    >>> monitor_of(Alarm(Drift(name="loss-scan", input="loss"), None, "adwin"))
    'loss-scan-adwin'
    """
    name = alarm.drift.name
    return name if alarm.detector == SCAN else f"{name}-{alarm.detector}"


def revised(alert: Alert, found: Found) -> Alert:
    """Return the next revision, with what is known of the change now."""
    return msgspec.structs.replace(
        alert,
        at_ms=found.at_ms,
        value=found.evidence["after"],
        threshold=found.evidence["before"],
        message=_message(found),
        revision=alert.revision + 1,
        evidence=_told(found),
    )


def _told(found: Found) -> dict[str, Any]:
    return {"input": found.source, **found.evidence}


def _message(found: Found) -> str:
    before, after = found.evidence["before"], found.evidence["after"]
    return f"{found.source} went from {before:.4g} to {after:.4g}"


def over(found: Found) -> str:
    """Say why something is over."""
    if found.evidence.get("anew"):
        return "had no reference yet; what is usual is learnt anew, from how it is now"
    return "is back to what is usual"
