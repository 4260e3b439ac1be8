"""Which model a screen is of, where its address does not say."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from agents.web.board import HEALTHS
from agents.web.screens.model import AskedModel, Choice, choose
from agents.web.screens.screen import View

MOST_MODELS = 200
"""So many are offered; *Fleet* finds the others."""

AskedOf = TypeVar("AskedOf", bound=AskedModel)


def models(view: View) -> list[str]:
    """Return the models that are offered, those in trouble first."""
    lines = view.board.newest().values()
    judged = sorted(
        (HEALTHS.index(view.board.health(line, view.at_ms)), -(line.predictions or 0), line.model)
        for line in lines
    )
    return [name for *_, name in judged[:MOST_MODELS]]


def named(view: View, asked: AskedOf) -> AskedOf:
    """Return what is asked with a model: the first that is offered if none is named.

    Raises
    ------
    LookupError
        If there is none.
    """
    if asked.model:
        return asked
    offered = models(view)
    if not offered:
        raise LookupError("there are no models yet")
    return msgspec.structs.replace(asked, model=offered[0])


def chosen(view: View, asked: AskedOf) -> tuple[AskedOf, Choice]:
    """Return what is asked with a model, and what of it is shown.

    Raises
    ------
    LookupError
        See `choose`.
    """
    asked = named(view, asked)
    return asked, choose(view, asked)


def facts_of(view: View, choice: Choice) -> dict[str, Any]:
    """Return what the heading of a screen of one model needs."""
    board, span, who = view.board, choice.span, choice.who
    line = board.lines.get((who.model, who.version))
    return {
        **who._asdict(),
        "models": models(view),
        "versions": choice.versions,
        "lengths_ms": choice.lengths_ms,
        "length_ms": span.length_ms,
        "first_ms": span.first_ms,
        "last_ms": span.last_ms,
        "health": None if line is None else board.health(line, view.at_ms),
    }
