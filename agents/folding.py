"""Lines of alerts for people: an incident of one alert, told at once, says nothing of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_KEPT = 1_000


class Folding:
    """Tell which records of alerts need no line, after those that came before."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[Any, ...], None] = OrderedDict()

    def hides(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record repeats the one alert of its incident; any other is remembered."""
        if record.get("kind") == "incident":
            evidence = record.get("evidence")
            alone = isinstance(evidence, Mapping) and evidence.get("alerts") == 1
            return alone and _place(record, "alert_id") in self._told
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


def _place(record: Mapping[str, Any], incident: str) -> tuple[Any, ...]:
    # Texts: what is on a topic may be anything, also what cannot be a key.
    return tuple(str(record.get(name)) for name in (incident, "state", "at_ms"))
