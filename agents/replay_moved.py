"""Which features are furthest from what they are compared with, in the last window of a replay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.printable import printable
from agents.printing import add_names, add_numbers
from streams import families
from streams.families.family import Part

_SHOWN = 10

Name = tuple[str, str]


class Moved:
    """Features of all models that are further from their baseline than chance explains.

    Parameters
    ----------
    records
        Of metrics, as JSON, in the order of time.

    Attributes
    ----------
    rows
        Model, version and feature, and its metrics by name; of each model the furthest first.
    """

    def __init__(self, records: Sequence[bytes]) -> None:
        compared = {
            name
            for name, metric in families.CATALOGUE.metrics.items()
            if metric.compares and metric.part is Part.FEATURE
        }
        last: dict[tuple[Name, str, str], dict[str, Any]] = {}
        newest_ms: dict[Name, int] = {}
        for line in records:
            record = json.loads(line)
            metric, _, feature = record["metric"].partition(":")
            if metric in compared and not record["segment"]:
                model = record["model"], record["version"]
                last[model, feature, metric] = record
                newest_ms[model] = max(newest_ms.get(model, 0), record["window_start_ms"])
        found: dict[tuple[Name, str], dict[str, dict[str, Any]]] = {}
        for (model, feature, metric), record in last.items():
            if record["window_start_ms"] == newest_ms[model]:
                found.setdefault((model, feature), {})[metric] = record
        self.metrics = [name for name in families.CATALOGUE.metrics if name in compared]
        self.rows = sorted(
            (place, own) for place, own in found.items() if any(map(_is_beyond, own.values()))
        )
        self.rows.sort(key=lambda row: (row[0][0], -self._distance(row[1])))

    def _distance(self, own: dict[str, dict[str, Any]]) -> float:
        """Return the first of a feature's distances, as features are ordered by it."""
        return next((own[name]["value"] for name in self.metrics if name in own), 0.0)

    def table(self, console: Console) -> Table:
        """Return the furthest features of every model as a table."""
        shown = [name for name in self.metrics if any(name in own for _, own in self.rows)]
        table = Table(
            title="last window: features beyond what chance explains", title_justify="left"
        )
        add_names(console, table, "model", "version", "feature")
        add_numbers(table, *shown)
        count: dict[Name, int] = {}
        for (model, feature), own in self.rows:
            count[model] = count.get(model, 0) + 1
            if count[model] <= _SHOWN:
                values = (f"{own[name]['value']:.4g}" if name in own else "" for name in shown)
                table.add_row(*map(printable, (*model, feature)), *values)
        more = sum(count.values()) - sum(min(each, _SHOWN) for each in count.values())
        if more:
            table.caption = f"and {more:,} more"
        return table


def _is_beyond(record: dict[str, Any]) -> bool:
    """Tell whether a value is more than chance explains."""
    return record["low"] is not None and record["low"] > 0
