"""Microsoft Teams, by a Workflows URL: an adaptive card of text runs, which have no markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.printable import printable
from agents.sinks.notifying import Summary, iso, ownership, runbook, title, who
from agents.sinks.templates.template import Template
from streams.alerts import Alert

_COLORS = {"critical": "Attention", "warning": "Warning"}


def _alert(alert: Alert, _key: str) -> dict[str, Any]:
    color = _COLORS.get(alert.severity, "Accent") if alert.state == "firing" else "Good"
    lines = [f"model: {printable(who(alert))}", f"time: {iso(alert.at_ms)}"]
    return _card(title(alert), [*lines, *ownership(alert)], color=color, link=runbook(alert))


def _summary(summary: Summary, _key: str) -> dict[str, Any]:
    return _card(summary.text, summary.lines, color=_COLORS.get(summary.severity, "Accent"))


def _card(head: str, lines: Sequence[str], *, color: str, link: str = "") -> dict[str, Any]:
    first = _run(head, weight="Bolder", color=color)
    content: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [first, *map(_run, lines)],
    }
    if link:
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Runbook", "url": link}]
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _run(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


TEMPLATE = Template(_alert, _summary)
