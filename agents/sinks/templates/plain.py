"""The alert as it is, in the envelope of Standard Webhooks: type, timestamp, data."""

from __future__ import annotations

from typing import Any

from agents.sinks.notifying import Summary, iso
from agents.sinks.templates.template import Template
from streams.alerts import Alert


def _alert(alert: Alert, _key: str) -> dict[str, Any]:
    return {"type": f"alert.{alert.state}", "timestamp": iso(alert.at_ms), "data": alert}


def _summary(summary: Summary, _key: str) -> dict[str, Any]:
    data = {"text": summary.text, "severity": summary.severity, "firing": summary.firing}
    last_ms = summary.alerts[-1].at_ms
    return {"type": "alerts.summary", "timestamp": iso(last_ms), "data": data}


TEMPLATE = Template(_alert, _summary)
