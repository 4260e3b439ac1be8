"""Notify people of alerts: one by one, and what is old in one summary.

After an outage, or with a sink that is new, there may be thousands of alerts on the topic. Nobody
is to be woken by what was over long ago: what is older than an hour is told as a summary.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple, TypeAlias

from agents.printable import printable
from agents.sinks.contract import Clock, Kind, RefusedError, Sink, Upsert, option
from streams.alerts import SEVERITIES, Alert
from streams.errors import ConfigError
from streams.ownership import is_url

OLD_MS = 3_600_000
INCIDENTS, ALERTS, ALL = "incidents", "alerts", "all"
ACTIONS = "actions"
Notify: TypeAlias = Annotated[
    str, option("What is told of: incidents, the alerts in them, or all of both.", "WHAT")
]
_NAMED = 10


class Summary(NamedTuple):
    """What happened while nobody was told.

    Attributes
    ----------
    alerts
        The last revision of every alert that changed, in order of their time.
    """

    alerts: Sequence[Alert]

    @property
    def name(self) -> str:
        """The same if it is told again."""
        first, last = self.alerts[0], self.alerts[-1]
        return f"summary-{first.alert_id}-{last.alert_id}-{last.revision}-{len(self.alerts)}"

    @property
    def firing(self) -> list[Alert]:
        """Those that still fire."""
        return [alert for alert in self.alerts if alert.state == "firing"]

    @property
    def severity(self) -> str:
        """The worst of those that still fire."""
        return max((one.severity for one in self.firing), key=_rank, default="info")

    @property
    def text(self) -> str:
        """For people, on one line."""
        counts = Counter(alert.state for alert in self.alerts)
        parts = ", ".join(f"{count} {printable(state)}" for state, count in sorted(counts.items()))
        count = f"{len(self.alerts)} alert" + ("s" if len(self.alerts) > 1 else "")
        when = f"between {clock(self.alerts[0])} and {clock(self.alerts[-1])} UTC"
        return f"{count} changed {when}, more than an hour ago: {parts}"

    @property
    def lines(self) -> list[str]:
        """The worst of those that still fire, for people."""
        worst = sorted(self.firing, key=lambda one: -_rank(one.severity))
        more = [f"and {len(worst) - _NAMED} more"] if len(worst) > _NAMED else []
        return [title(alert) for alert in worst[:_NAMED]] + more


def check_notify(notify: str) -> str:
    """Return what is to be told of.

    Raises
    ------
    ConfigError
        If there is no such choice.
    """
    if notify == ACTIONS:
        raise ConfigError("--notify: actions are for programs: driftline sink webhook posts them")
    if notify not in (INCIDENTS, ALERTS, ALL):
        raise ConfigError(f"--notify: {notify!r} must be {INCIDENTS}, {ALERTS} or {ALL}")
    return notify


def is_told(alert: Alert, notify: str) -> bool:
    """Tell whether people hear of a record: as a member of its incident, or as the incident.

    They do not of what is silenced, see `streams.silences`.

    Examples
    --------
    >>> from agents.sinks.webhook import example_alert
    >>> is_told(example_alert(0), INCIDENTS)  # it is in no incident
    True
    """
    if alert.silenced:
        return False
    if notify == INCIDENTS:
        return not alert.incident_id
    return notify == ALL or alert.kind != "incident"


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1


def who(alert: Alert) -> str:
    """Name what an alert is about."""
    return "/".join((alert.model, alert.version, alert.segment)).rstrip("/")


def title(alert: Alert) -> str:
    """Say an alert on one line, whatever is in its names."""
    head = f"[{alert.state.upper()}] {alert.severity} {who(alert)} {alert.monitor}"
    return printable(f"{head}: {alert.message}")


def ownership(alert: Alert) -> list[str]:
    """Say on lines whom a model belongs to, and what else its alerts are routed by."""
    said = [("owner", alert.owner), *alert.tags.items()]
    return [printable(f"{name}: {value}") for name, value in said if value]


def runbook(alert: Alert) -> str:
    """Return the link to what to do; "" if there is none, or it is no link."""
    return alert.runbook if is_url(alert.runbook) else ""


def clock(alert: Alert) -> str:
    """Write the time of an alert."""
    return iso(alert.at_ms).replace("T", " ").removesuffix("Z")


def iso(time_ms: int) -> str:
    """Write a time as ISO 8601 has it, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ms / 1_000))


class Notifier(Sink):
    """What sinks have in common that tell alerts one by one.

    A revision that was told is not told again while this process lives, also if another one of its
    batch could not be; after a crash it may be, under the same name.
    """

    reads: ClassVar[tuple[Kind, ...]] = ("alerts",)
    at_once: ClassVar[int] = 50

    def __init__(self, *, notify: str = INCIDENTS, clock: Clock | None = None) -> None:
        self._notify = check_notify(notify)
        self._now_ms = clock or (lambda: time.time_ns() // 1_000_000)
        self._told: set[tuple[str, int, int]] = set()
        self._old: dict[str, Upsert] = {}

    def tell(self, alert: Alert) -> None:
        """Notify of one revision of an alert."""
        raise NotImplementedError

    def summarise(self, summary: Summary) -> None:
        """Notify of many."""
        raise NotImplementedError

    def write(self, upserts: Sequence[Upsert]) -> None:
        """Notify of what is new, and keep what is old for the summary."""
        old_ms = self._now_ms() - OLD_MS
        for upsert in upserts:
            place, alert = upsert[1:4], upsert.record
            if place in self._told or not isinstance(alert, Alert):
                continue
            if not is_told(alert, self._notify):
                continue
            if alert.at_ms < old_ms:
                self._old[alert.alert_id] = upsert
                continue
            try:
                self.tell(alert)
            except RefusedError as error:
                raise RefusedError(error.reason, error.detail, upsert=upsert) from None
            self._told.add(place)

    def flush(self) -> None:
        """Notify of what is old, all at once."""
        old = list(self._old.values())
        alerts = [one.record for one in old if isinstance(one.record, Alert)]
        refused: RefusedError | None = None
        if alerts:
            try:
                self.summarise(Summary(sorted(alerts, key=lambda one: one.at_ms)))
            except RefusedError as error:
                refused = RefusedError(error.reason, error.detail, upserts=old)
        self._old.clear()
        self._told.clear()
        if refused is not None:
            raise refused
