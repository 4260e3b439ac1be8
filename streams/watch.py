"""What needs order: drift detectors and rules of one model version.

Rows wait here until the clock has passed them and are then taken in event-time order:
predictions at prediction time, outcomes at the time of the record that caused them, ties by id.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from streams.alerts import Alert, alert_id, resolve
from streams.drift import Change, Detector, make_detector
from streams.monitors import Drift, Monitors
from streams.outcomes import OutcomeRows, Outcomes, PredictionRows
from streams.rules import Rules, RuleState
from streams.tallies import OutcomeColumns
from streams.windows import changing_pane, in_segment, segments_of


class Waiting:
    """A batch whose rows are not all taken yet, and when the next of them is due."""

    def __init__(self, rows: Outcomes, columns: OutcomeColumns) -> None:
        self.rows, self.columns = rows, columns
        latest = [t.max() for t in (rows.predictions.time_ms, rows.outcomes.at_ms) if len(t)]
        self.last_ms = int(max(latest, default=-1))


class Watch:
    """Detectors, rules and firing drift alerts of one model version."""

    def __init__(self) -> None:
        self.waiting: dict[int, Waiting] = {}
        self.number = 0
        self.regression = False
        self.detectors: dict[tuple[str, str], Detector] = {}
        self.fed: set[tuple[str, str]] = set()
        self.rules = RuleState()
        self.firing: dict[tuple[str, str], tuple[Alert, int]] = {}

    def pack(self) -> list[Any]:
        """Return all but waiting rows, panes and detectors in a form that msgpack can write."""
        firing = [(key, msgspec.to_builtins(a), last) for key, (a, last) in self.firing.items()]
        return [self.number, self.regression, self.rules.pack(), firing]


class Watcher:
    """How one model version is watched."""

    def __init__(
        self, model: str, version: str, monitors: Monitors, *, drifts: list[Drift], rules: Rules
    ) -> None:
        self.model, self.version = model, version
        self.resolve_ms = monitors.resolve_ms
        self.drifts = {drift.name: drift for drift in drifts}
        self.rules = rules
        self.kind = monitors.task(model).kind

    def restore(self, watch: Watch, packed: Sequence[Any]) -> None:
        """Put back what `Watch.pack` returned; what is no longer configured is dropped."""
        watch.number, watch.regression, rules, firing = packed
        watch.rules.restore(rules)
        watch.firing = {
            (name, source): (msgspec.convert(alert, Alert), last)
            for (name, source), alert, last in firing
        }

    def restore_detector(self, watch: Watch, name: str, source: str, packed: Sequence[Any]) -> None:
        """Put back one detector, unless it is no longer configured."""
        drift = self.drifts.get(name)
        if drift is not None:
            detector = _new_detector(drift, source)
            detector.restore(packed)
            watch.detectors[name, source] = detector

    # ------------------------------------------------------------------ taking rows in order
    def advance(self, watch: Watch, *, from_ms: int, until_ms: int) -> list[Alert]:
        """Take the waiting rows with ``from_ms <= time < until_ms``; return alert revisions."""
        alerts = self._detect(watch, from_ms, until_ms)
        alerts += self._rule(watch, from_ms, until_ms)
        alerts += self._settle(watch, until_ms)
        done = [n for n, waiting in watch.waiting.items() if waiting.last_ms < until_ms]
        for number in done:
            del watch.waiting[number]
        return sorted(alerts, key=lambda a: (a.at_ms, a.monitor, a.alert_id, a.revision))

    def _detect(self, watch: Watch, from_ms: int, until_ms: int) -> list[Alert]:
        alerts = []
        for source, times, values in self._sequences(watch, from_ms, until_ms):
            for drift in self.drifts.values():
                if not drift.covers(source):
                    continue
                key = (drift.name, source)
                watch.fed.add(key)
                detector = watch.detectors.get(key)
                if detector is None:
                    detector = watch.detectors[key] = _new_detector(drift, source)
                for change in detector.feed(values):
                    alerts += self._found(watch, drift, source, change, times[change.position])
        return alerts

    def _sequences(
        self, watch: Watch, from_ms: int, until_ms: int
    ) -> Iterator[tuple[str, list[int], list[float]]]:
        """Yield input name, times and values of every input that detectors see, in order."""
        yield from self._losses(watch, from_ms, until_ms)
        parts: dict[str, list[Any]] = {}
        for waiting in watch.waiting.values():
            rows = waiting.rows.predictions
            mask = _between(rows.time_ms, from_ms, until_ms)
            if not mask.any():
                continue
            order = (rows.time_ms[mask], rows.tie[mask])
            parts.setdefault("score", []).append((*order, rows.score[mask]))
            for column, name in enumerate(waiting.rows.features):
                values = rows.features[mask, column]
                parts.setdefault(f"feature:{name}", []).append((*order, values))
        for source in sorted(parts):
            times, values = _ordered(parts[source])
            if values:
                yield source, times, values

    def _losses(
        self, watch: Watch, from_ms: int, until_ms: int
    ) -> Iterator[tuple[str, list[int], list[float]]]:
        parts = []
        for waiting in watch.waiting.values():
            rows, columns = waiting.rows.outcomes, waiting.columns
            mask = _between(rows.at_ms, from_ms, until_ms) & (rows.first == 1)
            if mask.any():
                both = np.stack([columns.loss, np.abs(columns.error), columns.real], axis=1)
                parts.append((rows.at_ms[mask], rows.tie[mask], both[mask]))
        if not parts:
            return
        times, ties, both = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((*both.T, ties, times))
        table = both[order].tolist()
        yield "loss", times[order].tolist(), [self._loss(watch, *row) for row in table]

    def _loss(self, watch: Watch, wrong: float, distance: float, real: float) -> float:
        """Return 0 or 1, or the distance once the model has shown to be a regression."""
        if self.kind == "auto":
            watch.regression = watch.regression or bool(real)
        regression = watch.regression or self.kind == "regression"
        return distance if regression and not math.isnan(distance) else wrong

    # ------------------------------------------------------------------ drift alerts
    def _found(
        self, watch: Watch, drift: Drift, source: str, change: Change, at_ms: int
    ) -> list[Alert]:
        key = (drift.name, source)
        alerts: list[Alert] = []
        direction = _direction(source, change)
        known = watch.firing.get(key)
        if known is not None:
            alert, last_ms = known
            if at_ms < last_ms + self.resolve_ms and alert.direction == direction:
                watch.firing[key] = (alert, at_ms)
                return alerts
            ended_ms = min(at_ms, last_ms + self.resolve_ms)
            alerts.append(resolve(alert, at_ms=ended_ms, message=f"no further drift of {source}"))
        alert = self._alert(drift, source, change, at_ms=at_ms, direction=direction)
        watch.firing[key] = (alert, at_ms)
        return [*alerts, alert]

    def _alert(
        self, drift: Drift, source: str, change: Change, *, at_ms: int, direction: str
    ) -> Alert:
        evidence: dict[str, Any] = {
            "input": source,
            "index": change.index,
            "mean_before": change.before,
            "mean_after": change.after,
        }
        if source == "loss":
            evidence["outcome_index"] = change.index
        return Alert(
            alert_id=alert_id(self.model, self.version, drift.name, source, at_ms, change.index),
            state="firing",
            model=self.model,
            version=self.version,
            segment="",
            monitor=drift.name,
            kind="drift",
            severity="info" if direction == "better" else drift.severity,
            at_ms=at_ms,
            value=change.after,
            threshold=change.before,
            direction=direction,
            detector=drift.detector,
            message=f"{source} drifted from {change.before:.4g} to {change.after:.4g}",
            revision=0,
            evidence=evidence,
        )

    def _settle(self, watch: Watch, until_ms: int) -> list[Alert]:
        """Resolve drift alerts after which nothing was found for long enough."""
        alerts = []
        for key, (alert, last_ms) in list(watch.firing.items()):
            if last_ms + self.resolve_ms < until_ms:
                del watch.firing[key]
                message = f"no further drift of {key[1]}"
                alerts.append(resolve(alert, at_ms=last_ms + self.resolve_ms, message=message))
        return alerts

    # ------------------------------------------------------------------ rules
    def _rule(self, watch: Watch, from_ms: int, until_ms: int) -> list[Alert]:
        if not self.rules.thresholds:
            return []
        alerts = []
        state, step_ms = watch.rules, self.rules.pane_ms
        identity = {"model": self.model, "version": self.version}
        for number in sorted(self._pane_numbers(watch, from_ms, until_ms)):
            start_ms = number * step_ms
            alerts += self.rules.evaluate(state, until_ms=start_ms, **identity)
            self.rules.add_boundary(state, start_ms)
            span = (max(from_ms, start_ms), min(until_ms, start_ms + step_ms))
            for waiting in watch.waiting.values():
                self._count(state, waiting, span)
        return alerts + self.rules.evaluate(state, until_ms=until_ms, **identity)

    def _pane_numbers(self, watch: Watch, from_ms: int, until_ms: int) -> set[int]:
        numbers: set[int] = set()
        for waiting in watch.waiting.values():
            for times in (waiting.rows.predictions.time_ms, waiting.rows.outcomes.at_ms):
                inside = times[_between(times, from_ms, until_ms)]
                numbers.update(np.unique(inside // self.rules.pane_ms).tolist())
        return numbers

    def _count(self, state: RuleState, waiting: Waiting, span: tuple[int, int]) -> None:
        rows, step_ms = waiting.rows, self.rules.pane_ms
        predictions, outcomes = rows.predictions, rows.outcomes
        inputs = _between(predictions.time_ms, *span)
        if self.rules.needs_inputs and inputs.any():
            for segment, sets in self._segments_of(rows):
                chosen = in_segment(inputs, predictions.segments, sets)
                if chosen is not None:
                    pane = changing_pane(state, (segment, span[0] // step_ms * step_ms))
                    pane.inputs.add(predictions, rows.features, chosen)
        self._count_outcomes(state, waiting, _between(outcomes.at_ms, *span))

    def count_late(self, watch: Watch, waiting: Waiting, *, clock_ms: int) -> None:
        """Count outcomes that came too late to be taken in order; detectors skip them.

        A rule must not: a correction in time takes back what a late label had added.
        """
        state, step_ms = watch.rules, self.rules.pane_ms
        late = waiting.rows.outcomes.at_ms < clock_ms
        if self.rules.thresholds and late.any():
            self.rules.add_boundary(state, clock_ms // step_ms * step_ms)
            self._count_outcomes(state, waiting, late)

    def _count_outcomes(self, state: RuleState, waiting: Waiting, mask: Any) -> None:
        outcomes, step_ms = waiting.rows.outcomes, self.rules.pane_ms
        oldest_ms = state.boundary_ms - self.rules.longest_ms
        numbers = np.maximum(outcomes.label_ms, outcomes.time_ms) // step_ms
        for number in np.unique(numbers[mask]).tolist():
            if number * step_ms < oldest_ms:
                continue  # takes back a label that has left every rule's window
            here = mask & (numbers == number)
            for segment, sets in self._segments_of(waiting.rows):
                chosen = in_segment(here, outcomes.segments, sets)
                if chosen is not None:
                    pane = changing_pane(state, (segment, number * step_ms))
                    pane.outcomes.add(waiting.columns, chosen)

    def _segments_of(self, rows: Outcomes) -> Iterator[tuple[str, Any]]:
        return (found for found in segments_of(rows) if found[0] in self.rules.segments)


def keep_from(rows: Outcomes, clock_ms: int) -> tuple[Outcomes, int]:
    """Return the rows that are not older than the clock, and how many are."""
    predictions = rows.predictions.time_ms >= clock_ms
    outcomes = rows.outcomes.at_ms >= clock_ms
    late = int(np.count_nonzero(~predictions) + np.count_nonzero(~outcomes))
    if not late:
        return rows, 0
    kept = msgspec.structs.replace(
        rows,
        predictions=PredictionRows(*(column[predictions] for column in _fields(rows.predictions))),
        outcomes=OutcomeRows(*(column[outcomes] for column in _fields(rows.outcomes))),
    )
    return kept, late


def _fields(rows: PredictionRows | OutcomeRows) -> tuple[Any, ...]:
    return msgspec.structs.astuple(rows)


def _between(times: Any, from_ms: int, until_ms: int) -> Any:
    return (times >= from_ms) & (times < until_ms)


def _ordered(parts: list[Any]) -> tuple[list[int], list[float]]:
    """Sort by time, then id, then value; leave out what is missing or not a number."""
    times, ties, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    known = np.isfinite(values)
    times, ties, values = times[known], ties[known], values[known]
    order = np.lexsort((values, ties, times))
    return times[order].tolist(), values[order].tolist()


def _direction(source: str, change: Change) -> str:
    if source != "loss":
        return "changed"
    return "worse" if change.after > change.before else "better"


def _new_detector(drift: Drift, source: str) -> Detector:
    return make_detector(drift.detector, drift.parameters, raw=source == "loss")
