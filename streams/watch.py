"""What needs order, of one model version: its rules, and the alerts of drift monitors."""

from collections.abc import Sequence
from typing import Any

import msgspec

from streams.alerts import Alert, alert_id, resolve
from streams.monitors import Drift, Monitors
from streams.rules import Rules, RuleState
from streams.watchers.drifts import Found
from streams.watchers.lanes import Change


class Watch:
    """Rules and firing drift alerts of one model version."""

    def __init__(self) -> None:
        self.rules = RuleState()
        self.firing: dict[tuple[str, str], tuple[Alert, int]] = {}

    def pack(self) -> list[Any]:
        """Return all but panes in a form that msgpack can write."""
        firing = [(key, msgspec.to_builtins(a), last) for key, (a, last) in self.firing.items()]
        return [self.rules.pack(), firing]


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
    ) -> None:
        self.model, self.version = model, version
        self.resolve_ms = monitors.resolve_ms
        self.drifts = {drift.name: drift for drift in drifts}
        self.rules = rules
        self.identity = {"model": model, "version": version}

    @property
    def looks(self) -> bool:
        """Whether there is any detector or rule."""
        return bool(self.drifts or self.rules.thresholds)

    def restore(self, watch: Watch, packed: Sequence[Any]) -> None:
        """Put back what `Watch.pack` returned; what is no longer configured is dropped."""
        rules, firing = packed
        watch.rules.restore(rules)
        watch.firing = {
            (name, source): (msgspec.convert(alert, Alert), last)
            for (name, source), alert, last in firing
        }

    # ------------------------------------------------------------------ drift alerts
    def found(self, watch: Watch, found: Found) -> list[Alert]:
        """Take what a drift monitor has found; return alert revisions."""
        drift, change = found
        source, at_ms = change.source, change.at_ms
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
        alert = self._alert(drift, change, direction=direction)
        watch.firing[key] = (alert, at_ms)
        return [*alerts, alert]

    def _alert(self, drift: Drift, change: Change, *, direction: str) -> Alert:
        source, at_ms = change.source, change.at_ms
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
