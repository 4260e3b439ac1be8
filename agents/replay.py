"""`driftline replay`: the same core over recorded events, without a broker.

A first pass measures how far the file is out of order, so that the clock waits long enough:
nothing in a recording is lost to lateness, whatever the order of its lines.
"""

import json
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from agents import recordings
from agents.settings import read_monitors_file
from agents.survey import Survey
from streams.dryrun import Arrival, DryRun
from streams.durations import format_duration
from streams.errors import ConfigError, RecordError
from streams.events import LATEST_MS, Head, check_time, head_of
from streams.hash_index import SEED_BYTES
from streams.limits import LIMITS, RecordLimits
from streams.monitors import Monitors
from streams.monitors_file import parse_monitors
from streams.topics import Topics
from streams.topology import build

CHUNK = 5_000
PUBLISH_EVERY = 40
FOREVER_MS = 10 * 365 * 86_400_000

# What a replay finds does not depend on the day on which it runs: no time is in its future.
NOW_MS = LATEST_MS


def run_replay(
    files: list[Path],
    *,
    monitors: Path | None,
    out: Path | None,
    window_ms: int,
    horizon_ms: int,
    partitions: int,
    disorder_ms: int | None,
    columns: str | None,
    limits: RecordLimits = LIMITS,
    json_output: bool,
) -> int:
    """Replay recorded events, write the results and print a summary; return the exit code.

    Parameters
    ----------
    disorder_ms
        `None` measures the disorder of the recording first.

    Raises
    ------
    ConfigError
        If a file, `--columns` or `monitors.yaml` cannot be used; nothing is written then.
    """
    roles = recordings.check_files(files, columns)
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"--out: {out} is a file, not a folder")
    watched = load_monitors(monitors)
    topics, console = Topics(), Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("looking through", total=None)
        survey = Survey(topics, partitions=partitions, horizon_ms=horizon_ms)
        _look_through(survey, progress.track(_all(files, roles), task_id=task), topics)
        join, monitor = build(
            topics,
            window_ms=window_ms,
            horizon_ms=horizon_ms,
            disorder_ms=survey.disorder_ms if disorder_ms is None else disorder_ms,
            partitions=partitions,
            monitors=watched,
            grace_ms=FOREVER_MS,
            limits=limits,
            seed=secrets.token_bytes(SEED_BYTES),
        )
        join.log_bytes = sys.maxsize  # nobody reads it
        run = DryRun(join, monitor, partitions=partitions)
        task = progress.add_task("replaying", total=survey.lines)
        counted = progress.track(_all(files, roles), task_id=task, total=survey.lines)
        _feed(run, iter(counted), topics, survey=survey)
    results = Results(run)
    if out is not None:
        results.write(out)
    if json_output:
        print(json.dumps(results.summary(survey)))
    else:
        results.show(survey, out)
    return 0


def load_monitors(file: Path | None) -> Monitors | None:
    """Read `monitors.yaml`; `None` for the defaults. Its `settings` are the worker's."""
    return None if file is None else parse_monitors(read_monitors_file(file)[1], file=str(file))


def _all(files: list[Path], roles: Mapping[str, str]) -> Iterator[bytes]:
    for file in files:
        yield from recordings.lines(file, roles)


def _look_through(survey: Survey, lines: Iterable[bytes], topics: Topics) -> None:
    for line in lines:
        survey.lines += 1
        with suppress(RecordError):
            head = head_of(line)
            if head.timestamp_ms is not None:
                time_ms = check_time(head.timestamp_ms, now_ms=NOW_MS)
                survey.see(_topic(head, topics), head.prediction_id.encode(), time_ms)
    survey.finish()


def _topic(head: Head, topics: Topics) -> str:
    return topics.labels if head.kind == "label" else topics.predictions


def _feed(run: DryRun, lines: Iterator[bytes], topics: Topics, *, survey: Survey) -> None:
    run.monitor.hold_metrics = True
    chunks, absent = 0, survey.absent
    while chunk := list(islice(lines, CHUNK)):
        arrivals = [_arrival(line, topics) for line in chunk]
        run.feed(arrivals, now_ms=NOW_MS, idle=absent)
        chunks += 1
        if chunks % PUBLISH_EVERY == 0:
            run.publish(now_ms=NOW_MS)
    run.end(newest_ms=survey.end_ms)
    run.feed([], now_ms=NOW_MS, idle=frozenset(run.join.inputs))
    run.publish(now_ms=NOW_MS)


