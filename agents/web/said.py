"""What people have said of alerts, as the history has it."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from agents.history.tables import alert_revisions, feedback
from agents.web.known import MOST_ALERTS, Known
from streams.verdicts import Verdict

_FIELDS = Verdict.__struct_fields__


def verdicts(known: Known) -> dict[str, Verdict]:
    """Return the last verdict on every alert that has one, by its id.

    As of an earlier time, what was said later is left out; what had been said before that is not
    kept. Only alerts that the history has are asked for, and of these the newest verdicts: who may
    write to the topic may have judged millions that never were.
    """
    raised = select(alert_revisions.c.alert_id)
    asked = (
        select(*(feedback.c[name] for name in _FIELDS))
        .where(feedback.c.alert_id.in_(raised))
        .order_by(feedback.c.visible_at_ms.desc())
        .limit(MOST_ALERTS)
    )
    if known.until_ms is not None:
        asked = asked.where(feedback.c.visible_at_ms <= known.until_ms)
    rows = known.connection.execute(asked)
    found = (msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Verdict) for row in rows)
    return {one.alert_id: one for one in found}
