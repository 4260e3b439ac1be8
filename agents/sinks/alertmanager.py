"""Keep Alertmanager told of what fires, until it is over.

Alertmanager forgets an alert that it does not hear of again, so those that fire are sent again and
again. What fires is what the topic says, all of which is read at every start, and only then sent:
one that has fired and is over in the same breath wakes nobody.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from agents.printable import printable
from agents.sinks.contract import AwayError, Clock, Kind, Sink, Upsert, option
from agents.sinks.notifying import INCIDENTS, OLD_MS, Notify, check_notify, is_told, iso, runbook
from agents.sinks.posting import Poster, secret_in
from agents.sinks.webhook import example_alert
from streams.alerts import Alert
from streams.durations import parse_duration_ms
from streams.errors import ConfigError

_PATH = "/api/v2/alerts"
_AT_ONCE = 500
_TOLD_FOR = 15
"""How many intervals an alert that is over is sent, since Alertmanager may be away just then."""


class AlertmanagerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which Alertmanagers are told, and how often."""

    target: Annotated[
        str, option("Of Alertmanager; of all of a cluster, with commas between them.", "URL[,…]")
    ]
    interval: Annotated[str, option("How often what fires is sent again.", "DURATION")] = "60s"
    authorization_file: Annotated[
        str | None, option("Has what the Authorization header says, such as Bearer ….", "FILE")
    ] = None
    notify: Notify = INCIDENTS
    test: Annotated[bool, option("Send one test alert that is resolved already, and end.")] = False


class Alertmanager(Sink):
    """Keep Alertmanager (API v2) told of what fires, until it is resolved or retracted.

    Labels: alertname (the monitor), alert_id, model, version, segment, severity, kind, detector,
    direction, owner, and tag_NAME for every tag; annotation runbook_url. An alert that was
    retracted is resolved, with its reason as annotation `retracted`. What was over more than an
    hour ago is not sent. Of a cluster, one that answers is enough.
    """

    name = "alertmanager"
    reads: ClassVar[tuple[Kind, ...]] = ("alerts",)
    options = AlertmanagerOptions
    examples = (
        "driftline sink alertmanager http://localhost:9093",
        "driftline sink alertmanager http://am-1:9093,http://am-2:9093 --interval 30s",
    )

    def __init__(self, options: AlertmanagerOptions, *, clock: Clock | None = None) -> None:
        self._now_ms = clock or (lambda: time.time_ns() // 1_000_000)
        self._interval_ms = parse_duration_ms(options.interval, setting="--interval")
        secret = secret_in(options.authorization_file, option="--authorization-file")
        self._posters = [
            Poster(url.strip().rstrip("/") + _PATH, authorization=secret, allow_private=True)
            for url in options.target.split(",")
        ]
        self._notify = check_notify(options.notify)
        self._firing: dict[str, Alert] = {}
        self._over: dict[str, tuple[Alert, int]] = {}
        self._started_ms: dict[str, int] = {}
        self._unsent: set[str] = set()
        self._due_ms = 0
        self._ready = False

    def start(self) -> Literal["beginning"]:
        """Read all alerts, at every start."""
        return "beginning"

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Take note of what fires and what is over."""
        for upsert in upserts:
            alert = upsert.record
            if isinstance(alert, Alert):
                if is_told(alert, self._notify):
                    self._note(alert)
            else:
                self._firing.pop(upsert.key.decode(errors="replace"), None)

    def _note(self, alert: Alert) -> None:
        now_ms, name = self._now_ms(), alert.alert_id
        if alert.state == "firing":
            self._firing[name] = alert
            self._over.pop(name, None)
            self._started_ms.setdefault(name, min(alert.at_ms, now_ms))
        else:
            self._firing.pop(name, None)
            if alert.at_ms >= now_ms - OLD_MS:
                self._over[name] = (alert, now_ms)
        self._unsent.add(name)

    def caught_up(self) -> None:
        """Begin to send."""
        self._ready = True

    def flush(self) -> None:
        """Send what has changed; all that fires, if it is time."""
        if not self._ready:
            return
        now_ms = self._now_ms()
        due = now_ms >= self._due_ms
        if not due and not self._unsent:
            return
        names = None if due else self._unsent
        self._send(self._messages(now_ms, names))
        self._unsent.clear()
        if due:
            self._due_ms = now_ms + self._interval_ms
            self._forget(now_ms - _TOLD_FOR * self._interval_ms)

    def test(self) -> None:
        """Send one alert that is about nothing."""
        now_ms = self._now_ms()
        self._send([_message(example_alert(now_ms), starts_ms=now_ms, ends_ms=now_ms)])

    def _messages(self, now_ms: int, names: set[str] | None) -> list[dict[str, Any]]:
        lasts_ms = now_ms + 3 * self._interval_ms
        found = [(alert, lasts_ms) for alert in self._firing.values()]
        found += [(alert, min(alert.at_ms, now_ms)) for alert, _ in self._over.values()]
        messages = []
        for alert, ends_ms in found:
            if names is None or alert.alert_id in names:
                starts_ms = self._started_ms.get(alert.alert_id, min(alert.at_ms, ends_ms))
                ends_ms = max(starts_ms, ends_ms)  # noqa: PLW2901 - as Alertmanager wants it
                messages.append(_message(alert, starts_ms=starts_ms, ends_ms=ends_ms))
        return messages

    def _forget(self, before_ms: int) -> None:
        gone = [name for name, (_, noted_ms) in self._over.items() if noted_ms < before_ms]
        for name in gone:
            del self._over[name]
        self._started_ms = {
            name: time_ms
            for name, time_ms in self._started_ms.items()
            if name in self._firing or name in self._over
        }

    def _send(self, messages: Sequence[dict[str, Any]]) -> None:
        for first in range(0, len(messages), _AT_ONCE):
            self._send_some(msgspec.json.encode(messages[first : first + _AT_ONCE]))

    def _send_some(self, body: bytes) -> None:
        failures: list[AwayError | ConfigError] = []
        for poster in self._posters:
            try:
                poster.post(body)
            except (AwayError, ConfigError) as error:
                failures.append(error)
        if len(failures) == len(self._posters):
            raise failures[0]


def _message(alert: Alert, *, starts_ms: int, ends_ms: int) -> dict[str, Any]:
    labels = {
        "alertname": alert.monitor,
        "alert_id": alert.alert_id,
        **{name: getattr(alert, name) for name in _LABELS},
        **{_UNSAFE.sub("_", f"tag_{name}"): value for name, value in alert.tags.items()},
    }
    annotations = {
        "summary": alert.message,
        "value": _number(alert.value),
        "runbook_url": runbook(alert),
    }
    if alert.state == "retracted":
        annotations["retracted"] = alert.message
    return {
        "labels": _shown(labels),
        "annotations": _shown(annotations),
        "startsAt": iso(starts_ms),
        "endsAt": iso(ends_ms),
    }


_LABELS = ("model", "version", "segment", "severity", "kind", "detector", "direction", "owner")
_UNSAFE = re.compile(r"[^A-Za-z0-9_]")


def _shown(texts: dict[str, str]) -> dict[str, str]:
    return {name: printable(text) for name, text in texts.items() if text}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
