"""Profiles that a monitors file names: read, and put in the place of their names.

So whoever has what the file says has the profiles: a worker, a replay, and the topic on which a
specification goes to all workers.
"""

from pathlib import Path
from typing import Any

import msgspec

from agents.files import opened
from streams.errors import ConfigError
from streams.profiles import read_profile

LARGEST_BYTES = 64 << 20


def with_profiles(data: object, path: Path) -> object:
    """Return what a monitors file says with the profiles that it names, instead of their names.

    Parameters
    ----------
    path
        Of the monitors file; names of profiles go from its folder.

    Raises
    ------
    ConfigError
        If one cannot be read. What else is wrong is for others to say.
    """
    if not isinstance(data, dict):
        return data
    found = dict(data)
    if "baseline" in data:
        found["baseline"] = _filled(data["baseline"], path, "baseline")
    models = data.get("models")
    if isinstance(models, dict):
        found["models"] = {
            name: one | {"baseline": _filled(one["baseline"], path, f"model {name!r}: baseline")}
            if isinstance(one, dict) and "baseline" in one
            else one
            for name, one in models.items()
        }
    return found


def _filled(given: object, path: Path, where: str) -> object:
    if not isinstance(given, dict) or "file" not in given:
        return given
    others = given.keys() - {"file"}
    name = given["file"]
    if others or not isinstance(name, str):
        return given  # refused by who checks the whole
    file = path.parent / name
    where = f"{path}: {where}: file: {name}"
    if not file.is_file():
        raise ConfigError(f"{where}: no such file; driftline profile TABLE --out {name} makes it")
    with opened(file) as source:
        content = source.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise ConfigError(f"{where}: has over {LARGEST_BYTES:,} bytes")
    try:
        profile: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ConfigError(f"{where}: is no JSON: {error}") from None
    read_profile(profile, where=where)
    return {"profile": profile}
