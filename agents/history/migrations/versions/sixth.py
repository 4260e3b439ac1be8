"""The sixth version: alerts say which incident they are in."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Add the column; alerts of before have nothing in it."""
    op.add_column("alert_revisions", sa.Column("incident_id", sa.Text))
