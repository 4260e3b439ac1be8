"""Rules on traffic: how many predictions or labels a window had while the reference grew.

A count is not judged like a ratio. It rests on nothing, so that no number of observations is
waited for: a model that falls silent is what such a rule is for. And it goes with the length of
its window: 40 in a minute are not few because the reference has 1,000 records.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.store import Cells
from streams.monitors import Threshold
from streams.rules.cells import expanded

if TYPE_CHECKING:
    from streams.rules.floors import Replanned
    from streams.rules.plan import Plan
    from streams.rules.watch import RuleWatch

Ints = NDArray[np.int64]

Key = tuple[int, str, str]
"""Code of the model, segment, metric."""


class Traffic(NamedTuple):
    """How many rows of one kind there were, and in how long.

    Attributes
    ----------
    since_ms
        End of the first pane that had any, -1 before: whoever starts in the middle of a pane, or
        of a window, has not fallen silent.
    counts, span_ms
        Rows after that, and in how long, until there were enough of both.
    """

    since_ms: int = -1
    counts: int = 0
    span_ms: int = 0

    def grown(self, rows: int, *, end_ms: int, pane_ms: int) -> "Traffic":
        """Take the next pane into account; panes without rows count, too.

        Examples
        --------
        >>> Traffic().grown(0, end_ms=60, pane_ms=60).grown(7, end_ms=120, pane_ms=60)
        Traffic(since_ms=120, counts=0, span_ms=0)
        """
        if self.since_ms >= 0:
            return Traffic(self.since_ms, self.counts + rows, self.span_ms + pane_ms)
        return Traffic(end_ms) if rows else self

    def lacks(self, plan: "Plan") -> bool:
        """Tell whether it is not enough for the rules that there are."""
        return self.counts < plan.reference or self.span_ms < plan.longest_ms


class Growth(NamedTuple):
    """Traffic at boundaries, as columns."""

    since_ms: Ints
    counts: Ints
    span_ms: Ints

    def only(self, where: Ints) -> "Growth":
        """Return some of the boundaries."""
        return Growth(*(column[where] for column in self))

    def per_window(self, length_ms: int, *, enough: int) -> NDArray[np.float64]:
        """Return how many rows a window has, NaN before there are enough and a window of them.

        Examples
        --------
        >>> Growth(*np.array([[0, 0], [400, 100], [600_000, 600_000]])).per_window(
        ...     60_000, enough=200
        ... )
        array([40., nan])
        """
        known = (self.counts >= enough) & (self.span_ms >= length_ms)
        with np.errstate(all="ignore"):
            return np.where(known, self.counts * length_ms / self.span_ms, np.nan)

    def covers(self, threshold: Threshold, *, starts_ms: Ints) -> NDArray[np.bool_]:
        """Tell of windows whether a rule can be judged on them; more is more at any time."""
        if not threshold.falling:
            return np.ones(len(starts_ms), np.bool_)
        return (self.since_ms >= 0) & (self.since_ms <= starts_ms)


def grow(watch: "RuleWatch", plan: "Plan", spans: Ints) -> dict[tuple[str, str], Growth]:
    """Take the panes of spans into account; return what was known at every boundary to be judged.

    Parameters
    ----------
    spans
        Rows of model, start and end; those of a model follow each other.
    """
    grid, subjects = watch.grid(plan.pane_ms), watch.world.subjects
    owners, numbers = expanded(spans, plan.pane_ms)
    ends_ms = ((numbers + 1) * plan.pane_ms).tolist()
    codes = spans[owners, 0].tolist()
    found = {}
    for segment, metric in plan.traffic:
        side = grid.sides[plan.sides_of_traffic[metric]]
        lost = _lost(side, numbers, watch.world.bucket_of[spans[owners, 0]])
        own = subjects.of(spans[owners, 0], subjects.names.code(segment))
        counts = side.counted(side.find(own, numbers)).tolist()
        columns = []
        for code, end_ms, rows, unknown in zip(codes, ends_ms, counts, lost, strict=True):
            key = code, segment, metric
            known = watch.traffics.known.get(key, Traffic())
            if known.lacks(plan) and not unknown:
                known = watch.traffics.known[key] = known.grown(
                    rows, end_ms=end_ms, pane_ms=plan.pane_ms
                )
            if end_ms % plan.evaluate_ms == 0:
                columns.append(known)
        table = np.array(columns, np.int64).reshape(-1, 3)
        found[segment, metric] = Growth(*table.T)
    return found


def _lost(side: Cells, numbers: Ints, buckets: Ints) -> list[bool]:
    """Tell of panes whether it is unknown how many rows they had."""
    if not side.lacking:
        return [False] * len(numbers)
    found: list[bool] = side.lacking.among((), numbers=numbers, buckets=buckets).tolist()
    return found


class Traffics:
    """Traffic of all models that a rule asks for."""

    def __init__(self) -> None:
        self.known: dict[Key, Traffic] = {}

    def pack(self, code: int) -> list[list[Any]]:
        """Return what is known of a model."""
        return [[*key[1:], *found] for key, found in self.known.items() if key[0] == code]

    def drop(self, codes: Collection[int]) -> None:
        """Forget models."""
        self.known = {key: found for key, found in self.known.items() if key[0] not in codes}

    def replan(self, changed: Mapping[int, "Replanned"]) -> None:
        """Forget what the rules of models ask no more, and what began in panes of other length."""
        self.known = {
            key: found
            for key, found in self.known.items()
            if key[0] not in changed or _goes_on(changed[key[0]], key, found)
        }

    def restore(self, code: int, packed: Sequence[Sequence[Any]]) -> None:
        """Put back what `pack` returned."""
        for segment, metric, *found in packed:
            self.known[code, segment, metric] = Traffic(*found)


def _goes_on(one: "Replanned", key: Key, found: Traffic) -> bool:
    if one.after is None or key[1:] not in one.after.traffic:
        return False
    return one.keeps_panes or not found.lacks(one.after)
