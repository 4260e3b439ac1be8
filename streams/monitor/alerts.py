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
from streams.monitor.rule_alerts import COMPOSITE, KEEPS_NOBODY, absence_alert, composite_alert
from streams.monitors import SCAN, Drift, Threshold
from streams.ownership import Ownership
from streams.rule_kinds import Slo
from streams.rules import Finding
from streams.rules.absences import Absent
from streams.rules.composites import Combined, Turn
from streams.scan.alerts import over, revised, scan_alert
from streams.scan.watch import Alarm
from streams.watchers.drifts import Found
from streams.watchers.lanes import Change

Key = tuple[str, str]
"""Name of the monitor, and of its input; a rule has none."""


_NEVER_MS = 1 << 62
"""When an alert that ends by itself alone was last found."""


class Firing(NamedTuple):
    """An alert that fires, and when its monitor last found something.

    Attributes
    ----------
    quiet
        Whether it is not published: it is there for composites alone.
    """

    alert: Alert
    last_ms: int
    quiet: bool = False


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
        self._turns: list[Turn] = []

    def firing_of(self, model: int) -> set[Key]:
        """Return the monitors of a model that fire, and their inputs, without composites."""
        firing = self._firing.get(model, {}).items()
        return {key for key, one in firing if one.alert.kind != COMPOSITE}

    def take_turns(self) -> list[Turn]:
        """Return what has begun to fire, and what is over, since this was last asked."""
        turns, self._turns = self._turns, []
        return turns

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
                self._fire(model, key, known._replace(last_ms=at_ms))
                return
            self._end(model, key, min(at_ms, ends_ms), f"no further drift of {change.source}")
        alert = _drift_alert(self._names[model], drift, change, direction=direction)
        self._begin(model, key, alert, quiet=not drift.notify)

    def judged(self, found: Finding) -> None:
        """Take a rule that has begun to be violated, or is no longer."""
        model, key = found.model, (found.threshold.name, "")
        if not found.violated:
            back = f"{found.threshold.metric} is {found.value:.4g}, back within {found.limit:.4g}"
            self._end(model, key, found.at_ms, back)
            return
        alert = _rule_alert(self._names[model], found)
        self._begin(model, key, alert, quiet=not found.threshold.notify)

    def absent(self, found: Absent) -> None:
        """Take a model that has fallen silent, or is no longer."""
        model, rule = found.model, found.rule
        if found.over:
            self._end_rule(model, rule.name, found.at_ms, f"{rule.metric} have come again")
        else:
            alert = absence_alert(self._names[model], found)
            self._begin(model, (rule.name, ""), alert, quiet=not rule.notify)

    def combined(self, found: Combined) -> None:
        """Take a composite that has begun to hold, or does no longer."""
        model, rule = found.model, found.rule
        if found.over:
            said = ", ".join(found.firing) or "none of its members"
            self._end_rule(model, rule.name, found.at_ms, f"it holds no longer; what fires: {said}")
        else:
            alert = composite_alert(self._names[model], found)
            self._begin(model, (rule.name, ""), alert, quiet=not rule.notify)

    def _end_rule(self, model: int, rule: str, at_ms: int, message: str) -> None:
        # One that rests on a tick may be ahead of what comes.
        begun_ms = self._firing[model][rule, ""].alert.at_ms
        self._end(model, (rule, ""), max(at_ms, begun_ms), message)

    def scanned(self, model: int, alarm: Alarm) -> None:
        """Take what the scan has found: it says itself when that begins, changes and is over."""
        drift, found = alarm
        key = drift.name, found.source
        known = self._firing.get(model, {}).get(key)
        if found.state == "resolved":
            if known is not None:
                self._end(model, key, found.at_ms, f"{found.source} {over(found)}")
        elif found.state == "firing":
            alert = scan_alert(self._names[model], alarm)
            self._begin(model, key, alert, quiet=not drift.notify, last_ms=_NEVER_MS)
        elif known is not None:
            alert = revised(known.alert, found)
            self._fire(model, key, known._replace(alert=alert))
            if not known.quiet:
                self._revise(model, alert)

    def only_scanned(self, model: int) -> bool:
        """Tell whether all that fires of a model, and that it is kept for, the scan has found."""
        every = [one.alert for one in self._firing.get(model, {}).values()]
        return all(one.detector == SCAN or one.kind in KEEPS_NOBODY for one in every)

    def end_unknown(self, known: Collection[tuple[str, str, str]], *, at_ms: int) -> None:
        """Resolve what the scan has found and knows no more: model, monitor and source."""
        for model, firing in list(self._firing.items()):
            for key, one in list(firing.items()):
                if one.alert.detector == SCAN and (one.alert.model, *key) not in known:
                    self._end(model, key, max(at_ms, one.alert.at_ms), "it begins anew")

    def fires(self, model: int) -> bool:
        """Tell whether any alert of a model fires for which it is kept."""
        every = self._firing.get(model, {}).values()
        return any(one.alert.kind not in KEEPS_NOBODY for one in every)

    def waits_for_rule(self, model: int) -> bool:
        """Tell whether any of its alerts is resolved by a rule alone."""
        every = self._firing.get(model, {}).items()
        return any(not key[1] and one.alert.kind not in KEEPS_NOBODY for key, one in every)

    def forget(self, model: int) -> None:
        """Forget a model."""
        self._firing.pop(model, None)
        self.changed.discard(model)

    def settle(self, until_ms: int, *, not_before_ms: int = -1) -> None:
        """Resolve alerts of detectors that have found nothing for long enough."""
        for model, firing in list(self._firing.items()):
            for key, one in list(firing.items()):
                ends_ms = one.last_ms + self._resolve_ms
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

    def _begin(
        self, model: int, key: Key, alert: Alert, *, quiet: bool, last_ms: int | None = None
    ) -> None:
        owned = self.owner_of(alert.model)
        if owned is not None:
            alert = msgspec.structs.replace(alert, **msgspec.structs.asdict(owned))
        self._fire(model, key, Firing(alert, alert.at_ms if last_ms is None else last_ms, quiet))
        self._turn(model, key, alert, fires=True)
        if not quiet:
            self._revise(model, alert)

    def _fire(self, model: int, key: Key, firing: Firing) -> None:
        self._firing.setdefault(model, {})[key] = firing
        self.changed.add(model)

    def _end(self, model: int, key: Key, at_ms: int, message: str) -> None:
        alert, _, quiet = self._firing[model].pop(key)
        if not self._firing[model]:
            del self._firing[model]
        over = resolve(alert, at_ms=at_ms, message=message)
        self._turn(model, key, over, fires=False)
        self.changed.add(model)
        if not quiet:
            self._revise(model, over)

    def _turn(self, model: int, key: Key, alert: Alert, *, fires: bool) -> None:
        """Let composites know; they go by rules first."""
        if alert.kind != COMPOSITE:
            order = int(alert.kind != "threshold")
            self._turns.append(Turn(model, alert.at_ms, order, key, fires))

    def _revise(self, model: int, alert: Alert) -> None:
        self._revisions.setdefault(model, []).append(alert)
        self.changed.add(model)

    # ------------------------------------------------------------------ written down
    def pack(self, model: int) -> list[Any]:
        """Return what fires of a model in a form that msgpack can write."""
        return [
            [*key, msgspec.to_builtins(one.alert), one.last_ms, *([True] if one.quiet else [])]
            for key, one in sorted(self._firing.get(model, {}).items())
        ]

    def restore(self, model: int, packed: Sequence[Any]) -> None:
        """Put back what `pack` returned."""
        self._firing.pop(model, None)
        for monitor, source, alert, *more in packed:
            firing = Firing(msgspec.convert(alert, Alert), *more)
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
            **({} if found.window_ms is None else {"window_ms": found.window_ms}),
            **({} if rule.slo is None else {"slo": _burned(rule.slo, rule, found.value)}),
        },
    )


def _burned(slo: Slo, rule: Threshold, value: float) -> dict[str, Any]:
    """Return how fast an error budget is used up, and how fast it may be."""
    bad = 1.0 - value if rule.falling else value
    limit = (1.0 - rule.given if rule.falling else rule.given) / slo.budget
    return {
        "name": slo.name,
        "objective": slo.slo.objective,
        "window": rule.window,
        "burn_rate": bad / slo.budget,
        "burn_rate_limit": round(limit, 6),
    }
