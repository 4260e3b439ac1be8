"""The key by which categories are named in what is published: a file of its own, never shown."""

from pathlib import Path

from agents.files import opened
from streams.errors import ConfigError

SHORTEST_BYTES = 16


def read_category_key(file: Path | None) -> bytes | None:
    """Return the content of the file, but for blanks at both ends; `None` for no file.

    Raises
    ------
    ConfigError
        If it cannot be read, or holds too little to be a secret.
    """
    if file is None:
        return None
    with opened(file) as content:
        key = content.read().strip()
    if len(key) < SHORTEST_BYTES:
        raise ConfigError(
            f"--category-key-file: {file} holds {len(key)} bytes; a key has {SHORTEST_BYTES} at"
            f" least: openssl rand -hex 32 > {file}"
        )
    return key
