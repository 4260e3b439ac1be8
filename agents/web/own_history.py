"""A history of the page's own: the SQL sink, in a thread, into a SQLite file.

The file stays, in the user's folder for states, so that the page shows what it has seen before, and
reads no topic twice. Of two pages of the same topics one writes it, the other reads along.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from sqlalchemy.engine import URL

from agents.exits import say
from agents.settings import Settings
from agents.sinks.contract import RefusedError
from agents.sinks.run import Identity, hand_on
from agents.sinks.sql import Sql, SqlOptions
from agents.sinks.telemetry import SinkHealth
from agents.version import installed_version
from streams.errors import ConfigError

_AGAIN_S = 5.0
_NAME = "web"


class OwnHistory:
    """Keep it for as long as the ``with`` block lasts.

    Parameters
    ----------
    folder
        None: `driftline` in the user's folder for states.
    tell
        What says that it starts and stops.

    Attributes
    ----------
    url : URL
        Where it is.
    wrong : str or None
        Why nothing comes.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path | None = None,
        *,
        tell: Callable[[str], None] = say,
    ) -> None:
        self._settings, self._tell = settings, tell
        self._folder = folder or _state_folder()
        self._path = self._folder / f"{_file_name(settings)}.db"
        self.url = URL.create("sqlite", database=str(self._path))
        self.wrong: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driftline-own-history", daemon=True)
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = self._path.with_suffix(".lock").open("w")
        except OSError as error:
            raise ConfigError(
                f"{self._folder}: cannot be written ({error.strerror}); set XDG_STATE_HOME, or"
                " write a history with driftline sink sql and name it with --history"
            ) from None
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._lock is not None:
            self._lock.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._is_mine():
                try:
                    self._write()
                except (ConfigError, RefusedError) as error:
                    self.wrong = str(error)
                except Exception as error:  # noqa: BLE001 - told, and tried again
                    self.wrong = f"what comes cannot be written: {type(error).__name__}"
            self._stop.wait(_AGAIN_S)

    def _is_mine(self) -> bool:
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _write(self) -> None:
        sink = Sql(SqlOptions(target=str(self._path)))
        health = _Telling(self)
        identity = Identity(_NAME, dead_letters=self._path.with_suffix(".dead.jsonl"))
        hand_on(sink, self._settings, identity, health=health, stop=self._stop, tell=self._tell)


class _Telling(SinkHealth):
    """Take back what was wrong once the sink goes on."""

    def __init__(self, own: OwnHistory) -> None:
        self._own = own
        super().__init__(_NAME, version=installed_version())

    def stirred(self) -> None:
        """Take note that the loop turns."""
        super().stirred()
        self._own.wrong = None

    def away(self, why: str) -> None:
        """Take note that the target does not answer."""
        super().away(why)
        self._own.wrong = why


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "driftline"


def _file_name(settings: Settings) -> str:
    """Name a file after brokers and prefix."""
    servers = ",".join(sorted(settings.bootstrap_servers.split(",")))
    digest = hashlib.sha256(f"{servers}\0{settings.prefix}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{settings.prefix}-{servers}")[:60]
    return f"web-{readable}-{digest}"
