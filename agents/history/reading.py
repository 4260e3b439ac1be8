"""Read the history: what was known at a time, and what changed between two.

*Known at a time* is the last revision of a key among records whose timestamp is not after it, in
the order of the topic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Table, func, select

from agents.history.tables import KEY, alert_revisions, gaps, metric_revisions, positions
from streams.alerts import Alert
from streams.metrics import Metric

METRIC_FIELDS: Sequence[str] = Metric.__struct_fields__
ALERT_FIELDS: Sequence[str] = Alert.__struct_fields__


class Known(NamedTuple):
    """A revision, as it is on the topic, and when it became visible."""

    visible_at_ms: int
    record: dict[str, Any]


class Change(NamedTuple):
    """A key whose last revision differs; None where there was none, or no more."""

    before: Known | None
    after: Known | None


Key = tuple[Any, ...]

_BEAT_MS = 20_000
"""How often a sink is seen at least, where nothing comes."""


def metrics_at(
    connection: Connection, until_ms: int, *, model: str | None = None
) -> dict[Key, Known]:
    """Return the metrics that were known at a time, sorted by key.

    Parameters
    ----------
    model
        Only this one; None means all.
    """
    rows = _last(connection, metric_revisions, KEY, until_ms=until_ms, model=model)
    return {tuple(row[name] for name in KEY): _metric(row) for row in rows if not row["deleted"]}


def alerts_at(
    connection: Connection, until_ms: int, *, model: str | None = None
) -> dict[Key, Known]:
    """Return the alerts that were known at a time, by alert id."""
    rows = _last(connection, alert_revisions, ("alert_id",), until_ms=until_ms, model=model)
    return {(row["alert_id"],): _alert(row) for row in rows if not row["deleted"]}


def changes(before: dict[Key, Known], after: dict[Key, Known]) -> Iterator[Change]:
    """Yield what differs between two times, sorted by key."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None or old.record != new.record:
            yield Change(old, new)


def holes(connection: Connection, since_ms: int | None, until_ms: int) -> list[str]:
    """Say what is missing between two times, and how old the newest of the history is."""
    found = [
        row.what
        for row in connection.execute(select(gaps).order_by(gaps.c.id))
        if (row.after_ms is None or row.after_ms <= until_ms)
        and (row.until_ms is None or since_ms is None or row.until_ms >= since_ms)
    ]
    written_ms = connection.execute(select(func.max(positions.c.written_at_ms))).scalar()
    if written_ms is None:
        found.append("nothing was written into this history yet")
    elif written_ms < until_ms - _BEAT_MS:
        found.append(f"its sink was last seen {(until_ms - written_ms) / 1_000:.0f} s before that")
    return found


def _last(
    connection: Connection,
    table: Table,
    key: Sequence[str],
    *,
    until_ms: int,
    model: str | None,
) -> Sequence[RowMapping]:
    newest = select(func.max(table.c.id)).where(table.c.visible_at_ms <= until_ms)
    if model is not None:
        # A deletion of an alert names none: it is found by its key.
        newest = newest.where((table.c.model == model) | (table.c.model.is_(None)))
    newest = newest.group_by(*(table.c[name] for name in key))
    wanted = select(table).where(table.c.id.in_(newest))
    rows = connection.execute(wanted.order_by(*(table.c[name] for name in key)))
    return rows.mappings().all()


def _metric(row: RowMapping) -> Known:
    return Known(row["visible_at_ms"], {name: row[name] for name in METRIC_FIELDS})


def _alert(row: RowMapping) -> Known:
    record = {name: row[name] for name in ALERT_FIELDS}
    for name in ("evidence", "tags"):
        record[name] = json.loads(record[name] or "{}")
    # What a record of before the third version of the schema had nothing of.
    record |= {name: record[name] or "" for name in ("owner", "runbook")}
    return Known(row["visible_at_ms"], record)
