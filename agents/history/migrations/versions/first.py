"""The first version."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _key(*, primary: bool) -> list[sa.Column[object]]:
    kinds = {
        "model": sa.Text,
        "version": sa.Text,
        "segment": sa.Text,
        "window_start_ms": sa.BigInteger,
        "window_end_ms": sa.BigInteger,
        "metric": sa.Text,
    }
    return [
        sa.Column(name, kind, nullable=False, primary_key=primary) for name, kind in kinds.items()
    ]


def _values(*, nullable: bool) -> list[sa.Column[object]]:
    return [
        sa.Column("value", sa.Double, nullable=nullable),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.Column("count", sa.BigInteger, nullable=nullable),
        sa.Column("coverage", sa.Double),
        sa.Column("revision", sa.BigInteger, nullable=nullable),
        sa.Column("final", sa.Boolean, nullable=nullable),
    ]


def _place() -> list[sa.Column[object]]:
    return [
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("visible_at_ms", sa.BigInteger, nullable=False),
        sa.Column("kafka_partition", sa.Integer, nullable=False),
        sa.Column("kafka_offset", sa.BigInteger, nullable=False),
    ]


def _number() -> sa.Column[object]:
    return sa.Column("id", _NUMBER, primary_key=True, autoincrement=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "metrics",
        *_key(primary=True),
        *_values(nullable=False),
        sa.Column("visible_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "metric_revisions",
        _number(),
        *_key(primary=False),
        *_values(nullable=True),
        *_place(),
    )
    op.create_index("metric_revisions_visible_at_ms", "metric_revisions", ["visible_at_ms"])
    texts = ("state", "model", "version", "segment", "monitor", "kind", "severity")
    op.create_table(
        "alert_revisions",
        _number(),
        sa.Column("alert_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in texts),
        sa.Column("at_ms", sa.BigInteger),
        sa.Column("value", sa.Double),
        sa.Column("threshold", sa.Double),
        *(sa.Column(name, sa.Text) for name in ("direction", "detector", "message")),
        sa.Column("revision", sa.BigInteger),
        sa.Column("evidence", sa.Text),
        *_place(),
    )
    op.create_index("alert_revisions_visible_at_ms", "alert_revisions", ["visible_at_ms"])
    op.create_index("alert_revisions_alert_id", "alert_revisions", ["alert_id"])
    op.create_table(
        "positions",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger, nullable=False),
        sa.Column("written_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "gaps",
        _number(),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("after_ms", sa.BigInteger),
        sa.Column("until_ms", sa.BigInteger),
        sa.Column("what", sa.Text, nullable=False),
    )
