"""Keep long series that were read: of ninety days, only what has changed is read again.

Rules of this file:

* A part of a series is kept until a revision of one of its windows comes, whatever it is of.
* What was read before that revision and is handed in after it is not kept.
* Keys count all windows of a series as one, so that it is either there up to a time, or not.
* What is too long for one answer is read later: whoever asks is shown a sample until then.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agents.web.known import Point, Span, Who

_MOST = 128


class Key(NamedTuple):
    """Which series: whose, of which metrics, and from when on in which steps.

    Attributes
    ----------
    sampled
        Whether a step has its first window alone, or all of them in one point.
    until_ms
        As of when; None: now.
    """

    who: Who
    metrics: tuple[str, ...]
    first_ms: int
    length_ms: int
    step_ms: int
    sampled: bool = False
    until_ms: int | None = None


class Part(NamedTuple):
    """A series from its beginning to a time, exclusive, which begins a step."""

    until_ms: int
    points: Sequence[Point]


class Settled:
    """Keep parts of series; any thread may call it."""

    def __init__(self) -> None:
        self._parts: OrderedDict[Key, Part] = OrderedDict()
        self._lock = threading.Lock()
        self._changes = 0

    def begin(self, later: Later | None = None) -> Keeping:
        """Return what a reader uses that connects to the database after this.

        Parameters
        ----------
        later
            Takes what is too long to be read at once; None: all is read at once.
        """
        return Keeping(self, self._changes, later)

    def get(self, key: Key) -> Part | None:
        """Return what is kept of a series, of the same steps from the same time or before."""
        with self._lock:
            part = self._parts.get(key)
            if part is not None:
                self._parts.move_to_end(key)
            return part

    def put(self, key: Key, part: Part, *, changes: int) -> None:
        """Keep a part, unless something has changed since so many changes."""
        with self._lock:
            if changes != self._changes:
                return
            self._parts[key] = part
            self._parts.move_to_end(key)
            while len(self._parts) > _MOST:
                self._parts.popitem(last=False)

    def forget(self, revised: Iterable[tuple[Who, int]]) -> None:
        """Cut what is kept where windows were revised that begin at a time or after it."""
        since = dict(revised)
        with self._lock:
            self._changes += 1
            for key, part in list(self._parts.items()):
                if (from_ms := since.get(key.who)) is not None and from_ms < part.until_ms:
                    self._parts[key] = _cut(key, part, from_ms)

    def clear(self) -> None:
        """Forget everything: it is another history."""
        with self._lock:
            self._changes += 1
            self._parts.clear()


Piece = Callable[["Connection", "Keeping"], bool]
"""Reads a piece of something long; says whether that was the last."""

Later = Callable[[Hashable, Piece], None]
"""Takes what is to be read later under a name, again and again until it is done."""


class Keeping(NamedTuple):
    """What one reader uses: it keeps nothing that was revised since it began."""

    settled: Settled
    changes: int
    later: Later | None = None

    def get(self, key: Key) -> Part | None:
        """Return what is kept of a series."""
        return self.settled.get(key)

    def put(self, key: Key, part: Part) -> None:
        """Keep a part, if nothing has changed."""
        self.settled.put(key, part, changes=self.changes)

    def ask_later(self, key: Key, piece: Piece) -> bool:
        """Let a series be read later, if that is possible."""
        if self.later is None:
            return False
        self.later(key, piece)
        return True


def _cut(key: Key, part: Part, from_ms: int) -> Part:
    steps = max(from_ms - key.first_ms, 0) // key.step_ms
    until_ms = key.first_ms + steps * key.step_ms
    return Part(until_ms, [one for one in part.points if one.start_ms < until_ms])


def aligned(span: Span) -> Span:
    """Let a span of several windows a point begin where a step does, counted from 1970.

    Otherwise each window that comes would move all steps.
    """
    while True:
        step_ms = span.together * span.length_ms
        found = span._replace(first_ms=span.first_ms - span.first_ms % step_ms)
        if found.together * span.length_ms == step_ms:
            return found
        span = found  # a few more windows, and more of them make a point
