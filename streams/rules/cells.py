"""Cells that rules read: rows of the ordered stream, outcomes counted at the time of their label.

They are those of windows, counted by the same code, but in panes of the rules' own length, and only
for segments that a rule names; and one more pane for each segment, its reference, that panes are
added to until there is enough.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streams.cells.grid import Grid
from streams.cells.names import grown
from streams.cells.store import PANE_BITS, World
from streams.families.family import Family

if TYPE_CHECKING:
    from streams.rules.plan import Plan

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

NEVER_MS = 1 << 62
_FIRST = 0
"""Number of the pane that references are, and of the first if there are several."""


class References:
    """What rules are relative to: the first panes of a subject, until there is enough.

    Where a reference lacks families, since these have begun anew, another one grows for them, from
    the first pane on that lacks nothing.

    Attributes
    ----------
    grid
        References are panes with number 0; those that grew for what the one before lacks, 1, 2, …
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        self.world = world
        self.grid = Grid(families, world)
        self._since: dict[tuple[int, int], Ints] = {}

    def numbers(self, family: Family, models: Ints) -> Ints:
        """Return of every model the number of the reference that a family goes by."""
        found = np.full(len(models), _FIRST)
        names = family.holders()
        while (lacks := self._lack(self.grid, found, models, names)).any():
            found = found + lacks
        return found

    def _lack(
        self, grid: Grid, numbers: Ints, models: Ints, names: Collection[str] | None = None
    ) -> Mask:
        """Tell which panes of models lack any of some families, or of all."""
        lacks = np.zeros(len(models), np.bool_)
        buckets = self.world.bucket_of[models]
        for side in grid.sides:
            if side.lacking:
                lacks |= side.lacking.among(names, numbers=numbers, buckets=buckets)
        return lacks

    def complete_ms(self, subjects: Ints, *, side: int, numbers: Ints | int = _FIRST) -> Ints:
        """Return since when references of subjects are complete, of predictions or outcomes."""
        numbers = np.broadcast_to(numbers, len(subjects))
        found = np.full(len(subjects), NEVER_MS)
        for number in np.unique(numbers).tolist():
            own = numbers == number
            found[own] = self._complete(side, number)[subjects[own]]
        return found

    def _complete(self, side: int, number: int) -> Ints:
        """Return since when references are complete, by subject."""
        since = self._since.get((side, number), np.empty(0, np.int64))
        since = grown(since, self.world.subjects.count, fill=NEVER_MS)
        self._since[side, number] = since
        return since

    def pass_panes(self, grid: Grid, plan: "Plan", spans: Ints) -> None:
        """Add the panes of spans, rows of model, start and end, to references that want more."""
        names = self.world.subjects.names
        for segment in sorted(plan.named):
            subjects = self.world.subjects.of(spans[:, 0], names.code(segment))
            for side in plan.sides:
                self._pass_panes(grid, plan, spans, subjects=subjects, side=side)

    def _pass_panes(
        self, grid: Grid, plan: "Plan", spans: Ints, *, subjects: Ints, side: int
    ) -> None:
        number = _FIRST
        there = np.ones(len(spans), np.bool_)
        while there.any():
            want = there & (self.complete_ms(subjects, side=side, numbers=number) == NEVER_MS)
            if want.any():
                owners, numbers = expanded(spans[want], plan.pane_ms)
                self._grow(
                    grid,
                    (side, number),
                    subjects=subjects[want][owners],
                    numbers=numbers,
                    plan=plan,
                )
            there &= self._lack(self.grid, np.full(len(spans), number), spans[:, 0])
            number += 1

    def _grow(
        self,
        grid: Grid,
        which: tuple[int, int],
        *,
        subjects: Ints,
        numbers: Ints,
        plan: "Plan",
    ) -> None:
        """Add panes to references that are not complete.

        Parameters
        ----------
        which
            Of which rows the references are, and their number.
        subjects, numbers
            Panes that boundaries have passed, by number rising for each subject.
        """
        side, own_number = which
        source = grid.sides[side]
        rows = source.find(subjects, numbers)
        there = rows >= 0
        if own_number != _FIRST:
            there &= ~self._lack(grid, numbers, self.world.subjects.models[subjects])
        subjects, numbers, rows = subjects[there], numbers[there], rows[there]
        if not len(rows):
            return
        target = self.grid.sides[side]
        own = target.find(subjects, np.full(len(subjects), own_number), add=True)
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
        self._complete(side, own_number)[subjects[done]] = (numbers[done] + 1) * plan.pane_ms
        target.touch(self.world.subjects.models[subjects], np.full(len(subjects), own_number))

    def settle(self, *, enough: int) -> None:
        """After references were read back, note which are complete."""
        for side, cells in enumerate(self.grid.sides):
            rows = cells.every_row()
            keys = cells.table.key[rows]
            done = cells.counted(rows) >= enough
            numbers = keys & ((1 << PANE_BITS) - 1)
            for number in np.unique(numbers).tolist():
                own = done & (numbers == number)
                self._complete(side, number)[keys[own] >> PANE_BITS] = -1

    def clear(self) -> None:
        """Let all references begin anew; their cells are for others to drop."""
        self._since.clear()

    def drop_models(self, codes: Collection[int]) -> None:
        """Note that models have no references any more; their cells are gone."""
        for since in self._since.values():
            models = self.world.subjects.models[: len(since)]
            since[: len(models)][np.isin(models, list(codes))] = NEVER_MS


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
