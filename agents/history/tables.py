"""The tables of the history, as they are in the newest version of the schema.

`metrics`, `actions`, `models`, `distributions` and `feedback` have the last revision of a key,
`metric_revisions` and `alert_revisions` have every one, deletions too; `visible_at_ms` is the
timestamp of the record on the topic. `id` grows in the order of the topic's partition.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

METADATA = MetaData()
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by INTEGER alone

KEY = ("model", "version", "segment", "window_start_ms", "window_end_ms", "metric")
"""What a metric is identified by, in the order of its key on the topic."""


def _key(*, primary: bool) -> list[Column[object]]:
    kinds = (Text, Text, Text, BigInteger, BigInteger, Text)
    return [
        Column(name, kind, nullable=False, primary_key=primary)
        for name, kind in zip(KEY, kinds, strict=True)
    ]


def _values(*, nullable: bool) -> list[Column[object]]:
    return [
        Column("value", Double, nullable=nullable),
        Column("low", Double),
        Column("high", Double),
        Column("count", BigInteger, nullable=nullable),
        Column("coverage", Double),
        Column("revision", BigInteger, nullable=nullable),
        Column("final", Boolean, nullable=nullable),
    ]


def _place() -> list[Column[object]]:
    return [
        Column("deleted", Boolean, nullable=False),
        Column("visible_at_ms", BigInteger, nullable=False),
        Column("kafka_partition", Integer, nullable=False),
        Column("kafka_offset", BigInteger, nullable=False),
    ]


metrics = Table(
    "metrics",
    METADATA,
    *_key(primary=True),
    *_values(nullable=False),
    Column("visible_at_ms", BigInteger, nullable=False),
)

models = Table(
    "models",
    METADATA,
    *(Column(name, Text, primary_key=True) for name in ("model", "version")),
    *(
        Column(name, Text, nullable=False)
        for name in ("task", "positive", "reason", "classes", "features")
    ),
    *(Column(name, BigInteger, nullable=False) for name in ("numbers", "categories", "texts")),
    *(Column(name, BigInteger, nullable=False) for name in ("first_seen_ms", "last_seen_ms")),
    Column("reference", Text, nullable=False),
    Column("reference_version", Text),
    Column("reference_since_ms", BigInteger, nullable=False),
    Column("reference_rows", BigInteger, nullable=False),
    Column("visible_at_ms", BigInteger, nullable=False),
)

distributions = Table(
    "distributions",
    METADATA,
    *(
        Column(name, Text, primary_key=True)
        for name in ("model", "version", "segment", "series", "feature", "role")
    ),
    Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("missing", BigInteger),
    *(Column(name, Text, nullable=False) for name in ("edges", "counts")),
    *(Column(name, BigInteger, nullable=False) for name in ("below", "above")),
    *(Column(name, Text, nullable=False) for name in ("categories", "category_counts")),
    Column("other", BigInteger, nullable=False),
    *(
        Column(name, Text, nullable=False)
        for name in ("predicted_classes", "true_classes", "positives", "probabilities")
    ),
    Column("visible_at_ms", BigInteger, nullable=False),
    Index("distributions_visible_at_ms", "visible_at_ms"),
)

actions = Table(
    "actions",
    METADATA,
    Column("action_id", Text, primary_key=True),
    *(
        Column(name, Text, nullable=False)
        for name in ("action", "model", "version", "segment", "monitor", "alert_id")
    ),
    Column("at_ms", BigInteger, nullable=False),
    *(
        Column(name, Text, nullable=False)
        for name in ("severity", "message", "parameters", "evidence", "owner", "tags")
    ),
    Column("incident_id", Text, nullable=False),
    Column("visible_at_ms", BigInteger, nullable=False),
)

feedback = Table(
    "feedback",
    METADATA,
    Column("alert_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("verdict", "by")),
    Column("at_ms", BigInteger, nullable=False),
    *(
        Column(name, Text, nullable=False)
        for name in ("model", "version", "segment", "monitor", "note")
    ),
    Column("visible_at_ms", BigInteger, nullable=False),
)

metric_revisions = Table(
    "metric_revisions",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    *_key(primary=False),
    *_values(nullable=True),
    *_place(),
    Index("metric_revisions_visible_at_ms", "visible_at_ms"),
    # All that is needed to find the last revision by key at a time; SQLite adds `id` to any index.
    Index("metric_revisions_key", *KEY, "visible_at_ms", postgresql_include=["id"]),
)

alert_revisions = Table(
    "alert_revisions",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("alert_id", Text, nullable=False),
    *(
        Column(name, Text)
        for name in ("state", "model", "version", "segment", "monitor", "kind", "severity")
    ),
    Column("at_ms", BigInteger),
    Column("value", Double),
    Column("threshold", Double),
    *(Column(name, Text) for name in ("direction", "detector", "message")),
    Column("revision", BigInteger),
    *(Column(name, Text) for name in ("evidence", "owner", "runbook", "tags", "incident_id")),
    Column("silenced", Boolean),
    *_place(),
    Index("alert_revisions_visible_at_ms", "visible_at_ms"),
    Index("alert_revisions_alert_id", "alert_id"),
)

positions = Table(
    "positions",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("written_at_ms", BigInteger, nullable=False),
)

sources = Table(
    "sources",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("topic_id", Text, nullable=False),
)

gaps = Table(
    "gaps",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("after_ms", BigInteger),
    Column("until_ms", BigInteger),
    Column("what", Text, nullable=False),
)

METRIC_REVISION = tuple(column.name for column in metric_revisions.columns if column.name != "id")
ALERT_REVISION = tuple(column.name for column in alert_revisions.columns if column.name != "id")
