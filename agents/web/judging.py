"""Write what somebody says on the page of an alert to the topic of feedback: verdicts, adoptions.

A browser asks for it with an `Origin`, which `guard` has compared with this server, and as JSON,
which no form of another page can send; the page alone says who judges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agents.web.history import History
from agents.web.known import Known
from streams.adoption_record import ADOPTED, Adoption
from streams.errors import ConfigError
from streams.verdicts import Said, Verdict

Write = Callable[[Verdict | Adoption], int]
"""Writes a verdict or an order, and waits until it is there."""

ADOPT: Literal["adopt"] = "adopt"


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page sends."""

    alert_id: Annotated[str, Meta(min_length=1, max_length=200)]
    verdict: Said | Literal["adopt"]
    by: Annotated[str, Meta(max_length=200, pattern=r"\S")]
    note: Annotated[str, Meta(max_length=2_000)] = ""


class Adopted(msgspec.Struct, frozen=True):
    """What the page is told of a level that was adopted.

    Attributes
    ----------
    alerts
        How many of an incident; 1 of an alert.
    """

    by: str
    note: str
    alerts: int
    verdict: str = ADOPT


class Judging:
    """Take verdicts; any thread may call it.

    Parameters
    ----------
    write
        None where no brokers are known.
    """

    def __init__(self, history: History, write: Write | None) -> None:
        self._history, self._write = history, write

    def __call__(self, body: bytes) -> Verdict | Adopted:
        """Write a verdict, or an order to adopt the level that an alert is about.

        Raises
        ------
        msgspec.MsgspecError
            If the body is none.
        LookupError
            If the history knows no such alert, or nothing of it can be adopted.
        AwayError, ConfigError, NoAnswerError
            If the history is away, or the topic cannot be written.
        """
        given = decode(body)
        if self._write is None:
            command = f"verdict {given.alert_id} {given.verdict}"
            if given.verdict == ADOPT:
                command = f"adopt {given.alert_id}"
            raise ConfigError(
                "this page knows no brokers: start driftline web with --bootstrap-servers, or write"
                f" driftline alerts {command} --by NAME"
            )
        with self._history.connected() as connection:
            known = Known(connection, None)
            alert = known.alert(given.alert_id)
            if alert is None:
                raise LookupError("there is no such alert")
            orders = _orders(given, alert, known) if given.verdict == ADOPT else []
        if given.verdict == ADOPT:
            for order in orders:
                self._write(order)
            return Adopted(given.by.strip(), given.note, len(orders))
        said = Verdict(
            alert_id=given.alert_id,
            verdict=given.verdict,
            by=given.by,
            at_ms=time.time_ns() // 1_000_000,
            model=alert["model"],
            version=alert["version"],
            segment=alert["segment"],
            monitor=alert["monitor"],
            note=given.note,
        )
        self._write(said)
        return said


def _orders(given: Judgement, alert: dict[str, Any], known: Known) -> list[Adoption]:
    """Return orders to adopt an alert, or the alerts of an incident, as far as they can be."""
    every = [alert]
    if alert["kind"] == "incident":
        own = known.alerts(alert["model"], state="firing")
        every = [one for one in own if one["incident_id"] == alert["alert_id"]]
    found = [one for one in every if (one["kind"], one["state"]) == (ADOPTED, "firing")]
    if not found:
        raise LookupError(
            "there is nothing to adopt: it is over, or the limit is one of the monitors file"
        )
    now_ms = time.time_ns() // 1_000_000
    about = given.by.strip(), given.note, now_ms
    return [Adoption(one["alert_id"], one["model"], *about) for one in found]


def is_json(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser of this page, or a program, has sent JSON.

    Examples
    --------
    >>> is_json({"Content-Type": "application/json"}), is_json({"Content-Type": "text/plain"})
    (True, False)
    """
    return headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"


decode = msgspec.json.Decoder(Judgement).decode