def _arrival(line: bytes, topics: Topics) -> Arrival:
    """Give a line the topic and the key that a producer would have given it.

    A line that is neither a prediction nor a label goes where it is refused with the reason.
    """
    try:
        head = head_of(line)
        topic, key = _topic(head, topics), head.prediction_id.encode()
    except RecordError:
        topic, key = topics.predictions, b""
    return Arrival(topic, key, line, -1)


class Results:
    """What a replay found, in an order that depends on nothing but the content."""

    def __init__(self, run: DryRun) -> None:
        self.metrics = [run.metrics[key] for key in sorted(run.metrics, key=json.loads)]
        alerts = [json.loads(alert) for alert in run.alerts]
        order = ("at_ms", "model", "version", "segment", "monitor", "alert_id", "revision")
        self.alerts = sorted(alerts, key=lambda alert: [alert[name] for name in order])
        self.fates = run.fates()
        self.dropped = [run.dropped[field] for field in sorted(run.dropped)]
        self.reasons: dict[str, int] = {}
        for letter in run.dead_letters:
            self.reasons[letter.reason] = self.reasons.get(letter.reason, 0) + 1

    def write(self, folder: Path) -> None:
        """Write `metrics.jsonl`, `alerts.jsonl` and `fates.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "metrics.jsonl").open("wb") as file:
            file.writelines(line + b"\n" for line in self.metrics)
        with (folder / "alerts.jsonl").open("w", encoding="utf-8") as text:
            text.writelines(json.dumps(alert) + "\n" for alert in self.alerts)
        (folder / "fates.json").write_text(json.dumps(self.fates, indent=1) + "\n")

    def summary(self, survey: Survey) -> dict[str, Any]:
        """Return the summary as plain values."""
        return {
            "lines": survey.lines,
            "disorder_ms": survey.disorder_ms,
            "fates": self.fates,
            "dead_letters": self.reasons,
            "values_dropped": {one.field: one.count for one in self.dropped},
            "metrics": len(self.metrics),
            "alerts": self.alerts,
        }

    def show(self, survey: Survey, out: Path | None) -> None:
        """Print the summary for people."""
        console = Console()
        disorder = format_duration(survey.disorder_ms)
        console.print(f"{survey.lines} records, out of order by up to {disorder}")
        console.print(self._fates_table())
        for one in self.dropped:
            left_out = Text(f"left out {one.count} of {one}, and the like")
            console.print(left_out, soft_wrap=True)
        console.print(self._metrics_table())
        for alert in self.alerts:
            colour = "red" if alert["state"] == "firing" else "green"
            name = f"{alert['model']} {alert['version']}".strip()
            console.print(
                f"[{colour}]{alert['state']:8}[/] {_clock(alert['at_ms'])} {name} "
                f"{alert['monitor']} ({alert['direction']}): {alert['message']}",
                highlight=False,
                soft_wrap=True,
            )
        console.print(f"{len(self.metrics)} metrics, {len(self.alerts)} alert records", end="")
        console.print(f" in {out}" if out else "; keep them with --out DIR")

    def _fates_table(self) -> Table:
        table = Table()
        table.add_column("fate")
        table.add_column("records", justify="right")
        for fate, count in self.fates.items():
            reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(self.reasons.items()))
            note = f"  ({reasons})" if fate == "dead_letter" and count else ""
            if count:
                table.add_row(fate + note, str(count))
        return table

    def _metrics_table(self) -> Table:
        shown = ("predictions", "labels", "accuracy", "f1", "roc_auc", "mae", "rmse")
        models: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
        for line in self.metrics:
            metric = json.loads(line)
            if not metric["segment"] and metric["metric"] in shown:
                by_name = models.setdefault((metric["model"], metric["version"]), {})
                by_name.setdefault(metric["metric"], []).append(metric)
        table = Table(title="first and last window", title_justify="left")
        for name in ("model", "version", "windows", *shown):
            table.add_column(name, justify="left" if name in ("model", "version") else "right")
        for (model, version), by_name in sorted(models.items()):
            windows = str(len(by_name.get("predictions", ())))
            table.add_row(model, version, windows, *(_span(by_name.get(n, [])) for n in shown))
        return table


def _span(records: list[dict[str, Any]]) -> str:
    if not records:
        return ""
    first, last = records[0]["value"], records[-1]["value"]
    return f"{first:.4g} → {last:.4g}"


def _clock(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_ms / 1000))
