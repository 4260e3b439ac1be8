"""`driftline monitors check`: tell what is wrong with a file before a worker runs by it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from agents import replay
from agents.exits import EXIT_CONFIG
from agents.printable import printable
from agents.recordings import Recordings
from agents.settings import Settings, read_monitors_file
from streams.monitors_file import parse_monitors
from streams.rehearsal import Rehearsal, rehearsed, unmet
from streams.silences import over_by


def check_monitors(
    file: Path,
    *,
    against: list[Path],
    columns: str | None,
    missing: Sequence[str],
    settings: Settings,
    json_output: bool,
) -> int:
    """Check a monitors file, print what is wrong, and return the exit code.

    Parameters
    ----------
    against
        Recorded events that its rules are held against; none: the file alone is judged.
    columns, missing
        How tables among them are read, as by `agents.replay`.
    settings
        Window and horizon, from the file or the command line.

    Raises
    ------
    ConfigError
        If the file, or one of the events, cannot be used.
    """
    monitors = parse_monitors(read_monitors_file(file)[1], file=str(file))
    records = 0
    found: list[str] = []
    if against:
        run, _, survey = replay.play(
            Recordings(against, columns, missing=missing),
            Rehearsal,
            monitors=rehearsed(monitors),
            window_ms=settings.window_ms,
            horizon_ms=settings.horizon_ms,
            partitions=1,
            disorder_ms=None,
        )
        found = [f"{file}: {problem}" for problem in unmet(monitors, run)]
        records = survey.lines
    rules = len(list(monitors.every()))
    over = over_by(monitors.silences, time.time_ns() // 1_000_000)
    if json_output:
        print(json.dumps({"rules": rules, "problems": found, "remarks": over}))
    else:
        for problem in (*found, *over):
            print(printable(problem))
        held = f", held against {records:,} records" if against else ""
        fine = "nothing wrong" if not found else f"{len(found)} to look at"
        print(f"{rules} rules and detectors, the default ones included{held}: {fine}")
    return EXIT_CONFIG if found else 0
