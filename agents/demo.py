"""`driftline demo`: the whole product in one terminal, in less than a minute.

A broker in this process, a worker in a process of its own, and a model server (a thread) that
publishes half an hour of traffic in half a minute. What the worker publishes is shown as it comes,
and in the end compared, number by number, with an oracle that has seen only what was published.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import IO

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.demo_model import (
    MODEL,
    PREFIX,
    SWAPPED,
    TRAINING_ROWS,
    VERSION,
    ModelServer,
    ModelServerError,
    Scenario,
    plan_traffic,
    shuttle_rows,
    train,
)
from agents.demo_oracle import (
    METRICS,
    WINDOW_MS,
    AlertRecord,
    Board,
    Comparison,
    Difference,
    Verdict,
    judge,
)
from agents.embedded import EmbeddedBroker, EmbeddedBrokerError
from agents.printable import printable
from agents.printing import plain_console

PARTITIONS = 4
STREAM_S = 24
SETTLE_S = 15.0
INTERRUPTED = 130

_TOPICS = (
    *("predictions", "labels", "monitors", "metrics", "alerts"),
    *("outcomes", "join-state", "monitor-state"),
    *("predictions.dlq", "labels.dlq", "monitors.dlq", "outcomes.dlq"),
)
_SHOWN_METRICS = (*METRICS, f"mean:{SWAPPED[0]}")
_SHOWN_WINDOWS = 10
_SHOWN_ALERTS = 6
_SHOWN_DIFFERENCES = 5
# A window gets no more labels two minutes after its end: the latest comes after 60 + 20 seconds.
_SETTLED_WINDOWS = 3
_TICK_S = 0.2
_STOP_S = 5.0
_STDERR_LINES = 20


class WorkerEndedError(RuntimeError):
    """The worker is gone; the message holds the last of what it said."""


class Summary(msgspec.Struct, frozen=True):
    """How the demo ended; printed as it is with ``--json``.

    Attributes
    ----------
    ok
        Every number is equal, a worse loss was reported after the change, and none before.
    compared, equal, differing
        Numbers that were checked against the oracle, those that agree, and those that do not.
    drift
        Alerts on a worse loss after the change; the first is the one that counts.
    false_alarms
        Alerts on a worse loss before the change.
    delay_s
        Event time between the change and the first of `drift`, in seconds. None if there is none.
    """

    ok: bool
    compared: int
    equal: int
    differing: tuple[Difference, ...]
    drift: tuple[AlertRecord, ...]
    false_alarms: tuple[AlertRecord, ...]
    delay_s: float | None
    events: int
    events_per_second: float
    seconds: float
    error_before: float
    error_after: float


class WorkerProcess:
    """A worker as it runs in production, but for the broker: a process of its own.

    It is stopped on leaving the ``with`` block, in whatever way.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def __enter__(self) -> WorkerProcess:
        self._output: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=_worker_environment(),
            # Otherwise Ctrl-C in the terminal would reach it before the demo has said good-bye.
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    @property
    def exit_code(self) -> int | None:
        """Return how it ended, or None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise if it is gone, with the last of what it said."""
        code = self.exit_code
        if code is not None:
            raise WorkerEndedError(f"the worker ended with exit code {code}, saying\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines it wrote. Only once it is gone: seeking moves its own end, too."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_STDERR_LINES:]) or "(none)"


def worker_command(bootstrap_servers: str) -> list[str]:
    """Spell the command that starts the worker on the embedded broker."""
    return [
        *(sys.executable, "-m", "agents.cli", "worker"),
        *("--bootstrap-servers", bootstrap_servers, "--embedded", "--prefix", PREFIX),
        *("--window", "1m", "--horizon", "1h", "--metrics-port", "0"),
    ]


def _worker_environment() -> dict[str, str]:
    # The user's own settings are for the user's own worker.
    return {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}


