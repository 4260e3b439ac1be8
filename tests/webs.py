"""What tests of the page share: a history with some models, and a page that is served."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from agents.history import database
from agents.sinks.sql import Sql, SqlOptions
from agents.web.history import History
from agents.web.run import Address, Running, serving
from streams.distributions import Distribution
from tests.sinking import MINUTE_MS, START_MS, TOPICS, Log, alert, metric, run

NASTY = (
    "o'brien \"/<b>&amp;",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\x1b[31mred\x9b2J",
    "\u202ecod.exe",
    "詐" * 85,
    "=1+1",
    "a?b#c&d=%2F../..",
)
WINDOWS = 10


def a_log(*models: str) -> Log:
    """Return ten windows of each model, the last two provisional, and an alert."""
    log = Log()
    for number in range(WINDOWS):
        at = START_MS + number * MINUTE_MS
        for model in models:
            own = {
                "model": model,
                "window_start_ms": at,
                "window_end_ms": at + MINUTE_MS,
                "final": number < WINDOWS - 2,
            }
            log.add(
                metric(1, metric="predictions", value=100 + number, low=None, count=100, **own),
                metric(1, metric="accuracy", value=0.9 - number / 100, low=0.8, high=0.99, **own),
                metric(1, metric="coverage", value=0.5, **own),
                at_ms=at + MINUTE_MS,
            )
    for number, model in enumerate(models):
        raised = alert(model=model, alert_id=f"a{number}", at_ms=START_MS + 5 * MINUTE_MS)
        log.add(raised, at_ms=START_MS + 6 * MINUTE_MS)
    return log


def told(log: Log, role: str, start_ms: int, *, at_ms: int | None = None, **more: Any) -> None:
    """Put what an hour of *fraud* was like into a log, or what it is compared with."""
    whose = {"model": "fraud", "version": "3", "segment": "", "feature": ""}
    times = {"start_ms": start_ms, "end_ms": start_ms + 3_600_000}
    one = Distribution(role=role, **{"count": 100, **whose, **times, **more})
    log.put(TOPICS.distributions, one.key, msgspec.json.encode(one), at_ms)


def write(log: Log, folder: Path, url: str | None = None) -> str:
    """Write a log into a history, and return where that is."""
    url = url or str(folder / "history.db")
    run(Sql(SqlOptions(target=url), clock=lambda: log.entries[-1].timestamp_ms), log, folder)
    return url


@contextmanager
def page(url: str, address: Address | None = None) -> Iterator[Running]:
    """Serve the page of a history, with a board."""
    history = History(database.url_of(url))
    try:
        with serving(history, address or Address(port=0)) as running:
            running.following.step()
            yield running
    finally:
        history.close()


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, path: str, method: str = "GET", /, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=given)
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def api(port: int, screen: str, **parameters: Any) -> Any:
    """Return what a screen answers."""
    reply = ask(port, f"/api/{screen}?{urlencode(parameters)}")
    assert reply.status == 200, reply.body
    return reply.json


def rows(answer: Any, panel: str) -> list[dict[str, Any]]:
    """Return the rows of a panel as objects."""
    found = answer["panels"][panel]
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
