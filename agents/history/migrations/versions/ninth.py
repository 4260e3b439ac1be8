"""The ninth version: what alerts asked for."""

import sqlalchemy as sa
from alembic import op

revision = "9"
down_revision = "8"


def _texts(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "actions",
        sa.Column("action_id", sa.Text, primary_key=True),
        *_texts("action", "model", "version", "segment", "monitor", "alert_id"),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        *_texts("severity", "message", "parameters", "evidence", "owner", "tags", "incident_id"),
        sa.Column("visible_at_ms", sa.BigInteger, nullable=False),
    )
