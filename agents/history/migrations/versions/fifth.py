"""The fifth version: what models are, and what their hours look like."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def _texts(*names: str, key: bool = False) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.Text, nullable=False, primary_key=key) for name in names]


def _numbers(*names: str, key: bool = False) -> list[sa.Column[object]]:
    return [
        sa.Column(name, sa.BigInteger, nullable=False, primary_key=key, autoincrement=False)
        for name in names
    ]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "models",
        *_texts("model", "version", key=True),
        *_texts("task", "positive", "reason", "classes", "features"),
        *_numbers("numbers", "categories", "texts", "first_seen_ms", "last_seen_ms"),
        *_texts("reference"),
        sa.Column("reference_version", sa.Text),
        *_numbers("reference_since_ms", "reference_rows", "visible_at_ms"),
    )
    op.create_table(
        "distributions",
        *_texts("model", "version", "segment", "series", "feature", "role", key=True),
        *_numbers("start_ms", key=True),
        *_numbers("end_ms", "count"),
        sa.Column("missing", sa.BigInteger),
        *_texts("edges", "counts"),
        *_numbers("below", "above"),
        *_texts("categories", "category_counts"),
        *_numbers("other"),
        *_texts("predicted_classes", "true_classes", "positives", "probabilities"),
        *_numbers("visible_at_ms"),
    )
    op.create_index("distributions_visible_at_ms", "distributions", ["visible_at_ms"])
