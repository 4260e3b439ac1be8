"""Losses as what they add to lanes: of all rows, by true class, by segment, as log loss."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from streams.grouping import distinct
from streams.noticed import Noticed
from streams.probabilities import TINY
from streams.released import Rows, between, measured
from streams.scan import inputs
from streams.scan.filling import Filling, Numbers
from streams.scan.known import Known
from streams.scan.lanes import Floats, Ints
from streams.scan.panes import UNIT
from streams.tables import segment_layers
from streams.watchers.lanes import Input as Values

_TIE_SHIFT = 44
"""Times in ms have no more bits."""

_WRONG, _CHANCE = 1, 2
_PROBABLE = "binary", "probability", "multiclass"
_OF_SEGMENTS = {_CHANCE: inputs.SEGMENT_CHANCE, 3: inputs.SEGMENT_DISTANCE}
_BY_NAME = inputs.CLASS_WRONG.watched, inputs.SEGMENT_WRONG.watched


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
    if way == _WRONG:
        lanes = filling.lanes_of(inputs.WRONG, "", models)
        filling.add_values(lanes, runs, (own.values * UNIT).astype(np.int64))
        return
    name = "chance" if way == _CHANCE else ""  # a loss that is measured otherwise is another lane
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


# --- by class and segment


class _Part(NamedTuple):
    """Losses of rows by a name that each has.

    Attributes
    ----------
    models, places
        Of every row, the number of its model and the place of its name in `names`.
    """

    names: Sequence[str]
    models: Ints
    places: Ints
    values: Floats

    def kept(self, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> "_Part":
        return _Part(self.names, self.models[mask], self.places[mask], self.values[mask])

    def by_name(self) -> Iterator[tuple[str, Ints, Floats]]:
        """Yield names with the models and losses of their rows."""
        order = np.argsort(self.places, kind="stable")
        places = self.places[order]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        for some in np.split(order, starts[1:]):
            name = self.names[self.places[some[0]]]
            if name:
                yield name, self.models[some], self.values[some]


def feed_parts(
    filling: Filling,
    due: Sequence[Rows],
    known: Known,
    noticed: Noticed,
    *,
    from_ms: int,
    until_ms: int,
) -> None:
    """Add losses by true class and by segment, and the log loss of probabilities."""
    for one in due:
        rows = one.table.outcomes
        chosen = between(rows.at_ms, from_ms, until_ms) & (rows.first == 1)
        chosen &= known.groups[rows.model] >= 0
        if not chosen.any():
            continue
        own = np.flatnonzero(chosen)
        models = known.groups[rows.model[own]]
        if any(map(known.covers, _BY_NAME)):
            ways, values = measured(one, own, noticed)
            if known.covers(inputs.CLASS_WRONG.watched):
                part = _Part(one.columns.classes, models, one.columns.true[own], values)
                few = known.are("binary", "multiclass", models=rows.model[own])
                _add_shares(filling, inputs.CLASS_WRONG, part.kept(few & (ways == _WRONG)))
            if known.covers(inputs.SEGMENT_WRONG.watched):
                for names, some, places in segment_layers(one.table, rows.segments[own]):
                    part = _Part(names, models[some], places, values[some])
                    _add_segments(filling, part, ways[some])
        if known.covers(inputs.LOG_LOSS.watched):
            _add_log_loss(filling, one, own, known)


def _add_segments(filling: Filling, part: _Part, ways: Ints) -> None:
    _add_shares(filling, inputs.SEGMENT_WRONG, part.kept(ways == _WRONG))
    for way, ranked in _OF_SEGMENTS.items():
        own = part.kept(ways == way)
        if not len(own.values):
            continue
        for name, models, values in own.by_name():
            groups, runs = distinct(models)
            lanes = filling.named(ranked.level, name, groups, np.bincount(runs))
            given = Numbers(groups, runs, np.zeros_like(runs), values).kept((lanes >= 0)[runs])
            if len(given.values):
                filling.add_ranked(ranked, name, given)


def _add_shares(filling: Filling, one: inputs.Input, part: _Part) -> None:
    if not len(part.values):
        return
    for name, models, values in part.by_name():
        groups, runs = distinct(models)
        lanes = filling.named(one, name, groups, np.bincount(runs))
        filling.add_values(lanes, runs, (values * UNIT).astype(np.int64))


# --- probabilities


def _add_log_loss(filling: Filling, one: Rows, own: Ints, known: Known) -> None:
    rows, c = one.table.outcomes, one.columns
    models = rows.model[own]
    likely = np.where(c.positive[own], c.share[own], 1.0 - c.share[own])
    likely = np.where(known.are("multiclass", models=models), c.class_share[own], likely)
    some = ~np.isnan(likely) & known.are(*_PROBABLE, models=models)
    if not some.any():
        return
    losses = -np.log(np.clip(likely[some], TINY, 1.0)) / inputs.LARGEST_LOG_LOSS
    groups, runs = distinct(known.groups[models[some]])
    lanes = filling.lanes_of(inputs.LOG_LOSS, "", groups)
    filling.add_values(lanes, runs, np.rint(np.minimum(losses, 1.0) * UNIT).astype(np.int64))


def part_of(one: Values, from_ms: int, until_ms: int) -> Values | None:
    """Return the values of a span of time; `None` if there is none."""
    chosen = (one.times_ms >= from_ms) & (one.times_ms < until_ms)
    if not chosen.any():
        return None
    if chosen.all():
        return one
    runs = np.repeat(np.arange(len(one.models)), one.counts)[chosen]
    counts = np.bincount(runs, minlength=len(one.models))
    some = counts > 0
    return Values(
        *(one.source, one.models[some], counts[some], one.times_ms[chosen], one.values[chosen]),
        None if one.measures is None else one.measures[some],
    )
