"""Run by Alembic: migrate over the connection that `agents.history.schema` has."""

from alembic import context

from agents.history.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="driftline_schema",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
