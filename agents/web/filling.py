"""Read what is long piece by piece, in a thread, for those who were shown a part of it.

Rules of this file:

* A piece costs as much as an answer may, and between two of them others have their turn.
* Only what somebody asks for is read, the last that was asked for first.
* What cannot be read is forgotten: whoever still wants it asks again.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from agents.web.history import History
from agents.web.settled import Piece, Settled

_MOST = 16
_SHARE = 4
"""Of so many parts of a core it takes one."""


class Filling:
    """Read what is asked for later.

    Parameters
    ----------
    tell
        Called in that thread when something is there.

    Attributes
    ----------
    filled
        How much it has read, which grows.
    """

    def __init__(self, history: History, settled: Settled, tell: Callable[[], None]) -> None:
        self.filled = 0
        self._history, self._settled, self._tell = history, settled, tell
        self._asked: OrderedDict[Hashable, Piece] = OrderedDict()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driftline-fill", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()

    def ask(self, name: Hashable, piece: Piece) -> None:
        """Read this next; any thread may call it."""
        with self._changed:
            self._asked[name] = piece
            self._asked.move_to_end(name)
            while len(self._asked) > _MOST:
                self._asked.popitem(last=False)
            self._changed.notify()

    def _run(self) -> None:
        while (asked := self._next()) is not None:
            began_s, (name, piece) = time.thread_time(), asked
            try:
                done = self._read(piece)
            except Exception:  # noqa: BLE001 - whoever asks for an answer is told
                self._forget(name)
            else:
                if done:
                    self._forget(name)
                    self.filled += 1
                    self._tell()
            self._stop.wait((_SHARE - 1) * (time.thread_time() - began_s))

    def _next(self) -> tuple[Hashable, Piece] | None:
        with self._changed:
            while not self._asked and not self._stop.is_set():
                self._changed.wait()
            return None if self._stop.is_set() else next(reversed(self._asked.items()))

    def _read(self, piece: Piece) -> bool:
        keeping = self._settled.begin()
        with self._history.connected() as connection:
            return piece(connection, keeping)

    def _forget(self, name: Hashable) -> None:
        with self._changed:
            self._asked.pop(name, None)
