"""Follow the history: what is new, a board that is up to date, and who wants to be told.

A thread asks the history for the numbers of its newest rows every two seconds, whoever looks; only
if they have grown, the lines of models that these rows are of are read anew.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from agents.sinks.contract import AwayError
from agents.web.board import EMPTY, Board, boards_of, renewed
from agents.web.history import History
from agents.web.known import Known, Who
from agents.web.settled import Settled
from streams.errors import ConfigError

_EVERY_S = 2.0
_SHARE = 10
"""Following takes at most this part of a core: so much longer than it took it waits."""


class News(NamedTuple):
    """How far the history is.

    Attributes
    ----------
    metrics, alerts
        Numbers of the newest rows.
    away
        Why the history cannot be read; None if it can.
    oldest_ms, newest_ms
        When the first and the last of the revisions became visible that there are.
    models
        How many lines the board has.
    ready
        Whether it has all of them.
    judged_ms
        When the last verdict on an alert became visible.
    series
        How much that was shown in part was read in full since the page began.
    """

    metrics: int = 0
    alerts: int = 0
    oldest_ms: int | None = None
    newest_ms: int | None = None
    away: str | None = None
    models: int = 0
    ready: bool = False
    judged_ms: int = 0
    series: int = 0


class Following:
    """Keep a board of now, in a thread of its own.

    Parameters
    ----------
    tell
        Called in that thread with what is new.

    Attributes
    ----------
    board
        The newest; empty until it was read once.
    news
        What it is of.
    settled
        Long series, of which what is revised is cut off.
    """

    def __init__(self, history: History, tell: Callable[[News], None]) -> None:
        self.board: Board = EMPTY
        self.news = News()
        self.settled = Settled()
        self._history, self._tell = history, tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driftline-follow", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            began_s = time.thread_time()
            self.step()
            self._stop.wait(max(_EVERY_S, _SHARE * (time.thread_time() - began_s)))

    def step(self) -> None:
        """Look once."""
        before = self.news
        try:
            with self._history.connected() as connection:
                self._look(connection)
        except (AwayError, ConfigError) as error:
            self.news = before._replace(away=str(error))
        except Exception as error:  # noqa: BLE001 - told; a page that no longer follows looks live
            self.news = before._replace(away=f"it cannot be followed: {type(error).__name__}")
        if self.news != before:
            self._tell(self.news)

    def _look(self, connection: Connection) -> None:
        metrics, alerts = (_scalar(connection, question) or 0 for question in _NEWEST)
        oldest_ms, newest_ms = (_scalar(connection, question) for question in _EXTENT)
        known, at_ms = Known(connection), time.time_ns() // 1_000_000
        if not self.news.ready or metrics < self.news.metrics:  # or it is another history
            self.settled.clear()
            self._read_board(known, at_ms)
            gc.freeze()  # thousands of lines hold no cycles; looking for some took answers 100 ms
        elif (metrics, alerts) != (self.news.metrics, self.news.alerts):
            revised = _revised(connection, self.news.metrics, metrics)
            self.settled.forget(revised)
            pairs = {(who.model, who.version) for who, _ in revised if not who.segment}
            changed = alerts != self.news.alerts
            self.board = renewed(self.board, known, at_ms, sorted(pairs), alerts=changed)
        lines, judged_ms = len(self.board.lines), _scalar(connection, _JUDGED) or 0
        self.news = News(metrics, alerts, oldest_ms, newest_ms, None, lines, True, judged_ms)

    def _read_board(self, known: Known, at_ms: int) -> None:
        """Read it from the beginning, and show what is there of it meanwhile."""
        for self.board in boards_of(known, at_ms):
            self.news = News(models=len(self.board.lines))
            self._tell(self.news)


_NEWEST = ("SELECT max(id) FROM metric_revisions", "SELECT max(id) FROM alert_revisions")

_JUDGED = "SELECT max(visible_at_ms) FROM feedback"
_EXTENT = (
    "SELECT min(visible_at_ms) FROM metric_revisions",
    "SELECT max(visible_at_ms) FROM metric_revisions",
)


def _revised(connection: Connection, after: int, until: int) -> list[tuple[Who, int]]:
    """Return whose windows were revised, and when the first of these begins."""
    rows = connection.execute(
        text(
            "SELECT model, version, segment, min(window_start_ms) FROM metric_revisions"
            " WHERE id > :after AND id <= :until GROUP BY model, version, segment"
        ),
        {"after": after, "until": until},
    )
    return [(Who(model, version, segment), start_ms) for model, version, segment, start_ms in rows]


def _scalar(connection: Connection, question: str) -> Any:
    return connection.execute(text(question)).scalar()
