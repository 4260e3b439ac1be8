"""Threshold rules: evaluated at pane boundaries of the ordered stream, over the last window.

Because rows are counted in event-time order and a rule is only looked at when the clock has
passed a boundary, the alerts do not depend on batches, partitions or workers.
"""

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from streams import families, quality
from streams.alerts import Alert, alert_id, resolve
from streams.families.family import OUTCOMES, PREDICTIONS, Metric
from streams.monitors import Monitors, Threshold
from streams.quality import Value
from streams.shown import Shown
from streams.tallies import Inputs, Outcomes
from streams.task import Evidence, Judged, Task
from streams.traffic import Traffic
from streams.windows import Pane, PaneKey

_ROUNDING = 1e-12


class RuleState:
    """Panes, references and firing alerts of one model version.

    Attributes
    ----------
    panes
        Panes of the ordered stream: outcomes are counted at label time.
    references
        Per segment, what the first panes added up to, until there was enough of it.
    traffic
        Per segment and metric, how much of it there was; only where a rule asks.
    reference_values
        Per segment, the metrics of its reference, until that grows; not written down.
    judged
        What kind of model it was at the last boundary; not written down.
    """

    def __init__(self) -> None:
        self.boundary_ms = -1
        self.panes: dict[PaneKey, Pane] = {}
        self.references: dict[str, Pane] = {}
        self.traffic: dict[tuple[str, str], Traffic] = {}
        self.reference_values: dict[str, dict[str, float]] = {}
        self.firing: dict[str, Alert] = {}
        self.dirty: set[PaneKey] = set()
        self.judged = Task().judge(Evidence())

    def judge(self, judged: Judged) -> None:
        """Go by what kind of model it is now."""
        if judged.differs(self.judged):
            self.judged = judged
            self.reference_values.clear()

    def pack(self) -> list[Any]:
        """Return everything but the panes in a form that msgpack can write."""
        references = [(segment, pane.pack()) for segment, pane in self.references.items()]
        firing = {name: msgspec.to_builtins(alert) for name, alert in self.firing.items()}
        traffic = [(*key, found.pack()) for key, found in self.traffic.items()]
        return [self.boundary_ms, references, traffic, firing]

    def restore(self, packed: list[Any]) -> None:
        """Continue from what `pack` returned."""
        self.boundary_ms, references, traffic, firing = packed
        self.traffic = {(segment, metric): Traffic(*found) for segment, metric, found in traffic}
        self.references = {segment: Pane.unpack(pane) for segment, pane in references}
        self.reference_values.clear()
        self.firing = {name: msgspec.convert(a, Alert) for name, a in firing.items()}


