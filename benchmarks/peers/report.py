"""Results: medians over runs, a table for people, and `results.json` for programs."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.builds import versions
from benchmarks.peers.engines import ENGINES, HERE
from benchmarks.peers.measure import Run
from benchmarks.run import machine

RESULTS = str(HERE / "results.json")


@dataclass
class Outcome:
    """The runs of one engine; a run that gave no figures is a text that says why."""

    events: int
    cold: list[Run | str] = field(default_factory=list)
    warm: list[Run | str] = field(default_factory=list)
    warm_events: int | None = None


def line(name: str, run: Run | str) -> str:
    """Say in a line how a run went."""
    if isinstance(run, str):
        return f"{name:21} FAILED: {run}"
    said = f"WRONG: {run.wrong}" if run.wrong else "result right"
    figures = f"{run.cpu_us:7.2f} µs {run.events_per_s:9,.0f}/s {run.memory_mb:6,.0f} MB"
    return f"{name:21} {figures}  {said}"


def entry(name: str, outcome: Outcome) -> dict[str, Any]:
    """Return what results.json says of an engine."""
    engine = ENGINES[name]
    runs = [*outcome.cold, *outcome.warm]
    cold = _right(outcome.cold)
    costs = [run.cpu_us for run in cold]
    problems = [run if isinstance(run, str) else run.wrong for run in runs]
    return {
        "name": name,
        "engine": engine.engine,
        "variant": engine.variant,
        "exactly_once": engine.exactly_once,
        "about": engine.about,
        "compared": list(engine.compared),
        "cpu_us": _median(costs),
        "warm_us": _median([run.cpu_us for run in _right(outcome.warm)]),
        "events_per_s": _median([run.events_per_s for run in cold], digits=0),
        "broker_us": _median([run.broker_us for run in cold]),
        "memory_mb": _median([run.memory_mb for run in cold], digits=0),
        "runs": len(outcome.cold),
        "warm_runs": len(outcome.warm),
        "spread": [round(min(costs), 2), round(max(costs), 2)] if costs else None,
        "result_ok": bool(runs) and not any(problems),
        "problem": next((problem for problem in problems if problem), None),
        "events": outcome.events,
        "warm_events": outcome.warm_events,
        "versions": versions(engine),
        "machine": machine(events=outcome.events),
    }


def _right(runs: Sequence[Run | str]) -> list[Run]:
    """Return the runs that count: those with the right result."""
    return [run for run in runs if isinstance(run, Run) and not run.wrong]


def _median(values: list[float], *, digits: int = 2) -> float | None:
    return round(statistics.median(values), digits) if values else None


def write(path: str, entries: list[dict[str, Any]]) -> None:
    """Write entries over those of the same name; entries of other engines are kept."""
    file = Path(path)
    known = json.loads(file.read_text()) if file.exists() else []
    merged = {entry["name"]: entry for entry in [*known, *entries]}
    ordered = [merged[name] for name in ENGINES if name in merged]
    file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def table(entries: list[dict[str, Any]]) -> str:
    """Return a table; ratios are to driftline, if it is there, warm to warm where both are."""
    ours = next((entry for entry in entries if entry["name"] == "driftline"), None)
    head = ("engine", "µs/event", "spread", "warm", "× driftline", "events/s", "MB", "result")
    rows: list[tuple[str, ...]] = [head, *(_row(entry, ours) for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 0 < place < len(row) - 1 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(entry: dict[str, Any], ours: dict[str, Any] | None) -> tuple[str, ...]:
    cost, spread = entry["cpu_us"], entry["spread"]
    checked = "right" if entry["compared"] else "none to check"
    return (
        entry["name"],
        _number(cost),
        f"{spread[0]:.2f}-{spread[1]:.2f}" if spread else "-",
        _number(entry["warm_us"]),
        _number(_ratio(entry, ours)),
        _number(entry["events_per_s"], digits=0),
        _number(entry["memory_mb"], digits=0),
        checked if entry["result_ok"] else "WRONG OR FAILED",
    )


def _ratio(entry: dict[str, Any], ours: dict[str, Any] | None) -> float | None:
    for figure in ("warm_us", "cpu_us"):
        if ours is not None and ours[figure] and entry[figure]:
            return float(entry[figure] / ours[figure])
    return None


def _number(value: float | None, *, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