@contextmanager
def _reader(bootstrap_servers: str, topics: Sequence[str]) -> Iterator[Consumer]:
    """Read every partition of `topics` from its beginning, committed records only."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "driftline-demo",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "check.crcs": False,
            "fetch.queue.backoff.ms": 20,
        }
    )
    try:
        consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in topics
                for partition in range(PARTITIONS)
            ]
        )
        yield consumer
    finally:
        consumer.close()


def run_demo(
    *, seconds: int | None = None, json_output: bool = False, console: Console | None = None
) -> int:
    """Run the demo to its end and say how it went.

    Parameters
    ----------
    seconds
        How long the traffic takes, at least 1. None means 24. The events are the same in any case,
        only their pace differs.
    json_output
        Print nothing but a `Summary` as JSON, at the end.
    console
        Where to print. None means standard output. A live display needs a terminal; anything else
        gets plain lines.

    Returns
    -------
    int
        The exit code: 0 if `Summary.ok`, 1 if not or if a part failed, 130 if interrupted.
    """
    if seconds is not None and seconds < 1:
        raise ValueError(f"seconds must be at least 1, got {seconds}")
    console = console or plain_console()
    view = _choose_view(console, json_output=json_output)
    try:
        with _termination_as_interrupt(), view:
            summary = _run(view, stream_s=float(STREAM_S if seconds is None else seconds))
    except KeyboardInterrupt:
        _complain(console, "interrupted; the worker is stopped", json_output=json_output)
        return INTERRUPTED
    except (WorkerEndedError, ModelServerError, EmbeddedBrokerError) as error:
        _complain(console, f"the demo failed: {error}", json_output=json_output)
        return 1
    if json_output:
        console.file.write(msgspec.json.format(msgspec.json.encode(summary)).decode() + "\n")
    else:
        _print_summary(console, summary)
    return 0 if summary.ok else 1


def _complain(console: Console, message: str, *, json_output: bool) -> None:
    target = Console(stderr=True) if json_output else console
    target.print(Text(message, style="red"), soft_wrap=True)


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Treat `kill` and a closed terminal as Ctrl-C: the worker must not outlive the demo."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; an embedding program has its own
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(view: View, *, stream_s: float) -> Summary:
    """Start the parts, the worker first since it takes longest, and stop them in reverse."""
    board = Board()
    topics = {f"{PREFIX}.{name}": PARTITIONS for name in _TOPICS}
    with (
        EmbeddedBroker(topics) as broker,
        WorkerProcess(worker_command(broker.bootstrap_servers)) as worker,
        _reader(broker.bootstrap_servers, board.topics) as reader,
    ):
        rows = shuttle_rows()
        score = train(rows[:TRAINING_ROWS])
        scenario = plan_traffic(score, rows[TRAINING_ROWS:], start_ms=_start_ms())
        server = ModelServer(broker.bootstrap_servers, scenario, stream_s=stream_s)
        view.start(scenario)
        server.start()
        try:
            comparison = _watch(view, board=board, server=server, worker=worker, reader=reader)
        finally:
            server.stop()
    verdict = judge(board.alerts.values(), change_ms=scenario.change_ms)
    return summarise(scenario, comparison, verdict=verdict, seconds=server.seconds)


def _start_ms() -> int:
    """Return the full hour before this one: the traffic must not come from the future."""
    hour_ms = 3_600_000
    return (time.time_ns() // 1_000_000 // hour_ms - 1) * hour_ms


def _watch(
    view: View, *, board: Board, server: ModelServer, worker: WorkerProcess, reader: Consumer
) -> Comparison:
    """Read and show what the worker publishes, until all is as it must be or it is too late."""
    deadline_s: float | None = None
    while True:
        _fold_all(board, reader.consume(5_000, _TICK_S))
        server.check()
        worker.check()
        view.update(board, sent=server.sent)
        if server.is_alive():
            continue
        deadline_s = deadline_s or time.monotonic() + SETTLE_S
        comparison = board.compare(view.scenario.events)
        alarms = judge(board.alerts.values(), change_ms=view.scenario.change_ms).true_alarms
        if (alarms and not comparison.differing) or time.monotonic() > deadline_s:
            view.finish(board)
            return comparison


def _fold_all(board: Board, messages: Sequence[Message]) -> None:
    for message in messages:
        topic = message.topic()
        # The client reports here what it retries by itself; what stays broken shows in the numbers.
        if message.error() is None and topic is not None:
            board.fold(topic, key=message.key() or b"", value=message.value())


def summarise(
    scenario: Scenario, comparison: Comparison, *, verdict: Verdict, seconds: float
) -> Summary:
    """Draw the conclusions; `seconds` is how long publishing took."""
    first = verdict.true_alarms[0] if verdict.true_alarms else None
    right = not comparison.differing
    return Summary(
        ok=right and first is not None and not verdict.false_alarms,
        compared=comparison.compared,
        equal=comparison.equal,
        differing=comparison.differing,
        drift=verdict.true_alarms,
        false_alarms=verdict.false_alarms,
        delay_s=None if first is None else (first.at_ms - scenario.change_ms) / 1_000,
        events=len(scenario.events),
        events_per_second=round(len(scenario.events) / seconds, 1) if seconds else 0.0,
        seconds=round(seconds, 1),
        error_before=scenario.error_before,
        error_after=scenario.error_after,
    )


class View:
    """Show nothing: the view of ``--json``, and what the two other views have in common."""

    scenario: Scenario

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""

    def start(self, scenario: Scenario) -> None:
        """Say what is about to happen."""
        self.scenario = scenario

    def update(self, board: Board, *, sent: int) -> None:
        """Show what has come since the last time; called several times a second."""

    def finish(self, board: Board) -> None:
        """Show what is left, now that nothing more is waited for."""


class LineView(View):
    """Print one line for every window that gets no more labels, and for every alert."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed_ms = -1
        self._told = 0

    def start(self, scenario: Scenario) -> None:
        """Say what is about to happen, and head the columns."""
        super().start(scenario)
        self._line(_introduction(scenario))
        self._line("window    " + " ".join(f"{name:>11}" for name in _SHOWN_METRICS))

    def update(self, board: Board, *, sent: int) -> None:  # noqa: ARG002 - lines show no progress
        """Print the windows that get no more labels, and the alerts that are new."""
        self._windows(
            board, until_ms=max(board.windows(), default=0) - _SETTLED_WINDOWS * WINDOW_MS
        )
        for alert in board.news[self._told :]:
            self._line(_describe(alert))
        self._told = len(board.news)

    def finish(self, board: Board) -> None:
        """Print the last windows."""
        self._windows(board, until_ms=max(board.windows(), default=0))

    def _windows(self, board: Board, *, until_ms: int) -> None:
        for start_ms, values in board.windows().items():
            if self._printed_ms < start_ms <= until_ms:
                self._printed_ms = start_ms
                cells = (f"{_number(values.get(name)):>11}" for name in _SHOWN_METRICS)
                self._line(f"{_clock(start_ms)}  " + " ".join(cells))

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class LiveView(View):
    """Redraw a table of the latest windows, and the latest alerts below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        self._live.update("starting a broker and a worker, and training a model …", refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def start(self, scenario: Scenario) -> None:
        """Say what is about to happen, above the table."""
        super().start(scenario)
        self._console.print(_introduction(scenario), highlight=False)

    def update(self, board: Board, *, sent: int) -> None:
        """Redraw."""
        self._live.update(render(board, self.scenario, sent=sent), refresh=True)


def _choose_view(console: Console, *, json_output: bool) -> View:
    if json_output:
        return View()
    return LiveView(console) if console.is_terminal else LineView(console)


def render(board: Board, scenario: Scenario, *, sent: int) -> RenderableType:
    """Draw the latest windows, those with swapped sensors marked, and the latest alerts."""
    table = Table(title=f"{MODEL} {VERSION}: {sent:,} of {len(scenario.events):,} events sent")
    table.add_column("window")
    for name in _SHOWN_METRICS:
        table.add_column(name, justify="right")
    for start_ms, values in list(board.windows().items())[-_SHOWN_WINDOWS:]:
        changed = start_ms + WINDOW_MS > scenario.change_ms
        cells = (_number(values.get(name)) for name in _SHOWN_METRICS)
        table.add_row(_clock(start_ms), *cells, style="yellow" if changed else None)
    latest = board.news[-_SHOWN_ALERTS:]
    styles = {"firing": "bold red", "resolved": "green"}
    return Group(table, *(Text(_describe(a), style=styles.get(a.state, "dim")) for a in latest))


def _introduction(scenario: Scenario) -> str:
    return (
        f"A model that learned from {TRAINING_ROWS:,} sensor readings of a space shuttle now serves"
        f" traffic.\nAt {_clock(scenario.change_ms)} sensors {' and '.join(SWAPPED)}"
        " are swapped. Times are UTC, and run faster here than in life.\n"
    )


def _describe(alert: AlertRecord) -> str:
    parts = (alert.severity, alert.kind, alert.direction, alert.detector)
    what = " ".join(part for part in parts if part)
    return printable(f"{_clock(alert.at_ms)} {alert.state.upper()} {what}: {alert.message}")


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%H:%M:%S")


def _number(value: float | None) -> str:
    """Write counts as whole numbers and ratios with four places.

    Examples
    --------
    >>> _number(591.0), _number(0.98151), _number(None)
    ('591', '0.9815', '–')
    """
    if value is None:
        return "–"
    return f"{value:.0f}" if value.is_integer() and value > 1 else f"{value:.4f}"


def _print_summary(console: Console, summary: Summary) -> None:
    table = Table(title="driftline against an independent count", show_header=False)
    for name, value in _facts(summary):
        table.add_row(name, Text(printable(value)))
    console.print(table)
    for one in summary.differing[:_SHOWN_DIFFERENCES]:
        console.print(
            f"differs: {printable(one.metric)} of {_clock(one.window_start_ms)}:"
            f" {one.published} instead of {one.expected}",
            style="red",
            markup=False,
            highlight=False,
        )
    verdict = "all as it must be" if summary.ok else "NOT as it must be"
    console.print(verdict, style="bold green" if summary.ok else "bold red")
    console.print(_NEXT, markup=False, highlight=False)


def _facts(summary: Summary) -> list[tuple[str, str]]:
    delay = "none" if summary.delay_s is None else f"{summary.delay_s:.0f} s of event time"
    first = summary.drift[0].detector if summary.drift else None
    return [
        ("numbers compared", f"{summary.compared:,}"),
        ("equal", f"{summary.equal:,}"),
        ("differing", f"{len(summary.differing):,}"),
        ("wrong answers", f"{summary.error_before:.1%} before, {summary.error_after:.1%} after"),
        ("drift alert after the change", f"{delay} ({first})" if first else delay),
        ("false alarms before it", f"{len(summary.false_alarms):,}"),
        ("events", f"{summary.events:,} at {summary.events_per_second:,.0f}/s"),
    ]


_NEXT = """\
Next:
  docker compose up
      Kafka, two workers and Prometheus on this machine
  driftline worker --bootstrap-servers HOST:PORT
      watch the models on a Kafka of yours
  driftline replay FILE.csv --columns prediction=...,label=...,timestamp=...
      look back at recorded answers, without a broker"""
