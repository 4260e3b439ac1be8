"""The version of the history's schema: made, brought up to date, or refused."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from agents.history.tables import METADATA
from streams.errors import ConfigError

_TABLE = "driftline_schema"


def prepare(connection: Connection) -> None:
    """Make the tables, or bring them to the version of this driftline.

    Raises
    ------
    ConfigError
        If the database has tables of other programs under these names, or is of a newer version.
    """
    if (found := _version(connection)) is None:
        taken = sorted(METADATA.tables.keys() & set(inspect(connection).get_table_names()))
        if taken:
            raise ConfigError(
                f"the database has tables {', '.join(taken)} that driftline did not make; name"
                " another database, or another schema (?options=-csearch_path=NAME)"
            )
    config = _config()
    if found != ScriptDirectory.from_config(config).get_current_head():
        _refuse_unknown(found)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(connection: Connection) -> None:
    """Refuse to read what is no history of this version.

    Raises
    ------
    ConfigError
        With what to do.
    """
    found = _version(connection)
    if found is None:
        raise ConfigError(
            "there is no history in this database; write one with: driftline sink sql"
        )
    _refuse_unknown(found)
    if found != ScriptDirectory.from_config(_config()).get_current_head():
        raise ConfigError(
            f"the history has schema version {found!r}, which is older; start driftline sink sql"
            " once, which brings it up to date"
        )


def _refuse_unknown(found: str | None) -> None:
    known = {one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigError(
            f"the history has schema version {found!r}, which this driftline does not know: a newer"
            " one wrote it; install that version, or name another database"
        )


def _version(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": _TABLE})
    return context.get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
