"""Write batches into the history: revisions, last values and offsets, in one transaction.

Rules of this file:

* Offsets move by comparing with what they were: of two sinks that write into one database, one is
  refused, and nothing is there twice.
* Rows are written in one go, by COPY into PostgreSQL and by `executemany` into SQLite.
* Within a batch only the last value of a key reaches the table of last values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from agents.history.latest import Latest, Row, copied, insertion
from agents.history.tables import (
    ALERT_REVISION,
    KEY,
    METRIC_REVISION,
    actions,
    alert_revisions,
    distributions,
    feedback,
    gaps,
    metric_revisions,
    metrics,
    models,
    positions,
)
from agents.sinks.contract import Kind, RefusedError, Upsert
from agents.sinks.kinds import KINDS
from streams.alerts import Alert
from streams.errors import ConfigError

_NO_VALUES = (None,) * (len(METRIC_REVISION) - len(KEY) - 4)
_NO_ALERT = (None,) * (len(ALERT_REVISION) - 1 - 4)
_LATEST: Mapping[Kind, Latest] = {
    "metrics": Latest(metrics),
    "actions": Latest(actions),
    "models": Latest(models),
    "distributions": Latest(distributions),
    "feedback": Latest(feedback),
}

_encode = msgspec.json.Encoder().encode
_values_of = msgspec.structs.astuple


def written(connection: Connection, upserts: Sequence[Upsert]) -> None:
    """Write a batch, all of it or nothing.

    Raises
    ------
    RefusedError
        If a deletion has a key that is none of its topic.
    """
    revisions: list[Row] = []
    latest: dict[Kind, dict[Row, Row | None]] = {kind: {} for kind in _LATEST}
    alerts: list[Row] = []
    for upsert in upserts:
        place = upsert.timestamp_ms, upsert.partition, upsert.offset
        record, kind = upsert.record, upsert.kind
        if isinstance(record, Alert):
            alerts.append((*map(_column, _values_of(record)), False, *place))
        elif kind == "alerts":
            name = upsert.key.decode(errors="replace")
            alerts.append((name, *_NO_ALERT, True, *place))
        elif record is None:
            key = _key(upsert)
            latest[kind][key] = None
            if kind == "metrics":
                revisions.append((*key, *_NO_VALUES, True, *place))
        else:
            values = _values_of(record)
            if kind == "metrics":
                revisions.append((*values, False, *place))
            else:
                values = tuple(map(_column, values))
            latest[kind][values[: len(KINDS[kind].key)]] = (*values, upsert.timestamp_ms)
    write = copied if connection.dialect.name == "postgresql" else _executed
    write(connection, metric_revisions, METRIC_REVISION, revisions)
    write(connection, alert_revisions, ALERT_REVISION, alerts)
    for kind, rows in latest.items():
        _LATEST[kind].keep(connection, rows)


def _column(value: Any) -> Any:
    """Return what a column has: an object or a list is written as JSON."""
    return _encode(value).decode() if isinstance(value, dict | list) else value


def _key(upsert: Upsert) -> Row:
    try:
        return tuple(KINDS[upsert.kind].key_of(upsert.key).values())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError("no_key", f"of a deletion: {error}", upsert=upsert) from None


# ------------------------------------------------------------------ rows
def _executed(connection: Connection, table: Table, names: Sequence[str], rows: list[Row]) -> None:
    if rows:
        connection.exec_driver_sql(insertion(table, names), rows)


# ------------------------------------------------------------------ offsets
Positions = dict[tuple[str, int], tuple[int, int]]
"""The next offset of a place, and the timestamp of the last record."""


def moved(connection: Connection, before: Positions, after: Positions, *, now_ms: int) -> None:
    """Move offsets, if they are what they were.

    Raises
    ------
    ConfigError
        If another sink has moved them.
    """
    for (topic, partition), (offset, time_ms) in after.items():
        values = {"next_offset": offset, "timestamp_ms": time_ms, "written_at_ms": now_ms}
        place = (positions.c.topic == topic) & (positions.c.partition == partition)
        known = before.get((topic, partition))
        if known is None:
            made = insert(positions).values(topic=topic, partition=partition, **values)
            try:
                connection.execute(made)
            except IntegrityError:
                raise _not_alone(topic, partition) from None
        else:
            same = place & (positions.c.next_offset == known[0])
            if connection.execute(update(positions).where(same).values(values)).rowcount != 1:
                raise _not_alone(topic, partition)


def seen(connection: Connection, *, now_ms: int) -> None:
    """Write down that nothing more has come until now."""
    connection.execute(update(positions).values(written_at_ms=now_ms))


def _not_alone(topic: str, partition: int) -> ConfigError:
    return ConfigError(
        f"another sink writes {topic}/{partition} into this history; stop one of them, or give each"
        " a database of its own"
    )


def forgotten(connection: Connection, *, before_ms: int) -> int:
    """Delete what became visible before a time; alerts that still fire are kept.

    Returns
    -------
    int
        How many revisions that were.
    """
    for table in (metrics, distributions):
        connection.execute(delete(table).where(table.c.visible_at_ms < before_ms))
    old = metric_revisions.c.visible_at_ms < before_ms
    count = connection.execute(delete(metric_revisions).where(old)).rowcount
    over = select(alert_revisions.c.alert_id).where(
        (alert_revisions.c.state != "firing") | alert_revisions.c.deleted
    )
    settled = alert_revisions.c.alert_id.in_(over)
    old_alerts = delete(alert_revisions).where(alert_revisions.c.visible_at_ms < before_ms, settled)
    return count + connection.execute(old_alerts).rowcount


def note_gap(
    connection: Connection,
    place: tuple[str, int],
    *,
    after_ms: int | None,
    until_ms: int | None,
    what: str,
) -> None:
    """Write down that records are missing."""
    topic, partition = place
    connection.execute(
        insert(gaps).values(
            topic=topic, partition=partition, after_ms=after_ms, until_ms=until_ms, what=what
        )
    )
