"""An incident that says what its one alert has just said has no line of its own for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from agents.folding import Folding, folded, in_turn


def alert(name: str, at_ms: int = 1, state: str = "firing") -> dict[str, Any]:
    return {"alert_id": name, "kind": "drift", "state": state, "at_ms": at_ms, "incident_id": "i"}


def incident(alerts: int, at_ms: int = 1, state: str = "firing") -> dict[str, Any]:
    own = {"alert_id": "i", "kind": "incident", "state": state, "at_ms": at_ms}
    return {**own, "incident_id": "", "evidence": {"alerts": alerts}}


def test_an_incident_of_one_alert_is_folded_into_that_whichever_comes_first() -> None:
    assert list(folded([incident(1), alert("a")])) == [alert("a")]


def test_an_incident_of_more_alerts_or_another_moment_or_state_has_its_line() -> None:
    for one in (incident(2), incident(1, at_ms=2), incident(1, state="resolved")):
        assert one in list(folded([alert("a"), one]))


def test_of_an_incident_whose_alert_is_not_shown_the_line_stays() -> None:
    assert list(folded([incident(1)])) == [incident(1)]


def test_what_is_no_alert_at_all_is_never_hidden() -> None:
    folding = Folding()

    for one in ({}, {"kind": "incident", "evidence": 3}, {"incident_id": ["x"], "at_ms": {}}):
        assert not folding.hides(one)


class Line(NamedTuple):
    record: dict[str, Any]


def turns(*records: dict[str, Any] | float) -> list[dict[str, Any]]:
    """Return what is shown; a number is a pause until then."""
    at = [0.0]

    def shown() -> Iterator[Line | None]:
        for one in records:
            if isinstance(one, float):
                at[0] = one
                yield None
            else:
                yield Line(one)

    return [one.record for one in in_turn(shown(), clock=lambda: at[0], patience_s=0.5)]


def test_an_incident_that_is_read_before_its_one_alert_waits_for_it() -> None:
    others = alert("b", at_ms=2), incident(2, at_ms=2)

    assert turns(incident(1), 0.4, alert("a"), 0.6, *others) == [alert("a"), *others]
    assert turns(incident(1), alert("a")) == [alert("a")]


def test_an_incident_whose_one_alert_does_not_come_is_shown_in_the_end() -> None:
    other = alert("b", at_ms=2)

    assert turns(incident(1), 0.4, 0.5, other) == [incident(1), other]
    assert turns(incident(1), 0.4, other) == [other, incident(1)]
