"""How many labels came too late to be taken in order, in panes that windows of rules can reach.

Windows that held them had been judged by then without them. An alert says how many are in the
window that it opens on: it may have been such labels that pushed it over its limit.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.rules.findings import Finding
from streams.rules.metrics import OF_OUTCOMES
from streams.rules.plan import Plan
from streams.tables import Table, segment_layers

Ints = NDArray[np.int64]


class LateLabels:
    """Late labels of models, by code; of each by segment and start of the pane."""

    def __init__(self) -> None:
        self._known: dict[int, Counter[tuple[str, int]]] = {}

    def add(self, table: Table, rows: Ints, starts_ms: Ints, *, segments: Collection[str]) -> None:
        """Count outcome rows, each of which came into a pane; those taken back count for nothing.

        Parameters
        ----------
        starts_ms
            Start of the pane of every row.
        segments
            Those that rules look at; others are left out.
        """
        outcomes = table.outcomes
        first = outcomes.first[rows] == 1
        rows, starts_ms = rows[first], starts_ms[first]
        for names, own, name in segment_layers(table, outcomes.segments[rows], wanted=segments):
            keys = np.stack([outcomes.model[rows[own]].astype(np.int64), name, starts_ms[own]])
            found, counts = np.unique(keys, axis=1, return_counts=True)
            for (code, place, start_ms), count in zip(
                found.T.tolist(), counts.tolist(), strict=True
            ):
                self._known.setdefault(code, Counter())[names[place], start_ms] += count

    def within(self, code: int, segment: str, *, from_ms: int, until_ms: int) -> int:
        """Return how many a window has."""
        own = self._known.get(code)
        if own is None:
            return 0
        return sum(
            count
            for (name, start_ms), count in own.items()
            if name == segment and from_ms <= start_ms < until_ms
        )

    def drop(self, codes: Collection[int]) -> None:
        """Forget models."""
        for code in codes:
            self._known.pop(code, None)

    def pack(self, code: int, *, since_ms: int) -> list[list[Any]]:
        """Return what is known of a model from a time on; the rest is forgotten."""
        own = self._known.get(code, Counter())
        kept = Counter({key: count for key, count in own.items() if key[1] >= since_ms})
        self.drop([code])
        if kept:
            self._known[code] = kept
        return [[*key, count] for key, count in sorted(kept.items())]

    def restore(self, code: int, packed: Sequence[Sequence[Any]]) -> None:
        """Put back what `pack` returned."""
        self.drop([code])
        if packed:
            self._known[code] = Counter({(name, start): count for name, start, count in packed})


def with_late(late_labels: LateLabels, found: Finding, plan: Plan) -> Finding:
    """Add how many labels of a window that violates a rule came late."""
    rule = found.threshold
    if not found.violated or OF_OUTCOMES not in plan.asked[rule.name].sides:
        return found
    from_ms = found.at_ms - plan.length_ms(rule.name, found.window_ms)
    span = {"from_ms": from_ms, "until_ms": found.at_ms}
    return found._replace(late=late_labels.within(found.model, rule.segment, **span))
