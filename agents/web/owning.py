"""Know whom models belong to, by the specification that all workers are told.

The history has owners and tags of alerts alone; who asks as of a time gets those.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from agents.monitors_topic import stored_on_topic
from agents.settings import Settings
from agents.web.board import Board
from streams.monitors import Monitors

_EVERY_S, _LEAVE_S = 30.0, 2.0


class Owning:
    """Read the specification again and again, in a thread.

    Without the right to read it, models have those owners that their alerts have.

    Attributes
    ----------
    monitors
        What it says; None where there is none, or it cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self.monitors: Monitors | None = None
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driftline-owners", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, without waiting for brokers that do not answer."""
        self._stop.set()
        self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(Exception):  # what was read last stays; a thread that ended reads no more
                found = stored_on_topic(self._settings)
                self.monitors = None if found is None else found.monitors
            self._stop.wait(_EVERY_S)


class Owned:
    """Put owners on boards; the last board is kept, since thousands of names cost milliseconds."""

    def __init__(self) -> None:
        self._last: tuple[Board, Monitors, Board] | None = None

    def __call__(self, board: Board, monitors: Monitors | None) -> Board:
        """Return a board with what a specification says, and of other models, what alerts say."""
        if monitors is None:
            return board
        last = self._last
        if last is not None and last[0] is board and last[1] is monitors:
            return last[2]
        found = with_owners(board, monitors)
        self._last = board, monitors, found
        return found


def with_owners(board: Board, monitors: Monitors) -> Board:
    """Return a board with owners and tags of models that a specification names."""
    owners, tags = dict(board.owners), dict(board.tags)
    for model in {line.model for line in board.lines.values()}:
        said = monitors.owner_of(model)
        if said is None:
            continue
        owners[model], tags[model] = said.owner, said.tags
    return board._replace(
        owners={model: owner for model, owner in owners.items() if owner},
        tags={model: some for model, some in tags.items() if some},
    )
