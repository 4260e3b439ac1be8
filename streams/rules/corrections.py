"""Labels that are replaced, taken back or late, in the windows that open alerts rest on.

A rule counts a label when it comes, and so a correction: the old label leaves its pane, and the new
one comes into a later one. In the window that an alert opened on, the new one stands in the place
of the old: what is asked is whether it would have opened, had the labels been right at once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.outcomes import OutcomeRows
from streams.rules.due import Part
from streams.rules.grounds import Ground, Grounds
from streams.rules.metrics import OF_OUTCOMES
from streams.rules.plan import Plan
from streams.tables import Table, segment_layers

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class _Turned(NamedTuple):
    """Outcome rows that may change a window, of all parts together.

    Attributes
    ----------
    part, row
        Of every row, which part it is of, and its place in its batch.
    label_ms
        When its label came.
    starts_ms
        Start of the pane in which it came itself.
    whose
        Number of the prediction and moment: what replaces a label and what it replaces are alike.
    """

    part: Ints
    row: Ints
    model: Ints
    label_ms: Ints
    starts_ms: Ints
    weight: Ints
    whose: Ints

    def only(self, mask: Mask) -> "_Turned":
        """Return some of them."""
        return _Turned(*(column[mask] for column in self))


class _Layer(NamedTuple):
    """What alerts of different models rest on, in one segment; models rise."""

    segment: str
    models: Ints
    rules: list[str]
    grounds: list[Ground]


def correct(grounds: Grounds, parts: Sequence[Part], plan_of: Callable[[int], Plan | None]) -> None:
    """Change the windows that alerts rest on by labels that are of them.

    Parameters
    ----------
    plan_of
        Returns what rules of one pace ask of a model: alerts of others are left alone.
    """
    if not grounds.known or not any(p.side == OF_OUTCOMES and p.back.any() for p in parts):
        return
    turned = _turned(parts, np.array(list(grounds.known)))
    if turned is None:
        return
    for layer in _layers(grounds, np.unique(turned.model).tolist(), plan_of):
        some, places = _chosen(turned, layer, parts)
        if len(places):
            _count(grounds, parts, some, layer.grounds, places)
            _note(grounds, some, layer, places, plan_of)


def _turned(parts: Sequence[Part], models: Ints) -> _Turned | None:
    """Return rows of corrections, retractions and late labels, of models with open alerts."""
    found = []
    for number, part in enumerate(parts):
        if part.side != OF_OUTCOMES:
            continue
        rows: OutcomeRows = part.one.table.outcomes
        some = (rows.first[part.rows] == 0) | part.back
        some &= np.isin(part.models, models)
        at = part.rows[some]
        label_ms = np.maximum(rows.label_ms[at], rows.time_ms[at])
        own = np.full(len(at), number), at, rows.model[at], label_ms, part.starts_ms[some]
        found.append((*own, rows.weight[at], rows.at_ms[at], rows.tie[at], rows.time_ms[at]))
    columns = [np.concatenate(one).astype(np.int64) for one in zip(*found, strict=True)]
    if not len(columns[0]):
        return None
    alike = np.stack([columns[2], *columns[6:]])
    _, whose = np.unique(alike, axis=1, return_inverse=True)
    which, row, model, label_ms, starts_ms, weight = columns[:6]
    return _Turned(which, row, model, label_ms, starts_ms, weight, whose.ravel())


def _layers(
    grounds: Grounds, models: Sequence[int], plan_of: Callable[[int], Plan | None]
) -> Iterator[_Layer]:
    """Yield what the alerts of models rest on, so that each model comes once in a layer."""
    found: dict[tuple[str, int], list[tuple[int, str, Ground]]] = {}
    for code in models:
        plan, times = plan_of(code), dict[str, int]()
        for rule, ground in sorted(grounds.known.get(code, {}).items()):
            if plan is not None and rule in plan.asked:
                turn = times[ground.segment] = times.get(ground.segment, -1) + 1
                found.setdefault((ground.segment, turn), []).append((code, rule, ground))
    for (segment, _), own in found.items():
        codes, rules, every = zip(*own, strict=True)
        yield _Layer(segment, np.array(codes), list(rules), list(every))


def _chosen(turned: _Turned, layer: _Layer, parts: Sequence[Part]) -> tuple[_Turned, Ints]:
    """Return the rows that change windows of a layer, and the place of each one's window.

    That is: labels of the window itself; and where one of them is replaced, what replaces it.
    """
    places = np.minimum(np.searchsorted(layer.models, turned.model), len(layer.models) - 1)
    own = layer.models[places] == turned.model
    own &= _in_segment(turned, layer.segment, parts)
    turned, places = turned.only(own), places[own]
    starts = np.array([one.start_ms for one in layer.grounds], np.int64)[places]
    ends = np.array([one.end_ms for one in layer.grounds], np.int64)[places]
    inside = (turned.label_ms >= starts) & (turned.label_ms < ends)
    # Of several labels of one moment, the oldest is the one that counted before.
    taken = turned.weight < 0
    size = int(turned.whose.max(initial=-1)) + 1
    oldest = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(oldest, turned.whose[taken], turned.label_ms[taken])
    replaced = np.zeros(size, np.bool_)
    replaced[turned.whose[taken & inside & (turned.label_ms == oldest[turned.whose])]] = True
    chosen = inside | replaced[turned.whose]
    return turned.only(chosen), places[chosen]


def _in_segment(turned: _Turned, segment: str, parts: Sequence[Part]) -> Mask:
    found = np.ones(len(turned.row), np.bool_)
    for number in np.unique(turned.part).tolist() if segment else ():
        table: Table = parts[number].one.table
        inside = np.zeros(len(table.outcomes.model), np.bool_)
        for _, rows, _ in segment_layers(table, table.outcomes.segments, wanted={segment}):
            inside[rows] = True
        own = turned.part == number
        found[own] = inside[turned.row[own]]
    return found


def _count(
    grounds: Grounds,
    parts: Sequence[Part],
    some: _Turned,
    every: Sequence[Ground],
    places: Ints,
) -> None:
    """Count rows into the cells that their alerts rest on."""
    number_of = np.array([ground.number for ground in every], np.int64)[places]
    segment = every[0].segment
    for number in np.unique(some.part).tolist():
        one, own = parts[number].one, some.part == number
        chosen = np.zeros(len(one.table.outcomes.model), np.bool_)
        chosen[some.row[own]] = True
        numbers = np.zeros(len(chosen), np.int64)
        numbers[some.row[own]] = number_of[own]

        def wanted(models: NDArray[np.integer], names: list[str], name: Ints) -> Mask:
            del models
            return np.array([one == segment for one in names], np.bool_)[name]

        counted = grounds.grid.count_outcomes(
            one.table, one.observed, numbers, chosen=chosen, wanted=wanted
        )
        for _ in counted:
            pass


def _note(
    grounds: Grounds,
    some: _Turned,
    layer: _Layer,
    places: Ints,
    plan_of: Callable[[int], Plan | None],
) -> None:
    """Note how many labels have changed what alerts rest on, and when these are judged again."""
    _, first, own = np.unique(some.whose, return_index=True, return_inverse=True)
    net = np.bincount(own, weights=some.weight)
    taken = np.bincount(own, weights=some.weight < 0) > 0
    where = places[first]
    kinds = taken & (net == 0), net < 0, net > 0
    counts = [np.bincount(where[kind], minlength=len(layer.models)) for kind in kinds]
    came = np.full(len(layer.models), -1)
    np.maximum.at(came, places, some.starts_ms)
    for place in np.unique(places).tolist():
        ground, code = layer.grounds[place], int(layer.models[place])
        plan = plan_of(code)
        assert plan is not None
        due_ms = (int(came[place]) // plan.evaluate_ms + 1) * plan.evaluate_ms
        ground = ground._replace(
            due_ms=due_ms if ground.due_ms < 0 else min(ground.due_ms, due_ms),
            corrected=ground.corrected + int(counts[0][place]),
            retracted=ground.retracted + int(counts[1][place]),
            late=ground.late + int(counts[2][place]),
        )
        grounds.put(code, layer.rules[place], ground)
