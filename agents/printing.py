"""Tables and lines on a terminal that show names as they are: no markup, no emoji codes, not cut.

A model called ``[/a]`` must not end a table of Rich's with an error, and one called ``:fire:`` is
called so. See `agents.printable` for what is in a name besides.
"""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_NARROWEST_NAME = 24
_WIDEST = 100_000


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that takes text as it is."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def add_names(console: Console, table: Table, *names: str) -> None:
    """Add columns of names: on a terminal they are folded where room is short, never cut."""
    widest = max(_NARROWEST_NAME, console.width // 3) if console.is_terminal else None
    for name in names:
        table.add_column(name, overflow="fold", max_width=widest)


def add_numbers(table: Table, *names: str) -> None:
    """Add columns of numbers, which stay on their line."""
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def print_table(console: Console, table: Table) -> None:
    """Print a table in the width that it needs, be the terminal as narrow as it may."""
    options = console.options.update(max_width=_WIDEST)
    needed = Measurement.get(console, options, table).maximum
    before = console.width
    console.width = max(before, needed)
    console.print(table)
    console.width = before
