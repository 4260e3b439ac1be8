"""Alerts: what is published when something is wrong, and when it is over."""

import hashlib
from typing import Any

import msgspec

SEVERITIES = ("info", "warning", "critical")
"""From the least to the worst."""


class Alert(msgspec.Struct, frozen=True):
    """One revision of one alert.

    Attributes
    ----------
    alert_id
        The same for every revision, and for every run over the same events.
    state
        `firing`, `resolved` or `retracted`.
    kind
        `threshold`, `drift`, `data`, `pipeline`, or `incident`: what alerts of one model that are
        open at the same time are together.
    at_ms
        Event time of this revision.
    direction
        `worse`, `better` or `changed`.
    detector
        Which test said so: `threshold`, `scan`, `adwin`, `page_hinkley`.
    owner, runbook, tags
        What the monitors file said of the model when the alert began; empty where it said nothing.
    incident_id
        The `alert_id` of the incident that the alert is a member of; empty of an incident itself.
    silenced
        Whether nobody is to be told, see `silences` in the monitors file; of an incident, whether
        that goes for all its alerts.
    """

    alert_id: str
    state: str
    model: str
    version: str
    segment: str
    monitor: str
    kind: str
    severity: str
    at_ms: int
    value: float | None
    threshold: float | None
    direction: str
    detector: str
    message: str
    revision: int
    evidence: dict[str, Any]
    owner: str = ""
    runbook: str = ""
    tags: dict[str, str] = {}
    incident_id: str = ""
    silenced: bool = False


def alert_id(*identity: str | int) -> str:
    """Derive an identifier from what makes an alert this alert.

    Examples
    --------
    >>> alert_id("fraud", "v2", "", "loss-drift", 1700000000000)
    'f53ee6aec90e90d9'
    """
    text = msgspec.json.encode(identity)
    return hashlib.sha256(text).hexdigest()[:16]


def resolve(alert: Alert, *, at_ms: int, message: str) -> Alert:
    """Return the revision that ends an alert."""
    return msgspec.structs.replace(
        alert, state="resolved", at_ms=at_ms, message=message, revision=alert.revision + 1
    )


def retract(alert: Alert, *, at_ms: int, message: str, evidence: dict[str, Any]) -> Alert:
    """Return the revision that takes an alert back, with what of its evidence is another now."""
    return msgspec.structs.replace(
        alert,
        state="retracted",
        at_ms=at_ms,
        message=message,
        revision=alert.revision + 1,
        evidence=alert.evidence | evidence,
    )


def order_of(alert: Alert) -> tuple[bool, str, int]:
    """Return what orders revisions of one monitor and moment: what is taken back makes room."""
    return alert.state != "retracted", alert.alert_id, alert.revision


def say_again(alert: Alert, *, at_ms: int, ticked: bool) -> Alert:
    """Return the revision that tells of an alert as its silence has ended."""
    observed = {"observed": {"tick": True}} if ticked else {}
    return msgspec.structs.replace(
        alert,
        at_ms=at_ms,
        revision=alert.revision + 1,
        evidence=alert.evidence | observed,
        silenced=False,
    )
