"""Orders to adopt the level that an alert is about, which wait for their time.

One takes effect at the first boundary of the scan's panes that the ordered stream passes at or
after the time that it carries. Once it has come, that boundary is fixed, and written down. Only the
partition to which the model belongs takes it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from streams.adoption_record import Adoption
from streams.shown import NEVER_MS

MOST_WAITING = 10_000
"""More that wait for their time are refused."""


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """An order that waits.

    Attributes
    ----------
    offset
        Of its record.
    from_ms
        Boundary at which it takes effect; -1 while that is not known.
    """

    offset: int
    given: Adoption
    from_ms: int = -1


class Adoptions:
    """Orders of a partition.

    Attributes
    ----------
    waiting
        Those whose boundary is known come first, in its order.
    changed
        Offsets of orders that are not written down as they are.
    """

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.changed: set[int] = set()

    def add(self, offset: int, given: Adoption) -> bool:
        """Let one wait until its boundary is known; tell whether there was room."""
        if len(self.waiting) >= MOST_WAITING:
            return False
        self._put(Waiting(offset, given))
        self.changed.add(offset)
        return True

    @property
    def unscheduled(self) -> list[Waiting]:
        """Those whose boundary is not known."""
        return [one for one in self.waiting if one.from_ms < 0]

    def schedule(self, order: Waiting, *, from_ms: int) -> None:
        """Say when one takes effect."""
        self.waiting.remove(order)
        self._put(msgspec.structs.replace(order, from_ms=from_ms))
        self.changed.add(order.offset)

    def _put(self, order: Waiting) -> None:
        self.waiting.append(order)
        self.waiting.sort(key=_turn)

    def next(self, until_ms: int) -> Waiting | None:
        """Return the next one that takes effect until then."""
        if self.waiting and 0 <= self.waiting[0].from_ms <= until_ms:
            return self.waiting[0]
        return None

    def done(self, order: Waiting) -> None:
        """Be done with one."""
        self.waiting.remove(order)
        self.changed.add(order.offset)

    # ------------------------------------------------------------------ written down
    def changes(self) -> list[tuple[int, Any]]:
        """Return offset and content of every order that has changed, once; `None` deletes."""
        every = {one.offset: one for one in self.waiting}
        changed, self.changed = self.changed, set()
        return [
            (offset, msgspec.to_builtins(every[offset])[1:] if offset in every else None)
            for offset in sorted(changed)
        ]

    def restore(self, offset: int, content: Sequence[Any] | None) -> None:
        """Put back what `changes` returned."""
        self.waiting = [one for one in self.waiting if one.offset != offset]
        if content is not None:
            self._put(msgspec.convert([offset, *content], Waiting))


def _turn(order: Waiting) -> tuple[int, int]:
    return (order.from_ms if order.from_ms >= 0 else NEVER_MS), order.offset
