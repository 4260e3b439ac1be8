"""How far panes and hours of the ordered stream were looked at, each of them once and in order.

A pane is looked at when the watermark has passed its end, an hour when it has passed that of all
its panes: then all predictions of it are counted, but for those that are later than the allowed
disorder. Its outcomes are complete a horizon later. Panes are kept until then.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from streams.cells.levels import FIRST_COARSE, HOUR_MS

_NEVER_MS = 1 << 62
_BEFORE = -1


class Hours:
    """How far a partition has come.

    Attributes
    ----------
    panes_ms
        Panes that end by then were looked at; -1: none was yet.
    hours_ms
        When the first hour begins whose predictions were not looked at, and likewise of outcomes.
    buckets
        How many buckets of models of that hour were looked at.
    behind
        Whether hours were passed that were not looked at.
    changed
        Whether it is not written down.
    """

    def __init__(self) -> None:
        self.panes_ms = _BEFORE
        self.hours_ms = [_BEFORE, _BEFORE]
        self.buckets = [0, 0]
        self.behind = self.changed = False

    def needed_ms(self) -> int:
        """Return from when on panes were not looked at for the last time."""
        return min(self.hours_ms) if self.panes_ms >= 0 else _NEVER_MS

    def panes(self, numbers: Collection[int], until_ms: int, *, pane_ms: int) -> Iterator[int]:
        """Yield the panes that were passed by a time, and note that they were.

        Parameters
        ----------
        numbers
            Of all panes that there are.
        """
        until_ms = until_ms // pane_ms * pane_ms
        if until_ms <= self.panes_ms:
            return
        found = [n for n in numbers if n < FIRST_COARSE and (n + 1) * pane_ms <= until_ms]
        if self.panes_ms < 0 and not found:
            return
        if self.panes_ms < 0:
            first_ms = min(found) * pane_ms
            first_ms -= first_ms % hour_ms(pane_ms)
            self.hours_ms = [first_ms, first_ms]
        yield from (n for n in sorted(found) if n * pane_ms >= self.panes_ms)
        self.panes_ms, self.changed = until_ms, True

    def due(
        self, numbers: Collection[int], until_ms: int, *, which: int, pane_ms: int
    ) -> int | None:
        """Return when the next hour begins that has panes and ends by a time; `None` for none.

        Parameters
        ----------
        which
            0 for predictions, 1 for outcomes.
        """
        span_ms, from_ms = hour_ms(pane_ms), self.hours_ms[which]
        until_ms = until_ms // span_ms * span_ms
        if self.panes_ms < 0 or until_ms <= from_ms:
            return None
        first, end = from_ms // pane_ms, until_ms // pane_ms
        found = min((n for n in numbers if first <= n < end), default=None)
        if found is None:
            self.pass_by(until_ms, which=which)
            return None
        return found * pane_ms // span_ms * span_ms

    def pass_by(self, until_ms: int, *, which: int) -> None:
        """Note that hours that end by a time were looked at."""
        self.hours_ms[which], self.buckets[which], self.changed = until_ms, 0, True

    # ------------------------------------------------------------------ written down
    def pack(self) -> list[int]:
        """Return a form that msgpack can write."""
        return [self.panes_ms, *self.hours_ms, *self.buckets]

    def restore(self, packed: Sequence[Any]) -> None:
        """Continue from what `pack` returned."""
        self.panes_ms, *places = packed
        self.hours_ms, self.buckets = places[:2], places[2:] or [0, 0]


def hour_ms(pane_ms: int) -> int:
    """Return how long an hour is: the shortest time of whole panes that is none less.

    Examples
    --------
    >>> [hour_ms(minutes * 60_000) // 60_000 for minutes in (5, 7, 1440)]
    [60, 63, 1440]
    """
    return -(-HOUR_MS // pane_ms) * pane_ms
