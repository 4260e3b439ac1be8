"""Since when rows of models are counted for rules, where rules have changed while workers run.

A rule that asks for a segment, or for predictions, that no rule asked for before finds nothing
counted of earlier times. It is judged once its window lies wholly after that; so nobody has to
know whether an empty window was quiet, or nobody looked.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.rules.plan import Plan

Ints = NDArray[np.int64]

Key = tuple[str, int]
"""A segment, and of which rows: predictions or outcomes."""


class Replanned(NamedTuple):
    """A model whose rules change; `None` where it has none.

    Attributes
    ----------
    seen
        Whether it had rows before.
    """

    code: int
    before: Plan | None
    after: Plan | None
    seen: bool

    @property
    def keeps_panes(self) -> bool:
        """Whether rows are counted into panes of the same length."""
        before, after = self.before, self.after
        return before is not None and after is not None and before.pane_ms == after.pane_ms


class Floors:
    """Times from which on rows are counted, by model.

    Attributes
    ----------
    changed
        Models of which they are not written down as they are.
    highest_ms
        No floor is higher; -1 where there is none.
    """

    def __init__(self) -> None:
        self._of: dict[int, dict[Key, int]] = {}
        self.changed: set[int] = set()
        self.highest_ms = -1

    def replan(self, one: Replanned, *, at_ms: int) -> None:
        """Raise the floors of a model whose rules change at a time."""
        if one.after is None:
            self.drop(one.code)
            return
        known = self._of.get(one.code, {})
        floors = dict(_floors(one, one.after, known, at_ms=at_ms)) if one.seen else {}
        if floors != known:
            self._set(one.code, floors)
            self.changed.add(one.code)

    def _set(self, code: int, floors: dict[Key, int]) -> None:
        self._of.pop(code, None)
        if floors:
            self._of[code] = floors
            self.highest_ms = max(self.highest_ms, *floors.values())

    def drop(self, code: int) -> None:
        """Forget a model."""
        if self._of.pop(code, None) is not None:
            self.changed.add(code)

    def of(self, code: int, segment: str, sides: Iterable[int]) -> int:
        """Return since when rows of a segment are counted, on all these sides."""
        floors = self._of.get(code)
        if floors is None:
            return -1
        return max(floors.get((segment, side), -1) for side in sides)

    def at_least(self, models: Ints, segment: str, sides: tuple[int, ...]) -> Ints:
        """Return likewise for many models."""
        codes, places = np.unique(models, return_inverse=True)
        floors = [self.of(code, segment, sides) for code in codes.tolist()]
        return np.array(floors, np.int64)[places]

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield models whose floors have changed since this was last asked, and these."""
        for code in sorted(self.changed):
            floors = [[*key, floor_ms] for key, floor_ms in sorted(self._of.get(code, {}).items())]
            yield code, floors or None
        self.changed.clear()

    def restore(self, code: int, packed: list[Any]) -> None:
        """Put back what `changes` yielded."""
        self._set(code, {(segment, side): floor_ms for segment, side, floor_ms in packed})


def _floors(
    one: Replanned, after: Plan, known: dict[Key, int], *, at_ms: int
) -> Iterator[tuple[Key, int]]:
    before = one.before
    for segment in after.segments:
        for side in after.sides:
            floor_ms = at_ms
            kept = before is not None and segment in before.segments and side in before.sides
            if before is not None and kept and one.keeps_panes:
                floor_ms = known.get((segment, side), -1)
                if after.longest_ms > before.longest_ms:
                    floor_ms = max(floor_ms, before.reach_ms(at_ms))
            if floor_ms >= 0:
                yield (segment, side), floor_ms
