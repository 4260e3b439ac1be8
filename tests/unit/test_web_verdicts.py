"""Verdicts on alerts: the page writes them to the topic of feedback, and shows what they say."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.history import database
from agents.web.history import History
from agents.web.judging import Write
from agents.web.run import Address, serving
from streams.adoption_record import Adoption
from streams.errors import NoAnswerError
from streams.verdicts import Verdict
from tests.sinking import MINUTE_MS, START_MS, TOPICS, alert
from tests.webs import a_log, api, rows, write

LATER_MS = START_MS + 30 * MINUTE_MS
GOOD = {"alert_id": "a0", "verdict": "false", "by": "ann", "note": "<b>new</b> prices"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return write(a_log("fraud", "credit"), tmp_path)


@contextmanager
def page(url: str, judge: Write | None) -> Iterator[int]:
    history = History(database.url_of(url))
    try:
        with serving(history, Address(port=0), judge=judge) as running:
            running.following.step()
            yield running.port
    finally:
        history.close()


def post(port: int, body: Any, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    given = {"Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("POST", "/verdicts", json.dumps(body), given)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else text
    finally:
        connection.close()


def test_a_verdict_is_written_with_what_its_alert_is_about(url: str) -> None:
    written: list[Verdict | Adoption] = []
    with page(url, lambda said: written.append(said) or 0) as port:  # type: ignore[func-returns-value]
        status, told = post(port, GOOD, Origin=f"http://127.0.0.1:{port}")

    [said] = written
    assert status == 200
    assert told == msgspec.to_builtins(said)
    assert (said.alert_id, said.verdict, said.by) == ("a0", "false", "ann")
    assert (said.model, said.monitor, said.note) == ("fraud", "accuracy-drop", "<b>new</b> prices")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Host": "elsewhere.example"}, 421),
    ],
)
def test_pages_of_others_write_nothing(url: str, headers: dict[str, str], status: int) -> None:
    written: list[Verdict | Adoption] = []
    with page(url, lambda said: written.append(said) or 0) as port:  # type: ignore[func-returns-value]
        got, _ = post(port, GOOD, **headers)

    assert (got, written) == (status, [])


@pytest.mark.parametrize(
    ("changes", "status", "key"),
    [
        ({"verdict": "maybe"}, 400, "wrong"),
        ({"by": ""}, 400, "wrong"),
        ({"note": "x" * 3_000}, 400, "wrong"),
        ({"more": 1}, 400, "wrong"),
        ({"alert_id": "gone"}, 404, "missing"),
    ],
)
def test_what_is_no_verdict_is_told_why(
    url: str, changes: dict[str, Any], status: int, key: str
) -> None:
    with page(url, lambda _: 0) as port:
        got, told = post(port, GOOD | changes)

    assert (got, list(told)) == (status, [key])


def drifting(folder: Path) -> str:
    """Return a history with an incident of two alerts of the scan and one of a rule."""
    log = a_log("fraud")
    drift = {"kind": "drift", "incident_id": "in"}
    for one in (
        alert(alert_id="in", kind="incident", monitor="incident"),
        alert(alert_id="d1", **drift),
        alert(alert_id="d2", **drift),
        alert(alert_id="d3", **drift, state="resolved"),
        alert(alert_id="r1", incident_id="in"),
    ):
        log.add(one)
    return write(log, folder)


@pytest.mark.parametrize(("name", "adopted"), [("d1", ["d1"]), ("in", ["d1", "d2"])])
def test_a_level_is_adopted_of_an_alert_and_of_an_incident_what_can_be(
    tmp_path: Path, name: str, adopted: list[str]
) -> None:
    written: list[Verdict | Adoption] = []
    with page(drifting(tmp_path), lambda said: written.append(said) or 0) as port:  # type: ignore[func-returns-value]
        status, told = post(port, GOOD | {"alert_id": name, "verdict": "adopt"})

    assert (status, told["verdict"], told["alerts"]) == (200, "adopt", len(adopted))
    orders = [one for one in written if isinstance(one, Adoption)]
    assert sorted(one.alert_id for one in orders) == adopted
    assert {(one.model, one.by, one.note) for one in orders} == {("fraud", "ann", GOOD["note"])}


@pytest.mark.parametrize("name", ["d3", "r1"])
def test_of_a_rule_and_of_what_is_over_nothing_is_adopted(tmp_path: Path, name: str) -> None:
    with page(drifting(tmp_path), lambda _: 0) as port:
        status, told = post(port, GOOD | {"alert_id": name, "verdict": "adopt"})

    assert status == 404
    assert "there is nothing to adopt" in told["missing"]


def test_a_page_without_brokers_says_how_to_judge(url: str) -> None:
    with page(url, None) as port:
        status, told = post(port, GOOD)

    assert status == 503
    assert "driftline alerts verdict a0 false --by NAME" in told["away"]


def test_brokers_that_do_not_answer_are_said(url: str) -> None:
    def away(_: Verdict | Adoption) -> int:
        raise NoAnswerError("no broker confirmed it in 30 s")

    with page(url, away) as port:
        status, told = post(port, GOOD)

    assert (status, told) == (503, {"away": "no broker confirmed it in 30 s"})


def test_an_alert_shows_what_was_said_of_it_and_monitors_how_precise_they_are(
    tmp_path: Path,
) -> None:
    log = a_log("fraud", "credit")
    for name, verdict in (("a0", "true"), ("a0", "false"), ("a1", "true")):
        said = Verdict(
            alert_id=name,
            verdict=verdict,  # type: ignore[arg-type]
            by="ann",
            at_ms=START_MS,
            model="fraud",
            monitor="accuracy-drop",
        )
        log.put(TOPICS.feedback, name.encode(), msgspec.json.encode(said), LATER_MS)
    with page(write(log, tmp_path), None) as port:
        answer = api(port, "alerts", alert="a0")
        none = api(port, "alerts", alert="a0", at=LATER_MS - 1)

    [monitor] = rows(answer, "precision")
    assert (monitor["alerts"], monitor["true"], monitor["false"]) == (2, 1, 1)
    assert monitor["value"] == 0.5
    assert answer["facts"]["opened"]["said"]["verdict"] == "false"
    assert "precision" not in none["panels"]
