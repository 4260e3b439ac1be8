"""``driftline asof`` and ``driftline diff``: print what the history knows."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from agents.history import database, reading, schema
from agents.history.failures import errors, failure
from agents.history.reading import Change, Known
from agents.history.times import parse_time_ms
from agents.printable import printable
from streams.errors import ConfigError

Print = Callable[[str], None]


def show_asof(
    when: str, *, history: str | None, model: str | None, json_output: bool, now: datetime
) -> None:
    """Print the last revision of every key among records up to a time."""
    until_ms = parse_time_ms(when, now=now)
    with connected(history) as connection:
        _tell(reading.holes(connection, None, until_ms))
        metrics = reading.metrics_at(connection, until_ms, model=model)
        alerts = reading.alerts_at(connection, until_ms, model=model)
    lines = _as_json if json_output else _as_text
    _print(line for known in (*metrics.values(), *alerts.values()) for line in lines(known))
    if not json_output:
        _note(f"{len(metrics)} metrics and {len(alerts)} alerts at {_clock(until_ms)} UTC")


def show_diff(
    first: str,
    second: str,
    *,
    history: str | None,
    model: str | None,
    json_output: bool,
    now: datetime,
) -> None:
    """Print what the last revisions at two times differ in."""
    since_ms, until_ms = parse_time_ms(first, now=now), parse_time_ms(second, now=now)
    if since_ms > until_ms:
        raise ConfigError(f"{first!r} is after {second!r}; write the earlier time first")
    with connected(history) as connection:
        _tell(reading.holes(connection, since_ms, until_ms))
        found = [
            *reading.metrics_changed(connection, since_ms, until_ms, model=model),
            *reading.alerts_changed(connection, since_ms, until_ms, model=model),
        ]
    _print(_change_as_json(one) if json_output else _change_as_text(one) for one in found)
    if not json_output:
        _note(f"{len(found)} changed from {_clock(since_ms)} to {_clock(until_ms)} UTC")


@contextmanager
def connected(history: str | None) -> Iterator[Connection]:
    """Connect to a history, whose schema must be of this version.

    Raises
    ------
    ConfigError
        If there is none, or it cannot be read.
    """
    given = history or os.environ.get(database.VARIABLE) or database.DEFAULT
    url = database.url_of(given)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise ConfigError(
            f"there is no history {url.database!r}; write one with driftline sink sql, or name one"
            " with --history"
        )
    engine = database.engine_of(url, writes=False)
    try:
        with engine.connect() as connection:
            schema.check(connection)
            yield connection
    except errors() as error:
        raise ConfigError(str(failure(error, where=database.shown(url)))) from None
    finally:
        engine.dispose()


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _tell(holes: Iterable[str]) -> None:
    for hole in holes:
        _note(f"incomplete: {hole}")


def _note(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")


# ------------------------------------------------------------------ lines
def _as_json(known: Known) -> Iterator[str]:
    yield json.dumps({"visible_at_ms": known.visible_at_ms, **known.record})


def _as_text(known: Known) -> Iterator[str]:
    record = known.record
    if "alert_id" in record:
        yield printable(f"{_alert_name(record)}: {record['message']}")
    else:
        yield printable(f"{_metric_name(record)} {_value(record)}")


def _change_as_json(change: Change) -> str:
    before, after = (one and {"visible_at_ms": one[0], **one[1]} for one in change)
    return json.dumps({"before": before, "after": after})


def _change_as_text(change: Change) -> str:
    before, after = (one.record if one else None for one in change)
    record = after or before or {}
    if "alert_id" in record:
        was = before["state"] if before else "new"
        now = after["state"] if after else "deleted"
        return printable(f"{_alert_name(record)}: {was} -> {now}: {record['message']}")
    was = _value(before) if before else "new"
    now = _value(after) if after else "deleted"
    return printable(f"{_metric_name(record)} {was} -> {now}")


def _alert_name(record: dict[str, Any]) -> str:
    head = f"{_clock(record['at_ms'])}  {record['state']:<9} {record['severity']:<8}"
    return f"{head} {_who(record)} {record['monitor']}"


def _metric_name(record: dict[str, Any]) -> str:
    length_s = (record["window_end_ms"] - record["window_start_ms"]) // 1_000
    start = f"{_clock(record['window_start_ms'])} +{length_s}s"
    return f"{start}  {_who(record):<24} {record['metric']:<24}"


def _value(record: dict[str, Any]) -> str:
    final = " final" if record["final"] else ""
    return f"{record['value']:.6g} (n={record['count']} rev={record['revision']}{final})"


def _who(record: dict[str, Any]) -> str:
    return "/".join(str(record[name]) for name in ("model", "version", "segment")).rstrip("/")


def _clock(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
