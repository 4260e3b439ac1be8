"""Rules over rules and detectors: judged whenever one of those of a model begins to fire, or stops.

What fires at one moment is looked at together: first rules, then detectors and what did not come.
That is the order in which a stream finds them, wherever it is cut.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from streams.rule_kinds import Composite

Key = tuple[str, str]
"""A monitor, and its input."""


class Turn(NamedTuple):
    """A monitor of a model that has begun to fire, or is over.

    Attributes
    ----------
    order
        Which of one moment is looked at first.
    """

    model: int
    at_ms: int
    order: int
    key: Key
    fires: bool


class Combined(NamedTuple):
    """A composite that has begun to hold, or does no longer.

    Attributes
    ----------
    firing
        Those of its members that fire.
    """

    model: int
    rule: Composite
    at_ms: int
    over: bool
    firing: tuple[str, ...]


class Composites:
    """Composites of the models of a partition; what fires is known elsewhere.

    Parameters
    ----------
    firing_of
        Returns what fires of a model now, without composites.
    is_firing
        Tells whether a composite fires for a model now, by its name.
    """

    def __init__(
        self,
        *,
        firing_of: Callable[[int], set[Key]],
        is_firing: Callable[[int, str], bool],
    ) -> None:
        self._firing_of, self._is_firing = firing_of, is_firing
        self._rules: dict[int, Sequence[Composite]] = {}

    def watch(self, code: int, rules: Sequence[Composite]) -> None:
        """Let these composites, and no others, be for a model version."""
        self._rules.pop(code, None)
        if rules:
            self._rules[code] = tuple(rules)

    def advance(self, turns: Sequence[Turn]) -> Iterator[Combined]:
        """Yield what follows from turns, all that there were since this was last asked."""
        if not self._rules:
            return
        own = [turn for turn in turns if turn.model in self._rules]
        order = attrgetter("model", "at_ms", "order")
        for code, some in groupby(sorted(own, key=order), key=attrgetter("model")):
            found = list(some)
            fires = self._firing_of(code)
            for turn in reversed(found):
                (fires.discard if turn.fires else fires.add)(turn.key)
            for (at_ms, _), moment in groupby(found, key=attrgetter("at_ms", "order")):
                for turn in moment:
                    (fires.add if turn.fires else fires.discard)(turn.key)
                yield from self._look(code, at_ms, fires)

    def look(self, at_ms: int) -> Iterator[Combined]:
        """Yield what follows from what fires now, since composites have changed."""
        for code in sorted(self._rules):
            yield from self._look(code, at_ms, self._firing_of(code))

    def _look(self, code: int, at_ms: int, fires: set[Key]) -> Iterator[Combined]:
        names = {monitor for monitor, _ in fires}
        for rule in self._rules[code]:
            holds = rule.holds(names)
            if holds != self._is_firing(code, rule.name):
                firing = tuple(sorted(names & rule.members))
                yield Combined(code, rule, at_ms, over=not holds, firing=firing)
