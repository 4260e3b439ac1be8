"""What rules ask of models, by code."""

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from streams.model_keys import Name
from streams.monitors import Monitors
from streams.rules import Plan
from streams.rules.lengths import PACES, USUAL, Pace, lengths_of, pace_of

Paced = tuple[Plan | None, ...]
"""What the rules of a model ask, by pace; `None` where it has no rules of that pace."""

_NOTHING: Paced = (None,) * len(PACES)


class Replaced(NamedTuple):
    """What rules asked of a model and ask now, and its detectors."""

    before: Paced
    after: Paced
    drifts: list[str]


class Plans:
    """What rules ask of models: one plan for all models that the same rules apply to."""

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors
        self._known: dict[tuple[str, ...], Paced] = {}
        self._of_model: list[Paced] = []

    def put(self, code: int, name: Name) -> tuple[bool, list[str]]:
        """Take a model; return whether it has any rule, and its drift monitors."""
        plans, drifts = self._plans(name)
        if code == len(self._of_model):
            self._of_model.append(_NOTHING)
        self._of_model[code] = plans
        return any(plans), drifts

    def _plans(self, name: Name) -> tuple[Paced, list[str]]:
        thresholds, drifts = self._monitors.for_model(*name)
        names = tuple(one.name for one in thresholds)
        if names not in self._known:
            lengths_ms = {one.name: lengths_of(one) for one in thresholds}
            found = []
            for pace in PACES:
                own = [one for one in thresholds if pace_of(one) == pace]
                own_ms = {one.name: lengths_ms[one.name] for one in own}
                plan = Plan(own, self._monitors, lengths_ms=own_ms, pace=pace) if own else None
                found.append(plan)
            self._known[names] = tuple(found)
        return self._known[names], [drift.name for drift in drifts]

    def replace(
        self, monitors: Monitors, names: Sequence[Name], *, without: Container[int]
    ) -> list[Replaced]:
        """Have other rules; return for every model its rules before and now, and its detectors.

        Parameters
        ----------
        without
            Models that have neither.
        """
        before, self._monitors, self._known = self._of_model, monitors, {}
        none: tuple[Paced, list[str]] = _NOTHING, []
        now = [none if code in without else self._plans(name) for code, name in enumerate(names)]
        self._of_model = [plans for plans, _ in now]
        return [Replaced(old, *new) for old, new in zip(before, now, strict=True)]

    def of(self, model: int, pace: Pace = USUAL) -> Plan | None:
        """Return what the rules of a model ask, `None` where it has none of that pace."""
        return self._of_model[model][PACES.index(pace)]

    def needs_readings(self, model: int) -> bool:
        """Tell whether any rule of a model asks for readings of hosts."""
        return any(plan is not None and plan.needs_readings for plan in self._of_model[model])

    def end(self, model: int) -> None:
        """Let a model have no rules any more."""
        self._of_model[model] = _NOTHING

    def every(self, pace: Pace | None = None) -> Iterable[Plan]:
        """Return all plans of a pace, or of all."""
        places = range(len(PACES)) if pace is None else (PACES.index(pace),)
        return [
            plan for plans in self._known.values() for i in places if (plan := plans[i]) is not None
        ]
