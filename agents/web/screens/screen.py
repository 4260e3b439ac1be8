"""What a screen of the page is: a question with parameters, answered by tables.

Rules of this file:

* It knows neither HTTP nor HTML: a screen is a function of a view of the history.
* Whatever people look at is in a panel, and a panel is a table: so each has a CSV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import msgspec

if TYPE_CHECKING:
    from agents.web.board import Board
    from agents.web.known import Known
    from agents.web.told import Told

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999."""

TimeMs = Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
POINTS = (
    "window_start_ms",
    "metric",
    "value",
    "low",
    "high",
    "count",
    "coverage",
    "revision",
    "final",
    "windows",
)
"""Columns of a panel of `agents.web.known.Point`s."""

Name = Annotated[str, msgspec.Meta(max_length=1_000)]
"""Of a model, version, segment or metric; records have at most 256 bytes."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every screen may be asked.

    Attributes
    ----------
    at
        Answer with what was known then; None means now.
    since
        Mark what changed since then; None: nothing is marked.
    """

    at: TimeMs | None = None
    since: TimeMs | None = None


class Panel(msgspec.Struct, frozen=True):
    """A table that is drawn.

    Attributes
    ----------
    columns
        Names with units: `…_ms` is a time or a duration.
    rows
        Values in the order of the columns; None where there is none.
    notes
        What a reader must know: that it is thinned, or cut off.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    notes: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What a screen shows.

    Attributes
    ----------
    facts
        What is no table: names, choices, totals.
    """

    panels: dict[str, Panel]
    facts: dict[str, Any] = {}


class View(NamedTuple):
    """What a screen answers from.

    Attributes
    ----------
    known
        Windows and alerts as they were known at the time that was asked for.
    board
        Every model in a line, at the same time.
    at_ms
        That time; of none, the time of the request.
    told
        What workers tell; None where no brokers are known.
    """

    known: Known
    board: Board
    at_ms: int
    told: Told | None = None


class Screen:
    """What every screen derives from.

    Attributes
    ----------
    name
        In addresses.
    title
        In the navigation; empty for screens that others lead to.
    asks
        What its address may say.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    asks: ClassVar[type[Asked]] = Asked

    def answer(self, view: View, asked: Any) -> Answer:
        """Return what is shown; `asked` is an `asks`.

        Raises
        ------
        LookupError
            If there is no such model; the message says what to do.
        """
        raise NotImplementedError
