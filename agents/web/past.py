"""Boards of times that have passed: each is made once, for all who ask.

Of thousands of models that takes seconds. Whoever cannot wait is shown the first of them, and the
rest is read in pieces, in a thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import Connection

from agents.web.board import EMPTY, Board, Pair, board_of, renewed
from agents.web.known import Known
from agents.web.settled import Later

_Found = TypeVar("_Found")
_MOST = 4
FEW = 50
"""So many lines are read at once."""


class Past:
    """Boards by their time; any thread may call it."""

    def __init__(self) -> None:
        self._whole: OrderedDict[int, Board] = OrderedDict()
        self._begun: OrderedDict[int, tuple[Board, Sequence[Pair]]] = OrderedDict()
        self._lock = threading.Lock()

    def board(self, known: Known, at_ms: int) -> Board:
        """Return all of it."""
        with self._lock:
            if at_ms not in self._whole:
                _put(self._whole, at_ms, board_of(known, at_ms))
            self._whole.move_to_end(at_ms)
            return self._whole[at_ms]

    def begun(
        self, known: Known, at_ms: int, later: Later, *, now: Board, model: str
    ) -> tuple[Board, bool]:
        """Return what is there of it, and whether that is all.

        Parameters
        ----------
        later
            Takes the rest.
        now
            Has names, of which some are read, if there is nothing yet.
        model
            Is among them.
        """
        if len(now.lines) <= FEW or at_ms in self._whole:
            return self.board(known, at_ms), True
        with self._lock:
            board, _ = self._begun.get(at_ms, (None, ()))
        if board is None:
            board = renewed(EMPTY, known, at_ms, sorted(now.lines)[:FEW])
        later(at_ms, lambda connection, _: self._go_on(connection, at_ms))
        if model and model not in {name for name, _ in board.lines}:
            own = [(model, version) for version in known.versions(model)]
            board = renewed(board, known, at_ms, own, alerts=False)
        return board, False

    def _go_on(self, connection: Connection, at_ms: int) -> bool:
        """Read a piece; return whether that was the last."""
        known = Known(connection, at_ms)
        with self._lock:
            if at_ms in self._whole:
                return True
            board, rest = self._begun.get(at_ms, (None, ()))
        if board is None:
            board, rest = renewed(EMPTY, known, at_ms, ()), known.names()
        else:
            board = renewed(board, known, at_ms, rest[:FEW], alerts=False)
            rest = rest[FEW:]
        with self._lock:
            if rest:
                _put(self._begun, at_ms, (board, rest))
            else:
                self._begun.pop(at_ms, None)
                _put(self._whole, at_ms, board)
        return not rest


def _put(boards: OrderedDict[int, _Found], at_ms: int, found: _Found) -> None:
    boards[at_ms] = found
    boards.move_to_end(at_ms)
    while len(boards) > _MOST:
        boards.popitem(last=False)
