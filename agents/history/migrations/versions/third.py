"""The third version: alerts say whom their model belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Add the columns; alerts of before have nothing in them."""
    for name in ("owner", "runbook", "tags"):
        op.add_column("alert_revisions", sa.Column(name, sa.Text))
