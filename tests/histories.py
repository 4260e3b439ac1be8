"""What the database of a history must have, found by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from agents.history import database
from streams.metrics import Metric
from tests.sinking import TOPICS, Log, alert, metric


def ask(url: str, question: Callable[[Connection], Any]) -> Any:
    engine = database.engine_of(database.url_of(url))
    try:
        with engine.begin() as connection:
            return question(connection)
    finally:
        engine.dispose()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    return ask(url, lambda connection: [tuple(row) for row in connection.execute(text(query))])  # type: ignore[no-any-return]


def a_log() -> Log:
    """Return revisions of two metrics and an alert, with deletions and keys that come back."""
    log, other = Log(), metric(1, model="o'brien \"/<b>\x1b[31m", metric="mean:f")
    log.add(metric(1), other, metric(2), alert())
    log.delete(other)
    log.add(metric(3, final=True), alert("resolved", 1), metric(1, metric="recall"))
    log.delete(metric(1, metric="recall"))
    log.add(other)
    return log


def asof_by_hand(log: Log, until_ms: int) -> Mapping[tuple[Any, ...], dict[str, Any]]:
    """Return what an independent reader finds in the topic up to a time."""
    found = {}
    for entry in log.entries:
        if entry.topic == TOPICS.metrics and entry.timestamp_ms <= until_ms:
            key = tuple(msgspec.json.decode(entry.key or b""))
            found[key] = None if entry.value is None else msgspec.json.decode(entry.value)
    return {key: record for key, record in sorted(found.items()) if record is not None}


def assert_history_is(url: str, log: Log) -> None:
    revisions = rows(url, "SELECT kafka_offset, deleted FROM metric_revisions ORDER BY id")
    ours = [one for one in log.entries if one.topic == TOPICS.metrics]
    assert [(n, bool(gone)) for n, gone in revisions] == [(e.offset, e.value is None) for e in ours]
    alerts = [one.offset for one in log.entries if one.topic == TOPICS.alerts]
    assert rows(url, "SELECT kafka_offset FROM alert_revisions ORDER BY id") == [
        (offset,) for offset in alerts
    ]
    last = asof_by_hand(log, sys.maxsize)
    columns = ", ".join(f'"{name}"' for name in Metric.__struct_fields__)
    assert sorted(rows(url, f"SELECT {columns} FROM metrics")) == sorted(
        tuple(record.values()) for record in last.values()
    )
