"""What alerts of rules rest on: the window that each opened on, as it was then.

Panes are forgotten once no window reaches them. So the window is kept as one cell as long as the
alert fires: labels that are corrected or taken back change it (`corrections`), and it is judged
again (`retracting`). Rows that came later never do.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams import families
from streams.cells.grid import Grid
from streams.cells.store import World
from streams.families.family import Across, Family
from streams.monitors import Threshold
from streams.rules.findings import Finding
from streams.rules.metrics import OF_OUTCOMES, Asked
from streams.rules.plan import Plan

Ints = NDArray[np.int64]


class Ground(NamedTuple):
    """What an alert rests on.

    Attributes
    ----------
    number
        Of its cells, which nothing else has.
    start_ms, end_ms
        The window that it opened on; the end is not included.
    limit, falling
        The limit that it opened on, and whether values below it violate the rule.
    reference
        What the limit was relative to; `None` for nothing.
    due_ms
        The boundary at which it is judged again; -1 if nothing of it has changed.
    corrected, retracted, late
        How many labels of it were replaced or taken back since, and how many came too late.
    """

    number: int
    segment: str
    start_ms: int
    end_ms: int
    limit: float
    falling: bool
    due_ms: int = -1
    corrected: int = 0
    retracted: int = 0
    late: int = 0
    reference: float | None = None


class Grounds:
    """What the alerts of rules rest on, of all models of a partition.

    Attributes
    ----------
    grid
        A pane of each, by its number.
    known
        By the code of the model and the name of the rule.
    due
        Those that are to be judged again.
    changed
        Models of which another is known than is written down.
    gone
        Numbers of cells whose records are to be deleted, each with the bucket of its model.
    """

    def __init__(self, every: Sequence[Family], world: World) -> None:
        self.grid, self._world = Grid(every, world), world
        self.known: dict[int, dict[str, Ground]] = {}
        self.due: set[tuple[int, str]] = set()
        self.changed: set[int] = set()
        self.gone: list[tuple[int, int]] = []
        self._next = 0

    def follow(self, found: Finding, plan: Plan, panes: Grid) -> None:
        """Keep the window of what begins to be violated; forget that of what is no longer."""
        rule = found.threshold
        self.close(found.model, rule.name)
        if not (found.violated and _rests_on_labels(rule, plan.asked[rule.name])):
            return
        length_ms = plan.length_ms(rule.name, found.window_ms)
        ground = Ground(
            self._next,
            rule.segment,
            found.at_ms - length_ms,
            found.at_ms,
            found.limit,
            found.value < found.limit,
            reference=found.reference,
        )
        self._next += 1
        self._copy(found.model, ground, panes, pane_ms=plan.pane_ms)
        self.put(found.model, rule.name, ground)

    def _copy(self, code: int, ground: Ground, panes: Grid, *, pane_ms: int) -> None:
        numbers = np.arange(ground.start_ms // pane_ms, ground.end_ms // pane_ms)
        for side, source in zip(self.grid.sides, panes.sides, strict=True):
            rows = source.find(np.full(len(numbers), self.subject(code, ground)), numbers)
            rows = rows[rows >= 0]
            if not len(rows):
                continue
            own = np.full(len(rows), ground.number)
            target = side.find(np.full(len(rows), self.subject(code, ground)), own, add=True)
            side.merge(target, source, rows)
            side.touch(np.full(len(rows), code), own)

    def subject(self, code: int, ground: Ground) -> int:
        """Return the number of the model in the segment that the alert is of."""
        subjects = self._world.subjects
        return int(subjects.of(np.array([code]), subjects.names.code(ground.segment))[0])

    def put(self, code: int, rule: str, ground: Ground) -> None:
        """Take what is known of one now."""
        self.known.setdefault(code, {})[rule] = ground
        (self.due.add if ground.due_ms >= 0 else self.due.discard)((code, rule))
        self.changed.add(code)

    def close(self, code: int, rule: str) -> None:
        """Forget one, if there is any."""
        ground = self.known.get(code, {}).pop(rule, None)
        if ground is None:
            return
        if not self.known[code]:
            del self.known[code]
        place = ground.number, int(self._world.bucket_of[code])
        for side in self.grid.sides:
            side.drop_places([place])
        self.gone.append(place)
        self.due.discard((code, rule))
        self.changed.add(code)

    def keep(self, fires: Callable[[int, str], bool]) -> None:
        """Forget those of alerts that are over."""
        for code, own in list(self.known.items()):
            for rule in [rule for rule in own if not fires(code, rule)]:
                self.close(code, rule)

    def drop_models(self, codes: Collection[int]) -> None:
        """Forget all of some models; that they have any is for others to delete."""
        for code in codes:
            for rule in list(self.known.get(code, {})):
                self.close(code, rule)
            self.changed.discard(code)

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield models of which another is known, and what."""
        for code in sorted(self.changed):
            own = self.known.get(code, {})
            yield code, [[rule, *ground] for rule, ground in sorted(own.items())] or None
        self.changed.clear()

    def number_is_taken(self, number: int) -> None:
        """Note that there are cells of a number."""
        self._next = max(self._next, number + 1)

    def restore(self, code: int, packed: Sequence[Sequence[Any]]) -> None:
        """Put back what `changes` yielded."""
        for rule, *content in packed:
            ground = Ground(*content)
            self.put(code, rule, ground)
            self.number_is_taken(ground.number)
        self.changed.discard(code)


def _rests_on_labels(rule: Threshold, asked: Asked) -> bool:
    """Tell whether labels alone decide, and those of one segment: else no correction does."""
    about = families.CATALOGUE.metric(rule.metric)
    assert about is not None
    alone = asked.family.across is Across.NOTHING and not about.compares
    return alone and asked.family.says and OF_OUTCOMES in asked.sides
