"""The seventh version: what people say of alerts."""

import sqlalchemy as sa
from alembic import op

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Make the table."""
    names = ("model", "version", "segment", "monitor", "note")
    op.create_table(
        "feedback",
        sa.Column("alert_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("verdict", "by")),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in names),
        sa.Column("visible_at_ms", sa.BigInteger, nullable=False),
    )
