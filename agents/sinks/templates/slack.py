"""Slack: blocks of plain text, in which names of models mean nothing but themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.sinks.notifying import Summary, iso, ownership, runbook, title
from agents.sinks.templates.template import Template
from streams.alerts import Alert

_SECTION = 3_000
_MARKS = {"critical": "\N{LARGE RED CIRCLE}", "warning": "\N{LARGE ORANGE CIRCLE}"}
_OVER, _INFO = "\N{LARGE GREEN CIRCLE}", "\N{LARGE BLUE CIRCLE}"


def _alert(alert: Alert, _key: str) -> dict[str, Any]:
    mark = _MARKS.get(alert.severity, _INFO) if alert.state == "firing" else _OVER
    lines = [f"{iso(alert.at_ms)} · alert {alert.alert_id}", *ownership(alert)]
    message = _message(f"{mark} {title(alert)}", lines)
    if link := runbook(alert):
        # The only markup: a URL has none of the characters that would end it.
        text = {"type": "mrkdwn", "text": f"<{link.replace('&', '&amp;')}|Runbook>"}
        message["blocks"].append({"type": "section", "text": text})
    return message


def _summary(summary: Summary, _key: str) -> dict[str, Any]:
    return _message(summary.text, summary.lines)


def _message(head: str, lines: Sequence[str]) -> dict[str, Any]:
    blocks = [{"type": "section", "text": _text(head, _SECTION)}]
    if lines:
        blocks.append({"type": "section", "text": _text("\n".join(lines), _SECTION)})
    return {"text": _escaped(head), "blocks": blocks}


def _text(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": text[:most], "emoji": False}


def _escaped(text: str) -> str:
    # Else <!channel> in the name of a model would wake everybody.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:_SECTION]


TEMPLATE = Template(_alert, _summary)
