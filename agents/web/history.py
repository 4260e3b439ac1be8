"""The history that the page is of: opened, checked, and away at times.

Rules of this file:

* A history of another schema is refused with the fix, whenever it is met: another program may bring
  it to a newer version while the page is shown.
* What is away is told, and asked for again with the next question; nothing has to be restarted.
* A SQLite file is never made by asking for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from agents.history import database, schema
from agents.history.failures import errors, failure
from agents.sinks.contract import AwayError

_VERSION = "SELECT version_num FROM driftline_schema"


class History:
    """Hand out connections that only read.

    Parameters
    ----------
    url
        See `agents.history.database.url_of`.
    """

    def __init__(self, url: URL) -> None:
        self.shown = database.shown(url)
        sqlite = url.get_backend_name() == "sqlite"
        self._file = Path(str(url.database)) if sqlite else None
        self._engine = database.engine_of(url, writes=False)
        self._checked: str | None = None

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Connect for as long as the block lasts: what it reads is of one moment.

        Raises
        ------
        AwayError
            If the database does not answer, or there is none yet.
        ConfigError
            If it holds no history, or that of another version.
        """
        if self._file is not None and not self._file.exists():
            raise AwayError(
                f"there is no history {self.shown} yet; driftline sink sql writes one, as does "
                "driftline web, which says where when it starts"
            )
        try:
            with self._engine.connect() as connection:
                self._check(connection)
                yield connection
        except errors() as error:
            self._checked = None
            raise failure(error, where=self.shown) from None

    def _check(self, connection: Connection) -> None:
        """Check the schema if it is not the one that was checked, which takes milliseconds."""
        found = None
        if self._checked is not None:
            found = connection.execute(text(_VERSION)).scalar()
        if found is None or found != self._checked:
            schema.check(connection)
            self._checked = connection.execute(text(_VERSION)).scalar()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()
