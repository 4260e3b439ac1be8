"""What rules ask of models, by code."""

from collections.abc import Container, Iterable, Sequence

from streams.durations import parse_duration_ms
from streams.model_keys import Name
from streams.monitors import Monitors
from streams.rules import Plan


class Plans:
    """What rules ask of models: one plan for all models that the same rules apply to."""

    def __init__(self, monitors: Monitors, *, window_ms: int) -> None:
        self._monitors, self._window_ms = monitors, window_ms
        self._known: dict[tuple[str, ...], Plan] = {}
        self._of_model: list[Plan | None] = []

    def put(self, code: int, name: Name) -> tuple[bool, list[str]]:
        """Take a model; return whether it has any rule, and its drift monitors."""
        plan, drifts = self._plan(name)
        if code == len(self._of_model):
            self._of_model.append(None)
        self._of_model[code] = plan
        return plan is not None, drifts

    def _plan(self, name: Name) -> tuple[Plan | None, list[str]]:
        thresholds, drifts = self._monitors.for_model(*name)
        found = None
        if thresholds:
            names = tuple(one.name for one in thresholds)
            if names not in self._known:
                lengths_ms = {
                    one.name: parse_duration_ms(one.window) if one.window else self._window_ms
                    for one in thresholds
                }
                self._known[names] = Plan(thresholds, self._monitors, lengths_ms=lengths_ms)
            found = self._known[names]
        return found, [drift.name for drift in drifts]

    def replace(
        self, monitors: Monitors, names: Sequence[Name], *, without: Container[int]
    ) -> list[tuple[Plan | None, Plan | None, list[str]]]:
        """Have other rules; return for every model its rules before and now, and its detectors.

        Parameters
        ----------
        without
            Models that have neither.
        """
        before, self._monitors, self._known = self._of_model, monitors, {}
        none: tuple[Plan | None, list[str]] = None, []
        now = [none if code in without else self._plan(name) for code, name in enumerate(names)]
        self._of_model = [plan for plan, _ in now]
        return [(old, *new) for old, new in zip(before, now, strict=True)]

    def of(self, model: int) -> Plan | None:
        """Return what the rules of a model ask, `None` where it has none."""
        return self._of_model[model]

    def end(self, model: int) -> None:
        """Let a model have no rules any more."""
        self._of_model[model] = None

    def every(self) -> Iterable[Plan]:
        """Return all plans."""
        return self._known.values()
