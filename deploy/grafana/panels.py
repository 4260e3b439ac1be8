"""Pieces of a dashboard as Grafana's classic JSON has them: panels, queries, variables.

Rules of this file:

* Panels name a data source by a variable, so that a dashboard fits any installation.
* Nothing needs a plug-in: time series, state timelines, tables and numbers are Grafana's own.
* What a viewer chooses goes into SQL as ``${name:sqlstring}`` alone, which quotes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

SQL: Json = {"type": "grafana-postgresql-datasource", "uid": "${history}"}
PROMETHEUS: Json = {"type": "prometheus", "uid": "${prometheus}"}

_WIDTH = 24
_UNITS = {
    "ms": "ms",
    "bytes": "bytes",
    "bytes per second": "Bps",
    "celsius": "celsius",
    "watts": "watt",
    "seconds": "s",
    "ratio": "percentunit",
}
_INTERVAL = [
    {
        "matcher": {"id": "byName", "options": "high"},
        "properties": [
            {"id": "custom.lineWidth", "value": 0},
            {"id": "custom.fillBelowTo", "value": "low"},
            {"id": "custom.fillOpacity", "value": 15},
        ],
    },
    {
        "matcher": {"id": "byName", "options": "low"},
        "properties": [{"id": "custom.lineWidth", "value": 0}],
    },
    {
        "matcher": {"id": "byName", "options": "provisional"},
        "properties": [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 4]}},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "orange"}},
        ],
    },
    {
        "matcher": {"id": "byName", "options": "final"},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": "blue"}}],
    },
    {
        "matcher": {"id": "byRegexp", "options": "low|high"},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "blue"}},
            {"id": "custom.hideFrom", "value": {"legend": True, "tooltip": False, "viz": False}},
        ],
    },
]


def unit_of(name: str) -> str:
    """Return Grafana's name of a unit; numbers without one are short.

    Examples
    --------
    >>> unit_of("bytes per second"), unit_of("")
    ('Bps', 'short')
    """
    return _UNITS.get(name, "short")


def sql(query: str, *, table: bool = False) -> Json:
    """Return a query of the history."""
    return {
        "refId": "A",
        "datasource": SQL,
        "editorMode": "code",
        "format": "table" if table else "time_series",
        "rawQuery": True,
        "rawSql": query,
    }


def promql(query: str, legend: str) -> Json:
    """Return a query of Prometheus."""
    told = {"editorMode": "code", "range": True, "expr": query, "legendFormat": legend}
    return {"refId": "A", "datasource": PROMETHEUS, **told}


def lines(
    title: str, target: Json, *, text: str, unit: str, low: float | None = None, **more: Any
) -> Json:
    """Return a panel of lines over time."""
    drawn = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "auto"}
    # A window that is missing is a gap, not a line across it.
    custom = {**drawn, "spanNulls": False, "insertNulls": False}
    defaults: Json = {"unit": unit, "custom": custom, **({} if low is None else {"min": low})}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    overrides = more.pop("overrides", [])
    told = {"text": text, "defaults": defaults, "options": options, "overrides": overrides}
    return _panel("timeseries", title, target=target, **told) | more


def with_interval(title: str, query: str, *, text: str, unit: str, **more: Any) -> Json:
    """Return a panel whose query has `final`, `provisional`, `low` and `high`."""
    return lines(title, sql(query), text=text, unit=unit, overrides=_INTERVAL, **more)


def table(title: str, query: str, *, text: str, overrides: Sequence[Json] = ()) -> Json:
    """Return a table, which can be sorted and filtered."""
    defaults: Json = {"custom": {"filterable": True}}
    options = {"showHeader": True}
    shown = sql(query, table=True)
    told = {"text": text, "defaults": defaults, "options": options, "overrides": overrides}
    return _panel("table", title, target=shown, **told)


def states(title: str, query: str, *, text: str) -> Json:
    """Return what fires and what is over, as bars in time."""
    shown = {
        "0": {"text": "over", "color": "green", "index": 0},
        "1": {"text": "firing", "color": "red", "index": 1},
    }
    defaults: Json = {
        "mappings": [{"type": "value", "options": shown}],
        "custom": {"fillOpacity": 70, "lineWidth": 0},
    }
    options = {"mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.8}
    told = {"text": text, "defaults": defaults, "options": options}
    return _panel("state-timeline", title, target=sql(query), **told)


def number(title: str, target: Json, *, text: str, unit: str = "short") -> Json:
    """Return one number, large."""
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    told = {"text": text, "defaults": {"unit": unit}, "options": options}
    return _panel("stat", title, target=target, **told)


def _panel(
    kind: str,
    title: str,
    *,
    target: Json,
    text: str,
    defaults: Json,
    options: Json,
    overrides: Sequence[Json] = (),
) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": target["datasource"],
        "targets": [target],
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
    }


def link(column: str, url: str) -> Json:
    """Return what makes the cells of a column links."""
    shown = [{"title": "Open", "url": url}]
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": "links", "value": shown}],
    }


def choice(name: str, query: str, *, label: str) -> Json:
    """Return a variable whose values the history has."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SQL,
        "query": query,
        "refresh": 2,  # also where the range of time changes
        "sort": 0,
        "multi": False,
        "includeAll": False,
        "options": [],
    }


