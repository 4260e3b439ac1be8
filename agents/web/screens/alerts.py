"""Incidents and alerts: what is open and was, what one rests on, before and after."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from agents.web.asked_for import COLUMNS as ASKED_FOR
from agents.web.asked_for import asked_for
from agents.web.board import SEVERITIES
from agents.web.known import MOST_ALERTS, Known, Span, Who
from agents.web.said import verdicts
from agents.web.screens.screen import LATEST_MS, POINTS, Answer, Asked, Name, Panel, Screen, View
from streams.precision import Precision, precision

_COLUMNS = (
    "alert_id",
    "state",
    "severity",
    "model",
    "version",
    "segment",
    "monitor",
    "kind",
    "direction",
    "began_ms",
    "ended_ms",
    "value",
    "threshold",
    "message",
    "owner",
    "incident_id",
    "silenced",
)
_PRECISION = Precision.__struct_fields__
_AROUND = 24
_MEAN_OF = {"score": "score_mean", "prediction": "prediction_share"}
"""Metrics that show the input of a detector; those of features have the mean of theirs."""


class AskedAlerts(Asked, frozen=True, kw_only=True):
    """Which alerts, and which one of them in full.

    Attributes
    ----------
    what
        Incidents, and alerts that are in none; or every alert.
    alert
        Its id, or that of an incident; empty: none.
    search
        Part of the name of a model, a monitor or a message, in any case.
    """

    what: Literal["incidents", "alerts"] = "incidents"
    state: Literal["firing", "all"] = "firing"
    severity: Literal["", "critical", "warning", "info"] = ""
    search: Name = ""
    alert: Name = ""
    page: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class Alerts(Screen):
    """What is wrong, and was."""

    name = "alerts"
    title = "Alerts"
    asks: ClassVar[type[Asked]] = AskedAlerts

    def answer(self, view: View, asked: AskedAlerts) -> Answer:
        """Return a page of alerts, and one of them in full."""
        state = "firing" if asked.state == "firing" else None
        found = [one for one in view.known.alerts(state=state) if _is_meant(one, asked)]
        counts = Counter(one["severity"] for one in found)
        chosen = [one for one in found if not asked.severity or one["severity"] == asked.severity]
        page = chosen[asked.page * asked.size : (asked.page + 1) * asked.size]
        notes = (f"the newest {MOST_ALERTS}",) if len(found) == MOST_ALERTS else ()
        panels = {"alerts": Panel(_COLUMNS, [_row(one) for one in page], notes)}
        facts: dict[str, Any] = {
            "found": len(chosen),
            "severities": [(severity, counts[severity]) for severity in SEVERITIES],
            "at_ms": view.at_ms,
        }
        said = verdicts(view.known)
        if said:
            of = {one["alert_id"]: one["monitor"] for one in view.known.alerts()}
            judged = [msgspec.structs.astuple(one) for one in precision(of, said.values())]
            panels["precision"] = Panel(_PRECISION, judged)
        if asked.alert:
            opened, own = _opened(view, asked.alert)
            panels |= opened
            facts["opened"] = {**own, "said": said.get(asked.alert)}
        return Answer(panels, facts)


def _is_meant(alert: dict[str, Any], asked: AskedAlerts) -> bool:
    # An incident stands for its alerts, one way or the other.
    if alert["incident_id"] if asked.what == "incidents" else alert["kind"] == "incident":
        return False
    text = asked.search.casefold()
    return any(text in alert[name].casefold() for name in ("model", "monitor", "message"))


def _row(alert: dict[str, Any]) -> tuple[Any, ...]:
    ended_ms = None if alert["state"] == "firing" else alert["at_ms"]
    return tuple(ended_ms if name == "ended_ms" else alert[name] for name in _COLUMNS)


# ------------------------------------------------------------------ one alert
def _opened(view: View, alert_id: str) -> tuple[dict[str, Panel], dict[str, Any]]:
    """Return an alert's evidence, its revisions, and what it is about before and after.

    Raises
    ------
    LookupError
        If there is none of this id.
    """
    alert = view.known.alert(alert_id)
    if alert is None:
        raise LookupError("there is no such alert at this time")
    revisions = view.known.revisions(alert_id)
    columns = ("revision", "state", "at_ms", "visible_at_ms", "value", "threshold", "message")
    metric, panel, length_ms = _picture(view, alert)
    evidence = dict(alert["evidence"])
    causes = evidence.pop("causes", None) if alert["kind"] == "incident" else None
    evidence.pop("members", None)
    panels = {
        "evidence": Panel(("what", "value"), sorted(evidence.items())),
        "revisions": Panel(columns, [tuple(one[name] for name in columns) for one in revisions]),
        "picture": panel,
    }
    if asked := asked_for(view.known, alert_id):
        panels["actions"] = Panel(ASKED_FOR, asked)
    if alert["kind"] == "incident":
        members = [
            one for one in view.known.alerts(alert["model"]) if one["incident_id"] == alert_id
        ]
        panels["members"] = Panel(_COLUMNS, [_row(one) for one in members])
        told = ("cause", "alerts", "score", "signs")
        panels["causes"] = Panel(
            told, [(*map(one.get, told[:-1]), _signs(one)) for one in _objects(causes)]
        )
    kept = ("runbook", "tags", "detector", *_COLUMNS)
    own = {name: alert[name] for name in kept if name != "ended_ms"}
    ended_ms = None if alert["state"] == "firing" else alert["at_ms"]
    return panels, {**own, "ended_ms": ended_ms, "metric": metric, "length_ms": length_ms}


def _signs(cause: dict[str, Any]) -> str:
    signs = cause.get("signs")
    return ", ".join(map(str, signs)) if isinstance(signs, list) else ""


def _objects(found: Any) -> list[dict[str, Any]]:
    """Return what evidence should be: it may be from anyone who may write to the topic."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _picture(view: View, alert: dict[str, Any]) -> tuple[str, Panel, int]:
    """Return the metric that an alert is about, two dozen windows before and after it began."""
    known: Known = view.known
    line = view.board.lines.get((alert["model"], alert["version"]))
    if line is None and alert["kind"] == "incident":  # of several versions
        line = view.board.newest().get(alert["model"])
    metric = _metric_of(alert, line.quality if line is not None else "")
    version = alert["version"] if line is None else line.version
    who = Who(alert["model"], version, alert["segment"])
    newest_ms = known.newest_ms(who)
    if not metric or newest_ms is None:
        return metric, Panel(POINTS, []), 0
    said = alert["evidence"].get("window_ms")
    fits = isinstance(said, int) and 0 < said <= LATEST_MS
    length_ms: int = said if fits else known.lengths_ms(who, newest_ms)[0]
    began_ms = min((alert["began_ms"] or 0) // length_ms * length_ms, newest_ms)
    first_ms = max(began_ms - _AROUND * length_ms, 0)
    last_ms = max(min(began_ms + _AROUND * length_ms, newest_ms), first_ms)
    points = known.points(who, Span(first_ms, last_ms, length_ms), (metric,))
    return metric, Panel(POINTS, [msgspec.structs.astuple(one) for one in points]), length_ms


def _metric_of(alert: dict[str, Any], quality: str) -> str:
    """Return which metric shows what an alert is about.

    Examples
    --------
    >>> _metric_of({"evidence": {"input": "feature:age"}}, "accuracy")
    'mean:age'
    >>> _metric_of({"evidence": {"input": "loss"}}, "accuracy")
    'accuracy'
    """
    evidence = alert["evidence"]
    metric = evidence.get("metric")
    if isinstance(metric, str):
        return metric
    kind, _, name = str(evidence.get("input", "")).partition(":")
    if kind == "feature" and name:
        return f"mean:{name}"
    return _MEAN_OF.get(kind, quality)
