"""`driftline replay`: the same core over recorded events, without a broker.

A first pass measures how far the file is out of order, so that the clock waits long enough:
nothing in a recording is lost to lateness, whatever the order of its lines.
"""

import json
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.progress import Progress

from agents import cells
from agents.exits import EXIT_NOTHING_USABLE
from agents.printable import printable
from agents.recordings import Line, Recordings
from agents.replay_letters import Letters
from agents.replay_results import Results
from agents.settings import read_monitors_file
from agents.survey import Survey
from streams.categories import category_names
from streams.dryrun import Arrival, DryRun
from streams.errors import ConfigError, RecordError
from streams.hash_index import SEED_BYTES
from streams.heads import Head, head_of, said_in
from streams.join import Join
from streams.limits import LIMITS, RecordLimits
from streams.monitor import Monitor
from streams.monitors import FORGET_MS, Monitors
from streams.monitors_file import parse_monitors
from streams.plausible_times import LATEST_MS, check_time
from streams.task import CAPS, Caps
from streams.topics import Topics
from streams.topology import build

CHUNK = 5_000
CHUNK_BYTES = 64 << 20
PUBLISH_EVERY = 40
READING = "reading"
FOREVER_MS = 10 * 365 * 86_400_000

Run = TypeVar("Run", bound=DryRun)

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
    missing: Sequence[str] = cells.MISSING,
    dead_letters: Path | None = None,
    forget_ms: int = FORGET_MS,
    caps: Caps = CAPS,
    report: Path | None = None,
    category_key: bytes | None = None,
) -> int:
    """Replay recorded events, write the results and print a summary; return the exit code.

    Parameters
    ----------
    disorder_ms
        `None` measures the disorder of the recording first.
    missing
        Cells of tables that are read as empty ones.
    dead_letters
        Where to write every record that cannot be used, and why.
    report
        Where to write a page of all of it.
    category_key
        Names categories of distributions, as workers do that have it.

    Raises
    ------
    ConfigError
        If a file, `--columns` or `monitors.yaml` cannot be used; nothing is written then.
    """
    recordings = Recordings(files, columns, missing=missing, line_bytes=limits.record_bytes)
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"--out: {out} is a file, not a folder")
    if report is not None:
        _check_report(report, files)
    run, letters, survey = play(
        recordings,
        partial(_named, category_names(category_key)),
        monitors=load_monitors(monitors),
        window_ms=window_ms,
        horizon_ms=horizon_ms,
        partitions=partitions,
        disorder_ms=disorder_ms,
        limits=limits,
        dead_letters=dead_letters,
        forget_ms=forget_ms,
        caps=caps,
    )
    results = Results(
        run, letters, lines=survey.lines, readings=survey.readings, disorder_ms=survey.disorder_ms
    )
    if out is not None:
        results.write(out)
    if report is not None:
        from agents.report.make import of_replay  # noqa: PLC0415 - an extra

        of_replay(results, report, files=files)
    if json_output:
        print(json.dumps(results.summary()))
    else:
        results.show(out)
        if report is not None:
            print(f"a page of it in {printable(str(report))}")
    return EXIT_NOTHING_USABLE if results.nothing_was_usable else 0


def _named(names: Sequence[str], join: Join, monitor: Monitor, *, partitions: int) -> DryRun:
    """Return a run in which categories have these names."""
    monitor.categories = names
    return DryRun(join, monitor, partitions=partitions)


def _check_report(report: Path, files: Sequence[Path]) -> None:
    """Refuse before anything is replayed."""
    from agents.sinks.sql import needed  # noqa: PLC0415

    needed()
    if report.is_dir() or not report.absolute().parent.is_dir():
        raise ConfigError(f"--report: {report} is a folder, or in none; name a file")
    if any(report.resolve() == file.resolve() for file in files):
        raise ConfigError(f"--report: {report} is one of the recordings")


def play(
    recordings: Recordings,
    kind: Callable[..., Run],
    *,
    monitors: Monitors | None,
    window_ms: int,
    horizon_ms: int,
    partitions: int,
    disorder_ms: int | None,
    limits: RecordLimits = LIMITS,
    dead_letters: Path | None = None,
    forget_ms: int = FORGET_MS,
    caps: Caps = CAPS,
) -> tuple[Run, Letters, Survey]:
    """Run over recorded events; on a terminal, show how far it is.

    Parameters
    ----------
    kind
        Makes what runs, of both stages and the number of partitions.
    """
    topics, console = Topics(), Console(stderr=True)
    if recordings.have_dates:
        limits = msgspec.structs.replace(limits, earliest_ms=0)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("looking at columns", total=None)
        for _ in progress.track(recordings.look(), task_id=task):
            pass
        task = progress.add_task("looking through", total=None)
        survey = Survey(topics, partitions=partitions, horizon_ms=horizon_ms)
        lines = progress.track(recordings.lines(), task_id=task)
        _look_through(survey, lines, topics=topics, limits=limits)
        survey.finish(told_ms=disorder_ms)
        join, monitor = build(
            topics,
            window_ms=window_ms,
            horizon_ms=horizon_ms,
            disorder_ms=survey.disorder_ms if disorder_ms is None else disorder_ms,
            partitions=partitions,
            monitors=monitors,
            grace_ms=FOREVER_MS,
            limits=limits,
            seed=secrets.token_bytes(SEED_BYTES),
            forget_ms=forget_ms,
            caps=caps,
        )
        join.log_bytes = sys.maxsize  # nobody reads it
        monitor.readings_wait_ms = FOREVER_MS
        run = kind(join, monitor, partitions=partitions)
        task = progress.add_task("replaying", total=survey.lines)
        counted = progress.track(recordings.lines(), task_id=task, total=survey.lines)
        with Letters(recordings, dead_letters) as letters:
            _feed(run, counted, letters, topics=topics, survey=survey)
    return run, letters, survey


