"""Cells that rules read: rows of the ordered stream, outcomes counted at the time of their label.

They are those of windows, counted by the same code, but in panes of the rules' own length, and only
for segments that a rule names; and one more pane for each segment, its reference, that panes are
added to until there is enough.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streams.cells.grid import Grid
from streams.cells.names import grown
from streams.cells.store import PANE_BITS, Cells, World
from streams.families.family import Family

if TYPE_CHECKING:
    from streams.rules.plan import Plan

Ints = NDArray[np.int64]

NEVER_MS = 1 << 62
_REFERENCE = 0
"""Number of the pane that references are."""


class References:
    """What rules are relative to: the first panes of a subject, until there is enough.

    Attributes
    ----------
    grid
        References are panes with number 0.
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        self.world = world
        self.grid = Grid(families, world)
        self._since = [np.empty(0, np.int64), np.empty(0, np.int64)]

    def complete_ms(self, subjects: Ints, *, side: int) -> Ints:
        """Return since when the reference of subjects is complete, of predictions or outcomes."""
        since = self._since[side] = grown(
            self._since[side], self.world.subjects.count, fill=NEVER_MS
        )
        return since[subjects]

    def pass_panes(self, grid: Grid, plan: "Plan", spans: Ints) -> None:
        """Add the panes of spans, rows of model, start and end, to references that want more."""
        names = self.world.subjects.names
        for segment in sorted(plan.segments):
            subjects = self.world.subjects.of(spans[:, 0], names.code(segment))
            for side in plan.sides:
                want = self.complete_ms(subjects, side=side) == NEVER_MS
                if not want.any():
                    continue
                owners, numbers = expanded(spans[want], plan.pane_ms)
                self._grow(
                    grid.sides[side],
                    side=side,
                    subjects=subjects[want][owners],
                    numbers=numbers,
                    plan=plan,
                )

    def _grow(
        self, source: Cells, *, side: int, subjects: Ints, numbers: Ints, plan: "Plan"
    ) -> None:
        """Add panes to references that are not complete.

        Parameters
        ----------
        subjects, numbers
            Panes that boundaries have passed, by number rising for each subject.
        """
        rows = source.find(subjects, numbers)
        there = rows >= 0
        subjects, numbers, rows = subjects[there], numbers[there], rows[there]
        if not len(rows):
            return
        target = self.grid.sides[side]
        own = target.find(subjects, np.full(len(subjects), _REFERENCE), add=True)
        counts = source.counted(rows)
        before = target.counted(own)
        starts = np.flatnonzero(np.diff(subjects, prepend=-1))
        total = np.cumsum(counts)
        offset = total[starts] - counts[starts]
        place = np.cumsum(np.diff(subjects, prepend=-1) != 0) - 1
        after = before + total - offset[place]
        # Once there is enough nothing is added, whatever is taken back later.
        reached = after >= plan.reference
        order = np.where(reached, np.arange(len(rows)), len(rows))
        first = np.minimum.reduceat(order, starts)[place]
        kept = np.arange(len(rows)) <= first
        target.merge(own[kept], source, rows[kept])
        done = np.flatnonzero(np.arange(len(rows)) == first)
        self._since[side][subjects[done]] = (numbers[done] + 1) * plan.pane_ms
        target.touch(self.world.subjects.models[subjects], np.full(len(subjects), _REFERENCE))

    def settle(self, *, enough: int) -> None:
        """After references were read back, note which are complete."""
        for side, cells in enumerate(self.grid.sides):
            rows = cells.every_row()
            subjects = cells.table.key[rows] >> PANE_BITS
            self.complete_ms(subjects, side=side)
            done = cells.counted(rows) >= enough
            self._since[side][subjects[done]] = -1

    def clear(self) -> None:
        """Let all references begin anew; their cells are for others to drop."""
        self._since = [np.full(len(since), NEVER_MS, np.int64) for since in self._since]

    def drop_model(self, code: int) -> None:
        """Note that a model has no references any more; their cells are gone."""
        for since in self._since:
            models = self.world.subjects.models[: len(since)]
            since[: len(models)][models == code] = NEVER_MS


def expanded(spans: Ints, step_ms: int) -> tuple[Ints, Ints]:
    """Return of every step that ends in a span the place of its span, and its number.

    Parameters
    ----------
    spans
        Rows of model, start (not included) and end.
    step_ms
        Length of steps, such as panes; they begin at multiples of it.

    Examples
    --------
    >>> owners, numbers = expanded(np.array([[7, 60, 240], [8, 0, 60]]), 60)
    >>> owners.tolist(), numbers.tolist()
    ([0, 0, 0, 1], [1, 2, 3, 0])
    """
    first = spans[:, 1] // step_ms
    counts = spans[:, 2] // step_ms - first
    owners = np.repeat(np.arange(len(spans)), counts)
    ends = np.cumsum(counts)
    steps = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
    return owners, first[owners] + steps
