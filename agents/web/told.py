"""What workers tell of themselves, and what could not be used, as *Pipeline* shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from agents.status import Status
from agents.web.screens.screen import Panel

_LETTERS = ("topic", "reason", "records", "newest_ms", "where", "detail", "example")


class Letters(NamedTuple):
    """Records that could not be used for one reason.

    Attributes
    ----------
    topic
        Of which input.
    newest_ms
        When the last of them was set aside; None where that is not known.
    where, detail, example
        Of one of them: where it stands, what is wrong with it, and how it begins.
    """

    topic: str
    reason: str
    records: int
    newest_ms: int | None
    where: str
    detail: str
    example: str


class Told(NamedTuple):
    """What an installation tells.

    Attributes
    ----------
    workers
        What each told last.
    letters
        Dead letters, the newest of each input.
    wrong
        Why it is not known now.
    """

    workers: tuple[Status, ...] = ()
    letters: tuple[Letters, ...] = ()
    wrong: str | None = None


def letters_panel(letters: Iterable[Letters], notes: tuple[str, ...] = ()) -> Panel:
    """Return dead letters, most records first."""
    ordered = sorted(letters, key=lambda one: (-one.records, one.topic, one.reason))
    return Panel(_LETTERS, [tuple(one) for one in ordered], notes)


def fates_panel(fates: dict[str, int], notes: tuple[str, ...] = ()) -> Panel:
    """Return what became of records; what became of none is left out."""
    total = sum(fates.values())
    rows: list[tuple[Any, ...]] = [
        (fate, count, count / total) for fate, count in fates.items() if count
    ]
    return Panel(("fate", "records", "share"), rows, notes)