def load_monitors(file: Path | None) -> Monitors | None:
    """Read `monitors.yaml`; `None` for the defaults. Its `settings` are the worker's."""
    return None if file is None else parse_monitors(read_monitors_file(file)[1], file=str(file))


def _look_through(
    survey: Survey, lines: Iterable[Line], *, topics: Topics, limits: RecordLimits
) -> None:
    for line in lines:
        survey.lines += 1
        if line.error is not None:
            continue
        earliest_ms = max(line.earliest_ms, limits.earliest_ms)
        with suppress(RecordError):
            head = _head(line)
            if head is None:
                survey.lines -= 1
                survey.specifications.append((line.place, line.value))
                continue
            if head.kind == READING:
                survey.lines -= 1
                survey.readings += 1
            if head.timestamp_ms is not None:
                time_ms = check_time(head.timestamp_ms, now_ms=NOW_MS, earliest_ms=earliest_ms)
                if head.kind == READING:
                    survey.see_reading(time_ms)
                    continue
                survey.see(_topic(head, topics), head.prediction_id.encode(), time_ms)


def _topic(head: Head, topics: Topics) -> str:
    return topics.labels if head.kind == "label" else topics.predictions


def _feed(
    run: DryRun, lines: Iterable[Line], letters: Letters, *, topics: Topics, survey: Survey
) -> None:
    run.monitor.hold_metrics = True
    absent = survey.absent
    # Wherever they stand: what counts is the event time that they carry.
    said = survey.specifications
    if said:
        arrivals = [
            Arrival(topics.feedback if one.feedback else topics.monitors, one.key, value, 0, place)
            for place, value in said
            if (one := said_in(value)) is not None
        ]
        run.specify(arrivals, now_ms=NOW_MS)
    if survey.readings:
        _feed_readings(run, letters, topics=topics)
    for number, chunk in enumerate(_chunks(lines), 1):
        refused = [line for line in chunk if line.error is not None]
        arrivals = []
        for line in chunk:
            if line.error is None:
                try:
                    arrivals += _arrivals(line, topics)
                except RecordError as error:
                    refused.append(line._replace(error=error))
        run.feed(arrivals, now_ms=NOW_MS, idle=absent)
        letters.take(refused, run.take_dead_letters())
        if number % PUBLISH_EVERY == 0:
            run.publish(now_ms=NOW_MS)
    run.end(newest_ms=survey.end_ms)
    run.feed([], now_ms=NOW_MS, idle=frozenset(run.join.inputs))
    run.publish(now_ms=NOW_MS)
    letters.take([], run.take_dead_letters())


def _feed_readings(run: DryRun, letters: Letters, *, topics: Topics) -> None:
    """Feed all readings of hosts before anything else, since the clock does not wait for them."""
    for chunk in _chunks(letters.recordings.lines()):
        arrivals = []
        for line in chunk:
            with suppress(RecordError):
                head = None if line.error is not None else _head(line)
                if head is not None and head.kind == READING:
                    key = head.prediction_id.encode()
                    arrivals.append(Arrival(topics.resources, key, line.value, -1, line.place))
        run.read(arrivals, now_ms=NOW_MS)
        letters.take([], run.take_dead_letters())


def _chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    size_bytes = 0
    for line in lines:
        chunk.append(line)
        size_bytes += len(line.value)
        if len(chunk) == CHUNK or size_bytes > CHUNK_BYTES:
            yield chunk
            chunk, size_bytes = [], 0
    if chunk:
        yield chunk


def _head(line: Line) -> Head | None:
    """Return what a line is, `None` for one that says what to watch, or what is usual.

    Raises
    ------
    RecordError
        If it is none of all.
    """
    try:
        return head_of(line.value)
    except RecordError:
        if said_in(line.value) is not None:
            return None
        raise


def _arrivals(line: Line, topics: Topics) -> list[Arrival]:
    """Give a line the topic and the key that a producer would have given it.

    A line that is neither a prediction nor a label goes where it is refused with the reason; one
    that says what to watch, and a reading of a host, was taken already.

    Raises
    ------
    RecordError
        If its time is a number that is none; the stages do not know whether it was a date.
    """
    try:
        head = _head(line)
    except RecordError:
        return [Arrival(topics.predictions, b"", line.value, -1, line.place)]
    if head is None or head.kind == READING:
        return []
    if line.earliest_ms and head.timestamp_ms is not None:
        check_time(head.timestamp_ms, now_ms=NOW_MS, earliest_ms=line.earliest_ms)
    key = head.prediction_id.encode()
    return [Arrival(_topic(head, topics), key, line.value, -1, line.place)]
