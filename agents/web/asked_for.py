"""What alerts have asked for, as the history has it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from agents.history.tables import actions
from agents.web.known import MOST_ALERTS, Known

COLUMNS = ("at_ms", "action", "monitor", "version", "segment", "parameters", "action_id")


def asked_for(known: Known, alert_id: str) -> list[tuple[Any, ...]]:
    """Return what an alert, or the alerts of an incident, asked for, the oldest first.

    Objects are JSON.
    """
    own = (actions.c.alert_id == alert_id) | (actions.c.incident_id == alert_id)
    asked = select(*(actions.c[name] for name in COLUMNS)).where(own).limit(MOST_ALERTS)
    if known.until_ms is not None:
        asked = asked.where(actions.c.visible_at_ms <= known.until_ms)
    ordered = asked.order_by(actions.c.at_ms, actions.c.action_id)
    return [tuple(row) for row in known.connection.execute(ordered)]
