"""The action record, as users read it; that of the workers is `streams.actions.Action`."""

from __future__ import annotations

from typing import Any

import msgspec


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, by whoever is in charge of it.

    Attributes
    ----------
    action_id
        Made of the alert's id and the action: the same for every run over the same events, so that
        one that comes twice is done once.
    action
        `rollback`, `retrain`, `promote` or `request_labels`.
    at_ms
        Event time at which the alert began.
    parameters
        What the monitors file says.
    severity, message, evidence, owner, tags, incident_id
        Of the alert, as it began.
    """

    action_id: str
    action: str
    model: str
    version: str
    segment: str
    monitor: str
    alert_id: str
    at_ms: int
    severity: str
    message: str
    parameters: dict[str, Any] = {}
    evidence: dict[str, Any] = {}
    owner: str = ""
    tags: dict[str, str] = {}
    incident_id: str = ""
