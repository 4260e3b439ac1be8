"""Rows whose time has come, as what they add to lanes: all models at once, in no order."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from streams.categories import are_null, are_texts
from streams.events import ABSENT
from streams.features import Block, choose
from streams.grouping import distinct
from streams.outcomes import OutcomeRows, PredictionRows
from streams.released import Rows, between
from streams.scan import inputs
from streams.scan.filling import Filling, Numbers
from streams.scan.lanes import Ints
from streams.scan.panes import UNIT
from streams.tables import class_places
from streams.watchers.lanes import Input as Values

_TIE_SHIFT = 44
"""Times in ms have no more bits."""


class Known(NamedTuple):
    """What must be known of models.

    Attributes
    ----------
    groups
        By code, the number of the model here; -1 where nobody looks.
    versions
        By code, model and version.
    classifies
        Tells of a code whether what it predicts are classes.
    """

    groups: Ints
    versions: Sequence[tuple[str, str]]
    classifies: Callable[[int], bool]


def feed(
    filling: Filling, due: Sequence[Rows], known: Known, *, from_ms: int, until_ms: int
) -> None:
    """Add what is due of predictions and labels, but for losses."""
    groups = known.groups
    for one in due:
        rows = one.table.predictions
        chosen = between(rows.time_ms, from_ms, until_ms) & (groups[rows.model] >= 0)
        if chosen.any():
            own = np.flatnonzero(chosen)
            kept = choose(one.table.features, own, count=len(rows.time_ms))
            _predictions(filling, rows, own, known)
            _features(filling, rows, own, groups, kept)
            _classes(filling, _Named(rows, own, one.table.strings), known)
        labels = one.table.outcomes
        chosen = between(labels.at_ms, from_ms, until_ms) & (labels.first == 1)
        chosen &= groups[labels.model] >= 0
        if chosen.any():
            _labels(filling, labels, np.flatnonzero(chosen), groups)


def _predictions(filling: Filling, rows: PredictionRows, own: Ints, known: Known) -> None:
    codes, runs = distinct(rows.model[own])
    for code, many in zip(codes.tolist(), np.bincount(runs).tolist(), strict=True):
        version = known.versions[code][1]
        _count(filling, inputs.VERSION, version, known.groups[[code]], np.array([many]))
    models, runs = distinct(known.groups[rows.model[own]])
    _count(filling, inputs.TRAFFIC, "", models, np.bincount(runs))
    ties = rows.tie[own]
    for ranked, column in ((inputs.SCORE, rows.score), (inputs.LATENCY, rows.latency_ms)):
        filling.add_ranked(ranked, "", Numbers(models, runs, ties, column[own]))


def _count(filling: Filling, one: inputs.Input, name: str, models: Ints, counts: Ints) -> None:
    filling.add(filling.lanes_of(one, name, models), np.zeros_like(counts), counts)


def _features(
    filling: Filling, rows: PredictionRows, own: Ints, groups: Ints, features: Sequence[Block]
) -> None:
    for block in features:
        every = own[block.rows]
        models, runs = distinct(groups[rows.model[every]])
        ties = rows.tie[every]
        for place, name in enumerate(block.names):
            values = np.ascontiguousarray(block.values[:, place])
            given = Numbers(models, runs, ties, values)
            filling.add_ranked(inputs.FEATURE, name, given)
            _present(filling, name, given)


def _present(filling: Filling, name: str, given: Numbers) -> None:
    """Add how often a feature is there; where numbers were, a text is not."""
    values, size = given.values, len(given.groups)
    there = np.isfinite(values)
    if not there.all():
        texts = are_texts(values)
        if texts.any():
            texts &= ~filling.has_table(inputs.FEATURE, name, given.groups)[given.runs]
        there = (values != ABSENT) & ~are_null(values) & (texts | ~are_texts(values))
    counts = np.bincount(given.runs[there], minlength=size)
    lanes = filling.lanes_of(inputs.MISSING, name, given.groups)
    filling.add(lanes, np.zeros_like(counts), counts * UNIT)


class _Named(NamedTuple):
    """Predictions of a batch, with the texts that they index."""

    rows: PredictionRows
    own: Ints
    strings: Sequence[str]


def _classes(filling: Filling, given: _Named, known: Known) -> None:
    """Add how often classifiers predicted which class."""
    rows, own, strings = given
    codes, runs = distinct(rows.model[own])
    chosen = np.array([known.classifies(code) for code in codes.tolist()])[runs]
    if not chosen.any():
        return
    own, models = own[chosen], known.groups[codes][runs[chosen]]
    names, places = class_places(
        *(rows.number[own], rows.code[own], strings), nameless=np.zeros(len(own), bool)
    )
    keys, runs = distinct(models * len(names) + places)
    for key, count in zip(keys.tolist(), np.bincount(runs).tolist(), strict=True):
        model, place = divmod(key, len(names))
        lane = filling.lanes_of(inputs.CLASS, names[place], np.array([model]))
        filling.add(lane, np.zeros(1, np.int64), np.array([count * UNIT]))


def _labels(filling: Filling, rows: OutcomeRows, own: Ints, groups: Ints) -> None:
    models, runs = distinct(groups[rows.model[own]])
    _count(filling, inputs.LABELS, "", models, np.bincount(runs))
    delays = np.where(rows.delay[own] == 1, rows.label_ms[own] - rows.time_ms[own], np.nan)
    filling.add_ranked(inputs.DELAY, "", Numbers(models, runs, rows.tie[own], delays))


# --- losses


def feed_losses(filling: Filling, found: Sequence[Values], groups: Ints) -> None:
    """Add losses: whether predictions were wrong, or by how much."""
    for one in found:
        assert one.measures is not None
        for way in np.unique(one.measures).tolist():
            own = one.of((one.measures == way) & (groups[one.models] >= 0))
            if len(own.models):
                models, runs = _runs(own, groups)
                _loss(filling, way, own, models, runs)


def _runs(one: Values, groups: Ints) -> tuple[Ints, Ints]:
    models, places = distinct(groups[one.models])
    return models, np.repeat(places, one.counts)


def _loss(filling: Filling, way: int, own: Values, models: Ints, runs: Ints) -> None:
    if way == 1:
        lanes = filling.lanes_of(inputs.WRONG, "", models)
        filling.add_values(lanes, runs, (own.values * UNIT).astype(np.int64))
        return
    name = "" if way == 3 else "chance"  # a loss that is measured otherwise is another lane
    filling.add_ranked(inputs.DISTANCE, name, Numbers(models, runs, _ties(own), own.values))


def _ties(one: Values) -> Ints:
    """Return numbers of rows: their times, and those of one moment and model in their order."""
    starts = np.cumsum(one.counts) - one.counts
    new = np.diff(one.times_ms, prepend=-1) != 0
    new[starts] = True
    first = np.flatnonzero(new)
    again = np.arange(len(new)) - np.repeat(first, np.diff(np.append(first, len(new))))
    found: Ints = one.times_ms + (again << _TIE_SHIFT)
    return found


def panes_of(
    due: Sequence[Rows], losses: Sequence[Values], *, pane_ms: int, from_ms: int, until_ms: int
) -> Iterator[int]:
    """Yield the panes in which anything is due, in rising order, each once."""
    times = [t for one in due for t in (one.table.predictions.time_ms, one.table.outcomes.at_ms)]
    times += [one.times_ms for one in losses]
    found = [t[between(t, from_ms, until_ms)] // pane_ms for t in times]
    if found:
        yield from np.unique(np.concatenate(found)).tolist()
