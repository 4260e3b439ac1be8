"""Run the ladder on a real broker and write `RESULTS.md`.

    python -m benchmarks.run --only same-job,full --runs 3

Each run is saved in `results.json` at once: called again, it goes on where it was ended. A case
that was measured with another commit begins anew, with other `--events` all of them do. What is not
measured again stays, and the report says of which commit it is.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil

from agents.local_kafka import kafka_version
from benchmarks import measure, report
from benchmarks.cases import CASES, Bench, Case

_PACKAGES = ("confluent-kafka", "numpy", "msgspec", "river", "faust-streaming")


class Record:
    """The raw figures, on disk after every run."""

    def __init__(self, path: Path, machine: dict[str, Any]) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {}
        if kept.get("machine", {}).get("events") != machine["events"]:
            kept = {}
        self.data: dict[str, Any] = {"cases": {}, "failed": {}, **kept, "machine": machine}

    def runs(self, case: Case) -> list[dict[str, Any]]:
        """Return the figures of a case that are of this commit."""
        cases, commit = self.data["cases"], self.data["machine"]["commit"]
        if cases.get(case.name, {}).get("commit") != commit:
            cases[case.name] = {"commit": commit, "runs": []}
        entry = cases[case.name]
        entry |= {"group": case.group, "says": case.says, "size": case.size}
        runs: list[dict[str, Any]] = entry["runs"]
        return runs

    @property
    def by_case(self) -> dict[str, list[dict[str, Any]]]:
        """The figures of all cases."""
        return {name: entry["runs"] for name, entry in self.data["cases"].items()}

    def failed(self, case: Case, why: str) -> None:
        """Note that a case could not be measured."""
        self.data["failed"][case.name] = why
        self.save()

    def save(self) -> None:
        """Write everything down, cases in their order."""
        order = [case.name for case in CASES]
        cases = self.data["cases"]
        self.data["cases"] = {
            n: cases[n] for n in sorted(cases, key=order.index) if cases[n]["runs"]
        }
        self._path.write_text(json.dumps(self.data, indent=1) + "\n")


def machine(*, events: int) -> dict[str, Any]:
    """Say on what, and of what, the measurements are."""
    versions = {name: version(name) for name in _PACKAGES}
    return {
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": f"{os.cpu_count()} × {_cpu_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Kafka": kafka_version(),
        **versions,
        "events": events,
    }


def _commit() -> str:
    """Name the build; what the ladder itself has written is no change of it."""
    commit = _git("rev-parse", "--short=12", "HEAD").strip() or "unknown"
    written = ("results.json", "RESULTS.md", "plots", "peers/results.json")
    own = [f":!benchmarks/{name}" for name in written]
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *own)
    return f"{commit}-dirty" if changed else commit


def _git(*command: str) -> str:
    done = subprocess.run(
        ["git", *command], cwd=measure.ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Parse the command line and climb."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases, or groups, with commas between")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000_000, help="of the larger cases")
    parser.add_argument("--long", action="store_true", help="the cases of minutes, too")
    parser.add_argument("--list", action="store_true", help="list the cases")
    options = parser.parse_args()
    chosen = choose(options.only, long=options.long)
    if options.list:
        for case in chosen:
            print(f"{case.name:16} {case.group:10} {case.says}")
        return
    record = Record(report.RESULTS, machine(events=options.events))
    with measure.broker() as kafka:
        bench = Bench(kafka, events=options.events, recorded=record.by_case)
        right = climb(bench, chosen, record, options.runs)
    report.main()
    sys.exit(0 if right else 1)


def choose(only: str, *, long: bool) -> list[Case]:
    """Return the cases of these names or groups; all if there are none.

    Raises
    ------
    SystemExit
        If a name is unknown.
    """
    wanted = [name for name in only.split(",") if name]
    known = {case.name for case in CASES} | {case.group for case in CASES}
    if unknown := sorted(set(wanted) - known):
        raise SystemExit(f"no such case: {', '.join(unknown)}; --list shows them")
    if wanted:
        return [
            case
            for case in CASES
            if case.name in wanted or (case.group in wanted and (long or not case.long))
        ]
    return [case for case in CASES if long or not case.long]


def climb(bench: Bench, chosen: Sequence[Case], record: Record, runs: int) -> bool:
    """Measure cases, and tell whether all could be, with exact results.

    Those of a group take turns, since they are compared: a slow minute of the machine hits all.
    """
    failed: set[str] = set()
    for _, group in groupby(chosen, key=lambda case: case.group):
        members = list(group)
        for turn in range(1, runs + 1):
            for case in members:
                if case.name not in failed and not _measure(bench, case, record, turn):
                    failed.add(case.name)
    exact = (run.get("exact", True) for case in chosen for run in record.runs(case))
    return not failed and all(exact)


def _measure(bench: Bench, case: Case, record: Record, wanted: int) -> bool:
    """Run a case as often as is wanted; tell whether that could be done."""
    runs = record.runs(case)
    try:
        while len(runs) < min(wanted, case.most_runs):
            started_s = time.monotonic()
            figures = case.run(bench)
            runs.append(figures)
            bench.recorded = record.by_case
            record.save()
            print(f"{case.name} [{time.monotonic() - started_s:.0f} s] {figures}", flush=True)
    except measure.MeasurementError as error:
        print(f"{case.name}: {error}", file=sys.stderr, flush=True)
        record.failed(case, str(error))
        return False
    record.data["failed"].pop(case.name, None)
    return True


if __name__ == "__main__":
    main()
