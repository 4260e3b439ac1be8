"""Answer for screens: read what an address says, ask the history, and make CSV of panels."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agents.web.board import Board
from agents.web.following import Following
from agents.web.history import History
from agents.web.known import Known
from agents.web.owning import Owned
from agents.web.past import Past
from agents.web.screens import CATALOGUE
from agents.web.screens.screen import Answer, Asked, Panel, View
from agents.web.settled import Later
from agents.web.told import Told

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Answering:
    """Answer questions of addresses from a history; any thread may call it.

    Parameters
    ----------
    later
        Takes what is too long for an answer in haste.
    """

    def __init__(
        self,
        history: History,
        following: Following,
        *,
        told: Callable[[], Told] | None = None,
        later: Later | None = None,
    ) -> None:
        self._history, self._following, self._told = history, following, told
        self._later = later
        self._owned, self._past = Owned(), Past()

    def __call__(
        self, screen: str, parameters: Mapping[str, str], *, haste: bool = False
    ) -> Answer:
        """Answer a screen.

        Parameters
        ----------
        haste
            Of series that are too long, answer with one window of several, say of how many in the
            fact `sampled`, and of thousands of models at an earlier time with some, say so in the
            fact `begun`, and let the rest be read later.

        Raises
        ------
        KeyError
            If there is no such screen.
        LookupError
            If there is no such model.
        msgspec.ValidationError
            If the parameters are not what it asks.
        AwayError, ConfigError
            See `History.connected`.
        """
        found = CATALOGUE[screen]
        asked: Asked = msgspec.convert(dict(parameters), found.asks, strict=False)
        keeping = self._following.settled.begin(self._later if haste else None)
        with self._history.connected() as connection:
            known = Known(connection, asked.at, keeping=keeping)
            at_ms = time.time_ns() // 1_000_000 if asked.at is None else asked.at
            board, whole = self._board(known, asked, haste=haste)
            told = None if self._told is None else self._told()
            if told is not None and asked.at is None:
                board = self._owned(board, told.monitors)
            answer = found.answer(View(known, board, at_ms, told), asked)
            if known.every > 1:
                answer.facts["sampled"] = known.every
            if not whole:
                answer.facts["begun"] = True
            return answer

    def _board(self, known: Known, asked: Asked, *, haste: bool) -> tuple[Board, bool]:
        """Return a board, and whether all models are on it."""
        now = self._following.board
        if asked.at is None:
            return now, True
        if self._later is None or not haste:
            return self._past.board(known, asked.at), True
        model = getattr(asked, "model", "")
        return self._past.begun(known, asked.at, self._later, now=now, model=model)


def as_csv(panel: Panel) -> str:
    r"""Write a panel as CSV; a text that a spreadsheet would take for a formula stays a text.

    Examples
    --------
    >>> as_csv(Panel(("model", "value"), [("=1+1", -0.5)]))
    "model,value\r\n'=1+1,-0.5\r\n"
    """
    out = io.StringIO()
    write = csv.writer(out).writerow
    write(panel.columns)
    for row in panel.rows:
        write([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, dict | list | tuple):
        return msgspec.json.encode(value).decode()
    return value
