"""Make `RESULTS.md` of the raw figures: medians and spread, a table a group, two plots.

What was measured by other means stands in `apart.md`, and is appended.

python -m benchmarks.report
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plot

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PEERS = HERE / "peers" / "results.json"
APART = HERE / "apart.md"
REPORT = HERE / "RESULTS.md"
PLOTS = HERE / "plots"

Runs = Sequence[Mapping[str, Any]]

_HEADINGS = {
    "reading": "Reading alone",
    "stages": "Each stage by itself, in memory",
    "memory": "Memory of what is kept of windows",
    "month": "A month of event time (default monitoring), in memory",
    "jobs": "A worker on a backlog (three times the events)",
    "partitions": "Partitions (default monitoring)",
    "workers": "Workers (same job, 100 models)",
    "models": "Models (default monitoring; 20,000 events come in a second of event time)",
    "features": "Features (default monitoring)",
    "pending": "Pending predictions (same job, three times the events)",
    "delay": "Label delay (same job)",
    "latency": "Latency, from writing an event until a read_committed reader sees what it changed",
    "low load": "Low load (default monitoring)",
    "written": "What is written (default monitoring of 8 features, windows of 5 minutes)",
    "recovery": "Recovery after a kill -9",
}
_COLUMNS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "": (
        ("cpu_us", "CPU µs/event", 2),
        ("whole_cpu_us", "of the whole run", 2),
        ("events_per_s", "events/s", 0),
        ("broker_cpu_us", "broker CPU µs/event", 2),
        ("rss_mb", "memory MB", 0),
        ("exact", "exact", 0),
    ),
    "reading": (("cpu_us", "CPU µs/record", 2), ("events_per_s", "records/s", 0)),
    "stages": (("join_us", "join CPU µs/event", 2), ("monitor_us", "monitor CPU µs/event", 2)),
    "memory": (
        ("cells", "cells", 0),
        ("panes_mb", "panes MB", 0),
        ("hours_mb", "hours MB", 0),
        ("days_mb", "days MB", 0),
        ("pane_cell_bytes", "bytes of a cell of a pane", 0),
        ("hour_cell_bytes", "of an hour", 0),
        ("day_cell_bytes", "of a day", 0),
    ),
    "month": (
        ("lanes", "lanes", 0),
        ("scan_us_per_lane_and_pane", "scan µs/lane and pane", 2),
        ("monitor_us_per_event", "monitor CPU µs/event", 1),
        ("state_bytes_per_lane", "state bytes/lane", 0),
        ("resident", "resident bytes", 0),
    ),
    "latency": (
        ("rate", "events/s", 0),
        ("prediction_to_metric_p50_ms", "prediction → metric p50 ms", 0),
        ("prediction_to_metric_p99_ms", "p99", 0),
        ("label_to_metric_p50_ms", "label → revised metric p50 ms", 0),
        ("label_to_metric_p99_ms", "p99", 0),
        ("drift_to_alert_p50_ms", "drift → alert p50 ms", 0),
        ("drift_to_alert_p99_ms", "p99", 0),
        ("cpu_us", "CPU µs/event", 2),
        ("never_seen", "probes never seen", 0),
        ("generator_behind_s", "generator behind s", 2),
    ),
    "low load": (
        ("worker_cpu_percent", "worker, % of a core", 1),
        ("broker_cpu_percent", "broker, % of a core", 1),
        ("cpu_us", "worker CPU µs/event", 1),
        ("broker_cpu_us", "broker CPU µs/event", 1),
        ("transactions_per_s", "transactions/s", 1),
        ("label_to_metric_p50_ms", "label → revised metric p50 ms", 0),
    ),
    "written": (
        ("metric_records_per_prediction", "metric records/prediction", 2),
        ("worker_cpu_percent", "worker, % of a core", 1),
        ("transactions_per_s", "transactions/s", 1),
    ),
    "recovery": (
        ("recovery_s", "ready after s", 2),
        ("empty_s", "without state s", 2),
        ("memory_bytes", "bytes of memory each", 0),
        ("log_bytes", "bytes of log each", 0),
    ),
}
_NOTES = {
    "latency": "Drift → alert is counted from the event time at which the detector fired. The "
    "worker ran with `--disorder 500ms`, by which alerts wait for events that come late.",
    "low load": "The broker has had such traffic for minutes before: one that has just started "
    "spends as much again on compiling what it runs. Events wait up to 100 ms for others in the "
    "generator's producer, as a request goes to one partition.",
    "stages": "Transport, transactions and the writing of state records are not in it.",
    "reading": "`decode` is the floor that `make bench-quick` prints.",
}


def render(results: Mapping[str, Any], peers: Sequence[Mapping[str, Any]] | None = None) -> str:
    """Return the report as Markdown."""
    cases: Mapping[str, Any] = results["cases"]
    parts = ["# Results", _machine(results["machine"])]
    for group, heading in _HEADINGS.items():
        members = [case for case in cases.values() if case["group"] == group and case["runs"]]
        if members:
            parts += [f"## {heading}", _table(group, members)]
            parts += _earlier(members, results["machine"]["commit"])
            parts += [_NOTES[group]] if group in _NOTES else []
            parts += _workers_ratios(cases) if group == "workers" else []
            if len(growth(members)) > 1:
                parts.append(f"![cost of {group}](plots/{group}.svg)")
    if peers:
        parts += ["## Beside other engines", _peers(peers)]
    if failed := results.get("failed"):
        parts += ["## What could not be measured"]
        parts += [f"* `{name}`: {' '.join(str(why).split())[:500]}" for name, why in failed.items()]
    return "\n\n".join(parts) + "\n"


def growth(members: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return size and median cost of the cases that have a size."""
    return sorted(
        (float(case["size"]), float(statistics.median(run["cpu_us"] for run in case["runs"])))
        for case in members
        if case.get("size") is not None
    )


