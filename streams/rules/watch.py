"""The rules of all models of a partition: what they have seen, and what they find at boundaries.

Because rows are counted in event-time order and a rule is only looked at when the watermark has
passed a boundary, what is found does not depend on batches, partitions or workers.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.baselines import Baselines
from streams.cells.grid import Grid, Mask, Wanted
from streams.cells.store import World
from streams.families.family import Family
from streams.grouping import distinct
from streams.readings import ReadingRows
from streams.rules.boundaries import Course, Steps, pass_boundaries
from streams.rules.cells import NEVER_MS, References
from streams.rules.corrections import correct
from streams.rules.due import TIME_BITS, Part, arrivals, due_readings, due_rows, rounds
from streams.rules.findings import Finding, Judge
from streams.rules.floors import Floors, Replanned
from streams.rules.grounds import Grounds
from streams.rules.late_labels import LateLabels, with_late
from streams.rules.metrics import OF_OUTCOMES, OF_PREDICTIONS, OF_RESOURCES
from streams.rules.plan import Plan
from streams.rules.retracting import Retraction, due_of, retractions
from streams.rules.traffic import Traffics

Ints = NDArray[np.int64]


class RuleWatch:
    """What rules know of all models of a partition.

    Parameters
    ----------
    plan_of
        Returns what the rules of a model ask, by its code; `None` where it has no rules.
    enough
        Rows that make a reference.
    grounds
        What open alerts rest on, of rules of every pace.
    baselines
        What windows of rules are compared with; `None` for nothing.

    Attributes
    ----------
    grids
        By length of panes.
    courses
        By the code of the model.
    awake
        Models with any pane that a window could reach.
    floors
        Since when rows are counted, where rules have changed.
    changed
        Models of which something but cells is not written down.
    """

    def __init__(
        self,
        families: Sequence[Family],
        world: World,
        *,
        plan_of: Callable[[int], Plan | None],
        judge: Judge,
        enough: int,
        grounds: Grounds,
        baselines: Baselines | None = None,
    ) -> None:
        self.baselines, self.grounds = baselines, grounds
        self._families, self.world = families, world
        self._plan_of, self._judge = plan_of, judge
        self.grids: dict[int, Grid] = {}
        self.references = References(families, world)
        self.courses: dict[int, Course] = {}
        self.awake: set[int] = set()
        self.traffics, self.late_labels = Traffics(), LateLabels()
        self.floors = Floors()
        self.changed: set[int] = set()
        self._enough, self._settled = enough, False

    def grid(self, pane_ms: int) -> Grid:
        """Return the grid of panes of a length."""
        found = self.grids.get(pane_ms)
        if found is None:
            found = self.grids[pane_ms] = Grid(self._families, self.world)
        return found

    # ------------------------------------------------------------------ going on
    def advance(
        self,
        waiting: Sequence[Any],
        readings: Sequence[Any] = (),
        *,
        from_ms: int,
        until_ms: int,
    ) -> Iterator[Finding | Retraction]:
        """Count what has become due, and judge at all boundaries that are passed."""
        if not self._settled:
            self._settled = True
            self.references.settle(enough=self._enough)
        span = from_ms, until_ms
        parts = [p for one in waiting for p in due_rows(one, span, self._pane_ms)]
        parts += [p for one in readings for p in due_readings(one, span, self._pane_ms)]
        begun: dict[int, int] = {}
        for some, ends_ms in rounds(parts):
            came = self._count(some, begun)
            correct(self.grounds, some, self._plan_of)
            yield from self._retract(ends_ms, until_ms)
            models = came.keys() | ends_ms.keys()
            if not ends_ms:
                models |= self.awake
            yield from self._pass(sorted(models), came, ends_ms, until_ms)
            begun = begun | ends_ms
        # Who has no rows in the last round has not come to the end yet.
        yield from self._pass(sorted(self.awake), {}, {}, until_ms)

    def _pane_ms(self, models: Ints, *, side: int) -> Ints:
        """Return for every row the length of its model's panes, 0 where it is not needed."""
        codes, places = distinct(models)
        lengths = []
        for code in codes.tolist():
            plan = self._plan_of(code)
            needed = plan is not None and side in plan.sides
            lengths.append(plan.pane_ms if plan is not None and needed else 0)
        return np.array(lengths, np.int64)[places]

    def _count(
        self, parts: Sequence[Part], begun: dict[int, int]
    ) -> dict[int, list[tuple[int, int]]]:
        """Count rows; return for every model when they came and where they were counted."""
        models, starts, newest = [], [], []
        for part in parts:
            kept = self._kept(part, begun)
            part = part if kept is None else part.only(kept)  # noqa: PLW2901
            lengths = self._pane_ms(part.models, side=part.side)
            for pane_ms in distinct(lengths)[0].tolist():
                own = part.only(lengths == pane_ms)
                counted = self._count_part(own, pane_ms)
                if int(own.numbers.min()) * pane_ms < self.floors.highest_ms:
                    counted = self._count_above_floors(own, pane_ms)
                for model, number in counted:
                    counted_ms = number * pane_ms
                    starts_ms = counted_ms
                    if begun:
                        began = [begun.get(code, -1) for code in model.tolist()]
                        starts_ms = np.maximum(counted_ms, np.array(began, np.int64))
                    models.append(model)
                    starts.append(starts_ms)
                    newest.append(counted_ms)
        if not models:
            return {}
        return arrivals(*map(np.concatenate, (models, starts, newest)))

    def _kept(self, part: Part, begun: dict[int, int]) -> Mask | None:
        """Leave out what takes back a label that has left every rule's window."""
        if not part.back.any():
            return None
        codes, places = distinct(part.models)
        oldest = []
        for code in codes.tolist():
            plan = self._plan_of(code)
            assert plan is not None
            boundary_ms = self.courses.get(code, Course()).boundary_ms
            if code not in self.awake:
                boundary_ms = begun.get(code, boundary_ms)
            oldest.append(-((plan.longest_ms - boundary_ms) // plan.pane_ms))
        kept: Mask = part.numbers >= np.array(oldest, np.int64)[places]
        return kept

    def _count_above_floors(self, part: Part, pane_ms: int) -> Iterator[tuple[Ints, Ints]]:
        """Count rows of segments that were counted when the pane began that they belong to."""
        for number in distinct(part.numbers)[0].tolist():
            wanted = partial(self._wanted, side=part.side, start_ms=number * pane_ms)
            own = part.only(part.numbers == number)
            yield from self._count_part(own, pane_ms, wanted)

    def _count_part(
        self, part: Part, pane_ms: int, wanted: Wanted | None = None
    ) -> Iterator[tuple[Ints, Ints]]:
        """Count rows of one length of panes; yield models and panes that have changed."""
        one, grid = part.one, self.grid(pane_ms)
        if part.side == OF_RESOURCES:
            yield self._count_readings(part, grid, wanted or self._wanted)
            return
        predictions = part.side == OF_PREDICTIONS
        rows = one.table.predictions if predictions else one.table.outcomes
        chosen = np.zeros(len(rows.model), np.bool_)
        chosen[part.rows] = True
        numbers = np.zeros(len(rows.model), np.int64)
        numbers[part.rows] = part.numbers
        count = grid.count_predictions if predictions else grid.count_outcomes
        for subjects, panes in count(
            one.table, one.observed, numbers, chosen=chosen, wanted=wanted or self._wanted
        ):
            keys = self.world.subjects.models[subjects], panes
            yield _different(*keys)

    def _count_readings(self, part: Part, grid: Grid, wanted: Wanted) -> tuple[Ints, Ints]:
        """Count readings of hosts, which are in no segment, likewise."""
        rows: ReadingRows = part.one.rows
        chosen = np.zeros(len(rows.model), np.bool_)
        chosen[part.rows] = wanted(part.models, [""], np.zeros(len(part.rows), np.int64))
        numbers = np.zeros(len(rows.model), np.int64)
        numbers[part.rows] = part.numbers
        subjects, panes = grid.count_readings(rows, part.one.observed, numbers, chosen=chosen)
        return _different(self.world.subjects.models[subjects], panes)

    def _wanted(
        self,
        models: NDArray[np.integer],
        names: list[str],
        name: Ints,
        *,
        side: int = OF_OUTCOMES,
        start_ms: int = NEVER_MS,
    ) -> Mask:
        """Tell which rows are in a segment that a rule of their model names, or compares.

        Parameters
        ----------
        side, start_ms
            And that is counted, on this side, since this time or longer.
        """
        codes, places = distinct(models)
        asked = []
        for code in codes.tolist():
            plan = self._plan_of(code)
            if plan is None:
                asked.append([False] * len(names))
                continue
            floor = partial(self.floors.of, code, sides=(side,))
            asked.append([any(floor(one) <= start_ms for one in plan.counted(s)) for s in names])
        wanted: Mask = np.array(asked, np.bool_)[places, name]
        return wanted

    def count_late(self, one: Any, *, clock_ms: int) -> set[int]:
        """Count outcomes that came too late to be taken in order; return their models.

        Detectors skip them. A rule must not: a correction in time takes back what a late label
        had added.
        """
        rows = one.table.outcomes
        late = np.flatnonzero(rows.at_ms < clock_ms)
        pane_ms = self._pane_ms(rows.model[late], side=OF_OUTCOMES)
        late, pane_ms = late[pane_ms > 0], pane_ms[pane_ms > 0]
        if not len(late):
            return set()
        starts_ms = np.full(len(late), clock_ms) // pane_ms * pane_ms
        numbers = np.maximum(rows.label_ms[late], rows.time_ms[late]) // pane_ms
        back = np.ones(len(late), np.bool_)
        part = Part(one, OF_OUTCOMES, late, rows.model[late], starts_ms, numbers, back)
        begun = dict(zip(part.models.tolist(), starts_ms.tolist(), strict=True))
        correct(self.grounds, [part], self._plan_of)
        plans = [plan for code in begun if (plan := self._plan_of(code)) is not None]
        segments = frozenset[str]().union(*(plan.named for plan in plans))
        self.late_labels.add(one.table, late, numbers * pane_ms, segments=segments)
        self.changed |= set(begun)
        for code, came in self._count([part], begun).items():
            boundary_ms, last_ms = self.courses.get(code, Course())
            if code not in self.awake:
                boundary_ms = begun[code]
            newest_ms = max(last_ms, *(newest for _, newest in came))
            self._came_to(code, Course(boundary_ms, newest_ms))
        return set(begun)

    # ------------------------------------------------------------------ other rules
    def expect(self, enough: int) -> None:
        """Say how many rows make a reference, of a state that is read back."""
        self._enough = enough

    def replan(self, every: Sequence[Replanned], *, at_ms: int, enough: int) -> None:
        """Let models have other rules, at a time that all of them have come to.

        Of models whose panes keep their length, all that is counted for rules that stay goes on;
        references do in any case, unless another number of rows makes them.
        """
        if enough != self._enough:
            self._enough = enough
            self.traffics = Traffics()
            self.references.clear()
        for one in every:
            self.floors.replan(one, at_ms=at_ms)
            course = self.courses.get(one.code)
            if course is not None and not one.keeps_panes:
                anew = Course() if one.after is None else course.anew(one.after.pane_ms, at_ms)
                self._came_to(one.code, anew)
        self.traffics.replan({one.code: one for one in every})
        self.late_labels.drop([one.code for one in every if one.after is None])
        self.changed |= {one.code for one in every if one.code in self.courses}

    # ------------------------------------------------------------------ boundaries
    def _pass(
        self,
        models: Sequence[int],
        came: dict[int, list[tuple[int, int]]],
        ends_ms: dict[int, int],
        until_ms: int,
    ) -> Iterator[Finding]:
        """Let models go on to where they are to, and judge at the boundaries that they pass."""
        by_plan: dict[int, tuple[Plan, list[tuple[int, int, int]]]] = {}
        for code in models:
            plan = self._plan_of(code)
            if plan is None:
                self.awake.discard(code)
                continue
            before = self.courses.get(code, Course())
            steps = Steps(plan.pane_ms, plan.evaluate_ms, plan.longest_ms)
            end_ms = ends_ms.get(code, until_ms)
            course, spans = pass_boundaries(
                before, came.get(code, []), until_ms=end_ms, steps=steps
            )
            self._came_to(code, course)
            if spans:
                own = by_plan.setdefault(id(plan), (plan, []))[1]
                own += [(code, *span) for span in spans]
        for plan, passed in by_plan.values():
            for found in self._judge.at(self, plan, np.array(passed, np.int64)):
                self.grounds.follow(found, plan, self.grid(plan.pane_ms))
                yield with_late(self.late_labels, found, plan)

    def _retract(self, ends_ms: dict[int, int], until_ms: int) -> Iterator[Retraction]:
        """Judge again what open alerts rest on, where labels have changed it and it is time.

        That goes before all else of its boundary: corrections that make a window well again would
        else resolve the alert that they take back.
        """
        for plan, due in due_of(self.grounds, self._plan_of, ends_ms, until_ms):
            for found in retractions(self._judge, self.grounds, plan, due):
                self.grounds.close(found.model, found.threshold.name)
                yield found

    def _came_to(self, code: int, course: Course) -> None:
        if course == self.courses.get(code):
            return
        self.courses[code] = course
        self.changed.add(code)
        if course.last_ms >= 0:
            self.awake.add(code)
        else:
            self.awake.discard(code)

    def pack(self, code: int) -> list[Any]:
        """Return how far the rules of a model have come."""
        course, plan = self.courses.get(code, Course()), self._plan_of(code)
        reach_ms = 0 if plan is None else plan.longest_ms
        late = self.late_labels.pack(code, since_ms=course.boundary_ms - reach_ms)
        return [*course, self.traffics.pack(code), *([late] if late else [])]

    def restore(self, code: int, packed: Sequence[Any]) -> None:
        """Put back what `pack` returned."""
        boundary_ms, last_ms, traffic, *late = packed
        self._came_to(code, Course(boundary_ms, last_ms))
        self.traffics.restore(code, traffic)
        self.late_labels.restore(code, late[0] if late else [])
        self.changed.discard(code)

    def drop_models(self, codes: Collection[int]) -> None:
        """Forget all of some models."""
        for grid in (*self.grids.values(), self.references.grid):
            for side in grid.sides:
                side.drop_models(codes)
        self.references.drop_models(codes)
        self.traffics.drop(codes)
        self.late_labels.drop(codes)
        for code in codes:
            self.courses.pop(code, None)
            self.floors.drop(code)
        self.awake.difference_update(codes)
        self.changed.difference_update(codes)

    @property
    def entries(self) -> int:
        """How many cells there are."""
        grids = (*self.grids.values(), self.references.grid)
        return sum(side.table.live for grid in grids for side in grid.sides)

    def forget(self, clock_ms: int, plans: Sequence[Plan]) -> Iterator[tuple[int, list[int]]]:
        """Yield lengths and numbers of panes that no window of a rule can reach any more."""
        reach: dict[int, int] = {}
        for plan in plans:
            oldest_ms = clock_ms // plan.evaluate_ms * plan.evaluate_ms - plan.longest_ms
            reach[plan.pane_ms] = min(reach.get(plan.pane_ms, oldest_ms), oldest_ms)
        for pane_ms, grid in self.grids.items():
            oldest_ms = reach.get(pane_ms, clock_ms)
            every = {number for side in grid.sides for number in side.members}
            gone = sorted(number for number in every if (number + 1) * pane_ms <= oldest_ms)
            if gone:
                yield pane_ms, gone


def _different(models: Ints, numbers: Ints) -> tuple[Ints, Ints]:
    keys = np.unique(models << TIME_BITS | numbers)
    return keys >> TIME_BITS, keys & ((1 << TIME_BITS) - 1)
