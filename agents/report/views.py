"""Which views a report has, and what screens answer to each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from agents.web.screens import CATALOGUE
from agents.web.screens.choosing import models
from agents.web.screens.screen import Answer, View

MOST_MODELS = 10
"""So many models are in a report that names none: those in trouble first."""

_MOST_ROWS = 1_000
_MOST_VERSIONS = 4
_MOST_FEATURES = 12
"""Features, and segments, that are drawn, all models together."""
_MOST_ALERTS = 20


class Shown(msgspec.Struct, frozen=True):
    """A view.

    Attributes
    ----------
    title
        In the navigation; empty for views that others lead to.
    parameters
        What it is of, and what was asked.
    """

    screen: str
    title: str
    parameters: dict[str, Any]
    answer: Answer


def views_of(view: View, names: Sequence[str], *, range_ms: int) -> list[Shown]:
    """Ask every screen: for all, or for each of some models.

    Parameters
    ----------
    range_ms
        How far back from the newest window.
    """
    found: list[Shown] = []
    for name, screen in CATALOGUE.items():
        fields = screen.asks.__struct_fields__
        sizes = {"size": _MOST_ROWS} if "size" in fields else {}
        if "model" not in fields:
            found += _asked(view, name, [{**sizes, **_ALL.get(name, {})}])
            continue
        ranges = {"range_ms": range_ms} if "range_ms" in fields else {}
        for model in names:
            found += _asked(view, name, [{"model": model, **ranges, **sizes}])
    return [*found, *_details(view, found, len(names))]


_TOLD = ("model", "version", "segment", "feature")
"""What an answer is of, which nobody asked."""

_NAMED = {"features": "feature", "segments": "segment"}
"""Screens whose first panel is named as they are, and what each of its rows is asked by."""

_ALL = {"alerts": {"state": "all"}}
"""What is asked of screens that are not of one model."""


def chosen(view: View, names: Sequence[str]) -> list[str]:
    """Return the models of a report: those that are named, or those in trouble first.

    Raises
    ------
    LookupError
        If one that is named is not there.
    """
    known = {line.model for line in view.board.lines.values()} | view.board.hosts
    for name in names:
        if name not in known:
            raise LookupError(f"there is no model {name!r}")
    return list(names) or models(view)[:MOST_MODELS]


def _asked(view: View, screen: str, asked: Iterable[dict[str, Any]]) -> Iterator[Shown]:
    """Ask a screen; what it has nothing of is left out."""
    found = CATALOGUE[screen]
    for parameters in asked:
        try:
            answer = found.answer(view, msgspec.convert(parameters, found.asks))
        except LookupError:
            continue
        told = {key: answer.facts[key] for key in _TOLD if key in answer.facts}
        title = found.title or found.name.capitalize()
        yield Shown(screen, title, {**parameters, **told}, answer)


def _details(view: View, found: Sequence[Shown], count: int) -> Iterator[Shown]:
    """Ask for what the views lead to: versions, features, alerts."""
    for one in found:
        facts = one.answer.facts
        if one.screen == "model":
            others = [name for name in facts["versions"] if name != facts["version"]]
            more = [{"version": name} for name in others[-_MOST_VERSIONS:]]
        elif one.screen in _NAMED:
            rows = one.answer.panels[one.screen].rows
            names = [row[0] for row in rows[: max(2, _MOST_FEATURES // max(count, 1))]]
            key = _NAMED[one.screen]
            more = [{key: name} for name in names if name != facts[key]]
        elif one.screen == "alerts":
            rows = one.answer.panels["alerts"].rows
            more = [{"alert": row[0]} for row in rows[:_MOST_ALERTS]]
        else:
            continue
        yield from _asked(view, one.screen, [one.parameters | changed for changed in more])
