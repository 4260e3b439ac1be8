"""What somebody wrote who may write to a topic: the page says so, and goes on with the rest."""

from __future__ import annotations

import http.client
import json
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.history import database
from agents.web.history import History
from agents.web.known import MOST_WINDOWS, Known
from agents.web.listening import Heard
from agents.web.run import Address, serving
from agents.web.said import verdicts
from agents.web.screens.pipeline import Pipeline
from streams.verdicts import Verdict
from tests import webs
from tests.histories import ask as asked
from tests.sinking import MINUTE_MS, START_MS, TOPICS, Log, alert, metric
from tests.unit.test_web_pipeline import status
from tests.webs import api, ask, rows


class Message:
    """A record, as Kafka's client has it."""

    def __init__(self, value: bytes | None, key: bytes = b"w", **headers: str) -> None:
        self._value, self._key, self._headers = value, key, headers
        self._topic = "driftline.predictions.dead" if headers else TOPICS.workers

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return [(f"driftline.{name}", text.encode()) for name, text in self._headers.items()]

    def timestamp(self) -> tuple[int, int]:
        return 1, START_MS


def heard(*messages: Message) -> Heard:
    found: Any = Heard(TOPICS.workers)
    for message in messages:
        found.take(message)
    return found  # type: ignore[no-any-return]


def told(worker_id: str, **changes: Any) -> Message:
    return Message(msgspec.json.encode(status(worker_id, **changes)), worker_id.encode())


# ------------------------------------------------------------------ the topic of workers
@pytest.mark.parametrize(
    "value",
    [
        b'{"deep": %b}' % (b"[" * 100_000),
        b"[]",
        b"\xff",
        msgspec.json.encode(status("b", at_ms=10**18)),
        msgspec.json.encode(status("b", clock_ms={"join": 10**18})),
        msgspec.json.encode(status("b", fates={"joined": 1, "late": -1})),
        msgspec.json.encode(status("b", records=10**400)),
        msgspec.json.encode(status("b", warnings=["x" * 2_000_000])),
    ],
    ids=["deep", "list", "bytes", "at", "clock", "fates", "records", "large"],
)
def test_what_no_worker_tells_is_passed_over(value: bytes) -> None:
    found = heard(Message(value, b"b"), told("a"))

    assert [one.worker_id for one in found.told(START_MS).workers] == ["a"]


def test_workers_that_are_made_up_do_not_keep_real_ones_away_nor_fill_the_memory() -> None:
    many = [told(f"made-up-{number}") for number in range(1_100)]
    large = [told(f"large-{number}", warnings=["x" * 1_000_000]) for number in range(100)]

    found = heard(*many, told("a"))
    full = heard(*large, told("a"))

    for one, most in ((found, 1_000), (full, 68)):
        names = {worker.worker_id for worker in one.told(START_MS).workers}
        assert "a" in names
        assert len(names) <= most


def test_reasons_that_are_made_up_do_not_keep_real_ones_away() -> None:
    many = [Message(b"{", reason=f"made-up-{number}") for number in range(300)]

    letters = heard(*many, Message(b"{", reason="late_label")).told(START_MS).letters

    assert len(letters) == 200
    assert letters[-1].reason == "late_label"


