"""When rules begin to fire, and when they are over, by what every look at them said.

A look says that a rule is violated, that all is well again, or neither: what is neither changes
nothing. With `for`, a rule must be violated at all looks of so long; with `cooldown`, it does not
fire again for so long after it was over. What they must remember of a model is kept here.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.monitors import Threshold
from streams.rules.limits import BACK, BEYOND, Levels

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Life(NamedTuple):
    """What is remembered of a rule of a model; -1 for never.

    Attributes
    ----------
    since_ms
        Since when it is violated, and does not fire yet.
    over_ms
        When it was last over.
    """

    since_ms: int = -1
    over_ms: int = -1


_NEW = Life()


class Lives:
    """What is remembered of all rules of a partition that wait, or rest.

    Attributes
    ----------
    changed
        Models of which it is not written down as it is.
    """

    def __init__(self) -> None:
        self._known: dict[int, dict[str, Life]] = {}
        self.changed: set[int] = set()

    def turns(
        self,
        rule: Threshold,
        looks: "Looks",
        *,
        is_firing: Callable[[int, str], bool],
    ) -> Ints:
        """Return the places of looks at which a rule begins to fire, or stops."""
        codes, places = np.unique(looks.models, return_inverse=True)
        firing = [is_firing(code, rule.name) for code in codes.tolist()]
        fires = np.array(firing, np.bool_)[places]
        if not (rule.hold_ms or rule.cooldown_ms):
            return turns(looks.models, looks.levels, fires)
        found: list[int] = []
        ends = np.searchsorted(looks.models, codes, side="right").tolist()
        for code, before, start, end in zip(codes.tolist(), firing, [0, *ends], ends, strict=False):
            where = np.arange(start, end)
            found += self._turns_of(rule, code, looks.only(where), where, fires=before)
        return np.array(found, np.int64)

    def _turns_of(
        self, rule: Threshold, code: int, looks: "Looks", where: Ints, *, fires: bool
    ) -> Iterator[int]:
        life = before = self._known.get(code, {}).get(rule.name, _NEW)
        times = zip(where.tolist(), looks.times_ms.tolist(), looks.levels.tolist(), strict=True)
        for place, at_ms, level in times:
            if fires:
                if level == BACK:
                    fires, life = False, Life(-1, at_ms if rule.cooldown_ms else -1)
                    yield place
                continue
            if level != BEYOND:
                life = life._replace(since_ms=-1)
                continue
            if life.since_ms < 0:
                life = life._replace(since_ms=at_ms)
            rests = life.over_ms >= 0 and at_ms < life.over_ms + rule.cooldown_ms
            if at_ms - life.since_ms >= rule.hold_ms and not rests:
                fires, life = True, _NEW
                yield place
        if life != before:
            self._set(code, rule.name, life)

    def _set(self, code: int, rule: str, life: Life) -> None:
        of = self._known.setdefault(code, {})
        of.pop(rule, None)
        if life != _NEW:
            of[rule] = life
        if not of:
            del self._known[code]
        self.changed.add(code)

    def end(self, code: int, rule: str) -> None:
        """Remember nothing of a rule, since it is another now, or gone."""
        if rule in self._known.get(code, {}):
            self._set(code, rule, _NEW)

    def remembered(self) -> list[tuple[int, str]]:
        """Return the models and rules of which anything is remembered."""
        return [(code, rule) for code, of in self._known.items() for rule in of]

    def forget(self, codes: Collection[int]) -> None:
        """Forget models; their records are for others to delete."""
        for code in codes:
            self._known.pop(code, None)
            self.changed.discard(code)

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield models of which something else is remembered, and what."""
        for code in sorted(self.changed):
            of = self._known.get(code, {})
            yield code, [[rule, *life] for rule, life in sorted(of.items())] or None
        self.changed.clear()

    def restore(self, code: int, packed: Sequence[Sequence[Any]]) -> None:
        """Put back what `changes` yielded."""
        self._known[code] = {rule: Life(*life) for rule, *life in packed}


class Looks(NamedTuple):
    """What looks at a rule said; models rise, and so do the times of each."""

    models: Ints
    times_ms: Ints
    levels: Levels

    def only(self, where: Ints) -> "Looks":
        """Return some of them."""
        return Looks(self.models[where], self.times_ms[where], self.levels[where])


def turns(models: Ints, levels: Levels, firing: Mask) -> Ints:
    """Return the places at which a rule begins to fire, or stops.

    Parameters
    ----------
    models
        Of every place; the places of a model follow each other, in time.
    firing
        Whether the rule fires for the model of every place, before the first of them.

    Examples
    --------
    >>> said = np.array([1, 0, 1, -1, 0], np.int8)
    >>> turns(np.zeros(5, int), said, np.zeros(5, bool)).tolist()
    [0, 3]
    """
    if not len(models):
        return np.empty(0, np.int64)
    first = np.diff(models, prepend=-1) != 0
    own = np.arange(len(models))
    known = (levels != 0) | first
    last = np.maximum.accumulate(np.where(known, own, 0))
    said = np.where(levels[last] != 0, levels[last] > 0, firing[last])
    before = np.empty_like(said)
    before[1:] = said[:-1]
    before[first] = firing[first]
    return np.flatnonzero(said != before)
