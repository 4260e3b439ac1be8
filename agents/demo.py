"""`driftline demo`: the whole product in one terminal, in less than a minute.

A broker in this process, a worker in a process of its own, and a model server (a thread) that
publishes half an hour of traffic in half a minute. What the worker publishes is shown as it comes,
and in the end compared, number by number, with an oracle that has seen only what was published.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console
from rich.text import Text

from agents import topics_admin
from agents.demo_model import (
    PREFIX,
    TRAINING_ROWS,
    ModelServer,
    ModelServerError,
    plan_traffic,
    shuttle_rows,
    train,
)
from agents.demo_oracle import (
    Board,
    Comparison,
    judge,
)
from agents.demo_page import MISSING, DemoPage, Positions, demo_page
from agents.demo_summary import Summary, print_summary, summarise
from agents.demo_views import LineView, LiveView, View
from agents.demo_worker import WorkerEndedError, WorkerProcess, worker_command
from agents.embedded import EmbeddedBroker, EmbeddedBrokerError
from agents.printing import plain_console
from driftline.reader import Entry, Reader
from streams.errors import ConfigError
from streams.topics import Topics

PARTITIONS = 4
STREAM_S = 24
SETTLE_S = 15.0
INTERRUPTED = 130

_TICK_S = 0.2


def run_demo(
    *,
    seconds: int | None = None,
    json_output: bool = False,
    stay: bool = False,
    report: Path | None = None,
    console: Console | None = None,
) -> int:
    """Run the demo to its end and say how it went.

    Parameters
    ----------
    seconds
        How long the traffic takes, at least 1. None means 24. The events are the same in any case,
        only their pace differs.
    json_output
        Print nothing but a `Summary` as JSON, at the end; there is no page then.
    stay
        Keep the page, and with it everything else, until interrupted.
    report
        Where the page is left as one file. None: in a new temporary folder.
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
        with _termination_as_interrupt(), ExitStack() as parts:
            with view:
                length_s = float(STREAM_S if seconds is None else seconds)
                summary, page, read = _run(view, parts, stream_s=length_s, page=not json_output)
            _tell(summary, console, json_output=json_output)
            if page is not None:
                _leave_report(console, page, read, report)
            if stay and page is not None:
                _wait(console, page.link)
    except KeyboardInterrupt:
        _complain(console, "interrupted; the worker is stopped", json_output=json_output)
        return INTERRUPTED
    except (WorkerEndedError, ModelServerError, EmbeddedBrokerError) as error:
        _complain(console, f"the demo failed: {error}", json_output=json_output)
        return 1
    return 0 if summary.ok else 1


def _tell(summary: Summary, console: Console, *, json_output: bool) -> None:
    if json_output:
        console.file.write(msgspec.json.format(msgspec.json.encode(summary)).decode() + "\n")
    else:
        print_summary(console, summary)


def _leave_report(console: Console, page: DemoPage, read: Positions, path: Path | None) -> None:
    """Write the report, and say how to open it."""
    path = path or Path(tempfile.mkdtemp(prefix="driftline-")) / "demo-report.html"
    try:
        page.report(path, read)
    except ConfigError as error:
        console.print(Text(f"There is no report: {error}", style="red"), soft_wrap=True)
        return
    where = path.resolve()
    console.print(
        Text(f"\nWhat the page showed is in {where}; open it in any browser: {where.as_uri()}"),
        soft_wrap=True,
    )


def _wait(console: Console, link: str) -> None:
    """Keep everything as it is until interrupted."""
    console.print(f"\nThe page stays at {link} until Ctrl-C.", highlight=False)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


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


def _run(
    view: View, parts: ExitStack, *, stream_s: float, page: bool
) -> tuple[Summary, DemoPage | None, Positions]:
    """Start the parts, the worker first since it takes longest; they stop in reverse.

    Returns
    -------
    tuple
        How it went, the page if there is one, and how far was read.
    """
    board = Board()
    names = Topics(PREFIX)
    topics = dict.fromkeys(topics_admin.wanted(names), PARTITIONS)
    topics |= dict.fromkeys(names.read_in_full, 1)
    broker = parts.enter_context(EmbeddedBroker(topics))
    servers = broker.bootstrap_servers
    worker = parts.enter_context(WorkerProcess(worker_command(servers)))
    reader = parts.enter_context(Reader(servers, board.topics, kafka={"log_level": 2}))
    rows = shuttle_rows()
    score = train(rows[:TRAINING_ROWS])
    shown = parts.enter_context(demo_page(servers)) if page else None
    read: Positions = {}
    scenario = plan_traffic(score, rows[TRAINING_ROWS:], start_ms=_start_ms())
    server = ModelServer(servers, scenario, stream_s=stream_s)
    if page:
        view.tell(f"{MISSING if shown is None else f'Look at it: {shown.link}'}\n")
    view.start(scenario)
    server.start()
    try:
        comparison = _watch(
            view, board=board, server=server, worker=worker, reader=_noting(reader, read)
        )
    finally:
        server.stop()
    verdict = judge(board.alerts.values(), change_ms=scenario.change_ms)
    summary = summarise(scenario, comparison, verdict=verdict, seconds=server.seconds)
    return summary, shown, read


def _start_ms() -> int:
    """Return the full hour before this one: the traffic must not come from the future."""
    hour_ms = 3_600_000
    return (time.time_ns() // 1_000_000 // hour_ms - 1) * hour_ms


def _watch(
    view: View,
    *,
    board: Board,
    server: ModelServer,
    worker: WorkerProcess,
    reader: Iterator[list[Entry]],
) -> Comparison:
    """Read and show what the worker publishes, until all is as it must be or it is too late."""
    deadline_s: float | None = None
    while True:
        for entry in next(reader):
            board.fold(entry.topic, key=entry.key or b"", value=entry.value)
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


def _noting(reader: Reader, read: Positions) -> Iterator[list[Entry]]:
    """Yield what comes without end, and note how far that is."""
    while True:
        entries = reader.read(_TICK_S)
        for entry in entries:
            read[entry.topic, entry.partition] = entry.offset + 1
        yield entries


def _choose_view(console: Console, *, json_output: bool) -> View:
    if json_output:
        return View()
    return LiveView(console) if console.is_terminal else LineView(console)
