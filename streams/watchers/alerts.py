"""Alerts that say what detectors have found."""

from typing import Any

from streams.alerts import Alert, alert_id
from streams.model_keys import Name
from streams.monitors import Drift
from streams.watchers.lanes import Change


def direction_of(change: Change) -> str:
    """Tell whether a model is worse by a change; of data, nobody knows."""
    if change.source != "loss":
        return "changed"
    return "worse" if change.after > change.before else "better"


def drift_alert(name: Name, drift: Drift, change: Change) -> Alert:
    """Return the first revision of an alert."""
    direction = direction_of(change)
    source, at_ms = change.source, change.at_ms
    evidence: dict[str, Any] = {
        "input": source,
        "index": change.index,
        "mean_before": change.before,
        "mean_after": change.after,
    }
    if source == "loss":
        evidence["outcome_index"] = change.index
    return Alert(
        alert_id=alert_id(*name, drift.name, source, at_ms, change.index),
        state="firing",
        model=name[0],
        version=name[1],
        segment="",
        monitor=drift.name,
        kind="drift",
        severity="info" if direction == "better" else drift.severity,
        at_ms=at_ms,
        value=change.after,
        threshold=change.before,
        direction=direction,
        detector=drift.detector,
        message=f"{source} drifted from {change.before:.4g} to {change.after:.4g}",
        revision=0,
        evidence=evidence,
    )
