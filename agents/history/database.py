"""Where the history is: a SQLite file, or PostgreSQL."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from streams.errors import ConfigError

DEFAULT = "driftline-history.db"
VARIABLE = "DRIFTLINE_HISTORY"
"""Names the database where the command line does not, so that no password stands there."""

_LOCKED_S = 10


def url_of(text: str) -> URL:
    """Read a URL, or the name of a SQLite file.

    Raises
    ------
    ConfigError
        If it is neither, or of a database that is not supported.

    Examples
    --------
    >>> str(url_of("history.db")), url_of("postgresql://me:x@db/driftline").drivername
    ('sqlite:///history.db', 'postgresql+psycopg')
    """
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "the history's URL cannot be read; write postgresql://USER:PASSWORD@HOST/DATABASE, or"
            " the name of a SQLite file"
        ) from None
    kind = url.get_backend_name()
    if kind == "postgresql":
        if find_spec("psycopg") is None:
            raise ConfigError("PostgreSQL needs: pip install 'driftline[postgresql]'")
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.database:
        return url
    raise ConfigError(f"{shown(url)}: a history is in SQLite or PostgreSQL, not in {kind!r}")


def shown(url: URL) -> str:
    """Return a URL without its password."""
    return url.render_as_string(hide_password=True)


def engine_of(url: URL, *, writes: bool = True) -> Engine:
    """Return what connects to a history; nothing is connected to yet.

    Parameters
    ----------
    writes
        False for those who only read: they hold up nobody who writes.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _LOCKED_S})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_writing if writes else _begin_reading)
        return engine
    return create_engine(
        url,
        pool_size=1,
        connect_args={"connect_timeout": 10, "application_name": "driftline"},
    )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    # Readers do not wait for the writer. What the kernel has not written when the power fails is
    # taken back as a whole, offsets too, and comes again.
    for setting in ("journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {setting}").close()


def _begin_reading(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Any) -> None:
    # At once as a writer: one that becomes it later may be refused.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
