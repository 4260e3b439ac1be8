"""What needs order, of one model version: drift detectors, and the alerts that they raise."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.alerts import Alert, alert_id, resolve
from streams.costs import Costs
from streams.drift import Change, Detector, make_detector
from streams.monitors import Drift, Monitors
from streams.rules import Rules, RuleState


class Watch:
    """Detectors, rules and firing drift alerts of one model version.

    Attributes
    ----------
    loss
        What its detectors of the loss were fed last: `class`, `chance` or `distance`.
    """

    def __init__(self) -> None:
        self.loss = ""
        self.detectors: dict[tuple[str, str], Detector] = {}
        self.fed: set[tuple[str, str]] = set()
        self.rules = RuleState()
        self.firing: dict[tuple[str, str], tuple[Alert, int]] = {}

    def pack(self) -> list[Any]:
        """Return all but panes and detectors in a form that msgpack can write."""
        firing = [(key, msgspec.to_builtins(a), last) for key, (a, last) in self.firing.items()]
        return [self.loss, self.rules.pack(), firing]


class Watcher:
    """How one model version is watched."""

    def __init__(
        self,
        model: str,
        version: str,
        monitors: Monitors,
        *,
        drifts: list[Drift],
        rules: Rules,
        costs: Costs,
    ) -> None:
        self.model, self.version = model, version
        self.resolve_ms = monitors.resolve_ms
        self.drifts = {drift.name: drift for drift in drifts}
        self.rules = rules
        self.costs = costs
        self.identity = {"model": model, "version": version}
        self._covering: dict[str, list[Drift]] = {}

    @property
    def looks(self) -> bool:
        """Whether there is any detector or rule."""
        return bool(self.drifts or self.rules.thresholds)

    def restore(self, watch: Watch, packed: Sequence[Any]) -> None:
        """Put back what `Watch.pack` returned; what is no longer configured is dropped."""
        watch.loss, rules, firing = packed
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

    # ------------------------------------------------------------------ detectors
    def covering(self, source: str) -> list[Drift]:
        """Return the drifts that look at an input."""
        found = self._covering.get(source)
        if found is None:
            found = [drift for drift in self.drifts.values() if drift.covers(source)]
            self._covering[source] = found
        return found

    def detect(
        self, watch: Watch, source: str, times_ms: NDArray[np.int64], values: NDArray[np.float64]
    ) -> list[Alert]:
        """Let detectors see the next values of an input, in order; return alert revisions."""
        alerts = []
        for drift in self.covering(source):
            key = (drift.name, source)
            watch.fed.add(key)
            detector = watch.detectors.get(key)
            if detector is None:
                detector = watch.detectors[key] = _new_detector(drift, source)
            started_s = self.costs.now_s()
            changes = detector.feed(values)
            self.costs.fed(drift.name, started_s=started_s, values=len(values))
            for change in changes:
                at_ms = int(times_ms[change.position])
                alerts += self._found(watch, drift, source, change, at_ms)
        return alerts

    def measure_loss(self, watch: Watch, kind: str) -> None:
        """Let the detectors of the loss begin anew where it is measured otherwise than before.

        An error of 20,000 after losses of 0 and 1 is no drift: it is now a distance.
        """
        if watch.loss and watch.loss != kind:
            for name in self.drifts:
                watch.detectors.pop((name, "loss"), None)
        watch.loss = kind

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

    def settle(self, watch: Watch, until_ms: int) -> list[Alert]:
        """Resolve drift alerts after which nothing was found for long enough."""
        alerts = []
        for key, (alert, last_ms) in list(watch.firing.items()):
            if last_ms + self.resolve_ms < until_ms:
                del watch.firing[key]
                message = f"no further drift of {key[1]}"
                alerts.append(resolve(alert, at_ms=last_ms + self.resolve_ms, message=message))
        return alerts


def _direction(source: str, change: Change) -> str:
    if source != "loss":
        return "changed"
    return "worse" if change.after > change.before else "better"


def _new_detector(drift: Drift, source: str) -> Detector:
    return make_detector(drift.detector, drift.parameters, raw=source == "loss")
