"""Whose fault it is when a database fails: nobody's for long, the record's, or a person's."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    SQLAlchemyError,
)

from agents.sinks.contract import AwayError, RefusedError
from streams.errors import ConfigError, DriftlineError

_LONGEST = 300
# Classes of SQLSTATE: connection, resources, operator intervention, system, rollback, locks.
_AWAY = ("08", "53", "57", "58", "40", "55")
# Classes: data exception, integrity, a program limit (a key that is too large for an index).
_REFUSED = ("22", "23", "54")
_STARTING = ("starting up", "shutting down", "recovery", "too many", "terminat", "remaining conn")


def failure(error: Exception, *, where: str) -> DriftlineError:
    """Return what is to be raised instead of an error of the database."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    text = " ".join(str(cause).split())[:_LONGEST]
    state = getattr(cause, "sqlstate", None) or ""
    if isinstance(cause, UnicodeError | OverflowError | ValueError):
        return RefusedError("refused_by_database", text)
    if state:
        return _by_state(state, text, where=where)
    kind = type(cause).__name__
    if kind == "DataError":  # of the driver, before it asks: a text with a zero byte
        return RefusedError("refused_by_database", text)
    if kind == "OperationalError":
        return _without_state(text, where=where)
    if isinstance(error, DisconnectionError):
        return AwayError(f"{where}: {text}")
    return ConfigError(f"{where}: {text}; see the log of the database")


def _by_state(state: str, text: str, *, where: str) -> DriftlineError:
    if state.startswith(_REFUSED):
        return RefusedError("refused_by_database", text)
    if state.startswith(_AWAY):
        return AwayError(f"{where}: {text}")
    return ConfigError(f"{where}: {text}; may this user create and write tables there?")


def _without_state(text: str, *, where: str) -> DriftlineError:
    """Judge what says no more than a text: a connection that failed, or SQLite."""
    if "FATAL" in text and not any(word in text for word in _STARTING):
        return ConfigError(f"{where}: {text}; do user, password and database fit?")
    if any(word in text for word in ("unable to open", "readonly", "read-only", "no such table")):
        return ConfigError(f"{where}: {text}; name a file in a folder that may be written to")
    return AwayError(f"{where}: {text}")


def errors() -> tuple[type[Exception], ...]:
    """Return what a database and its driver raise; COPY goes by the driver alone."""
    found: list[type[Exception]] = [SQLAlchemyError, UnicodeError, OverflowError, ValueError]
    with suppress(ImportError):  # an extra
        import psycopg  # noqa: PLC0415

        found.append(psycopg.Error)
    return tuple(found)
