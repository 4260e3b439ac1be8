"""Orders that wait for their time: until that has come, and a boundary is fixed for it."""

from bisect import bisect_left
from typing import Generic, Protocol, TypeVar

import msgspec

from streams.shown import NEVER_MS

MOST_WAITING = 10_000
"""More that wait for their time are refused."""


class Waits(Protocol):
    """An order, which is a struct."""

    @property
    def offset(self) -> int:
        """Of its record."""

    @property
    def from_ms(self) -> int:
        """Boundary at which it takes effect; -1 while that is not known."""


Given = TypeVar("Given", bound=Waits)


class Orders(Generic[Given]):
    """Orders of a partition.

    Attributes
    ----------
    waiting
        Those that have come and are not in effect: first those whose boundary is known, in its
        order.
    changed
        Offsets of orders that are not written down as they are.
    """

    def __init__(self) -> None:
        self.waiting: list[Given] = []
        self.changed: set[int] = set()
        self._turns: dict[int, tuple[int, int]] = {}

    def let_wait(self, order: Given) -> bool:
        """Let one wait until its boundary is known; tell whether there was room."""
        if len(self.waiting) >= MOST_WAITING:
            return False
        self._put(order)
        self.changed.add(order.offset)
        return True

    @property
    def unscheduled(self) -> list[Given]:
        """Those whose boundary is not known."""
        return self.waiting[bisect_left(self.waiting, (NEVER_MS, -1), key=_turn) :]

    def schedule(self, order: Given, *, from_ms: int) -> None:
        """Say when one takes effect."""
        self._take_out(order.offset)
        self._put(msgspec.structs.replace(order, from_ms=from_ms))  # type: ignore[type-var]
        self.changed.add(order.offset)

    def next(self, until_ms: int) -> Given | None:
        """Return the next one that takes effect until then."""
        if self.waiting and 0 <= self.waiting[0].from_ms <= until_ms:
            return self.waiting[0]
        return None

    def _put(self, order: Given) -> None:
        turn = self._turns[order.offset] = _turn(order)
        self.waiting.insert(bisect_left(self.waiting, turn, key=_turn), order)

    def _take_out(self, offset: int) -> None:
        """Let one wait no more, if it did."""
        if (turn := self._turns.pop(offset, None)) is not None:
            del self.waiting[bisect_left(self.waiting, turn, key=_turn)]


def _turn(order: Waits) -> tuple[int, int]:
    return (order.from_ms if order.from_ms >= 0 else NEVER_MS), order.offset
