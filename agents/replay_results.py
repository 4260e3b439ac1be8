"""What a replay found, for people, for machines and in files."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.folding import folded
from agents.printable import printable
from agents.printing import add_names, add_numbers, plain_console, print_table
from agents.replay_few import longer_window
from agents.replay_letters import Letters
from agents.replay_moved import Moved
from streams import families
from streams.dryrun import DryRun
from streams.durations import format_duration

_FILES = "metrics", "models", "distributions", "actions"


class Results:
    """What a replay found, in an order that depends on nothing but the content.

    Attributes
    ----------
    lines
        How many records there were.
    readings
        How many readings of hosts, which are not among these.
    disorder_ms
        How far they were out of order.
    """

    def __init__(
        self, run: DryRun, letters: Letters, *, lines: int, disorder_ms: int, readings: int = 0
    ) -> None:
        self.metrics = [run.metrics[key] for key in sorted(run.metrics, key=json.loads)]
        topics = run.monitor.topics
        self.models, self.distributions = (
            [known[key] for key in sorted(known, key=json.loads)]
            for known in (
                run.others.get(name, {}) for name in (topics.models, topics.distributions)
            )
        )
        actions = run.others.get(topics.actions, {}).values()
        self.actions = sorted(actions, key=_turn)
        alerts = [json.loads(alert) for alert in run.alerts]
        order = ("at_ms", "model", "version", "segment", "monitor", "alert_id", "revision")
        self.alerts = sorted(alerts, key=lambda alert: [alert[name] for name in order])
        self.fates = run.fates()
        self.fates["dead_letter"] += letters.refused
        self.kinds = run.kinds()
        self.dropped = [run.dropped[field] for field in sorted(run.dropped)]
        self.oddities = [run.oddities[about] for about in sorted(run.oddities)]
        self.improper_scores = run.improper_scores
        self.letters, self.lines, self.disorder_ms = letters, lines, disorder_ms
        self.readings = readings

    @property
    def nothing_was_usable(self) -> bool:
        """Whether there were records, and all of them are dead letters."""
        return 0 < self.lines == self.fates["dead_letter"]

    def write(self, folder: Path) -> None:
        """Write a file of each topic of results, `fates.json` and `dead_letters.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            with (folder / f"{name}.jsonl").open("wb") as file:
                file.writelines(line + b"\n" for line in getattr(self, name))
        with (folder / "alerts.jsonl").open("w", encoding="utf-8") as text:
            text.writelines(json.dumps(alert) + "\n" for alert in self.alerts)
        (folder / "fates.json").write_text(json.dumps(self.fates, indent=1) + "\n")
        reasons = json.dumps(self.letters.summary(), indent=1)
        (folder / "dead_letters.json").write_text(reasons + "\n")

    def summary(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return {
            "lines": self.lines,
            "readings": self.readings,
            "disorder_ms": self.disorder_ms,
            "fates": self.fates,
            "dead_letters": self.letters.counts(),
            "dead_letter_reasons": self.letters.summary(),
            "models": [msgspec.to_builtins(kind) for kind in self.kinds],
            "values_dropped": {one.field: one.count for one in self.dropped},
            "improper_scores": self.improper_scores,
            "oddities": self.oddities,
            "metrics": len(self.metrics),
            "alerts": self.alerts,
            "actions": [json.loads(action) for action in self.actions],
        }

    def show(self, out: Path | None) -> None:
        """Print the summary for people."""
        console = plain_console()
        disorder = format_duration(self.disorder_ms)
        hosts = f", and {self.readings} readings of hosts" if self.readings else ""
        console.print(f"{self.lines} records, out of order by up to {disorder}{hosts}")
        print_table(console, self._fates_table())
        for sentence in self.letters.sentences():
            console.print(sentence, soft_wrap=True)
        for one in self.dropped:
            left_out = printable(f"left out {one.count} of {one}, and the like")
            console.print(left_out, soft_wrap=True)
        for oddity in self.oddities:
            console.print(printable(oddity), soft_wrap=True)
        if self.metrics:
            print_table(console, self._metrics_table(console))
            if few := longer_window(map(json.loads, self.metrics)):
                console.print(few, soft_wrap=True)
        moved = Moved(self.metrics)
        if moved.rows:
            print_table(console, moved.table(console))
        for kind in self.kinds:
            console.print(printable(kind), soft_wrap=True)
        for alert in folded(self.alerts):
            console.print(_alert_line(alert), soft_wrap=True)
        for action in map(json.loads, self.actions):
            console.print(_action_line(action), soft_wrap=True)
        kept = f" in {out}" if out else "; keep them with --out DIR"
        counts = f"{len(self.metrics)} metrics, {len(self.alerts)} alert records"
        console.print(printable(counts + kept), soft_wrap=True)

    def _fates_table(self) -> Table:
        table = Table()
        table.add_column("fate")
        add_numbers(table, "records")
        for fate, count in self.fates.items():
            if count:
                table.add_row(fate, str(count))
        return table

    def _metrics_table(self, console: Console) -> Table:
        headlines = [one.name for one in families.CATALOGUE.metrics.values() if one.headline]
        models: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
        for line in self.metrics:
            metric = json.loads(line)
            if not metric["segment"] and metric["metric"] in headlines:
                by_name = models.setdefault((metric["model"], metric["version"]), {})
                by_name.setdefault(metric["metric"], []).append(metric)
        # A classifier has no rmse: a column that is empty for every model only takes room.
        shown = [name for name in headlines if any(name in by_name for by_name in models.values())]
        table = Table(title="first and last window", title_justify="left")
        add_names(console, table, "model", "version")
        add_numbers(table, "windows", *shown)
        for (model, version), by_name in sorted(models.items()):
            windows = str(len(by_name.get("predictions", ())))
            spans = (_span(by_name.get(name, [])) for name in shown)
            table.add_row(printable(model), printable(version), windows, *spans)
        return table


def _alert_line(alert: Mapping[str, Any]) -> Text:
    colour = "red" if alert["state"] == "firing" else "green"
    name = f"{alert['model']} {alert['version']}".strip()
    what = f"{alert['monitor']} ({alert['direction']}): {alert['message']}"
    rest = printable(f" {_clock(alert['at_ms'])} {name} {what}")
    return Text.assemble((f"{alert['state']:8}", colour), rest)


def _turn(action: bytes) -> tuple[int, str, str]:
    one = json.loads(action)
    return one["at_ms"], one["model"], one["action_id"]


def _action_line(action: Mapping[str, Any]) -> str:
    name = f"{action['model']} {action['version']}".strip()
    asked = f"{action['action']}: {action['monitor']}: {action['message']}"
    return printable(f"action   {_clock(action['at_ms'])} {name} {asked}")


def _span(records: list[dict[str, Any]]) -> str:
    if not records:
        return ""
    first, last = records[0]["value"], records[-1]["value"]
    return f"{first:.4g} → {last:.4g}"


def _clock(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_ms / 1000))
