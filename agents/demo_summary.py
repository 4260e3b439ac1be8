"""How the demo ended, and what is said about it."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.demo_model import Scenario
from agents.demo_oracle import AlertRecord, Comparison, Difference, Verdict
from agents.demo_views import clock
from agents.printable import printable

_SHOWN_DIFFERENCES = 5


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


def print_summary(console: Console, summary: Summary) -> None:
    """Print it for people, with what to try next."""
    table = Table(title="driftline against an independent count", show_header=False)
    for name, value in _facts(summary):
        table.add_row(name, Text(printable(value)))
    console.print(table)
    for one in summary.differing[:_SHOWN_DIFFERENCES]:
        console.print(
            f"differs: {printable(one.metric)} of {clock(one.window_start_ms)}:"
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
  driftline demo --stay
      the same, and its page stays open until Ctrl-C
  docker compose up
      Kafka, two workers and Prometheus on this machine
  driftline worker --bootstrap-servers HOST:PORT
      watch the models on a Kafka of yours
  driftline replay FILE.csv --columns prediction=...,label=...,timestamp=...
      look back at recorded answers, without a broker"""
