"""PagerDuty, Events API v2: an alert is an incident, which its resolution ends."""

from __future__ import annotations

from typing import Any

from agents.sinks.notifying import Summary, iso, runbook, title, who
from agents.sinks.templates.template import Template
from streams.alerts import SEVERITIES, Alert

_LONGEST, _LONGEST_KEY = 1_024, 255


def _alert(alert: Alert, key: str) -> dict[str, Any]:
    link = runbook(alert)
    return {
        "routing_key": key,
        "event_action": "trigger" if alert.state == "firing" else "resolve",
        "dedup_key": alert.alert_id[:_LONGEST_KEY],
        "client": "driftline",
        "links": [{"href": link, "text": "Runbook"}] if link else [],
        "payload": {
            "summary": title(alert)[:_LONGEST],
            "source": who(alert) or "driftline",
            "severity": _severity(alert.severity),
            "timestamp": iso(alert.at_ms),
            "component": alert.model,
            "class": alert.kind,
            "custom_details": alert,
        },
    }


def _summary(summary: Summary, key: str) -> dict[str, Any]:
    return {
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": summary.name[:_LONGEST_KEY],
        "client": "driftline",
        "payload": {
            "summary": summary.text[:_LONGEST],
            "source": "driftline",
            "severity": _severity(summary.severity),
            "timestamp": iso(summary.alerts[-1].at_ms),
            "custom_details": {"firing": summary.lines},
        },
    }


def _severity(severity: str) -> str:
    return severity if severity in SEVERITIES else "warning"


TEMPLATE = Template(_alert, _summary, needs_key=True)
