"""Orders that wait for their time: until that has come, and a boundary is fixed for it."""

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
        return [one for one in self.waiting if one.from_ms < 0]

    def schedule(self, order: Given, *, from_ms: int) -> None:
        """Say when one takes effect."""
        self.waiting.remove(order)
        self._put(msgspec.structs.replace(order, from_ms=from_ms))  # type: ignore[type-var]
        self.changed.add(order.offset)

    def _put(self, order: Given) -> None:
        self.waiting.append(order)
        self.waiting.sort(key=_turn)

    def next(self, until_ms: int) -> Given | None:
        """Return the next one that takes effect until then."""
        if self.waiting and 0 <= self.waiting[0].from_ms <= until_ms:
            return self.waiting[0]
        return None


def _turn(order: Waits) -> tuple[int, int]:
    return (order.from_ms if order.from_ms >= 0 else NEVER_MS), order.offset