class Rules:
    """The thresholds of one model version.

    Parameters
    ----------
    lengths_ms
        Window of every rule, by its name.
    """

    def __init__(
        self,
        thresholds: list[Threshold],
        monitors: Monitors,
        *,
        lengths_ms: dict[str, int],
    ) -> None:
        self.thresholds = thresholds
        self._of_windows: dict[tuple[str, int], list[Threshold]] = {}
        for one in sorted(thresholds, key=lambda threshold: threshold.segment):
            window = one.segment, lengths_ms[one.name]
            self._of_windows.setdefault(window, []).append(one)
        self.lengths_ms = lengths_ms
        self._traffic = sorted({(t.segment, t.metric) for t in thresholds if _on_traffic(t)})
        self.evaluate_ms = monitors.evaluate_ms
        self.reference = monitors.reference
        self.longest_ms = max(lengths_ms.values(), default=0)
        self.pane_ms = math.gcd(self.evaluate_ms, *lengths_ms.values())
        self.segments = sorted({threshold.segment for threshold in thresholds})
        self.needs_inputs = any(PREDICTIONS in _about(t).rests_on for t in thresholds)
        self._parts = frozenset(p for t in thresholds for p in quality.parts_of(t.metric))

    def evaluate(
        self, state: RuleState, shown: Shown, *, until_ms: int, model: str, version: str
    ) -> list[Alert]:
        """Evaluate every boundary up to and including `until_ms`; return new alert revisions."""
        alerts: list[Alert] = []
        while state.panes and state.boundary_ms + self.pane_ms <= until_ms:
            state.boundary_ms += self.pane_ms
            for segment in self.segments:
                self._grow_reference(state, segment)
            for key in self._traffic:
                self._grow_traffic(state, key)
            if state.boundary_ms % self.evaluate_ms == 0:
                state.judge(shown.at(state.boundary_ms))
                alerts += self._boundary(state, model, version)
                self._forget(state)
        return alerts

    def add_boundary(self, state: RuleState, start_ms: int) -> None:
        """Note that a pane begins; a gap in the traffic is skipped."""
        if not state.panes:
            state.boundary_ms = start_ms

    def _forget(self, state: RuleState) -> None:
        """Drop panes that have left every window; after all were seen without: silence is seen."""
        limit_ms = state.boundary_ms - self.longest_ms
        for key in [key for key in state.panes if key[1] + self.pane_ms <= limit_ms]:
            del state.panes[key]
            state.dirty.add(key)

    def _boundary(self, state: RuleState, model: str, version: str) -> list[Alert]:
        alerts = []
        for (segment, length_ms), thresholds in self._of_windows.items():
            # A small model has mostly too few rows to be judged: they are not even added up then.
            judged = [one for one in thresholds if self._can_judge(state, one)]
            if not judged:
                continue
            panes = self._panes(state, segment, length_ms)
            judged = [
                one
                for one in judged
                if _on_traffic(one) or quality.most_observations(one.metric, panes) >= one.minimum
            ]
            values = self._values(panes, state.judged) if judged else {}
            for threshold in judged:
                value = quality.value_of(values, threshold.metric)
                alert = self._judge(state, threshold, value, (model, version))
                if alert is not None:
                    alerts.append(alert)
        return alerts

    def _panes(
        self, state: RuleState, segment: str, length_ms: int
    ) -> list[tuple[Inputs, Outcomes]]:
        starts = range(state.boundary_ms - length_ms, state.boundary_ms, self.pane_ms)
        panes = [state.panes.get((segment, start)) for start in starts]
        return [(pane.inputs, pane.outcomes) for pane in panes if pane is not None]

    def _grow_reference(self, state: RuleState, segment: str) -> None:
        pane = state.panes.get((segment, state.boundary_ms - self.pane_ms))
        if pane is None:
            return
        reference = state.references.setdefault(segment, Pane())
        if pane.inputs.count and reference.inputs.count < self.reference:
            reference.inputs.merge(pane.inputs)
            state.reference_values.pop(segment, None)
        if reference.outcomes.count < self.reference:
            reference.outcomes.merge(pane.outcomes)
            state.reference_values.pop(segment, None)

    def _grow_traffic(self, state: RuleState, key: tuple[str, str]) -> None:
        found = state.traffic.setdefault(key, Traffic())
        if found.count >= self.reference and found.span_ms >= self.longest_ms:
            return
        segment, metric = key
        pane = state.panes.get((segment, state.boundary_ms - self.pane_ms))
        rows = 0
        if pane is not None:
            of_labels = OUTCOMES in families.CATALOGUE.metrics[metric].rests_on
            rows = pane.outcomes.count if of_labels else pane.inputs.count
        found.grow(rows, end_ms=state.boundary_ms, pane_ms=self.pane_ms)

    def _can_judge(self, state: RuleState, threshold: Threshold) -> bool:
        """Whether there is what a threshold is relative to, and a whole window of traffic."""
        if not _on_traffic(threshold):
            return not threshold.relative or self._reference(state, threshold) is not None
        start_ms = state.boundary_ms - self.lengths_ms[threshold.name]
        found = state.traffic[threshold.segment, threshold.metric]
        return found.covers(threshold, start_ms=start_ms)

    def _values(self, panes: Iterable[tuple[Inputs, Outcomes]], judged: Judged) -> dict[str, Value]:
        merged = Pane()
        for inputs, outcomes in panes:
            merged.inputs.merge(inputs)
            merged.outcomes.merge(outcomes, self._parts)
        values = quality.compute(merged.inputs, merged.outcomes, judged)
        return {value.metric: value for value in values}

    def _reference(self, state: RuleState, threshold: Threshold) -> Pane | None:
        """Return what a threshold is relative to, once there is enough of it."""
        reference = state.references.get(threshold.segment)
        if reference is None:
            return None
        of_labels = OUTCOMES in _about(threshold).rests_on
        enough = reference.outcomes.count if of_labels else reference.inputs.count
        return reference if enough >= self.reference else None

    def _reference_value(self, state: RuleState, threshold: Threshold) -> float | None:
        if _on_traffic(threshold):
            found = state.traffic[threshold.segment, threshold.metric]
            return found.per_window(self.lengths_ms[threshold.name], enough=self.reference)
        reference = self._reference(state, threshold)
        if reference is None:
            return None
        values = state.reference_values.get(threshold.segment)
        if values is None:
            computed = quality.compute(reference.inputs, reference.outcomes, state.judged)
            values = {value.metric: value.value for value in computed}
            state.reference_values[threshold.segment] = values
        return quality.value_of(values, threshold.metric)

    def _judge(
        self,
        state: RuleState,
        threshold: Threshold,
        value: Value | None,
        identity: tuple[str, str],
    ) -> Alert | None:
        if value is None or (value.count < threshold.minimum and not _on_traffic(threshold)):
            return None
        reference = self._reference_value(state, threshold) if threshold.relative else None
        limit = threshold.limit(reference)
        if limit is None:
            return None
        firing = state.firing.get(threshold.name)
        violated = _violates(threshold, value, limit)
        at_ms = state.boundary_ms
        if violated and firing is None:
            alert = _alert(threshold, value, (limit, reference), identity, at_ms)
            state.firing[threshold.name] = alert
            return alert
        if firing is not None and not violated:
            del state.firing[threshold.name]
            message = f"{threshold.metric} is {value.value:.4g}, back within {limit:.4g}"
            return resolve(firing, at_ms=at_ms, message=message)
        return None


