"""Read the history: what was known at a time, and what changed between two.

*Known at a time* is the last revision of a key among records whose timestamp is not after it, in
the order of the topic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

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
    return _metrics(connection, until_ms, _Asked(model))


def alerts_at(
    connection: Connection, until_ms: int, *, model: str | None = None
) -> dict[Key, Known]:
    """Return the alerts that were known at a time, by alert id."""
    return _alerts(connection, until_ms, _Asked(model))


def metrics_changed(
    connection: Connection, since_ms: int, until_ms: int, *, model: str | None = None
) -> Iterator[Change]:
    """Yield what of the metrics that were known changed between two times, sorted by key."""
    asked = _Asked(model, since_ms, until_ms)
    before = _metrics(connection, since_ms, asked)
    return changes(before, _metrics(connection, until_ms, asked))


def alerts_changed(
    connection: Connection, since_ms: int, until_ms: int, *, model: str | None = None
) -> Iterator[Change]:
    """Yield what of the alerts that were known changed between two times, by alert id."""
    asked = _Asked(model, since_ms, until_ms)
    before = _alerts(connection, since_ms, asked)
    return changes(before, _alerts(connection, until_ms, asked))


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


class _Asked(NamedTuple):
    """Which keys: of one model or all, and if there are times, of revisions between them."""

    model: str | None
    since_ms: int | None = None
    until_ms: int | None = None

    def model_in(self, table: Table) -> list[ColumnElement[bool]]:
        if self.model is None:
            return []
        same = table.c.model == self.model
        # A deletion of an alert names no model: it is found by its key.
        return [same | table.c.model.is_(None) if table.c.model.nullable else same]


def _metrics(connection: Connection, until_ms: int, asked: _Asked) -> dict[Key, Known]:
    rows = _last(connection, metric_revisions, KEY, METRIC_FIELDS, until_ms=until_ms, asked=asked)
    width = len(KEY)
    return {
        record[:width]: Known(at_ms, dict(zip(METRIC_FIELDS, record, strict=True)))
        for at_ms, record in rows
    }


def _alerts(connection: Connection, until_ms: int, asked: _Asked) -> dict[Key, Known]:
    key = ("alert_id",)
    rows = _last(connection, alert_revisions, key, ALERT_FIELDS, until_ms=until_ms, asked=asked)
    found = {}
    for at_ms, values in rows:
        record = dict(zip(ALERT_FIELDS, values, strict=True))
        for name in ("evidence", "tags"):
            record[name] = json.loads(record[name] or "{}")
        # What a record of before the third, sixth or eighth version of the schema had nothing of.
        record |= {name: record[name] or "" for name in ("owner", "runbook", "incident_id")}
        record["silenced"] = bool(record["silenced"])
        found[values[:1]] = Known(at_ms, record)
    return found


def _last(
    connection: Connection,
    table: Table,
    key: Sequence[str],
    fields: Sequence[str],
    *,
    until_ms: int,
    asked: _Asked,
) -> list[tuple[int, Key]]:
    """Return the last revision by key that was visible at a time, without deletions, by key.

    Databases sort texts in ways of their own, and would sort whole rows.
    """
    columns = [table.c[name] for name in key]
    newest = select(func.max(table.c.id)).where(
        table.c.visible_at_ms <= until_ms, *asked.model_in(table)
    )
    if asked.since_ms is not None:
        between = table.c.visible_at_ms.between(asked.since_ms + 1, asked.until_ms)
        moved = select(*columns).where(between, *asked.model_in(table)).distinct().subquery()
        same = and_(*(column == moved.c[column.name] for column in columns))
        newest = newest.select_from(moved.join(table, same))
    values = (table.c[name] for name in fields)
    wanted = select(table.c.deleted, table.c.visible_at_ms, *values)
    rows = connection.execute(wanted.where(table.c.id.in_(newest.group_by(*columns))))
    width = 2 + len(key)
    there = (tuple(row) for row in rows if not row[0])
    return [(row[1], row[2:]) for row in sorted(there, key=lambda row: row[2:width])]
