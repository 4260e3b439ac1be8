"""The eighth version: alerts say whether nobody was to be told of them."""

import sqlalchemy as sa
from alembic import op

revision = "8"
down_revision = "7"


def upgrade() -> None:
    """Add the column; alerts of before have nothing in it."""
    op.add_column("alert_revisions", sa.Column("silenced", sa.Boolean))
