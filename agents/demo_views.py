"""What the demo shows while it runs: nothing, a line for every window, or one table."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.demo_model import MODEL, SILENT, SWAPPED, TRAINING_ROWS, VERSION, Scenario
from agents.demo_oracle import TEMPERATURE, WINDOW_MS, AlertRecord, Board
from agents.printable import printable

COLUMNS = {
    "predictions": "predictions",
    "coverage": "coverage",
    "accuracy": "accuracy",
    "recall": "recall",
    f"mean:{SWAPPED[0]}": f"mean:{SWAPPED[0]}",
    f"missing_rate:{SILENT}": f"{SILENT} missing",
    "unseen_rate:firmware": "firmware new",
    TEMPERATURE: "GPU °C",
}
"""Metrics, and what their columns are called."""
_SHOWN_WINDOWS = 10
_SHOWN_ALERTS = 6
# A window gets no more labels two minutes after its end: the latest comes after 60 + 20 seconds.
_SETTLED_WINDOWS = 3


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

    def tell(self, text: str) -> None:
        """Say something that is neither a window nor an alert."""

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
        self._line("window    " + " ".join(f"{name:>12}" for name in COLUMNS.values()))

    def tell(self, text: str) -> None:
        """Say it on a line of its own."""
        self._line(text)

    def update(self, board: Board, *, sent: int) -> None:  # noqa: ARG002 - lines show no progress
        """Print the windows that get no more labels, and the alerts that are new."""
        self._windows(board, until_ms=_newest_ms(board) - _SETTLED_WINDOWS * WINDOW_MS)
        for alert in board.news[self._told :]:
            self._line(_describe(alert))
        self._told = len(board.news)

    def finish(self, board: Board) -> None:
        """Print the last windows."""
        self._windows(board, until_ms=_newest_ms(board))

    def _windows(self, board: Board, *, until_ms: int) -> None:
        for start_ms, values in board.windows().items():
            if self._printed_ms < start_ms <= until_ms:
                self._printed_ms = start_ms
                cells = (f"{_number(values.get(name)):>12}" for name in COLUMNS)
                self._line(f"{clock(start_ms)}  " + " ".join(cells))

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

    def tell(self, text: str) -> None:
        """Say it above the table."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def update(self, board: Board, *, sent: int) -> None:
        """Redraw."""
        self._live.update(render(board, self.scenario, sent=sent), refresh=True)


def _newest_ms(board: Board) -> int:
    """Return when the last window with predictions begins: a host is ahead of its models."""
    windows = board.windows().items()
    return max((start_ms for start_ms, own in windows if "predictions" in own), default=0)


def render(board: Board, scenario: Scenario, *, sent: int) -> RenderableType:
    """Draw the latest windows, those with swapped sensors marked, and the latest alerts."""
    table = Table(title=f"{MODEL} {VERSION}: {sent:,} of {len(scenario.events):,} events sent")
    table.add_column("window")
    for name in COLUMNS.values():
        table.add_column(name, justify="right")
    for start_ms, values in list(board.windows().items())[-_SHOWN_WINDOWS:]:
        changed = start_ms + WINDOW_MS > scenario.change_ms
        cells = (_number(values.get(name)) for name in COLUMNS)
        table.add_row(clock(start_ms), *cells, style="yellow" if changed else None)
    latest = board.news[-_SHOWN_ALERTS:]
    styles = {"firing": "bold red", "resolved": "green"}
    return Group(table, *(Text(_describe(a), style=styles.get(a.state, "dim")) for a in latest))


def _introduction(scenario: Scenario) -> str:
    return (
        f"A model that learned from {TRAINING_ROWS:,} sensor readings of a space shuttle now serves"
        f" traffic.\nAt {clock(scenario.change_ms)} sensors {' and '.join(SWAPPED)}"
        f" are swapped, some get a new firmware, {SILENT} falls silent at times, and the GPU gets"
        " hot.\nTimes are UTC, and run faster here than in life.\n"
    )


def _describe(alert: AlertRecord) -> str:
    parts = (alert.severity, alert.kind, alert.direction, alert.detector)
    what = " ".join(part for part in parts if part)
    return printable(f"{clock(alert.at_ms)} {alert.state.upper()} {what}: {alert.message}")


def clock(at_ms: int) -> str:
    """Write a time of the day, UTC."""
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
