"""What people have said of alerts, as the history has it."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from agents.history.tables import feedback
from agents.web.known import Known
from streams.verdicts import Verdict

_FIELDS = Verdict.__struct_fields__


def verdicts(known: Known) -> dict[str, Verdict]:
    """Return the last verdict on every alert that has one, by its id.

    As of an earlier time, what was said later is left out; what had been said before that is not
    kept.
    """
    asked = select(*(feedback.c[name] for name in _FIELDS))
    if known.until_ms is not None:
        asked = asked.where(feedback.c.visible_at_ms <= known.until_ms)
    rows = known.connection.execute(asked)
    found = (msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Verdict) for row in rows)
    return {one.alert_id: one for one in found}
