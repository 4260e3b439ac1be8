"""What `driftline tune` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from agents.printable import printable
from agents.printing import add_names, add_numbers, plain_console, print_table
from streams.alarms import Alarm, Count, Moved
from streams.durations import format_duration
from streams.moments import time_text
from streams.rules.proposing import Proposal

if TYPE_CHECKING:
    from agents.tuning import Tuned

_SHOWN = 20


def show(tuned: Tuned) -> None:
    """Print the table of monitors, what differs, and what is proposed."""
    console = plain_console()
    if tuned.counts:
        table = Table(box=box.SIMPLE_HEAD)
        add_names(console, table, "monitor", "model")
        add_numbers(table, "before", "after", "same", "gained", "lost", "moved", "by")
        if tuned.judged:
            add_numbers(table, "lost: true", "false", "expected")
        for one in tuned.counts:
            table.add_row(*map(printable, _row(one, judged=bool(tuned.judged))))
        print_table(console, table)
    lines = [
        *(f"gained {_said(one)}" for one in tuned.found.gained),
        *(f"lost   {_said(one)}" for one in tuned.found.lost),
        *(f"moved  {_said(one.after)} ({_by(one)})" for one in tuned.found.moved),
    ]
    for line in lines[:_SHOWN]:
        console.print(printable(line), soft_wrap=True)
    if len(lines) > _SHOWN:
        console.print(f"and {len(lines) - _SHOWN} more: --json has all of them")
    found = tuned.found
    console.print(
        f"{tuned.before} alarms before, {tuned.after} after: {len(found.same)} the same,"
        f" {len(found.gained)} gained, {len(found.lost)} lost, {len(found.moved)} moved",
        soft_wrap=True,
    )
    if tuned.unknown:
        console.print(
            f"{tuned.unknown} verdicts are on alarms that neither has raised", soft_wrap=True
        )
    if tuned.proposal is not None:
        console.print(printable(_proposed(tuned.proposal)), soft_wrap=True)
    for line in tuned.broken:
        console.print(f"failed: {line}", soft_wrap=True)


def _row(one: Count, *, judged: bool) -> list[str]:
    numbers = (one.before, one.after, one.same, one.gained, one.lost, one.moved)
    by = "" if one.later_ms is None else _sooner_or_later(one.later_ms)
    verdicts = (one.lost_true, one.lost_false, one.lost_expected) if judged else ()
    return [one.monitor, one.model, *map(str, numbers), by, *map(str, verdicts)]


def _said(one: Alarm) -> str:
    name = "/".join(part for part in (one.model, one.version, one.segment) if part)
    verdict = "" if one.verdict is None else f" [{one.verdict}]"
    return f"{time_text(one.at_ms)} {name} {one.monitor}{verdict}: {one.message}"


def _by(one: Moved) -> str:
    return _sooner_or_later(one.later_ms)


def _sooner_or_later(later_ms: int) -> str:
    return f"{format_duration(abs(later_ms))} {'later' if later_ms >= 0 else 'sooner'}"


def _proposed(one: Proposal) -> str:
    span = format_duration(one.span_ms)
    less = " (the recording is too short for even one)" if not one.wanted else ""
    return (
        f"proposed: {one.monitor}: {one.key}: {one.proposed:g} (now {one.given:g}) would have"
        f" raised {one.alarms} alarms in the {span} in which it was judged, instead of"
        f" {one.before}; wanted were at most {one.wanted}{less}"
    )