# ------------------------------------------------------------------ topics of results
def test_evidence_that_is_none_does_not_keep_an_alert_from_being_opened(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    odd: dict[str, Any] = {"window_ms": "soon", "causes": 1, "members": {}, "metric": ["x"]}
    log.add(alert(alert_id="i1", kind="incident", evidence=odd))
    log.add(alert(alert_id="i2", kind="incident", evidence=odd | {"causes": ["x", {"cause": 1}]}))

    with webs.page(webs.write(log, tmp_path)) as running:
        first = api(running.port, "alerts", alert="i1")
        second = api(running.port, "alerts", alert="i2")

    assert rows(first, "causes") == []
    assert rows(second, "causes") == [{"cause": 1, "alerts": None, "score": None, "signs": ""}]


def test_a_window_of_a_millisecond_does_not_make_billions_of_windows(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    for start_ms in (START_MS - 300 * 86_400_000, START_MS + MINUTE_MS):
        log.add(metric(1, window_start_ms=start_ms, window_end_ms=start_ms + 1))

    with webs.page(webs.write(log, tmp_path)) as running:
        facts = api(running.port, "model", model="fraud")["facts"]

    assert facts["length_ms"] == 1
    assert facts["range_ms"] == MOST_WINDOWS


def test_a_screen_that_cannot_be_made_is_said_with_the_policy_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RecursionError("\x1b[31m" + "x" * 1_000)

    monkeypatch.setattr(Pipeline, "answer", fail)

    with webs.page(webs.write(webs.a_log("fraud"), tmp_path)) as running:
        reply = ask(running.port, "/api/pipeline")
        others = ask(running.port, "/api/fleet")

    assert (reply.status, others.status) == (500, 200)
    assert reply.json == {
        "wrong": "screen pipeline failed: RecursionError; see the log of this server"
    }
    assert "Content-Security-Policy" in reply.headers
    said = capfd.readouterr().err
    assert r"screen pipeline failed: RecursionError: \x1b[31m" in said
    assert len(said) < 400


def test_a_page_that_cannot_follow_the_history_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webs.page(webs.write(webs.a_log("fraud"), tmp_path)) as running:
        following = running.following
        with monkeypatch.context() as patch:
            patch.setattr(following, "_look", lambda _: {}["x"])
            following.step()
            assert following.news.away == "it cannot be followed: KeyError"
        following.step()

        assert following.news.away is None


def test_alerts_are_listed_without_what_each_of_them_rests_on(tmp_path: Path) -> None:
    log = Log()
    for number in range(200):
        log.add(alert(alert_id=f"a{number}", evidence={"x": "x" * 200_000}))

    def listed(connection: Any) -> tuple[int, dict[str, Any] | None]:
        known = Known(connection)
        tracemalloc.start()
        found = len(known.alerts())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 20_000_000
        return found, known.alert("a7")

    found, one = asked(webs.write(log, tmp_path), listed)

    assert found == 200
    assert one is not None
    assert len(one["evidence"]["x"]) == 200_000


# ------------------------------------------------------------------ verdicts
def verdict(alert_id: str, **changes: Any) -> bytes:
    names = {"model": "fraud", "monitor": "m", "by": "ann", "at_ms": START_MS}
    return msgspec.json.encode({"alert_id": alert_id, "verdict": "true", **names, **changes})


def test_verdicts_on_alerts_that_never_were_are_not_asked_for(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    [known] = {one.key for one in log.entries if one.topic == TOPICS.alerts and one.key}
    for name in (known.decode(), *(f"made-up-{number}" for number in range(50))):
        log.put(TOPICS.feedback, name.encode(), verdict(name))

    found = asked(webs.write(log, tmp_path), lambda connection: verdicts(Known(connection)))

    assert list(found) == [known.decode()]


@pytest.mark.parametrize("field", ["model", "version", "segment", "monitor"])
def test_a_verdict_with_a_name_that_is_none_is_set_aside(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="length <= 1000"):
        msgspec.json.decode(verdict("a", **{field: "x" * 1_001}), type=Verdict)


def test_brokers_that_are_away_hold_up_verdicts_and_nobody_else(tmp_path: Path) -> None:
    waiting, go_on = threading.Semaphore(0), threading.Event()

    def write(_: Verdict) -> int:
        waiting.release()
        go_on.wait(60)
        return 0

    history = History(database.url_of(webs.write(webs.a_log("fraud"), tmp_path)))
    with serving(history, Address(port=0), judge=write) as running:
        running.following.step()
        found = rows(api(running.port, "alerts"), "alerts")[0]["alert_id"]
        body = json.dumps({"alert_id": found, "verdict": "true", "by": "ann"}).encode()
        posting = [threading.Thread(target=post, args=(running.port, body)) for _ in range(6)]
        for one in posting:
            one.start()
        waiting.acquire()
        try:
            assert ask(running.port, "/api/fleet").status == 200
        finally:
            go_on.set()
            for one in posting:
                one.join()
    history.close()


def post(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/verdicts", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
