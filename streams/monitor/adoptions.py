"""Orders to adopt the level that an alert is about, which wait for their time.

One takes effect at the first boundary of the scan's panes that the ordered stream passes at or
after the time that it carries. Once it has come, that boundary is fixed, and written down. Only the
partition to which the model belongs takes it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from streams.adoption_record import Adoption
from streams.monitor.orders import Orders


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


class Adoptions(Orders[Waiting]):
    """Orders of a partition."""

    def add(self, offset: int, given: Adoption) -> bool:
        """Let one wait until its boundary is known; tell whether there was room."""
        return self.let_wait(Waiting(offset, given))

    def done(self, order: Waiting) -> None:
        """Be done with one."""
        self._take_out(order.offset)
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
        self._take_out(offset)
        if content is not None:
            self._put(msgspec.convert([offset, *content], Waiting))
