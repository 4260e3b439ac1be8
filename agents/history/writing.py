"""Write batches into the history: revisions, last values and offsets, in one transaction.

Rules of this file:

* Offsets move by comparing with what they were: of two sinks that write into one database, one is
  refused, and nothing is there twice.
* Rows are written in one go, by COPY into PostgreSQL and by `executemany` into SQLite.
* Within a batch only the last value of a key reaches the table of last values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, insert, select, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from agents.history.tables import (
    ALERT_REVISION,
    KEY,
    METRIC_REVISION,
    alert_revisions,
    gaps,
    metric_revisions,
    metrics,
    positions,
)
from agents.sinks.contract import RefusedError, Upsert
from streams.alerts import Alert
from streams.errors import ConfigError
from streams.metrics import Metric

Row = tuple[Any, ...]

_NO_VALUES = (None,) * (len(METRIC_REVISION) - len(KEY) - 4)
_NO_ALERT = (None,) * (len(ALERT_REVISION) - 1 - 4)
_LATEST = tuple(column.name for column in metrics.columns)
_STAGED = "driftline_latest"

_encode = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(tuple[str, str, str, int, int, str]).decode
_values_of = msgspec.structs.astuple


def written(connection: Connection, upserts: Sequence[Upsert]) -> None:
    """Write a batch, all of it or nothing.

    Raises
    ------
    RefusedError
        If a deletion has a key that is none of a metric.
    """
    revisions: list[Row] = []
    latest: dict[Row, Row | None] = {}
    alerts: list[Row] = []
    for upsert in upserts:
        place = upsert.timestamp_ms, upsert.partition, upsert.offset
        record = upsert.record
        if isinstance(record, Metric):
            values = _values_of(record)
            revisions.append((*values, False, *place))
            latest[values[:6]] = (*values, upsert.timestamp_ms)
        elif isinstance(record, Alert):
            alerts.append((*map(_column, _values_of(record)), False, *place))
        elif upsert.kind == "metrics":
            key = _key(upsert)
            revisions.append((*key, *_NO_VALUES, True, *place))
            latest[key] = None
        else:
            name = upsert.key.decode(errors="replace")
            alerts.append((name, *_NO_ALERT, True, *place))
    write = _copied if connection.dialect.name == "postgresql" else _executed
    write(connection, metric_revisions, METRIC_REVISION, revisions)
    write(connection, alert_revisions, ALERT_REVISION, alerts)
    _keep_latest(connection, latest)


def _column(value: Any) -> Any:
    """Return what a column has: an object is written as JSON."""
    return _encode(value).decode() if isinstance(value, dict) else value


def _key(upsert: Upsert) -> Row:
    try:
        return _decode_key(upsert.key)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError("no_key", f"of a deletion: {error}", upsert=upsert) from None


# ------------------------------------------------------------------ rows
def _executed(connection: Connection, table: Table, names: Sequence[str], rows: list[Row]) -> None:
    if rows:
        connection.exec_driver_sql(_insert(table, names), rows)


def _insert(table: Table, names: Sequence[str]) -> str:
    given = dict.fromkeys(names)
    return str(insert(table).values(given).compile(dialect=sqlite.dialect()))


def _copied(
    connection: Connection, table: Table | str, names: Sequence[str], rows: Iterable[Row]
) -> None:
    if not rows:
        return
    name = table if isinstance(table, str) else table.name
    columns = ", ".join(f'"{column}"' for column in names)
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f'COPY "{name}" ({columns}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(row)


# ------------------------------------------------------------------ last values
def _keep_latest(connection: Connection, latest: dict[Row, Row | None]) -> None:
    gone = [key for key, row in latest.items() if row is None]
    there = [row for row in latest.values() if row is not None]
    if connection.dialect.name == "postgresql":
        _merge(connection, there)
    elif there:
        connection.exec_driver_sql(_REPLACE, there)
    if gone:
        named = [dict(zip(_BOUND, key, strict=True)) for key in gone]
        connection.execute(_DELETE, named)


_BOUND = tuple(f"key_{name}" for name in KEY)
_DELETE = delete(metrics).where(
    text(" AND ".join(f"{name} = :{bound}" for name, bound in zip(KEY, _BOUND, strict=True)))
)
_REPLACE = _insert(metrics, _LATEST).replace("INSERT", "INSERT OR REPLACE", 1)


def _merge(connection: Connection, rows: list[Row]) -> None:
    if not rows:
        return
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGED} (LIKE metrics) ON COMMIT DELETE ROWS"
    )
    connection.exec_driver_sql(f"TRUNCATE {_STAGED}")  # of a batch before, in this transaction
    _copied(connection, _STAGED, _LATEST, rows)
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in _LATEST if name not in KEY)
    connection.exec_driver_sql(
        f"INSERT INTO metrics SELECT * FROM {_STAGED}"  # noqa: S608 - our names
        f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {changed}"
    )


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
    old = metric_revisions.c.visible_at_ms < before_ms
    count = connection.execute(delete(metric_revisions).where(old)).rowcount
    connection.execute(delete(metrics).where(metrics.c.visible_at_ms < before_ms))
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