def _about(threshold: Threshold) -> Metric:
    about = families.CATALOGUE.metric(threshold.metric)
    assert about is not None, threshold.metric  # `monitors_file` refuses what there is not
    return about


def _on_traffic(threshold: Threshold) -> bool:
    return _about(threshold).counts


def _violates(threshold: Threshold, value: Value, limit: float) -> bool:
    """Tell whether a value is beyond its limit; one that is the limit is not.

    Rounding must not put it beyond: 10 % less than 0.55 is 0.49500000000000005, and 99 of 200 are
    0.495; a latency that is 100 ms for all is published as 100.25, the middle of its bin.
    """
    low, high = value.value, value.value
    if threshold.by == "interval" and value.low is not None and value.high is not None:
        low, high = value.low, value.high
    limit = quality.as_published(threshold.metric, limit)
    bound = high if threshold.falling else low
    if math.isclose(bound, limit, rel_tol=_ROUNDING):
        return False
    return bound < limit if threshold.falling else bound > limit


def _alert(
    threshold: Threshold,
    value: Value,
    limits: tuple[float, float | None],
    identity: tuple[str, str],
    at_ms: int,
) -> Alert:
    limit, reference = limits
    side = "below" if threshold.falling else "above"
    return Alert(
        alert_id=alert_id(*identity, threshold.segment, threshold.name, at_ms),
        state="firing",
        model=identity[0],
        version=identity[1],
        segment=threshold.segment,
        monitor=threshold.name,
        kind="threshold",
        severity=threshold.severity,
        at_ms=at_ms,
        value=value.value,
        threshold=limit,
        direction="changed" if _about(threshold).of_data else "worse",
        detector="threshold",
        message=f"{threshold.metric} is {value.value:.4g}, {side} {limit:.4g}",
        revision=0,
        evidence={
            "metric": value.metric,
            "count": value.count,
            "low": value.low,
            "high": value.high,
            "reference": reference,
        },
    )
