"""Lines of alerts for people: an incident of one alert, told at once, says nothing of its own."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

_KEPT = 1_000
_PATIENCE_S = 0.5


class Shown(Protocol):
    """What is made of a record."""

    @property
    def record(self) -> Mapping[str, Any]:
        """The record itself, as it was decoded."""


One = TypeVar("One", bound=Shown)


class Folding:
    """Tell which records of alerts need no line, after those that came before."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[Any, ...], None] = OrderedDict()

    def hides(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record repeats the one alert of its incident; any other is remembered."""
        if record.get("kind") == "incident":
            return is_alone(record) and _place(record, "alert_id") in self._told
        if record.get("incident_id"):
            self._told[_place(record, "incident_id")] = None
            while len(self._told) > _KEPT:
                self._told.popitem(last=False)
        return False


def folded(alerts: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield what has a line, by time, incidents after the alerts of the same moment."""
    folding = Folding()
    for alert in sorted(alerts, key=lambda one: (one["at_ms"], one["kind"] == "incident")):
        if not folding.hides(alert):
            yield alert


def in_turn(
    shown: Iterable[One | None], *, clock: Callable[[], float], patience_s: float = _PATIENCE_S
) -> Iterator[One]:
    """Yield what has a line, as it comes; an incident of one alert waits for that alert.

    Both are written at once, but to partitions of their own: either may be read first.

    Parameters
    ----------
    shown
        What is read; `None` where nothing is for now.
    clock
        Tells seconds, for how long one waits.
    """
    folding, waiting = Folding(), deque[tuple[float, One]]()
    for one in shown:
        now_s = clock()
        while waiting and (now_s >= waiting[0][0] or len(waiting) > _KEPT):
            _, next_one = waiting.popleft()
            if not folding.hides(next_one.record):
                yield next_one
        if one is None or folding.hides(one.record):
            continue
        if is_alone(one.record):
            waiting.append((now_s + patience_s, one))
        else:
            yield one
    yield from (one for _, one in waiting if not folding.hides(one.record))


def is_alone(record: Mapping[str, Any]) -> bool:
    """Tell whether a record is an incident of one alert."""
    evidence = record.get("evidence")
    if record.get("kind") != "incident" or not isinstance(evidence, Mapping):
        return False
    return bool(evidence.get("alerts") == 1)


def _place(record: Mapping[str, Any], incident: str) -> tuple[Any, ...]:
    # Texts: what is on a topic may be anything, also what cannot be a key.
    return tuple(str(record.get(name)) for name in (incident, "state", "at_ms"))