def repeated(name: str, query: str) -> Json:
    """Return a variable that nobody sees: one panel for each of its values."""
    chosen = {"text": ["All"], "value": ["$__all"]}
    hidden = {"hide": 2, "multi": True, "includeAll": True, "current": chosen}
    return choice(name, query, label=name) | hidden


def source(name: str, kind: str, *, label: str) -> Json:
    """Return a variable that chooses a data source."""
    return {"type": "datasource", "name": name, "label": label, "query": kind, "options": []}


def row(title: str, panels: Sequence[Json], *, across: int = 2, height: int = 8) -> list[Json]:
    """Return an open row and its panels, that many beside each other."""
    return [{"type": "row", "title": title, "collapsed": False, "panels": []}] + [
        {**panel, "gridPos": {"h": height, "w": _WIDTH // across}} for panel in panels
    ]


def folded(title: str, panels: Sequence[Json], *, across: int = 3, height: int = 7) -> list[Json]:
    """Return a row whose panels ask nothing before it is opened."""
    inside = [{**panel, "gridPos": {"h": height, "w": _WIDTH // across}} for panel in panels]
    return [{"type": "row", "title": title, "collapsed": True, "panels": inside}]


def dashboard(
    name: str, title: str, *, text: str, variables: Sequence[Json], panels: Sequence[Json]
) -> Json:
    """Return a whole dashboard; panels get numbers and places in their order."""
    return {
        "uid": f"driftline-{name}",
        "title": f"driftline: {title}",
        "description": text,
        "tags": ["driftline"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one cursor for all panels
        "timezone": "utc",
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "1m",
        "links": [_others()],
        "annotations": {"list": []},
        "templating": {"list": list(variables)},
        "panels": _placed(panels),
    }


def _others() -> Json:
    told = {"type": "dashboards", "title": "driftline", "tags": ["driftline"], "asDropdown": True}
    shown = {"icon": "external link", "tooltip": "", "targetBlank": False}
    return {**told, **shown, "includeVars": False, "keepTime": True}


def _placed(panels: Sequence[Json]) -> list[Json]:
    placed: list[Json] = []
    number = x = y = height = 0
    for panel in panels:
        size = panel.get("gridPos", {"h": 1, "w": _WIDTH})
        if x + size["w"] > _WIDTH:
            x, y, height = 0, y + height, 0
        number += 1
        inner = _placed_inside(panel.get("panels", []), number, y + 1)
        put: Json = {"id": number, **panel, "gridPos": {**size, "x": x, "y": y}}
        placed.append(put | ({"panels": inner} if panel["type"] == "row" else {}))
        number += len(inner)
        x, height = x + size["w"], max(height, size["h"])
    return placed


def _placed_inside(panels: Sequence[Json], number: int, y: int) -> list[Json]:
    if not panels:
        return []
    return [
        {
            **one,
            "id": number + one["id"],
            "gridPos": {**one["gridPos"], "y": y + one["gridPos"]["y"]},
        }
        for one in _placed(panels)
    ]
