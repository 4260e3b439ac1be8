"""What needs order, of all models at once: rows wait here until the clock has passed them.

They are then taken in event-time order: predictions at prediction time, outcomes at the time at
which prediction and label were both there. Outcomes of one moment are taken in the order of their
predictions' times: a nightly job stamps all its labels alike, and in the order of hashed ids the
errors of a model that went wrong at noon would be spread evenly over its day. What is left is
ordered by the hash of the id. Models do not touch each other, so that it does not matter in which
order they are taken.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.alerts import Alert
from streams.features import Block, choose, merged
from streams.grouping import distinct
from streams.outcomes import Floats, Ints, OutcomeRows, PredictionRows
from streams.shown import Shown
from streams.tables import OutcomeColumns, Table, segment_layers
from streams.tallies import add_outcomes, add_predictions
from streams.task import Judged
from streams.watch import Watch, Watcher
from streams.windows import changing_panes

_LARGEST_KEY = 1 << 62


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
        columns = self.table.predictions.time_ms, self.table.outcomes.at_ms
        return sum(int(np.count_nonzero(_between(c, from_ms, until_ms))) for c in columns)


# --- detectors


class Course(NamedTuple):
    """What detectors of a model see of one input, in order."""

    model: int
    source: str
    times_ms: Ints
    values: Floats


def sequences(
    waiting: Sequence[Waiting], watched_of: WatchedOf, *, from_ms: int, until_ms: int
) -> Iterator[Course]:
    """Yield what has become due since ``from_ms``."""
    yield from _losses(waiting, watched_of, from_ms, until_ms)
    yield from _inputs(waiting, watched_of, from_ms, until_ms)


def _losses(
    waiting: Sequence[Waiting], watched_of: WatchedOf, from_ms: int, until_ms: int
) -> Iterator[Course]:
    parts = []
    for one in waiting:
        rows, c = one.table.outcomes, one.columns
        mask = _between(rows.at_ms, from_ms, until_ms) & (rows.first == 1)
        if mask.any():
            parts.append(
                tuple(
                    column[mask]
                    for column in (
                        *(rows.model, rows.at_ms, rows.time_ms, rows.tie),
                        *(c.loss, c.word_loss, c.chance_loss, c.error),
                    )
                )
            )
    if not parts:
        return
    models, times, made, ties, *losses = map(np.concatenate, zip(*parts, strict=True))
    losses[-1] = np.abs(losses[-1])
    order, unclear = _ordered(models, times, made, ties)
    if unclear:
        order = np.lexsort((*losses, ties, made, times, models))
    models, times = models[order], times[order]
    losses = [column[order] for column in losses]
    for model, span in _runs(models):
        watcher, watch, shown = watched_of(model)
        own = [column[span] for column in losses]
        for part, judged in shown.spans(times[span]):
            kind, values = _loss([column[part] for column in own], judged)
            watcher.measure_loss(watch, kind)
            yield Course(model, "loss", times[span][part], values)


def _loss(losses: Sequence[Floats], judged: Judged) -> tuple[str, Floats]:
    """Return what the loss is for a kind of model, and how it is measured."""
    two, words, chance, distance = losses
    if judged.kind == "probability":
        return "chance", chance
    if judged.kind == "regression":
        return "distance", np.where(np.isnan(distance), two, distance)
    return "class", words if judged.words else two


def _inputs(
    waiting: Sequence[Waiting], watched_of: WatchedOf, from_ms: int, until_ms: int
) -> Iterator[Course]:
    rows, features = [], []
    for one in waiting:
        p = one.table.predictions
        chosen = np.flatnonzero(_between(p.time_ms, from_ms, until_ms))
        if len(chosen):
            rows.append(tuple(c[chosen] for c in (p.model, p.time_ms, p.tie, p.score)))
            features.append((choose(one.table.features, chosen, count=len(p.time_ms)), len(chosen)))
    if not rows:
        return
    models, times, ties, score = map(np.concatenate, zip(*rows, strict=True))
    order, unclear = _ordered(models, times, ties)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    blocks = [Block(("score",), np.arange(len(score)), score[:, None])]
    blocks += [block._replace(names=_sources(block.names)) for block in merged(features)]
    parts: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
    for block in blocks:
        for model, source, part in _split(block, (models, times, ties), rank, watched_of):
            parts.setdefault((model, source), []).append(part)
    for (model, source), found in sorted(parts.items(), key=lambda part: part[0]):
        times_ms, tie, values = found[0]
        if len(found) > 1 or unclear:
            times_ms, tie, values = (np.concatenate(c) for c in zip(*found, strict=True))
            own = np.lexsort((values, tie, times_ms))
            times_ms, values = times_ms[own], values[own]
        yield Course(model, source, times_ms, values)


def _sources(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"feature:{name}" for name in names)


def _split(
    block: Block, columns: tuple[Ints, Ints, Ints], rank: Ints, watched_of: WatchedOf
) -> Iterator[tuple[int, str, tuple[Ints, Ints, Floats]]]:
    """Yield every input that is watched of every model: times, ids and values, in order.

    Parameters
    ----------
    columns
        Models, times and ids of all rows.
    rank
        Which place every row has in the order.
    """
    place = np.full(len(rank), -1)
    place[rank[block.rows]] = np.arange(len(block.rows))
    order = place[place >= 0]
    models, times, ties = (column[block.rows[order]] for column in columns)
    runs = list(_runs(models))
    watchers = {model: watched_of(model).watcher for model, _ in runs}
    for index, source in enumerate(block.names):
        watched = {model for model, watcher in watchers.items() if watcher.covering(source)}
        if not watched:
            continue
        values = block.values[order, index]
        known = np.isfinite(values)
        own_runs, own = runs, (times, ties, values)
        if not known.all():
            own = times[known], ties[known], values[known]
            own_runs = list(_runs(models[known]))
        for model, span in own_runs:
            if model in watched:
                yield model, source, (own[0][span], own[1][span], own[2][span])


def _between(times_ms: Ints, from_ms: int, until_ms: int) -> NDArray[np.bool_]:
    return (times_ms >= from_ms) & (times_ms < until_ms)


def _ordered(models: Ints, times_ms: Ints, *ties: Ints) -> tuple[Ints, bool]:
    """Return the order by model, time and ties, and whether that leaves any two rows alike.

    Rows come nearly in the order of time, which a stable sort makes use of; ids are in none, so
    that ties are only looked at of rows that have model and time in common.

    Parameters
    ----------
    ties
        What decides among rows of one moment, most important first.
    """
    moment = times_ms - times_ms.min()
    span = int(moment.max()) + 1
    if span * (int(models.max()) + 1) >= _LARGEST_KEY:
        values, moment = np.unique(moment, return_inverse=True)
        span = len(values)
    keys = models * span + moment
    order = np.argsort(keys, kind="stable")
    inside = keys[order]
    same = inside[1:] == inside[:-1]
    if not same.any():
        return order, False
    shared = np.append(same, False)
    shared[1:] |= same
    rows = order[shared]
    rows = rows[np.lexsort((*(tie[rows] for tie in reversed(ties)), keys[rows]))]
    order[shared] = rows
    alike = [column[1:] == column[:-1] for column in (keys[rows], *(tie[rows] for tie in ties))]
    return order, bool(np.logical_and.reduce(alike).any())


def _runs(models: Ints) -> Iterator[tuple[int, slice]]:
    """Yield every model of a sorted column, and where its rows are."""
    if not len(models):
        return
    starts = np.flatnonzero(np.diff(models, prepend=models[0] - 1)).tolist()
    for start, end in pairwise([*starts, len(models)]):
        yield int(models[start]), slice(start, end)


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
                due = np.flatnonzero(_between(times_ms, from_ms, until_ms))
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
