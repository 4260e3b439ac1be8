"""Every model in a line: whether it is well, is used, and is as good as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from agents.web.board import HEALTHS, Board, Line
from agents.web.screens.screen import Answer, Asked, Name, Panel, Screen, View
from streams.families import CATALOGUE

_COLUMNS = (
    "model",
    "version",
    "health",
    "open_alerts",
    "newest_alert",
    "quality",
    "value",
    "low",
    "high",
    "final",
    "usual",
    "worse",
    "coverage",
    "predictions",
    "error_rate",
    "latency_p95_ms",
    "window_start_ms",
    "window_length_ms",
    "owner",
    "tags",
    "quality_before",
    "predictions_before",
)
_MOST_CHOICES = 200

Sort = Literal[
    "health", "model", "predictions", "worse", "coverage", "error_rate", "latency_p95_ms"
]


class AskedFleet(Asked, frozen=True, kw_only=True):
    """Which models, and in what order.

    Attributes
    ----------
    search
        Part of the name of a model, in any case.
    tag
        As `key=value`.
    page
        From 0 on.
    """

    search: Name = ""
    owner: Name = ""
    tag: Name = ""
    health: Literal["", "critical", "warning", "info", "silent", "ok"] = ""
    sort: Sort = "health"
    down: bool = False
    page: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50


class Fleet(Screen):
    """The models that there are, those in trouble first."""

    name = "fleet"
    title = "Fleet"
    asks: ClassVar[type[Asked]] = AskedFleet

    def answer(self, view: View, asked: AskedFleet) -> Answer:
        """Return a page of models."""
        board = view.board
        judged = [(line, board.health(line, view.at_ms)) for line in board.newest().values()]
        chosen = [one for one in judged if _is_meant(board, *one, asked)]
        counts = Counter(health for _, health in judged)
        chosen.sort(key=_ORDERS[asked.sort], reverse=asked.down)
        page = chosen[asked.page * asked.size : (asked.page + 1) * asked.size]
        panel = Panel(_COLUMNS, [_row(board, line, health) for line, health in page])
        facts = {
            "models": len(judged),
            "found": len(chosen),
            "healths": [(health, counts[health]) for health in HEALTHS],
            "open_alerts": sum(map(len, board.open.values())),
            "predictions": sum(line.predictions or 0 for line, _ in judged),
            "owners": _most(board.owners.values()),
            "tags": _most(f"{k}={v}" for tags in board.tags.values() for k, v in tags.items()),
            "hosts": len(board.hosts),
        }
        return Answer({"models": panel}, facts)


def _is_meant(board: Board, line: Line, health: str, asked: AskedFleet) -> bool:
    if asked.health and health != asked.health:
        return False
    if asked.search and asked.search.casefold() not in line.model.casefold():
        return False
    if asked.owner and board.owners.get(line.model) != asked.owner:
        return False
    if not asked.tag:
        return True
    key, _, value = asked.tag.partition("=")
    return board.tags.get(line.model, {}).get(key) == value


def _row(board: Board, line: Line, health: str) -> tuple[Any, ...]:
    alerts = board.open.get(line.model, [])
    return (
        line.model,
        line.version,
        health,
        len(alerts),
        alerts[0]["message"] if alerts else None,
        line.quality,
        line.value,
        line.low,
        line.high,
        line.final,
        line.usual,
        _worse(line),
        line.coverage,
        line.predictions,
        line.error_rate,
        line.latency_p95_ms,
        line.newest_ms,
        line.length_ms,
        board.owners.get(line.model, ""),
        board.tags.get(line.model, {}),
        line.spark,
        line.traffic,
    )


def _worse(line: Line) -> float | None:
    """Return how much worse quality is than usual; below 0: better."""
    if line.value is None or line.usual is None:
        return None
    metric = CATALOGUE.metric(line.quality)
    gained = line.value - line.usual
    return gained if metric is not None and metric.better == "lower" else -gained


Judged = tuple[Line, str]


def _relative(judged: Judged) -> tuple[float, str]:
    """Order by loss of quality in parts of what is usual, the most first; without any last."""
    line, worse = judged[0], _worse(judged[0])
    if worse is None or not line.usual:
        return (float("inf"), line.model)
    return (-worse / abs(line.usual), line.model)


def _by(value: Callable[[Line], float | None]) -> Callable[[Judged], tuple[float, str]]:
    """Order by a number, the largest first; lines without it last."""

    def key(judged: Judged) -> tuple[float, str]:
        found = value(judged[0])
        return (float("inf") if found is None else -found, judged[0].model)

    return key


_ORDERS: dict[str, Callable[[Judged], Any]] = {
    "health": lambda judged: (HEALTHS.index(judged[1]), _relative(judged)),
    "model": lambda judged: judged[0].model.casefold(),
    "worse": _relative,
    "predictions": _by(lambda line: line.predictions),
    "coverage": _by(lambda line: line.coverage),
    "error_rate": _by(lambda line: line.error_rate),
    "latency_p95_ms": _by(lambda line: line.latency_p95_ms),
}


def _most(values: Any) -> list[tuple[str, int]]:
    """Return what is there most often, to choose from."""
    return Counter(values).most_common(_MOST_CHOICES)
