"""What a worker says of models, in its log: not more than somebody can read.

Whoever may write a record may make up models, and each is worth a line: what kind it is, what is
odd about it, why it was set aside. A million of them would fill a disk, hide what else is said, and
hold up the worker where nobody reads what it says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from agents.exits import say
from streams.probabilities import About, Oddity

MOST_LINES, EVERY_S = 60, 60.0
_MOST_KNOWN = 10_000


class Remarks:
    """Say a limited number of lines a minute of each sort, and how many were left out.

    Each sort has a limit of its own: else whoever makes up models could hide that a clock is fast.

    Examples
    --------
    >>> remarks = Remarks(say=print, clock=iter([0.0, 1.0, 2.0, 62.0]).__next__)
    >>> remarks.say("kinds", (f"model {number} is new" for number in range(60)))
    ... # doctest: +ELLIPSIS
    model 0 is new
    ...
    model 59 is new
    >>> remarks.say("kinds", ["model 60 is new", "model 61 is new"])
    >>> remarks.say("clock", ["a clock is fast"])
    a clock is fast
    >>> remarks.say("kinds", ["model 62 is new"])
    2 more lines such as the next were left out; `driftline status` tells more
    model 62 is new
    """

    def __init__(
        self,
        *,
        say: Callable[[str], None] = say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._clock = say, clock
        self._sorts: dict[str, _Said] = {}
        self._known: set[About] = set()

    def say(self, sort: str, lines: Iterable[str]) -> None:
        """Say lines of a sort, as many as may be said now."""
        now_s = self._clock()
        said = self._sorts.setdefault(sort, _Said(now_s))
        for line in lines:
            if now_s - said.since_s >= EVERY_S:
                self._tell(said.left_out)
                said = self._sorts[sort] = _Said(now_s)
            if said.lines < MOST_LINES:
                said.lines += 1
                self._say(line)
            else:
                said.left_out += 1

    def say_oddities(self, oddities: Iterable[Oddity]) -> None:
        """Say what is odd about models, unless it was said of another partition."""
        self.say("oddities", self._fresh(oddities))

    def _fresh(self, oddities: Iterable[Oddity]) -> Iterator[str]:
        for oddity in oddities:
            if oddity.about not in self._known:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known.add(oddity.about)
                yield oddity.text

    def _tell(self, left_out: int) -> None:
        if left_out:
            self._say(
                f"{left_out:,} more lines such as the next were left out; `driftline status` tells"
                " more"
            )


class _Said:
    """What was said of a sort since a moment."""

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.lines = self.left_out = 0
