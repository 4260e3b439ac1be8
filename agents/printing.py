"""Names on a terminal as they are: no markup, no emoji codes, no control characters, nothing cut.

Names of models, features, segments and classes come from whoever may write a record. One called
``[/a]`` must not end a table of Rich's with an error, one with an escape sequence must not
steer the terminal, and one with a right-to-left override must not pass for another.
"""

from __future__ import annotations

import unicodedata

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_NARROWEST_NAME = 24
_WIDEST = 100_000


def printable(text: object) -> str:
    r"""Escape what does not show as a character of its own.

    Examples
    --------
    >>> print(printable("fraud \x1b[31m\u202e 詐欺 [prod]"))
    fraud \x1b[31m\u202e 詐欺 [prod]
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(_escaped(char) if _is_unseen(char) else char for char in shown)


def printable_json(text: str) -> str:
    r"""Escape the same in JSON, which means the same afterwards.

    Examples
    --------
    >>> print(printable_json('{"model": "a\x9b31m"}'))
    {"model": "a\u009b31m"}
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_json_escaped(char) if _is_unseen(char) else char for char in text)


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in _UNSEEN


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


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
