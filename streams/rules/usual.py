"""What metrics of rules were in the first windows of a model, for the kinds that go by these.

A window counts if it ends at a multiple of its length, so that none overlaps another, and if the
rule might be judged on it. Once there are enough, nothing is added: what is usual does not follow
what goes wrong. Until then the rule waits.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.monitors import Threshold
from streams.rule_kinds import BY_NAME, Bounds, Learnt
from streams.rule_kinds.learnt import Limits, Usual
from streams.rules.limits import Readings

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class _Known(msgspec.Struct, array_like=True):
    """What is known of a rule of a model, and windows of one length."""

    complete: bool = False
    ends_ms: list[int] = msgspec.field(default_factory=list)
    values: list[float] = msgspec.field(default_factory=list)

    def usual(self, length_ms: int, *, counts: bool) -> Usual:
        """Return it as columns."""
        ends_ms = np.array(self.ends_ms, np.int64)
        return Usual(ends_ms, np.array(self.values), length_ms, counts=counts)


class Usuals:
    """What is usual of the rules of a partition that learn it.

    Attributes
    ----------
    changed
        Models of which it is not written down as it is.
    """

    def __init__(self) -> None:
        self._known: dict[int, dict[tuple[str, int], _Known]] = {}
        self.changed: set[int] = set()

    def learn(
        self,
        rule: Threshold,
        length_ms: int,
        *,
        places: tuple[Ints, Ints],
        readings: Readings,
        may: Mask,
        counts: bool,
    ) -> tuple[Limits, Bounds]:
        """Learn from windows; return their limits, and those within which the rule is over.

        Parameters
        ----------
        places
            Models and ends of the windows; models rise, and so do the ends of each.
        may
            Whether a window holds enough.

        Returns
        -------
        tuple
            NaN where too little was known before the window.
        """
        kind = BY_NAME[rule.kind]
        assert isinstance(kind, Learnt)
        models, ends_ms = places
        columns = np.full((5, len(models)), np.nan)
        codes, starts = np.unique(models, return_index=True)
        for code, start, end in zip(
            codes.tolist(), starts.tolist(), [*starts.tolist()[1:], len(models)], strict=True
        ):
            known = self._known.get(code, {}).get((rule.name, length_ms), _Known())
            first = start
            if not known.complete:
                own = slice(start, end)
                told = ends_ms[own], readings.value[own], may[own]
                first += self._grow(code, (rule, kind, length_ms), known, told, counts=counts)
            if known.complete and first < end:
                usual, at_ms = known.usual(length_ms, counts=counts), ends_ms[first:end]
                outer = kind.limits(rule.given, usual, at_ms)
                clear = rule.given if rule.clear is None else rule.clear
                inner = kind.limits(clear, usual, at_ms).bounds
                columns[:, first:end] = [*outer.bounds, outer.reference, *inner]
        lowest, highest, reference, *inside = columns
        return Limits(Bounds(lowest, highest), reference), Bounds(*inside)

    def _grow(
        self,
        code: int,
        of: tuple[Threshold, Learnt, int],
        known: _Known,
        told: tuple[Ints, NDArray[np.float64], Mask],
        *,
        counts: bool,
    ) -> int:
        """Add windows of a model until there are enough; return after how many these were."""
        rule, kind, length_ms = of
        ends_ms, values, may = told
        own = np.flatnonzero(may & ~np.isnan(values) & (ends_ms % length_ms == 0))
        for place in own.tolist():
            known.ends_ms.append(int(ends_ms[place]))
            known.values.append(float(values[place]))
            self._known.setdefault(code, {})[rule.name, length_ms] = known
            self.changed.add(code)
            if kind.is_complete(rule.given, known.usual(length_ms, counts=counts)):
                known.complete = True
                return place + 1
        return len(ends_ms)

    def remembered(self) -> list[tuple[int, str]]:
        """Return the models and rules of which anything is known."""
        return sorted({(code, rule) for code, of in self._known.items() for rule, _ in of})

    def lacking(self, rule: str) -> int | None:
        """Return how many windows a rule has learnt from at most; `None` if that is enough."""
        own = [one for of in self._known.values() for (name, _), one in of.items() if name == rule]
        if any(one.complete for one in own):
            return None
        return max((len(one.values) for one in own), default=0)

    def end(self, code: int, rule: str) -> None:
        """Forget what is usual of a rule, since it is another now, or gone."""
        of = self._known.get(code, {})
        for key in [key for key in of if key[0] == rule]:
            del of[key]
            self.changed.add(code)

    def forget(self, codes: Collection[int]) -> None:
        """Forget models; their records are for others to delete."""
        for code in codes:
            self._known.pop(code, None)
            self.changed.discard(code)

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield models of which something else is known, and what."""
        for code in sorted(self.changed):
            of = sorted(self._known.get(code, {}).items())
            yield code, [[*key, *msgspec.to_builtins(one)] for key, one in of] or None
        self.changed.clear()

    def restore(self, code: int, packed: Sequence[Sequence[Any]]) -> None:
        """Put back what `changes` yielded."""
        self._known[code] = {
            (rule, length_ms): msgspec.convert(content, _Known)
            for rule, length_ms, *content in packed
        }