def plots(results: Mapping[str, Any]) -> dict[str, str]:
    """Return plots of how cost grows, SVG by group."""
    found = {}
    for group, heading in _HEADINGS.items():
        members = [c for c in results["cases"].values() if c["group"] == group and c["runs"]]
        if len(points := growth(members)) > 1:
            found[group] = plot.chart(heading, points, x=group, y="CPU µs/event")
    return found


def _machine(machine: Mapping[str, Any]) -> str:
    facts = "\n".join(f"* {name}: {value}" for name, value in machine.items())
    return (
        "Medians, with the smallest and the largest run in brackets. The measured process has a "
        "core to itself, broker and generator run on others. CPU time is user and system of "
        "the whole process, from 20 % of the input until all of it is evaluated, per input "
        "event: a prediction is one, a label is one. The whole run is with the start of the "
        "process (some seconds) and until the last result: with many models, windows are still "
        "published when all input is read. `exact`: runs in which every published number was "
        "right.\n\n"
        f"{facts}\n\n"
        "To repeat: `make bench`; `make bench ARGS='--only same-job,full --runs 3'` for some of it."
    )


def _earlier(members: Sequence[Mapping[str, Any]], commit: str) -> Iterator[str]:
    """Say which cases were measured with another commit than the newest."""
    for other in sorted({case["commit"] for case in members} - {commit}):
        of = [case["says"] for case in members if case["commit"] == other]
        which = "" if len(of) == len(members) else f": {'; '.join(of)}"
        yield f"Measured with commit {other}{which}."


def _table(group: str, members: Sequence[Mapping[str, Any]]) -> str:
    columns = [
        column
        for column in _COLUMNS.get(group, _COLUMNS[""])
        if any(column[0] in run for case in members for run in case["runs"])
    ]
    rows = [["case", *(title for _, title, _ in columns), "runs"]]
    for case in members:
        cells = [cell(case["runs"], name, digits) for name, _, digits in columns]
        rows.append([case["says"], *cells, str(len(case["runs"]))])
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def cell(runs: Runs, name: str, digits: int) -> str:
    """Return median and spread of one figure, `–` where there is none.

    Examples
    --------
    >>> cell([{"cpu_us": 2.5}, {"cpu_us": 3.25}, {"cpu_us": 2.0}], "cpu_us", 2)
    '2.50 [2.00–3.25]'
    >>> cell([{"exact": True}, {"exact": False}], "exact", 0)
    '1 of 2'
    """
    values = [value for run in runs if name in run for value in _as_list(run[name])]
    if not values:
        return "–"
    if isinstance(values[0], bool):
        return f"{sum(values)} of {len(values)}"
    median = f"{statistics.median(values):,.{digits}f}"
    spread = f" [{min(values):,.{digits}f}–{max(values):,.{digits}f}]"
    return median + (spread if len(values) > 1 else "")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _workers_ratios(cases: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("", "-whole"):
        one = _rate(cases, f"workers-1{kind}")
        for name in (f"workers-2{kind}", f"workers-4{kind}"):
            more = _rate(cases, name)
            if one and more:
                says = f"took {more / one:.2f} times as many events a second as one"
                yield f"{cases[name]['says']} {says}."


def _rate(cases: Mapping[str, Any], name: str) -> float | None:
    runs = cases.get(name, {}).get("runs")
    return statistics.median(run["events_per_s"] for run in runs) if runs else None


def _peers(peers: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of engines, cheapest first, each as a ratio to ours.

    Engines that were measured warm are compared with driftline warm, where both are there, and
    only with what was measured beside them: machines differ from hour to hour.
    """
    ours = next((peer for peer in peers if peer["engine"] == "driftline"), {})
    head = ["engine", "variant", "exactly-once", "CPU µs/event", "warm", "times driftline"]
    rows = [
        [
            str(peer["engine"]),
            str(peer["variant"]),
            "yes" if peer["exactly_once"] else "no",
            _number(peer["cpu_us"]) + _spread(peer.get("spread")),
            _number(peer.get("warm_us")),
            _ratio(peer, ours),
            "right" if peer["result_ok"] else "wrong or failed",
            str(peer["runs"]),
        ]
        for peer in sorted(peers, key=lambda peer: peer["cpu_us"] or float("inf"))
    ]
    text = table([[*head, "result", "runs"], *rows])
    if all(_commit(peer) == _commit(ours) for peer in peers):
        return text
    return f"{text}\n\nWhat has no ratio was measured with an earlier commit, not beside this one."


def _commit(peer: Mapping[str, Any]) -> str:
    return str(peer.get("machine", {}).get("commit"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _spread(limits: Sequence[float] | None) -> str:
    return f" [{limits[0]:,.2f}–{limits[1]:,.2f}]" if limits else ""


def _ratio(peer: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    for name in ("warm_us", "cpu_us"):
        if ours.get(name) and peer.get(name) and _commit(peer) == _commit(ours):
            return f"{peer[name] / ours[name]:.1f}"
    return "–"


def main() -> None:
    """Write the report."""
    peers = json.loads(PEERS.read_text()) if PEERS.exists() else None
    results = json.loads(RESULTS.read_text())
    REPORT.write_text(f"{render(results, peers)}\n{APART.read_text()}")
    PLOTS.mkdir(exist_ok=True)
    for group, svg in plots(results).items():
        (PLOTS / f"{group}.svg").write_text(svg)
    print(f"{REPORT.relative_to(HERE.parent)} written")


if __name__ == "__main__":
    main()
