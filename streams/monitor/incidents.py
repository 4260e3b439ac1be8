"""Incidents: alerts of one model that are open at the same time are one thing for people.

A camera that was moved shifts fifty features: that is one incident with fifty members, not fifty
calls at night. An alert joins the incident of its model that is open, whichever version or segment
it is of; where none is, one begins. It is over when the last of its members is. An incident is an
alert record of kind ``incident``; its members name it in `incident_id`.

Revisions are handed over in an order that does not depend on how records are cut into steps: what
is found at boundaries comes before what is found in rows of the same moment, since a step may end
between the two.

An alert that nobody is to be told of, see `streams.silences`, joins as others do. Its incident is
silenced as long as all its alerts are; where others are heard, it makes no news.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from streams.alerts import SEVERITIES, Alert, alert_id, order_of
from streams.causes import DATA, ENVIRONMENT, MODEL, cause_of
from streams.monitors import SCAN

MONITOR = "incident"
LISTED = 50
"""So many members of an incident are listed; all are counted."""

_NAMED = 3
_NAMES = {DATA: "the data", MODEL: "the model", ENVIRONMENT: "the environment"}
_SIGNS = 5
"""So many members are named as signs of a cause."""


Turn = tuple[str, int, bool, str, bool, str, int]


class Member(msgspec.Struct, array_like=True):
    """An alert of an incident, as far as its record lists it."""

    alert_id: str
    monitor: str
    input: str
    version: str
    segment: str
    severity: str
    at_ms: int
    state: str = "firing"
    cause: str = ""

    @property
    def written(self) -> str:
        """What it is, for people.

        Examples
        --------
        >>> Member("a1", "feature-drift", "feature:age", "", "", "info", 0).written
        'feature-drift of feature:age'
        """
        about = self.input or self.segment
        return f"{self.monitor} of {about}" if about else self.monitor


class Incident(msgspec.Struct, array_like=True):
    """An incident that is open.

    Attributes
    ----------
    record
        As it was last published.
    members
        The first ones.
    firing
        Ids of all alerts of it that fire.
    count, taken_back
        How many alerts have joined, and how many of them were retracted.
    causes
        How many alerts point to which cause.
    silent
        Ids of those that nobody is told of, also of those that are over.
    """

    record: Alert
    members: list[Member]
    firing: dict[str, str]
    count: int = 0
    taken_back: int = 0
    causes: dict[str, int] = {}
    silent: list[str] = []

    @property
    def silenced(self) -> bool:
        """Whether nobody is told of any of its alerts."""
        return len(self.silent) == self.count

    @property
    def heard(self) -> int:
        """How many alerts count for news: where any is told of, these."""
        return self.count if self.silenced else self.count - len(self.silent)


class Incidents:
    """Incidents of all models of a partition.

    Attributes
    ----------
    changed
        Names of models whose incident is not written down as it is.
    """

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}
        self.changed: set[str] = set()

    def group(
        self, revisions: Iterable[Alert], *, said_again: Collection[tuple[str, int]] = ()
    ) -> list[Alert]:
        """Put alerts into incidents.

        Parameters
        ----------
        revisions
            Those of one step, of any models.
        said_again
            Id and revision of those that tell of an alert after its silence: it ends after what is
            found at a boundary of that moment, as rows come after it.

        Returns
        -------
        list of Alert
            The same, each with its incident; where an incident has begun, grown or ended, its own
            record follows what did that.
        """
        found: list[Alert] = []

        def turn(one: Alert) -> Turn:
            return _turn(one, late=(one.alert_id, one.revision) in said_again)

        for model, own in groupby(sorted(revisions, key=turn), key=lambda one: one.model):
            for _, alike in groupby(own, key=lambda one: turn(one)[1:3]):
                found += self._take(model, list(alike))
        return found

    def _take(self, model: str, revisions: Sequence[Alert]) -> Iterator[Alert]:
        """Take revisions of one moment."""
        ended: Incident | None = None
        for alert in revisions:
            incident = self._open.get(model)
            if incident is not None and alert.alert_id in incident.firing:
                _follow(incident, alert)
            elif alert.state == "firing" and alert.revision == 0:
                if incident is None:
                    incident = self._open[model] = _begin(alert)
                _join(incident, alert)
            else:
                # Of an alert that began before there were incidents.
                yield alert
                continue
            self.changed.add(model)
            yield msgspec.structs.replace(alert, incident_id=incident.record.alert_id)
        incident = self._open.get(model)
        if incident is None:
            return
        if not incident.firing:
            ended = self._open.pop(model)
        said = _said(ended or incident, at_ms=revisions[-1].at_ms, over=ended is not None)
        if said is not None:
            incident.record = said
            yield said

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[str, Any]]:
        """Yield by model what has changed, in a form that msgpack can write; `None` if it ended."""
        for model in sorted(self.changed):
            incident = self._open.get(model)
            yield model, None if incident is None else msgspec.to_builtins(incident)
        self.changed.clear()

    def restore(self, model: str, packed: Any) -> None:
        """Put back what `changes` yielded."""
        self._open.pop(model, None)
        if packed is not None:
            self._open[model] = msgspec.convert(packed, Incident)


def _is_of_rows(alert: Alert) -> bool:
    """Tell whether a detector found it at a row, or has not found it again for some time.

    All else is found at a boundary, before the rows from it on.
    """
    told = alert.kind == "drift" and alert.detector != SCAN
    return told and ("index" in alert.evidence or alert.state != "firing")


def _turn(alert: Alert, *, late: bool) -> Turn:
    in_rows = late or _is_of_rows(alert)
    return alert.model, alert.at_ms, in_rows, alert.monitor, *order_of(alert)


def _begin(alert: Alert) -> Incident:
    """Return the incident that an alert begins; it is of whom the alert is."""
    return Incident(
        msgspec.structs.replace(
            alert,
            alert_id=alert_id(alert.model, MONITOR, alert.at_ms, alert.alert_id),
            version="",
            segment="",
            monitor=MONITOR,
            kind=MONITOR,
            severity="",
            value=None,
            threshold=None,
            detector=MONITOR,
            revision=-1,
            evidence={},
        ),
        [],
        {},
    )


def _join(incident: Incident, alert: Alert) -> None:
    incident.firing[alert.alert_id] = alert.severity
    incident.count += 1
    if alert.silenced:
        incident.silent.append(alert.alert_id)
    cause = cause_of(alert)
    incident.causes[cause] = incident.causes.get(cause, 0) + 1
    if len(incident.members) < LISTED:
        about = str(alert.evidence.get("input", ""))
        place = (alert.version, alert.segment, alert.severity, alert.at_ms)
        member = Member(alert.alert_id, alert.monitor, about, *place, cause=cause)
        incident.members.append(member)


def _follow(incident: Incident, alert: Alert) -> None:
    """Take a later revision of a member."""
    if not alert.silenced and alert.alert_id in incident.silent:
        incident.silent.remove(alert.alert_id)
    if alert.state == "firing":
        incident.firing[alert.alert_id] = alert.severity
    else:
        del incident.firing[alert.alert_id]
        incident.taken_back += alert.state == "retracted"
    for member in incident.members:
        if member.alert_id == alert.alert_id:
            member.state, member.severity = alert.state, alert.severity


def _said(incident: Incident, *, at_ms: int, over: bool) -> Alert | None:
    """Return the record of an incident, if it says more than the one before.

    That is: at its beginning and end, when it gets worse, when it has twice as many members, and
    when it is silenced no longer.
    """
    before = incident.record
    worst = max(_heard(incident), key=_rank, default=before.severity)
    begins = before.silenced and not incident.silenced
    severity = worst if begins else max(worst, before.severity, key=_rank)
    told = before.evidence.get("alerts", 0)
    if not before.silenced:
        told -= before.evidence.get("silenced", 0)
    if not (over or begins or incident.heard >= 2 * told or severity != before.severity):
        return None
    state, message = "firing", _message(incident)
    if over:
        wrong = incident.taken_back == incident.count
        state = "retracted" if wrong else "resolved"
        message = f"all alerts are {state}: {message}"
    versions = {member.version for member in incident.members}
    return msgspec.structs.replace(
        before,
        state=state,
        version=versions.pop() if len(versions) == 1 else "",
        severity=severity,
        at_ms=at_ms,
        value=float(incident.count),
        direction=before.direction,
        message=message,
        revision=before.revision + 1,
        silenced=incident.silenced,
        evidence={
            "alerts": incident.count,
            **({"silenced": len(incident.silent)} if incident.silent else {}),
            "firing": len(incident.firing),
            "causes": _ranked(incident),
            "members": [msgspec.structs.asdict(member) for member in incident.members],
        },
    )


def _heard(incident: Incident) -> list[str]:
    """Return how severe those are that fire, without the silenced ones unless all are."""
    every = incident.firing.items()
    return [how for name, how in every if incident.silenced or name not in incident.silent]


def _message(incident: Incident) -> str:
    names = list(dict.fromkeys(member.written for member in incident.members))
    rest = incident.count - min(len(names), _NAMED)
    more = f" and {rest} more" if len(names) > _NAMED else ""
    named = f"{', '.join(names[:_NAMED])}{more}"
    if incident.count == 1:
        return f"1 alert: {named}"
    cause, count = max(incident.causes.items(), key=lambda one: (one[1], one[0]))
    share = "all" if count == incident.count else f"{count} of them"
    return f"{incident.count} alerts: {named}; {share} point to {_NAMES.get(cause, cause)}"


def _ranked(incident: Incident) -> list[dict[str, Any]]:
    """Return causes, those of most alerts first, with their share and the worst signs of them."""
    total = sum(incident.causes.values())
    members = sorted(incident.members, key=lambda one: -_rank(one.severity))
    found = []
    for name, count in sorted(incident.causes.items(), key=lambda one: (-one[1], one[0])):
        signs = dict.fromkeys(member.written for member in members if member.cause == name)
        told = {"cause": name, "alerts": count, "score": round(count / total, 3)}
        found.append(told | {"signs": list(signs)[:_SIGNS]})
    return found


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1
