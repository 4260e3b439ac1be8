"""Alerts of rules that are taken back: the window that one opened on is not beyond its limit."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from streams.cells.view import Windows
from streams.monitors import Threshold
from streams.rule_kinds import Bounds
from streams.rules.findings import Judge
from streams.rules.grounds import Ground, Grounds
from streams.rules.limits import BEYOND, Edges, levels, readings_of, that_matter
from streams.rules.plan import Plan


class Retraction(NamedTuple):
    """An alert of a rule that would not have opened, had its labels been right.

    Attributes
    ----------
    value, low, high
        Of the window that it opened on, as it is now; `None` where nothing is left.
    ground
        What it rested on, with the labels that have changed it.
    """

    model: int
    threshold: Threshold
    at_ms: int
    value: float | None
    low: float | None
    high: float | None
    counts: int
    ground: Ground


class _Due(NamedTuple):
    """What is to be judged again."""

    model: int
    rule: Threshold
    ground: Ground


def due_of(
    grounds: Grounds,
    plan_of: Callable[[int], Plan | None],
    ends_ms: Mapping[int, int],
    until_ms: int,
) -> Collection[tuple[Plan, list[tuple[int, str]]]]:
    """Return models and rules whose alerts are to be judged again by a time, by plan.

    Parameters
    ----------
    ends_ms
        The time by the code of the model; `until_ms` where it has none.
    """
    found: dict[int, tuple[Plan, list[tuple[int, str]]]] = {}
    for code, rule in sorted(grounds.due):
        plan, due_ms = plan_of(code), grounds.known[code][rule].due_ms
        if plan and rule in plan.asked and due_ms <= ends_ms.get(code, until_ms):
            found.setdefault(id(plan), (plan, []))[1].append((code, rule))
    return found.values()


def retractions(
    judge: Judge, grounds: Grounds, plan: Plan, due: Sequence[tuple[int, str]]
) -> Iterator[Retraction]:
    """Judge again what alerts rest on; yield those that it does not hold any more.

    Parameters
    ----------
    due
        Models that a plan is of, and rules of it.
    """
    rules = {one.name: one for one in plan.thresholds}
    every = []
    for code, rule in due:
        ground = grounds.known[code][rule]
        grounds.put(code, rule, ground._replace(due_ms=-1))
        if judge.is_firing(code, rule) and not _lacks(grounds, code, ground):
            every.append(_Due(code, rules[rule], ground))
    yield from _judged(judge, grounds, plan, every) if every else ()


def _lacks(grounds: Grounds, code: int, ground: Ground) -> bool:
    """Tell whether a family has begun anew since: then nobody knows what would be found."""
    world = grounds.grid.world
    place = ground.number, int(world.bucket_of[code])
    return any(side.lacking.of(place) for side in grounds.grid.sides)


def _judged(
    judge: Judge, grounds: Grounds, plan: Plan, every: Sequence[_Due]
) -> Iterator[Retraction]:
    models = np.array([one.model for one in every])
    subject = np.array([grounds.subject(one.model, one.ground) for one in every])
    numbers = np.array([one.ground.number for one in every])
    judged = judge.judges.at(models, np.array([one.ground.end_ms for one in every]))
    windows = Windows(grounds.grid, subject, numbers, panes=1, judged=judged)
    found = judge.publisher.compute(windows, plan.families, plan.wanted)
    names = judge.publisher.sets.names
    for place, (code, rule, ground) in enumerate(every):
        asked = plan.asked[rule.name]
        codes = [names.code(name) for name in asked.names]
        own = readings_of(found, codes, len(every)).only(np.array([place]))
        limit = asked.as_published(np.array([ground.limit]))
        none = np.array([np.inf])
        bounds = Bounds(limit, none) if ground.falling else Bounds(-none, limit)
        said = levels(rule.by, own, Edges(bounds, bounds, asked.range))
        usual = np.nan if ground.reference is None else ground.reference
        level = that_matter(rule, said, own.value, np.array([usual]))[0]
        enough = asked.is_count or int(own.rests_on[0]) >= rule.minimum
        if level == BEYOND and enough and not np.isnan(own.value[0]):
            continue
        value, low, high = (
            None if np.isnan(one[0]) else float(one[0]) for one in (own.value, own.low, own.high)
        )
        counts = int(own.rests_on[0])
        yield Retraction(code, rule, ground.due_ms, value, low, high, counts, ground)
