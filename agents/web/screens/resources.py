"""What hosts, GPUs and processes were busy with: every host in a line, and one over time."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec

from agents.web.known import MOST_WINDOWS, Known, Point, Span, Who
from agents.web.latest import latest, thinned
from agents.web.screens.model import series
from agents.web.screens.screen import Answer, Asked, Name, Panel, Screen, View
from streams.families import CATALOGUE
from streams.families.family import ON_READINGS
from streams.families.resources import GAUGES

METRICS = tuple(name for name, one in CATALOGUE.metrics.items() if one.rests_on == ON_READINGS)
_DAY_MS = 86_400_000


class AskedResources(Asked, frozen=True, kw_only=True):
    """Which hosts, and which one of them over time.

    Attributes
    ----------
    model
        The host, or the model whose readings are drawn; empty, or one without readings: the first.
    length_ms
        Of windows; 0: the shortest.
    range_ms
        How far back from the newest window; 0: a day.
    """

    model: Name = ""
    search: Name = ""
    length_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    range_ms: Annotated[int, msgspec.Meta(ge=0, le=400 * _DAY_MS)] = 0
    page: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 25


class Windows(NamedTuple):
    """Which windows of a host there are."""

    who: Who
    span: Span
    lengths_ms: list[int]


class Resources(Screen):
    """What models run on."""

    name = "resources"
    title = "Resources"
    asks: ClassVar[type[Asked]] = AskedResources

    def answer(self, view: View, asked: AskedResources) -> Answer:
        """Return a page of hosts, and one of them over time."""
        every = sorted(view.board.hosts)
        found = [name for name in every if asked.search.casefold() in name.casefold()]
        page = found[asked.page * asked.size : (asked.page + 1) * asked.size]
        panels = {"hosts": _hosts(view, page)}
        facts: dict[str, Any] = {"hosts": len(every), "found": len(found), "host": None}
        host = asked.model if asked.model in view.board.hosts else next(iter(page or every), "")
        windows = _windows(view.known, host, asked) if every else None
        if windows is not None:
            newest = latest(view.known, windows.who, windows.span, at_ms=view.at_ms).metrics
            names = [name for name in METRICS if name in newest]
            panels["series"] = _series(view.known, windows, names)
            span = windows.span
            facts |= {
                "host": host,
                "groups": _groups(names),
                "help": {name: CATALOGUE.metrics[name].help for name in names},
                "lengths_ms": windows.lengths_ms,
                "length_ms": span.length_ms,
                "first_ms": span.first_ms,
                "last_ms": span.last_ms,
            }
        return Answer(panels, facts)


def _windows(known: Known, host: str, asked: AskedResources | None = None) -> Windows | None:
    who = Who(host, "")
    newest_ms = known.newest_ms(who)
    if newest_ms is None:
        return None
    lengths = known.lengths_ms(who, newest_ms)
    length_ms = lengths[0]
    if asked is not None and asked.length_ms:
        if asked.length_ms not in lengths:
            raise LookupError("there are no windows of this length")
        length_ms = asked.length_ms
    newest_ms -= newest_ms % length_ms
    oldest_ms = (known.oldest_ms(who) or 0) // length_ms * length_ms
    range_ms = (asked.range_ms if asked is not None else 0) or _DAY_MS
    range_ms = min(range_ms, MOST_WINDOWS * length_ms)
    first_ms = max(newest_ms - (range_ms // length_ms - 1) * length_ms, oldest_ms)
    return Windows(who, Span(min(first_ms, newest_ms), newest_ms, length_ms), lengths)


def _hosts(view: View, page: list[str]) -> Panel:
    """Return the newest window that is over of every host; columns are what any of them has."""
    lines: list[tuple[str, int | None, dict[str, Point]]] = []
    for host in page:
        if (windows := _windows(view.known, host)) is not None:
            found = latest(view.known, windows.who, windows.span, at_ms=view.at_ms)
            lines.append((host, found.start_ms, found.metrics))
    there = [name for name in METRICS if any(name in metrics for *_, metrics in lines)]
    rows = [
        (host, start_ms, *(metrics[name].value if name in metrics else None for name in there))
        for host, start_ms, metrics in lines
    ]
    return Panel(("host", "window_start_ms", *there), rows)


def _series(known: Known, windows: Windows, names: list[str]) -> Panel:
    found = thinned(known, windows.who, windows.span, names)
    return series([point for name in names for point in found[name]], names, windows.span)


def _groups(names: list[str]) -> list[list[str]]:
    """Return metrics that are drawn together: a mean with its quantiles."""
    together = [
        [gauge.name, *(gauge.quantile(share) for share in gauge.shares)] for gauge in GAUGES
    ]
    grouped = {name for group in together for name in group}
    together += [[name] for name in METRICS if name not in grouped]
    found = ([name for name in group if name in names] for group in together)
    return [group for group in found if group]
