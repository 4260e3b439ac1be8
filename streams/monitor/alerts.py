"""The life cycle of alerts: what detectors and rules find becomes alerts, in one place.

An alert fires, and is resolved: by its rule, as soon as that is no longer violated; one of a
detector, which sees changes and not states, once nothing more was found for a while. What is found
again meanwhile, in the same direction, belongs to the alert that fires.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from streams.alerts import Alert, order_of, resolve, say_again
from streams.consequences import Consequence, consequences
from streams.model_keys import Name
from streams.monitor.firings import Firing, packed, unpacked
from streams.monitor.foreign_alerts import FOREIGN, alerts_in
from streams.monitor.rule_alerts import (
    ABSENCE,
    COMPOSITE,
    KEEPS_NOBODY,
    absence_alert,
    composite_alert,
    threshold_alert,
    threshold_retracted,
)
from streams.monitors import SCAN, Monitor
from streams.ownership import Ownership
from streams.rules import Finding
from streams.rules.absences import Absent
from streams.rules.composites import Combined, Turn
from streams.rules.retracting import Retraction
from streams.scan.alerts import monitor_of, over, revised, scan_alert
from streams.scan.watch import Alarm
from streams.silences import Silences
from streams.watchers.alerts import direction_of, drift_alert
from streams.watchers.drifts import Found

Key = tuple[str, str]
"""Name of the monitor, and of its input; a rule has none."""


_NEVER_MS = 1 << 62
"""When an alert that ends by itself alone was last found."""


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
    silences
        When nobody is to be told of alerts that begin.
    said_again
        Id and revision of what tells of an alert after its silence, since `take` was last asked.
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
        self.silences = Silences()
        self._silent: set[tuple[int, Key]] = set()
        self.said_again: set[tuple[str, int]] = set()
        self.changed: set[int] = set()
        self._turns: list[Turn] = []
        self._then: dict[tuple[str, int], tuple[Consequence, ...]] = {}

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
        direction = direction_of(change)
        if not self._goes_on(model, key, direction, at_ms=at_ms):
            alert = drift_alert(self._names[model], drift, change)
            self._begin(model, key, alert, of=drift)

    def _goes_on(self, model: int, key: Key, direction: str, *, at_ms: int) -> bool:
        """Tell whether what was found belongs to an alert that fires; end one that it does not."""
        known = self._firing.get(model, {}).get(key)
        if known is None:
            return False
        ends_ms = known.last_ms + self._resolve_ms
        if at_ms < ends_ms and known.alert.direction == direction:
            self._fire(model, key, known._replace(last_ms=at_ms))
            return True
        self._end(model, key, min(at_ms, ends_ms), f"no further drift of {key[1]}")
        return False

    def judged(self, found: Finding | Retraction) -> None:
        """Take a rule that has begun to be violated, or is no longer, or never should have been."""
        model, key = found.model, (found.threshold.name, "")
        if isinstance(found, Retraction):
            self._close(model, key, found.at_ms, lambda one: threshold_retracted(one, found))
            return
        if not found.violated:
            back = f"{found.threshold.metric} is {found.value:.4g}, back within {found.limit:.4g}"
            self._end(model, key, found.at_ms, back)
            return
        alert = threshold_alert(self._names[model], found)
        self._begin(model, key, alert, of=found.threshold)

    def absent(self, found: Absent) -> None:
        """Take a model that has fallen silent, or is no longer."""
        model, rule = found.model, found.rule
        if found.over:
            self._end_rule(model, rule.name, found.at_ms, f"{rule.metric} have come again")
        else:
            alert = absence_alert(self._names[model], found)
            self._begin(model, (rule.name, ""), alert, of=rule)

    def combined(self, found: Combined) -> None:
        """Take a composite that has begun to hold, or does no longer."""
        model, rule = found.model, found.rule
        if found.over:
            said = ", ".join(found.firing) or "none of its members"
            self._end_rule(model, rule.name, found.at_ms, f"it holds no longer; what fires: {said}")
        else:
            alert = composite_alert(self._names[model], found)
            self._begin(model, (rule.name, ""), alert, of=rule)

    def _end_rule(self, model: int, rule: str, at_ms: int, message: str) -> None:
        # One that rests on a tick may be ahead of what comes.
        begun_ms = self._firing[model][rule, ""].alert.at_ms
        self._end(model, (rule, ""), max(at_ms, begun_ms), message)

    def scanned(self, model: int, alarm: Alarm) -> None:
        """Take what the scan has found: it says itself when that begins, changes and is over."""
        drift, found, detector = alarm
        key = monitor_of(alarm), found.source
        if detector != SCAN:
            if not self._goes_on(model, key, found.direction, at_ms=found.at_ms):
                # The scan alone has consequences.
                of = msgspec.structs.replace(drift, then=())
                self._begin(model, key, scan_alert(self._names[model], alarm), of=of)
            return
        known = self._firing.get(model, {}).get(key)
        if found.state == "resolved":
            if known is not None:
                self._end(model, key, found.at_ms, f"{found.source} {over(found)}")
        elif found.state == "firing":
            alert = scan_alert(self._names[model], alarm)
            self._begin(model, key, alert, of=drift, last_ms=_NEVER_MS)
        elif known is not None:
            known = self._speak(model, key, until_ms=found.at_ms)
            alert = revised(known.alert, found)
            self._fire(model, key, known._replace(alert=alert))
            if not known.quiet:
                self._revise(model, alert)

    def find(self, alert_id: str, model: str) -> tuple[int, Key, Alert] | None:
        """Return an alert of a model that fires, by its id."""
        for code, firing in self._firing.items():
            for key, one in firing.items() if self._names[code][0] == model else ():
                if one.alert.alert_id == alert_id:
                    return code, key, one.alert
        return None

    def adopted(self, model: int, key: Key, *, at_ms: int, by: str, message: str) -> None:
        """Resolve an alert, if it fires: somebody takes what it is about for usual."""
        one = self._firing.get(model, {}).get(key)
        if one is not None:
            evidence = one.alert.evidence | {"adopted_by": by}
            alert = msgspec.structs.replace(one.alert, evidence=evidence)
            self._put(model, key, one._replace(alert=alert))
            self._end(model, key, at_ms, message)

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
        self._silent = {one for one in self._silent if one[0] != model}
        self.changed.discard(model)

    def settle(self, until_ms: int, *, not_before_ms: int = -1) -> None:
        """Resolve alerts of detectors that have found nothing for long enough."""
        for model, firing in list(self._firing.items()):
            for key, one in list(firing.items()):
                ends_ms = one.last_ms + self._resolve_ms
                if key[1] and ends_ms < until_ms:
                    at_ms = max(ends_ms, not_before_ms)
                    self._end(model, key, at_ms, f"no further drift of {key[1]}")
        self.speak(until_ms)

    # ------------------------------------------------------------------ silences
    def speak(self, until_ms: int, *, ticked: bool = False) -> None:
        """Say again what still fires where its silence has ended before a time.

        Parameters
        ----------
        ticked
            That much time has passed by ticks alone: only what may rest on these is said.
        """
        for model, key in sorted(self._silent):
            if not ticked or self._firing[model][key].alert.kind == ABSENCE:
                self._speak(model, key, until_ms=until_ms, ticked=ticked)

    def _speak(self, model: int, key: Key, *, until_ms: int, ticked: bool = False) -> Firing:
        one = self._firing[model][key]
        while 0 <= one.silent_ms < until_ms:
            at_ms = one.silent_ms
            one = one._replace(silent_ms=self.silences.until_ms(one.alert.model, key[0], at_ms))
            if one.silent_ms < 0:
                one = one._replace(alert=say_again(one.alert, at_ms=at_ms, ticked=ticked))
                self._revise(model, one.alert)
                self.said_again.add((one.alert.alert_id, one.alert.revision))
                if one.then:
                    self._then[one.alert.alert_id, one.alert.revision] = one.then
                    one = one._replace(then=())
            self._fire(model, key, one)
        return one

    def silence_anew(self, at_ms: int) -> None:
        """Let what is silent go by other silences, or by none, from a moment on."""
        for model, key in sorted(self._silent):
            one = self._firing[model][key]
            now_ms = max(at_ms, one.alert.at_ms)
            until_ms = self.silences.until_ms(one.alert.model, key[0], now_ms)
            if now_ms < one.silent_ms != until_ms:
                self._fire(model, key, one._replace(silent_ms=now_ms))
                self._speak(model, key, until_ms=now_ms + 1)

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
                self._revise(model, resolve(alert, at_ms=ends_ms, message=FOREIGN))

    def take(self) -> Iterator[Alert]:
        """Yield the revisions since this was last asked, model by model, in order of time."""
        revisions, self._revisions = self._revisions, {}
        self.said_again = set()
        for model in sorted(revisions):
            found = revisions[model]
            found.sort(key=lambda a: (a.at_ms, a.monitor, *order_of(a)))
            yield from found

    def take_then(self) -> Mapping[tuple[str, int], tuple[Consequence, ...]]:
        """Return what is asked for since this was last asked, by id and revision of the alert."""
        then, self._then = self._then, {}
        return then

    def _begin(
        self, model: int, key: Key, alert: Alert, *, of: Monitor, last_ms: int | None = None
    ) -> None:
        owned = self.owner_of(alert.model)
        if owned is not None:
            alert = msgspec.structs.replace(alert, **msgspec.structs.asdict(owned))
        quiet, then = not of.notify, consequences(of.then)
        silent_ms = -1 if quiet else self.silences.until_ms(alert.model, key[0], alert.at_ms)
        if silent_ms >= 0:
            alert = msgspec.structs.replace(alert, silenced=True)
        elif then:
            self._then[alert.alert_id, alert.revision] = then
        last_ms = alert.at_ms if last_ms is None else last_ms
        then = then if silent_ms >= 0 else ()
        self._fire(model, key, Firing(alert, last_ms, quiet, silent_ms, then))
        self._turn(model, key, alert, fires=True)
        if not quiet:
            self._revise(model, alert)

    def _fire(self, model: int, key: Key, firing: Firing) -> None:
        self._put(model, key, firing)
        self.changed.add(model)

    def _put(self, model: int, key: Key, firing: Firing) -> None:
        self._firing.setdefault(model, {})[key] = firing
        (self._silent.add if firing.silent_ms >= 0 else self._silent.discard)((model, key))

    def _end(self, model: int, key: Key, at_ms: int, message: str) -> None:
        self._close(model, key, at_ms, lambda one: resolve(one, at_ms=at_ms, message=message))

    def _close(self, model: int, key: Key, at_ms: int, ended: Callable[[Alert], Alert]) -> None:
        alert, _, quiet, *_ = self._speak(model, key, until_ms=at_ms)
        self._silent.discard((model, key))
        del self._firing[model][key]
        if not self._firing[model]:
            del self._firing[model]
        over = ended(alert)
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
        return [[*key, *packed(one)] for key, one in sorted(self._firing.get(model, {}).items())]

    def restore(self, model: int, firing: Sequence[Any]) -> None:
        """Put back what `pack` returned."""
        self._firing.pop(model, None)
        self._silent = {one for one in self._silent if one[0] != model}
        for monitor, source, *content in firing:
            self._put(model, (monitor, source), unpacked(content))

    def restore_foreign(self, model: int, packed: Any) -> bool:
        """Take the alerts out of what another version wrote; tell whether all could be read."""
        found = list(alerts_in(packed))
        known = [alert for alert in found if alert is not None]
        self._foreign.setdefault(model, []).extend(known)
        return len(known) == len(found) and bool(found or not packed)
