"""Verdicts from where they are kept: JSON lines, as the sink of files writes them, or a history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agents.files import opened
from streams.errors import ConfigError
from streams.verdicts import Said, Verdict

_LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz")


def verdicts_of(place: str) -> dict[str, Said]:
    """Return the last verdict on every alert.

    Parameters
    ----------
    place
        A file of JSON lines (of which those that are no verdicts are left out), a folder of such,
        or what `--history` takes.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    path = Path(place)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.name.endswith(_LINES))
    elif place.endswith(_LINES):
        files = [path]
    else:
        return _of_history(place)
    found: dict[str, Said] = {}
    for file in files:
        with opened(file) as lines:
            for line in lines:
                _take(found, line)
    if not found:
        raise ConfigError(f"--verdicts: {place}: there is no verdict in it")
    return found


def _take(found: dict[str, Said], line: bytes) -> None:
    try:
        raw: Any = msgspec.json.decode(line)
        if isinstance(raw, dict) and "verdict" not in raw:
            if "record" not in raw and "alert_id" not in raw and raw.get("key") in found:
                del found[raw["key"]]
                return
            raw = raw.get("record")
        one = msgspec.convert(raw, Verdict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    found[one.alert_id] = one.verdict


def _of_history(place: str) -> dict[str, Said]:
    from agents.sinks.sql import needed  # noqa: PLC0415 - an extra

    needed()
    from sqlalchemy import select  # noqa: PLC0415

    from agents.history.show import connected  # noqa: PLC0415
    from agents.history.tables import feedback  # noqa: PLC0415

    with connected(place) as connection:
        rows = connection.execute(select(feedback.c.alert_id, feedback.c.verdict))
        return {row.alert_id: row.verdict for row in rows}
