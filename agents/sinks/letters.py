"""Dead letters of a sink: what a target refuses goes to a file, with the reason."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Protocol

from streams.errors import ConfigError


class Located(Protocol):
    """What came, and where it was: an entry, or an upsert."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp_ms(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102


class DeadLetterFile:
    """Append to a file of JSON lines, which is there from the first letter on.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ConfigError(
                f"--dead-letters: {str(path)!r} cannot be written; name a file in a folder that is"
                " there and may be written to"
            )

    def add(self, what: Located, *, reason: str, detail: str) -> None:
        """Write one down; on disk once this returns."""
        facts = {
            "reason": reason,
            "detail": detail,
            "topic": what.topic,
            "partition": what.partition,
            "offset": what.offset,
            "timestamp_ms": what.timestamp_ms,
            **_text("key", what.key),
            **_text("value", what.value),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _text(name: str, data: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data or b"").decode()}
