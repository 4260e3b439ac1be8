"""The life cycle of alerts: what detectors and rules find becomes alerts, in one place.

An alert fires, and is resolved: by its rule, as soon as that is no longer violated; one of a
detector, which sees changes and not states, once nothing more was found for a while. What is found
again meanwhile, in the same direction, belongs to the alert that fires.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from streams import families
from streams.alerts import Alert, alert_id, resolve
from streams.model_keys import Name
from streams.monitors import SCAN, Drift
from streams.ownership import Ownership
from streams.rules import Finding
from streams.scan.alerts import revised, scan_alert
from streams.scan.watch import Alarm
from streams.watchers.drifts import Found
from streams.watchers.lanes import Change

Key = tuple[str, str]
"""Name of the monitor, and of its input; a rule has none."""


_NEVER_MS = 1 << 62
"""When an alert that ends by itself alone was last found."""


class Firing(NamedTuple):
    """An alert that fires, and when its monitor last found something."""

    alert: Alert
    last_ms: int


class Alerts:
    """Alerts of all models of a partition.

    Parameters
    ----------
    names
        Of models and versions, by code; the list grows.
    resolve_ms
        An alert of a detector is resolved when nothing was found for so long.

    Attributes
    ----------
    owner_of
        Tells whom a model belongs to. An alert keeps what was said when it began, so that whoever
        was told of it is told of its end.
    changed
        Models whose alerts are not written down as they are.
    """

    def __init__(
        self,
        names: Sequence[Name],
        *,
        resolve_ms: int,
        owner_of: Callable[[str], Ownership | None],
    ) -> None:
        self._names, self._resolve_ms, self.owner_of = names, resolve_ms, owner_of
        self._firing: dict[int, dict[Key, Firing]] = {}
        self._revisions: dict[int, list[Alert]] = {}
        self._foreign: dict[int, list[Alert]] = {}
        self.changed: set[int] = set()

    def is_firing(self, model: int, rule: str) -> bool:
        """Tell whether a rule fires for a model."""
        return (rule, "") in self._firing.get(model, {})

    # ------------------------------------------------------------------ findings
    def drifted(self, found: Found) -> None:
        """Take a change that a detector has found."""
        drift, change = found
        model, key, at_ms = change.model, (drift.name, change.source), change.at_ms
        direction = _direction(change)
        known = self._firing.get(model, {}).get(key)
        if known is not None:
            ends_ms = known.last_ms + self._resolve_ms
            if at_ms < ends_ms and known.alert.direction == direction:
                self._fire(model, key, Firing(known.alert, at_ms))
                return
            self._end(model, key, min(at_ms, ends_ms), f"no further drift of {change.source}")
        alert = _drift_alert(self._names[model], drift, change, direction=direction)
        self._begin(model, key, alert)

    def judged(self, found: Finding) -> None:
        """Take a rule that has begun to be violated, or is no longer."""
        model, key = found.model, (found.threshold.name, "")
        if not found.violated:
            back = f"{found.threshold.metric} is {found.value:.4g}, back within {found.limit:.4g}"
            self._end(model, key, found.at_ms, back)
            return
        self._begin(model, key, _rule_alert(self._names[model], found))

    def scanned(self, model: int, alarm: Alarm) -> None:
        """Take what the scan has found: it says itself when that begins, changes and is over."""
        drift, found = alarm
        key = drift.name, found.source
        known = self._firing.get(model, {}).get(key)
        if found.state == "resolved":
            if known is not None:
                self._end(model, key, found.at_ms, f"{found.source} is back to what is usual")
        elif found.state == "firing":
            alert = scan_alert(self._names[model], alarm)
            self._begin(model, key, alert, last_ms=_NEVER_MS)
        elif known is not None:
            alert = revised(known.alert, found)
            self._fire(model, key, Firing(alert, _NEVER_MS))
            self._revise(model, alert)

    def only_scanned(self, model: int) -> bool:
        """Tell whether all that fires of a model was found by the scan."""
        return all(one.alert.detector == SCAN for one in self._firing.get(model, {}).values())

    def end_unknown(self, known: Collection[tuple[str, str, str]], *, at_ms: int) -> None:
        """Resolve what the scan has found and knows no more: model, monitor and source."""
        for model, firing in list(self._firing.items()):
            for key, (alert, _) in list(firing.items()):
                if alert.detector == SCAN and (alert.model, *key) not in known:
                    self._end(model, key, max(at_ms, alert.at_ms), "it begins anew")

    def fires(self, model: int) -> bool:
        """Tell whether any alert of a model fires."""
        return model in self._firing

    def waits_for_rule(self, model: int) -> bool:
        """Tell whether any of its alerts is resolved by a rule alone."""
        return any(not source for _, source in self._firing.get(model, ()))

    def forget(self, model: int) -> None:
        """Forget a model."""
        self._firing.pop(model, None)
        self.changed.discard(model)

    def settle(self, until_ms: int, *, not_before_ms: int = -1) -> None:
        """Resolve alerts of detectors that have found nothing for long enough."""
        for model, firing in list(self._firing.items()):
            for key, (_, last_ms) in list(firing.items()):
                ends_ms = last_ms + self._resolve_ms
                if key[1] and ends_ms < until_ms:
                    at_ms = max(ends_ms, not_before_ms)
                    self._end(model, key, at_ms, f"no further drift of {key[1]}")

    def end(self, model: int, *, at_ms: int, message: str) -> None:
        """Resolve all alerts of a model."""
        for key, firing in sorted(self._firing.get(model, {}).items()):
            self._end(model, key, max(at_ms, firing.alert.at_ms), message)

    def firing(self) -> list[tuple[int, str]]:
        """Return which monitors fire for which models."""
        return sorted({(m, key[0]) for m, firing in self._firing.items() for key in firing})

    def end_monitor(self, model: int, monitor: str, *, at_ms: int, message: str) -> None:
        """Resolve all alerts of one monitor of a model."""
        for key in sorted(key for key in self._firing.get(model, {}) if key[0] == monitor):
            self._end(model, key, at_ms, message)

    def resolve_after(self, resolve_ms: int, *, at_ms: int) -> None:
        """Resolve alerts of detectors after another time from now on."""
        self._resolve_ms = resolve_ms
        self.settle(at_ms, not_before_ms=at_ms)

    def end_foreign(self, at_ms: int) -> None:
        """Resolve what another version has left open: here nobody would.

        What is still wrong is found again, and is an alert of its own then.
        """
        foreign, self._foreign = self._foreign, {}
        for model, alerts in foreign.items():
            for alert in alerts:
                ends_ms = max(at_ms, alert.at_ms)
                self._revise(model, resolve(alert, at_ms=ends_ms, message=_FOREIGN))

    def take(self) -> Iterator[Alert]:
        """Yield the revisions since this was last asked, model by model, in order of time."""
        revisions, self._revisions = self._revisions, {}
        for model in sorted(revisions):
            found = revisions[model]
            found.sort(key=lambda a: (a.at_ms, a.monitor, a.alert_id, a.revision))
            yield from found

    def _begin(self, model: int, key: Key, alert: Alert, *, last_ms: int | None = None) -> None:
        owned = self.owner_of(alert.model)
        if owned is not None:
            alert = msgspec.structs.replace(alert, **msgspec.structs.asdict(owned))
        self._fire(model, key, Firing(alert, alert.at_ms if last_ms is None else last_ms))
        self._revise(model, alert)

    def _fire(self, model: int, key: Key, firing: Firing) -> None:
        self._firing.setdefault(model, {})[key] = firing
        self.changed.add(model)

    def _end(self, model: int, key: Key, at_ms: int, message: str) -> None:
        alert = self._firing[model].pop(key).alert
        if not self._firing[model]:
            del self._firing[model]
        self._revise(model, resolve(alert, at_ms=at_ms, message=message))

    def _revise(self, model: int, alert: Alert) -> None:
        self._revisions.setdefault(model, []).append(alert)
        self.changed.add(model)

    # ------------------------------------------------------------------ written down
    def pack(self, model: int) -> list[Any]:
        """Return what fires of a model in a form that msgpack can write."""
        return [
            [*key, msgspec.to_builtins(alert), last_ms]
            for key, (alert, last_ms) in sorted(self._firing.get(model, {}).items())
        ]

    def restore(self, model: int, packed: Sequence[Any]) -> None:
        """Put back what `pack` returned."""
        self._firing.pop(model, None)
        for monitor, source, alert, last_ms in packed:
            firing = Firing(msgspec.convert(alert, Alert), last_ms)
            self._firing.setdefault(model, {})[monitor, source] = firing

    def restore_foreign(self, model: int, packed: Any) -> bool:
        """Take the alerts out of what another version wrote; tell whether all could be read."""
        found = list(_alerts_in(packed))
        known = [alert for alert in found if alert is not None]
        self._foreign.setdefault(model, []).extend(known)
        return len(known) == len(found) and bool(found or not packed)


_FOREIGN = "the alert was opened by another version of driftline; what is still wrong is found anew"


def _alerts_in(packed: Any) -> Iterator[Alert | None]:
    """Yield the alerts that fire in anything, `None` for one that cannot be read.

    In every version an alert is written as a map of its fields.
    """
    if isinstance(packed, dict) and "alert_id" in packed:
        try:
            alert = msgspec.convert(packed, Alert)
        except msgspec.ValidationError:
            yield None
        else:
            if alert.state == "firing":
                yield alert
    elif isinstance(packed, dict | list):
        for one in packed.values() if isinstance(packed, dict) else packed:
            yield from _alerts_in(one)


def _direction(change: Change) -> str:
    if change.source != "loss":
        return "changed"
    return "worse" if change.after > change.before else "better"


def _drift_alert(name: Name, drift: Drift, change: Change, *, direction: str) -> Alert:
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
        alert_id=alert_id(*name, drift.name, source, at_ms, change.index),
        state="firing",
        model=name[0],
        version=name[1],
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


def _rule_alert(name: Name, found: Finding) -> Alert:
    rule = found.threshold
    side = "below" if found.value < found.limit else "above"
    about = families.CATALOGUE.metric(rule.metric)
    assert about is not None
    return Alert(
        alert_id=alert_id(*name, rule.segment, rule.name, found.at_ms),
        state="firing",
        model=name[0],
        version=name[1],
        segment=rule.segment,
        monitor=rule.name,
        kind="threshold",
        severity=rule.severity,
        at_ms=found.at_ms,
        value=found.value,
        threshold=found.limit,
        direction="changed" if about.of_data else "worse",
        detector="threshold",
        message=f"{rule.metric} is {found.value:.4g}, {side} {found.limit:.4g}",
        revision=0,
        evidence={
            "metric": found.metric,
            "count": found.counts,
            "low": found.low,
            "high": found.high,
            "reference": found.reference,
        },
    )
