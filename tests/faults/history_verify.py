"""What a history must have, from the topics, which are read without anything of the product.

Every check returns what is wrong, a line each. Of the history itself, only tables and columns are
known, as docs/how-to/sinks.md has them, and what `driftline asof` prints.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition
from sqlalchemy import Connection, text

from tests.faults.verify import shortened

KEY = ("model", "version", "segment", "window_start_ms", "window_end_ms", "metric")
_PLACE = ("id", "deleted", "visible_at_ms", "kafka_partition", "kafka_offset")

Record = dict[str, Any]
Known = dict[bytes, tuple[int, Record]]


class Revision(NamedTuple):
    """One record of a topic, or a row of the history that says the same; None is a deletion."""

    partition: int
    offset: int
    time_ms: int
    key: bytes
    record: Record | None


# ------------------------------------------------------------------ the topics
def on_topic(servers: str, topic: str, *, partitions: int) -> list[Revision]:
    """Read a topic to its end, what was committed of it, in the order of each partition."""
    settings = {
        "bootstrap.servers": servers,
        "group.id": "history-verifier",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
    }
    found, unfinished = [], set(range(partitions))
    consumer = Consumer(settings)
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in unfinished])
        while unfinished:
            for message in consumer.consume(10_000, 1.0):
                error, number = message.error(), message.partition()
                if error is None:
                    value = message.value()
                    record = None if value is None else json.loads(value)
                    place = number, message.offset(), message.timestamp()[1], message.key()
                    found.append(Revision(*place, record))  # type: ignore[arg-type]
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    unfinished.discard(number)  # type: ignore[arg-type]
    finally:
        consumer.close()
    return sorted(found)


def known_at(revisions: Iterable[Revision], until_ms: int) -> Known:
    """Return what was known at a time: the last revision by key among those that were there."""
    last = {one.key: one for one in revisions if one.time_ms <= until_ms}
    return {key: (one.time_ms, one.record) for key, one in last.items() if one.record is not None}


# ------------------------------------------------------------------ the history
def key_of(record: Mapping[str, Any]) -> bytes:
    """Return the key under which a metric or an alert is on its topic."""
    if "alert_id" in record:
        return str(record["alert_id"]).encode()
    names = [record[name] for name in KEY]
    return json.dumps(names, separators=(",", ":"), ensure_ascii=False).encode()


def revisions_of(connection: Connection, table: str) -> list[Revision]:
    """Return the rows of `metric_revisions` or `alert_revisions`, in the order of `id`."""
    rows = connection.execute(text(f"SELECT * FROM {table} ORDER BY id")).mappings()
    return [
        Revision(
            row["kafka_partition"],
            row["kafka_offset"],
            row["visible_at_ms"],
            key_of(row),  # type: ignore[arg-type]
            None if row["deleted"] else _record(row, without=_PLACE),  # type: ignore[arg-type]
        )
        for row in rows
    ]


def last_values(connection: Connection) -> list[Record]:
    """Return the rows of `metrics`, in the order of a replay's file."""
    rows = connection.execute(text("SELECT * FROM metrics")).mappings()
    found = [_record(row, without=("visible_at_ms",)) for row in rows]  # type: ignore[arg-type]
    return sorted(found, key=lambda one: [one[name] for name in KEY])


def next_offsets(connection: Connection) -> dict[tuple[str, int], int]:
    """Return how far the history is, by topic and partition."""
    rows = connection.execute(text("SELECT topic, partition, next_offset FROM positions"))
    return {(row.topic, row.partition): row.next_offset for row in rows}


def gaps(connection: Connection) -> list[str]:
    """Return what the history says that is missing."""
    return [f"gap: {what}" for (what,) in connection.execute(text("SELECT what FROM gaps"))]


def _record(row: Mapping[str, Any], *, without: Sequence[str]) -> Record:
    record = {name: value for name, value in row.items() if name not in without}
    if "final" in record:  # SQLite has no truth values
        record["final"] = bool(record["final"])
    for name in {"evidence", "tags"} & record.keys():
        record[name] = json.loads(record[name])
    return record


# ------------------------------------------------------------------ checks
def every_revision_once(rows: Sequence[Revision], published: Sequence[Revision]) -> list[str]:
    """The history has every record once, as it is on the topic, in the order of its partition."""
    found = []
    for number in sorted({one.partition for one in (*rows, *published)}):
        ours, theirs = (
            [one for one in all_of if one.partition == number] for all_of in (rows, published)
        )
        if len(ours) != len(theirs):
            found.append(f"partition {number}: {len(ours)} revisions of {len(theirs)}")
        for one, right in zip(ours, theirs, strict=False):
            if one != right:
                found.append(f"partition {number}: {one}, should be {right}")
                break
    return found


def last_values_are(metrics: Iterable[Record], published: Iterable[Revision]) -> list[str]:
    """The table of last values has what is last on the topic, key by key."""
    last = {one.key: one.record for one in published}
    wanted = {key: record for key, record in last.items() if record is not None}
    held = {key_of(metric): metric for metric in metrics}
    return _differences("metrics", held, wanted)


def asof_is(printed: Iterable[str], *, known: Known) -> list[str]:
    """What `driftline asof --json` prints is what was on the topics then."""
    held = {}
    for line in printed:
        record = json.loads(line)
        held[key_of(record)] = record.pop("visible_at_ms"), record
    return _differences("asof", held, known)


def _differences(name: str, held: Mapping[bytes, Any], wanted: Mapping[bytes, Any]) -> list[str]:
    return shortened(
        f"{name} {key!r}: {held.get(key)}, should be {wanted.get(key)}"
        for key in sorted(held.keys() | wanted.keys())
        if held.get(key) != wanted.get(key)
    )
