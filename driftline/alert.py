"""The alert record, as users read it; that of the workers is `streams.alerts.Alert`."""

from __future__ import annotations

from typing import Any

import msgspec


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
