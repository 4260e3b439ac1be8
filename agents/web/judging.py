"""Write what somebody says on the page of an alert to the topic of feedback.

A browser asks for it with an `Origin`, which `guard` has compared with this server, and as JSON,
which no form of another page can send; the page alone says who judges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from agents.web.history import History
from agents.web.known import Known
from streams.errors import ConfigError
from streams.verdicts import Said, Verdict

Write = Callable[[Verdict], int]
"""Writes a verdict, and waits until it is there."""


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page sends."""

    alert_id: Annotated[str, Meta(min_length=1, max_length=200)]
    verdict: Said
    by: Annotated[str, Meta(max_length=200, pattern=r"\S")]
    note: Annotated[str, Meta(max_length=2_000)] = ""


class Judging:
    """Take verdicts; any thread may call it.

    Parameters
    ----------
    write
        None where no brokers are known.
    """

    def __init__(self, history: History, write: Write | None) -> None:
        self._history, self._write = history, write

    def __call__(self, body: bytes) -> Verdict:
        """Write a verdict.

        Raises
        ------
        msgspec.MsgspecError
            If the body is none.
        LookupError
            If the history knows no such alert.
        AwayError, ConfigError, NoAnswerError
            If the history is away, or the topic cannot be written.
        """
        given = decode(body)
        if self._write is None:
            raise ConfigError(
                "this page knows no brokers: start driftline web with --bootstrap-servers, or write"
                f" driftline alerts verdict {given.alert_id} {given.verdict} --by NAME"
            )
        with self._history.connected() as connection:
            alert = Known(connection, None).alert(given.alert_id)
        if alert is None:
            raise LookupError("there is no such alert")
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


def is_json(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser of this page, or a program, has sent JSON.

    Examples
    --------
    >>> is_json({"Content-Type": "application/json"}), is_json({"Content-Type": "text/plain"})
    (True, False)
    """
    return headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"


decode = msgspec.json.Decoder(Judgement).decode
