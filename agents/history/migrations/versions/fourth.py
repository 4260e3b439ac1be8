"""The fourth version: revisions are found by their key."""

from alembic import op

revision = "4"
down_revision = "3"

_KEY = ["model", "version", "segment", "window_start_ms", "window_end_ms", "metric"]


def upgrade() -> None:
    """Make the index; of a million revisions it takes seconds."""
    op.create_index(
        "metric_revisions_key",
        "metric_revisions",
        [*_KEY, "visible_at_ms"],
        postgresql_include=["id"],
    )
