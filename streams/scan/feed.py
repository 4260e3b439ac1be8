"""Rows whose time has come, as what they add to lanes: all models at once, in no order."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from streams.failures import have_failed
from streams.features import choose
from streams.grouping import distinct
from streams.outcomes import OutcomeRows, PredictionRows
from streams.released import Rows, between
from streams.scan import inputs
from streams.scan.features import feed_features
from streams.scan.filling import Filling, Numbers
from streams.scan.known import Known
from streams.scan.lanes import Ints
from streams.scan.panes import HOUR_MS, UNIT
from streams.tables import class_places
from streams.watchers.lanes import Input as Values


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
            feed_features(filling, rows, own, groups=groups, blocks=kept)
            _classes(filling, _Named(rows, own, one.table.strings), known)
        labels = one.table.outcomes
        chosen = between(labels.at_ms, from_ms, until_ms) & (labels.first == 1)
        chosen &= groups[labels.model] >= 0
        if chosen.any():
            _labels(filling, labels, np.flatnonzero(chosen), groups)
            if known.covers(inputs.COVERAGE.watched):
                _labelled(filling, labels, np.flatnonzero(chosen), groups, from_ms // HOUR_MS)


def _predictions(filling: Filling, rows: PredictionRows, own: Ints, known: Known) -> None:
    codes, runs = distinct(rows.model[own])
    _versions(filling, codes, np.bincount(runs), known)
    models, runs = distinct(known.groups[rows.model[own]])
    _count(filling, inputs.TRAFFIC, "", models, np.bincount(runs))
    filling.lanes_of(inputs.COVERAGE, "", models)
    failed = np.bincount(runs[have_failed(rows.number[own])], minlength=len(models))
    if failed.any():
        some = failed > 0
        _count(filling, inputs.FAILED, "", models[some], failed[some])
    ties = rows.tie[own]
    for ranked, column in ((inputs.SCORE, rows.score), (inputs.LATENCY, rows.latency_ms)):
        filling.add_ranked(ranked, "", Numbers(models, runs, ties, column[own]))


def _versions(filling: Filling, codes: Ints, counts: Ints, known: Known) -> None:
    """Add how many predictions are of which version, models with the same one at once."""
    places: dict[str, list[int]] = {}
    for place, code in enumerate(codes.tolist()):
        places.setdefault(known.versions[code][1], []).append(place)
    for version, some in places.items():
        _count(filling, inputs.VERSION, version, known.groups[codes[some]], counts[some])


def _count(filling: Filling, one: inputs.Input, name: str, models: Ints, counts: Ints) -> None:
    filling.add(filling.lanes_of(one, name, models), np.zeros_like(counts), counts)


class _Named(NamedTuple):
    """Predictions of a batch, with the texts that they index."""

    rows: PredictionRows
    own: Ints
    strings: Sequence[str]


def _classes(filling: Filling, given: _Named, known: Known) -> None:
    """Add how often classifiers predicted which class."""
    rows, own, strings = given
    own = own[known.are("binary", "multiclass", models=rows.model[own])]
    if not len(own):
        return
    models = known.groups[rows.model[own]]
    names, places = class_places(
        *(rows.number[own], rows.code[own], strings), nameless=np.zeros(len(own), bool)
    )
    size = int(models.max()) + 1
    keys, runs = distinct(places * size + models)
    counts, of = np.bincount(runs), keys // size
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(keys)]):
        some = keys[start:end] % size
        lanes = filling.lanes_of(inputs.CLASS, names[of[start]], some)
        filling.add(lanes, np.zeros_like(some), counts[start:end] * UNIT)


def _labels(filling: Filling, rows: OutcomeRows, own: Ints, groups: Ints) -> None:
    models, runs = distinct(groups[rows.model[own]])
    _count(filling, inputs.LABELS, "", models, np.bincount(runs))
    delays = np.where(rows.delay[own] == 1, rows.label_ms[own] - rows.time_ms[own], np.nan)
    filling.add_ranked(inputs.DELAY, "", Numbers(models, runs, rows.tie[own], delays))


def _labelled(filling: Filling, rows: OutcomeRows, own: Ints, groups: Ints, hour: int) -> None:
    """Add labels to the hours of their predictions: to the one under way, or to those before."""
    made = rows.time_ms[own] // HOUR_MS
    models, runs = distinct(groups[rows.model[own]])
    lanes = filling.lanes_of(inputs.LABELLED, "", models)
    now = np.bincount(runs[made == hour], minlength=len(models))
    filling.add(lanes, np.zeros_like(now), now)
    before = made < hour
    if before.any():
        keys, places = distinct((hour - made[before]) * len(models) + runs[before])
        hours, of = hour - keys // len(models), lanes[keys % len(models)]
        filling.add_to_hours(of, hours, np.bincount(places))


def panes_of(
    due: Sequence[Rows], losses: Sequence[Values], *, pane_ms: int, from_ms: int, until_ms: int
) -> Iterator[int]:
    """Yield the panes in which anything is due, in rising order, each once."""
    times = [t for one in due for t in (one.table.predictions.time_ms, one.table.outcomes.at_ms)]
    times += [one.times_ms for one in losses]
    found = [t[between(t, from_ms, until_ms)] // pane_ms for t in times]
    if found:
        yield from np.unique(np.concatenate(found)).tolist()
