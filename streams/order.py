"""What needs order, of all models at once: rows wait here until the clock has passed them.

They are then taken in event-time order, see `streams.released`. Models do not touch each other, so
that it does not matter in which order they are taken.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.alerts import Alert
from streams.grouping import distinct
from streams.outcomes import Ints, OutcomeRows, PredictionRows
from streams.released import between
from streams.shown import Shown
from streams.tables import OutcomeColumns, Table, segment_layers
from streams.tallies import add_outcomes, add_predictions
from streams.watch import Watch, Watcher
from streams.windows import changing_panes


class Watched(NamedTuple):
    """A model version whose rows are taken in order."""

    watcher: Watcher
    watch: Watch
    shown: Shown


WatchedOf: TypeAlias = Callable[[int], Watched]
"""Returns a model version by its code."""


class Waiting:
    """Rows that are not all taken yet.

    Attributes
    ----------
    offsets
        Of the records that they came with.
    first_ms, last_ms
        When the first and the last of them are due; the first may have been taken.
    """

    def __init__(self, table: Table, outcome_columns: OutcomeColumns, offsets: list[int]) -> None:
        self.table, self.columns, self.offsets = table, outcome_columns, offsets
        times_ms = [t for t in (table.predictions.time_ms, table.outcomes.at_ms) if len(t)]
        self.first_ms = int(min((t.min() for t in times_ms), default=-1))
        self.last_ms = int(max((t.max() for t in times_ms), default=-1))

    def count(self, from_ms: int, until_ms: int) -> int:
        """Return how many rows are due in a span of time."""
        return len(self.due_ms(from_ms, until_ms))

    def due_ms(self, from_ms: int, until_ms: int) -> Ints:
        """Return when the rows are due that are so in a span of time."""
        times_ms = np.concatenate([self.table.predictions.time_ms, self.table.outcomes.at_ms])
        return times_ms[between(times_ms, from_ms, until_ms)]


# --- rules


class RuleCounter:
    """Counts rows for the rules, pane by pane, and lets them be judged between the panes."""

    def __init__(self, watched_of: WatchedOf) -> None:
        self._watched_of = watched_of

    def advance(
        self, waiting: Sequence[Waiting], *, from_ms: int, until_ms: int
    ) -> Iterator[tuple[int, list[Alert]]]:
        """Count what has become due; yield models with alert revisions, panes in order."""
        panes: dict[int, list[tuple[Waiting, bool, Ints]]] = {}
        for one in waiting:
            p, o = one.table.predictions, one.table.outcomes
            for rows, times_ms, inputs in ((p, p.time_ms, True), (o, o.at_ms, False)):
                due = np.flatnonzero(between(times_ms, from_ms, until_ms))
                if not len(due):
                    continue
                pane_ms = self._pane_ms(rows.model[due], inputs=inputs)
                chosen, pane_ms = due[pane_ms > 0], pane_ms[pane_ms > 0]
                starts = times_ms[chosen] // pane_ms * pane_ms
                values, places = distinct(starts)
                for place, start_ms in enumerate(values.tolist()):
                    here = chosen[places == place]
                    panes.setdefault(start_ms, []).append((one, inputs, here))
        for start_ms in sorted(panes):
            for model in self._models(panes[start_ms]):
                watcher, watch, shown = self._watched_of(model)
                alerts = watcher.rules.evaluate(
                    watch.rules, shown, until_ms=start_ms, **watcher.identity
                )
                watcher.rules.add_boundary(watch.rules, start_ms)
                yield model, alerts
            for one, inputs, chosen in panes[start_ms]:
                self._count(one, chosen, inputs=inputs)

    def count_late(self, one: Waiting, *, clock_ms: int) -> None:
        """Count outcomes that came too late to be taken in order; detectors skip them.

        A rule must not: a correction in time takes back what a late label had added.
        """
        rows = one.table.outcomes
        pane_ms = self._pane_ms(rows.model, inputs=False)
        chosen = np.flatnonzero((rows.at_ms < clock_ms) & (pane_ms > 0))
        for model in distinct(rows.model[chosen])[0].tolist():
            watcher, watch, _ = self._watched_of(model)
            step_ms = watcher.rules.pane_ms
            watcher.rules.add_boundary(watch.rules, clock_ms // step_ms * step_ms)
        self._count(one, chosen, inputs=False)

    def _pane_ms(self, models: NDArray[np.integer], *, inputs: bool) -> Ints:
        """Return for every row the pane length of its model's rules, 0 if they do not need it."""
        codes, places = distinct(models)
        lengths = []
        for code in codes.tolist():
            rules = self._watched_of(code).watcher.rules
            needed = rules.needs_inputs if inputs else bool(rules.thresholds)
            lengths.append(rules.pane_ms if needed else 0)
        return np.array(lengths, np.int64)[places]

    def _models(self, chunks: Sequence[tuple[Waiting, bool, Ints]]) -> list[int]:
        found = [
            (one.table.predictions if inputs else one.table.outcomes).model[chosen]
            for one, inputs, chosen in chunks
        ]
        return distinct(np.concatenate(found))[0].tolist()  # type: ignore[no-any-return]

    def _count(self, one: Waiting, chosen: Ints, *, inputs: bool) -> None:
        table = one.table
        rows: PredictionRows | OutcomeRows = table.predictions if inputs else table.outcomes
        times_ms = table.predictions.time_ms
        if not inputs:
            times_ms = np.maximum(table.outcomes.label_ms, table.outcomes.time_ms)
        models = rows.model[chosen]
        codes, places = distinct(models)
        rules = [self._watched_of(code) for code in codes.tolist()]
        lengths = np.array([w.watcher.rules.pane_ms for w in rules], np.int64)[places]
        numbers = times_ms[chosen] // lengths
        if not inputs:  # what takes back a label that has left every rule's window is left out
            oldest_ms = [w.watch.rules.boundary_ms - w.watcher.rules.longest_ms for w in rules]
            kept = numbers * lengths >= np.array(oldest_ms, np.int64)[places]
            chosen, models = chosen[kept], models[kept]
            numbers, places = numbers[kept], places[kept]
        segments = [frozenset(w.watcher.rules.segments) for w in rules]
        wanted = frozenset().union(*segments)
        for names, here, name in segment_layers(table, rows.segments[chosen], wanted=wanted):
            asked = np.array([[one in own for one in names] for own in segments])
            mask = asked[places[here], name]
            inside, name_of = here[mask], name[mask]
            panes, group = changing_panes(
                lambda code: self._watched_of(code).watch.rules,
                models[inside],
                (names, name_of),
                numbers[inside],
                lambda code: self._watched_of(code).watcher.rules.pane_ms,
            )
            if inputs:
                add_predictions(
                    [pane.inputs for pane in panes],
                    table.predictions,
                    table.features,
                    chosen=chosen[inside],
                    group=group,
                )
            elif panes:
                outcomes = [pane.outcomes for pane in panes]
                add_outcomes(outcomes, one.columns, chosen=chosen[inside], group=group)
