"""Rows whose time has come, as inputs of watchers: in order, all models at once.

Predictions are taken at prediction time, outcomes at the time at which prediction and label were
both there. Outcomes of one moment are taken in the order of their predictions' times: a nightly
job stamps all its labels alike, and in the order of hashed ids the errors of a model that went
wrong at noon would be spread evenly over its day. What is left is ordered by the hash of the id,
and rows that are alike in all of that, by their values.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streams.features import Block, choose, merged
from streams.noticed import Noticed
from streams.outcomes import Floats, Ints
from streams.tables import OutcomeColumns, Table
from streams.task import DISTANCE, MEASURES
from streams.watchers.lanes import Input

_LARGEST_KEY = 1 << 62


class Rows(Protocol):
    """Rows that wait for their time."""

    table: Table
    columns: OutcomeColumns


# --- outcomes


def losses(
    waiting: Sequence[Rows], noticed: Noticed, *, from_ms: int, until_ms: int
) -> list[Input]:
    """Return what is due of losses; more than one input are to be taken one after the other.

    That is where the loss of a model is measured otherwise from some moment on.
    """
    parts = []
    for one in waiting:
        rows, c = one.table.outcomes, one.columns
        mask = between(rows.at_ms, from_ms, until_ms) & (rows.first == 1)
        if mask.any():
            columns = rows.model, rows.at_ms, rows.time_ms, rows.tie
            measured = c.loss, c.word_loss, c.chance_loss, np.abs(c.error)
            parts.append(tuple(column[mask] for column in (*columns, *measured)))
    if not parts:
        return []
    models, times, made, ties, *ways = map(np.concatenate, zip(*parts, strict=True))
    order, unclear = ordered(models, times, made, ties)
    if unclear:
        order = np.lexsort((*ways, ties, made, times, models))
    models, times = models[order], times[order]
    ways = [column[order] for column in ways]
    ways[DISTANCE] = np.where(np.isnan(ways[DISTANCE]), ways[0], ways[DISTANCE])
    way = _ways(models, times, noticed)
    values = np.array(ways)[way, np.arange(len(way))]
    return list(_measured_alike(models, times, values, np.array(MEASURES)[way]))


def measured(one: Rows, own: Ints, noticed: Noticed) -> tuple[Ints, Floats]:
    """Return of some outcome rows how their losses are measured, as `MEASURES`, and the losses."""
    rows, c = one.table.outcomes, one.columns
    models, times = rows.model[own].astype(np.int64), rows.at_ms[own]
    order = np.lexsort((times, models))
    way = np.empty(len(own), np.int64)
    way[order] = _ways(models[order], times[order], noticed)
    wrong = c.loss[own]
    distance = np.abs(c.error[own])
    distance = np.where(np.isnan(distance), wrong, distance)
    columns = wrong, c.word_loss[own], c.chance_loss[own], distance
    return np.array(MEASURES)[way], np.array(columns)[way, np.arange(len(way))]


def _ways(models: Ints, times_ms: Ints, noticed: Noticed) -> Ints:
    """Return for every row how its loss is measured: by what its model is judged to be then."""
    ways = noticed.way[models]
    early = times_ms < noticed.since_ms[models]
    if early.any():
        starts = np.flatnonzero(np.diff(models, prepend=-1))
        ends = np.append(starts[1:], len(models))
        some = early[starts]
        for start, end in zip(starts[some].tolist(), ends[some].tolist(), strict=True):
            for part, judged in noticed.shown[models[start]].spans(times_ms[start:end]):
                ways[start:end][part] = judged.loss_way
    return ways


def _measured_alike(
    models: Ints, times_ms: Ints, values: Floats, measures: Ints
) -> Iterator[Input]:
    """Cut where a model's values begin to be measured otherwise."""
    changed = np.zeros(len(models), bool)
    changed[1:] = (models[1:] == models[:-1]) & (measures[1:] != measures[:-1])
    if not changed.any():
        yield _input("loss", models, times_ms, values, measures)
        return
    turns = np.cumsum(changed)
    starts = np.flatnonzero(np.diff(models, prepend=-1))
    turns -= np.repeat(turns[starts], np.diff(np.append(starts, len(models))))
    for turn in range(int(turns.max()) + 1):
        own = turns == turn
        yield _input("loss", models[own], times_ms[own], values[own], measures[own])


# --- predictions


def seen(
    waiting: Sequence[Rows], covers: Callable[[str], bool], *, from_ms: int, until_ms: int
) -> list[Input]:
    """Return what is due of scores and features, of those that `covers` tells to be looked at."""
    rows, features = [], []
    for one in waiting:
        p = one.table.predictions
        chosen = np.flatnonzero(between(p.time_ms, from_ms, until_ms))
        if len(chosen):
            rows.append(tuple(c[chosen] for c in (p.model, p.time_ms, p.tie, p.score)))
            features.append((choose(one.table.features, chosen, count=len(p.time_ms)), len(chosen)))
    if not rows:
        return []
    models, times, ties, score = map(np.concatenate, zip(*rows, strict=True))
    order, unclear = ordered(models, times, ties)
    blocks = [Block(("score",), np.arange(len(score)), score[:, None])]
    blocks += [block._replace(names=_sources(block.names)) for block in merged(features)]
    models, times, ties = models[order], times[order], ties[order]
    inputs = []
    for source, parts in _columns(blocks, order, covers).items():
        places, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        if unclear or len(parts) > 1:
            keys = (values, ties[places], times[places], models[places])
            own = np.lexsort(keys) if unclear else np.argsort(places)
            places, values = places[own], values[own]
        if len(places) == len(models):
            inputs.append(_input(source, models, times, values))
        elif len(places):
            inputs.append(_input(source, models[places], times[places], values))
    return inputs


def _columns(
    blocks: Sequence[Block], order: Ints, covers: Callable[[str], bool]
) -> dict[str, list[tuple[Ints, Floats]]]:
    """Return by input, of every block that has it: places of values in the order, and values."""
    found: dict[str, list[tuple[Ints, Floats]]] = {}
    for block in blocks:
        places, own = _in_order(block, order)
        for index, source in enumerate(block.names):
            if covers(source):
                values = block.values[own, index]
                known = np.isfinite(values)
                if known.all():
                    found.setdefault(source, []).append((places, values))
                else:
                    found.setdefault(source, []).append((places[known], values[known]))
    return found


def _sources(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"feature:{name}" for name in names)


def _in_order(block: Block, order: Ints) -> tuple[Ints, Ints]:
    """Return the places of a block's rows in the order of all rows, and where it has them."""
    row = np.full(len(order), -1)
    row[block.rows] = np.arange(len(block.rows))
    row = row[order]
    places = np.flatnonzero(row >= 0)
    return places, row[places]


def _input(
    source: str, models: Ints, times_ms: Ints, values: Floats, measures: Ints | None = None
) -> Input:
    starts = np.flatnonzero(np.diff(models, prepend=-1))
    counts = np.diff(np.append(starts, len(models)))
    if measures is not None:
        measures = measures[starts]
    return Input(source, models[starts], counts, times_ms, values, measures)


# --- order


def between(times_ms: Ints, from_ms: int, until_ms: int) -> NDArray[np.bool_]:
    """Tell which times are in a span; the end is not."""
    return (times_ms >= from_ms) & (times_ms < until_ms)


def ordered(models: Ints, times_ms: Ints, *ties: Ints) -> tuple[Ints, bool]:
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
