"""Rules of all paces: each rule is of one, and so are the panes that it looks at."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from streams.cells.baselines import Baselines
from streams.cells.records import Name
from streams.cells.store import World
from streams.families.family import Family
from streams.rules.findings import Finding, Judge
from streams.rules.floors import Replanned
from streams.rules.ground_records import GROUNDS, GroundRecords
from streams.rules.grounds import Grounds
from streams.rules.lengths import PACES, Pace
from streams.rules.plan import Plan
from streams.rules.records import Key, RuleRecords
from streams.rules.retracting import Retraction
from streams.rules.watch import RuleWatch

Paced = tuple[Plan | None, ...]


class Changed(NamedTuple):
    """A model whose rules change, by pace; see `Replanned`."""

    code: int
    before: Paced
    after: Paced
    seen: bool


class PacedRules:
    """What rules know of all models of a partition, and how it is written down.

    Parameters
    ----------
    plan_of
        Returns what the rules of a model ask that are of a pace, by its code.
    plans
        Returns all that is asked by rules of a pace.
    names
        Of models and versions, by code; the list grows.

    The others are those of `RuleWatch`.
    """

    def __init__(
        self,
        families: Sequence[Family],
        world: World,
        *,
        plan_of: Callable[[int, Pace], Plan | None],
        plans: Callable[[Pace], Iterable[Plan]],
        judge: Judge,
        names: Sequence[Name],
        enough: int,
        baselines: Baselines | None = None,
    ) -> None:
        self._plans, self._is_firing = plans, judge.is_firing
        self.grounds = Grounds(families, world)

        def watch(pace: Pace) -> RuleWatch:
            return RuleWatch(
                families,
                world,
                plan_of=lambda code: plan_of(code, pace),
                judge=judge,
                enough=enough,
                grounds=self.grounds,
                baselines=baselines,
            )

        self.watches = {pace: watch(pace) for pace in PACES}
        self._records = {
            pace: RuleRecords(one, names, pace=pace) for pace, one in self.watches.items()
        }
        self._ground_records = GroundRecords(self.grounds, names)

    @property
    def entries(self) -> int:
        """How many cells there are."""
        return sum(one.entries for one in self.watches.values())

    def is_awake(self, code: int) -> bool:
        """Tell whether a model has any pane that a window could reach."""
        return any(code in one.awake for one in self.watches.values())

    # ------------------------------------------------------------------ going on
    def advance(
        self, waiting: Sequence[Any], readings: Sequence[Any] = (), *, from_ms: int, until_ms: int
    ) -> Iterator[Finding | Retraction]:
        """Count what has become due, and judge at all boundaries that are passed."""
        for pace, one in self.watches.items():
            if any(self._plans(pace)):
                yield from one.advance(waiting, readings, from_ms=from_ms, until_ms=until_ms)

    def count_late(self, rows: Any, *, clock_ms: int) -> None:
        """Count outcomes that came too late to be taken in order."""
        for one in self.watches.values():
            one.count_late(rows, clock_ms=clock_ms)

    # ------------------------------------------------------------------ other rules
    def expect(self, enough: int) -> None:
        """Say how many rows make a reference, of a state that is read back."""
        for one in self.watches.values():
            one.expect(enough)

    def replan(self, every: Sequence[Changed], *, at_ms: int, enough: int) -> None:
        """Let models have other rules, at a time that all of them have come to."""
        for place, one in enumerate(self.watches.values()):
            changed = [
                Replanned(model.code, model.before[place], model.after[place], model.seen)
                for model in every
                if model.before[place] or model.after[place]
            ]
            one.replan(changed, at_ms=at_ms, enough=enough)
        self.grounds.keep(self._is_firing)

    def drop_models(self, codes: Collection[int]) -> None:
        """Forget all of some models."""
        self.grounds.drop_models(codes)
        for one in self.watches.values():
            one.drop_models(codes)

    def begin_anew(self, code: int) -> None:
        """Note that what was written of a model was deleted."""
        for one in self.watches.values():
            one.floors.changed.discard(code)

    # ------------------------------------------------------------------ written down
    def write(self, *, limit_bytes: int) -> Iterator[tuple[Key, Any]]:
        """Yield key and content of everything that has changed since."""
        for one in self._records.values():
            yield from one.write(limit_bytes=limit_bytes)
        yield from self._ground_records.write(limit_bytes=limit_bytes)

    def forget(self, clock_ms: int) -> Iterator[tuple[Key, None]]:
        """Forget panes that no window can reach any more; yield what deletes their records."""
        for pace, one in self.watches.items():
            for pane_ms, numbers in list(one.forget(clock_ms, list(self._plans(pace)))):
                yield from self._records[pace].drop(pane_ms, numbers)

    def drop_references(self) -> Iterator[tuple[Key, None]]:
        """Forget all references; yield what deletes their records."""
        for one in self._records.values():
            yield from one.drop_references()

    def take_too_large(self) -> dict[int, tuple[str, int]]:
        """Return models with a cell that did not fit into a record: what it counts, its size."""
        found: dict[int, tuple[str, int]] = {}
        for one in self._records.values():
            found |= one.take_too_large()
        return found | self._ground_records.take_too_large()

    def fold(self, key: Sequence[Any], content: Any, code_of: Callable[[Name], int]) -> set[str]:
        """Fold a record; return the families in it of a version that is not known."""
        if key[0] in GROUNDS:
            return self._ground_records.fold(key, content, code_of)
        return self._of(key[0]).fold(key, content, code_of)

    def lose(self, key: Sequence[Any]) -> None:
        """Note that a record cannot be read."""
        if key[0] in GROUNDS:
            self._ground_records.lose(key)
        else:
            self._of(key[0]).lose(key)

    def _of(self, kind: str) -> RuleRecords:
        every = reversed(self._records.items())
        return next(one for pace, one in every if kind.startswith(pace.name))
