"""Make a report of a history, or of what a replay found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from agents.history import database
from agents.report import file
from agents.report.recording import recording
from agents.report.replayed import history_of
from agents.report.views import Shown, chosen, views_of
from agents.version import installed_version
from agents.web.board import Board, board_of
from agents.web.history import History
from agents.web.known import Known
from agents.web.screens.screen import View
from streams.errors import ConfigError

if TYPE_CHECKING:
    from agents.replay_results import Results

EVERYTHING_MS = 400 * 86_400_000
"""A range that is longer than what there is shows what there is."""


def of_history(
    history: str, out: Path, *, models: Sequence[str], at_ms: int | None, range_ms: int
) -> int:
    """Write a report of a history; return how many views it has.

    Parameters
    ----------
    at_ms
        What became visible later is not in it; None: what is known now.

    Raises
    ------
    AwayError, ConfigError
        If the history cannot be read, has no such model, or `out` cannot be written.
    """
    opened = History(database.url_of(history))
    try:
        with opened.connected() as connection:
            known = Known(connection, at_ms)
            shown_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
            view = View(known, board_of(known, shown_ms), shown_ms)
            views, facts = _asked(view, models, range_ms=range_ms)
    finally:
        opened.close()
    file.write(out, views, {**facts, "of": opened.shown})
    return len(views)


def of_newest(connection: Connection, out: Path, *, of: str) -> int:
    """Write a report of all that a history has, as it was when its last window was over.

    Parameters
    ----------
    of
        What readers are told that it is of.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    views, facts = _asked(_newest(connection), [], range_ms=EVERYTHING_MS)
    file.write(out, views, {**facts, "of": of})
    return len(views)


def of_replay(results: Results, out: Path, *, files: Sequence[Path]) -> int:
    """Write a report of what a replay found; return how many views it has.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    with history_of(results.metrics, results.alerts, results.distributions) as connection:
        view = _newest(connection)
        views, facts = _asked(view, [], range_ms=EVERYTHING_MS)
    # What the history says of itself is of none that is kept.
    own = recording(results)
    views = [*(one for one in views if one.screen != own.screen), own]
    of = ", ".join(one.name for one in files)
    file.write(out, views, {**facts, "of": of})
    return len(views)


def _asked(
    view: View, models: Sequence[str], *, range_ms: int
) -> tuple[list[Shown], dict[str, Any]]:
    try:
        names = chosen(view, models)
    except LookupError as error:
        raise ConfigError(str(error.args[0])) from None
    left = len(view.board.newest()) - len(names)
    left_out = f"{left:,} models are in Fleet alone; --model chooses." if left > 0 else ""
    facts = {"at_ms": view.at_ms, "driftline": installed_version(), "left_out": left_out}
    return views_of(view, names, range_ms=range_ms), facts


def _newest(connection: Connection) -> View:
    """Look at a recording when its last window is over: nothing in it is silent since then."""
    known = Known(connection)
    board: Board = board_of(known, 0)
    ends = [line.newest_ms + line.length_ms for line in board.lines.values()]
    at_ms = max(ends, default=0)
    return View(known, board_of(known, at_ms), at_ms)
