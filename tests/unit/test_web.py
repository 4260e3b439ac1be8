"""The page: who may ask, what is answered, and what happens if the history is away."""

from __future__ import annotations

import csv
import gzip
import http.client
import io
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.history import database
from agents.web import past
from agents.web.answering import as_csv
from agents.web.door import MOST
from agents.web.following import Following, News
from agents.web.guard import HEADERS, Guard
from agents.web.history import History
from agents.web.known import Who
from agents.web.run import Address, run_page, serving
from agents.web.screens import CATALOGUE
from agents.web.screens.screen import Panel
from agents.web.server import STATIC
from agents.web.settled import Key, Part, Settled
from agents.web.told import Told
from streams.errors import ConfigError
from streams.metrics import Metric
from streams.monitors_file import parse_monitors
from tests import webs
from tests.sinking import MINUTE_MS, START_MS, TOPICS, Log, action, alert, metric
from tests.webs import api, ask, rows

TOKEN = "0123456789abcdef-token"
HOUR_MS = 60 * MINUTE_MS


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return webs.write(webs.a_log("fraud", *webs.NASTY), tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def port(url: str) -> Iterator[int]:
    with webs.page(url) as running:
        yield running.port


# ------------------------------------------------------------------ who may ask
@pytest.mark.parametrize(
    "path", ["/", "/static/app.js", "/api/fleet", "/api/none", "/nothing", "/static/../run.py"]
)
def test_every_answer_has_the_policy_of_the_page(port: int, path: str) -> None:
    reply = ask(port, path)

    assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil", "10.0.0.1"])
def test_other_names_are_refused_so_that_nobody_rebinds_one(port: int, host: str) -> None:
    assert ask(port, "/api/fleet", Host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:9"])
def test_names_of_this_machine_are_answered_on_any_port_that_is_forwarded(
    port: int, host: str
) -> None:
    assert ask(port, "/api/fleet", Host=host).status == 200


def test_pages_of_others_are_refused(port: int) -> None:
    here = f"127.0.0.1:{port}"

    assert ask(port, "/api/fleet", Host=here, Origin="http://evil.example").status == 403
    assert ask(port, "/api/fleet", Host=here, Origin="null").status == 403
    assert ask(port, "/api/fleet", Host=here, Origin=f"http://{here}").status == 200
    assert ask(port, "/api/fleet", Sec_Fetch_Site="cross-site").status == 403
    navigated = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(port, "/", **navigated, Sec_Fetch_Dest="document").status == 200
    assert ask(port, "/api/fleet?at=1", **navigated, Sec_Fetch_Dest="iframe").status == 403
    assert ask(port, "/", **navigated).status == 403


def test_long_answers_are_packed_for_those_who_can_unpack_them(port: int) -> None:
    plain = ask(port, "/api/fleet")
    packed = ask(port, "/api/fleet", Accept_Encoding="gzip, deflate")
    short = ask(port, "/api/none", Accept_Encoding="gzip")

    assert "Content-Encoding" not in {*plain.headers, *short.headers}
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body)
    assert gzip.decompress(packed.body) == plain.body
    assert float(packed.headers["Server-Timing"].removeprefix("cpu;dur=")) > 0


def test_only_questions_are_answered(port: int) -> None:
    assert ask(port, "/api/fleet", "POST").status == 405
    assert ask(port, "/", "HEAD").status == 200


def test_anywhere_but_here_a_token_is_needed() -> None:
    with pytest.raises(ConfigError, match="needs a token"):
        Guard(host="0.0.0.0")
    with pytest.raises(ConfigError, match="16 or more"):
        Guard(host="127.0.0.1", token="short")


def test_a_link_brings_the_token_and_a_cookie_keeps_it(url: str) -> None:
    with webs.page(url, Address(port=0, token=TOKEN)) as running:
        port = running.port
        assert running.link.endswith(f"/login?token={TOKEN}")

        assert ask(port, "/").status == ask(port, "/api/fleet").status == 401
        assert ask(port, "/events").status == 401
        assert ask(port, "/login?token=wrong").status == 403
        assert ask(port, "/login").status == 403
        reply = ask(port, f"/login?token={TOKEN}")

        assert (reply.status, reply.headers["Location"]) == (303, "/")
        cookie = reply.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert TOKEN not in cookie
        assert ask(port, "/api/fleet", Cookie=cookie.partition(";")[0]).status == 200
        assert ask(port, "/api/fleet", Cookie="driftline=é").status == 401
        assert ask(port, "/api/fleet", Authorization=f"Bearer {TOKEN}").status == 200
        assert ask(port, "/api/fleet", Authorization="Bearer no").status == 401


def test_a_token_is_made_where_others_can_reach_the_page(url: str) -> None:
    with webs.page(url, Address(host="0.0.0.0", port=0, names=("watch.example",))) as running:
        token = running.link.rpartition("=")[2]

        assert len(token) >= 32
        bearer = {"Authorization": f"Bearer {token}"}
        assert ask(running.port, "/api/fleet", Host="watch.example", **bearer).status == 200
        assert ask(running.port, "/api/fleet", Host="10.0.0.1:80", **bearer).status == 200
        assert ask(running.port, "/api/fleet", Host="evil.example", **bearer).status == 421


def test_who_has_no_token_takes_no_connections_from_who_has_one(url: str) -> None:
    with webs.page(url, Address(port=0, token=TOKEN)) as running, ExitStack() as stack:
        address = ("127.0.0.1", running.port)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        known = http.client.HTTPConnection(*address, timeout=30)
        stack.callback(known.close)
        known.request("GET", "/api/fleet", headers=bearer)
        assert known.getresponse().read()
        kept = known.sock
        strangers = [stack.enter_context(socket.create_connection(address)) for _ in range(99)]
        for stranger in strangers[::2]:
            stranger.sendall(b"GET /login?token=no HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

        assert ask(running.port, "/api/fleet", **bearer).status == 200
        known.request("GET", "/api/fleet", headers=bearer)

        assert known.getresponse().read()
        assert known.sock is kept
        assert sum(not is_closed(one) for one in strangers) <= MOST


def is_closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while one.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_a_token_that_somebody_has_set_is_not_printed(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda _, stop: stop())
    history = History(database.url_of(url))

    run_page(history, Address(port=0, token=TOKEN))
    run_page(history, Address(host="0.0.0.0", port=0))

    history.close()
    given, made = capfd.readouterr().out.splitlines()
    assert given.endswith("/login?token=$DRIFTLINE_WEB_TOKEN")
    assert len(made.partition("token=")[2]) >= 32


# ------------------------------------------------------------------ what is sent
def test_the_page_brings_everything_itself() -> None:
    for path in STATIC.iterdir():
        text = path.read_text()
        found = re.findall(r"https?://[^\s\"'`)]+", text)
        assert [one for one in found if not one.startswith("http://www.w3.org/")] == [], path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        if path.suffix == ".html":
            assert not re.search(r"style=|<style|<script>| on[a-z]+=", text)


def test_every_screen_has_a_file_that_draws_it() -> None:
    listed = (STATIC / "screens.js").read_text()

    for name in CATALOGUE:
        assert f'{name}: () => import("./{name}.js")' in listed
        assert "export function draw(place, answer, page)" in (STATIC / f"{name}.js").read_text()


def test_files_that_have_not_changed_are_not_sent_again(port: int) -> None:
    tag = ask(port, "/static/app.js").headers["ETag"]

    reply = ask(port, "/static/app.js", If_None_Match=tag)

    assert (reply.status, reply.body) == (304, b"")


# ------------------------------------------------------------------ fleet
def test_fleet_has_a_line_for_every_model_whatever_its_name(port: int) -> None:
    found = rows(api(port, "fleet", sort="model"), "models")

    assert {row["model"] for row in found} == {"fraud", *webs.NASTY}
    (row,) = (row for row in found if row["model"] == "fraud")
    assert (row["health"], row["open_alerts"], row["quality"]) == ("critical", 1, "accuracy")
    assert (row["value"], row["final"]) == (pytest.approx(0.81), False)
    assert row["usual"] == pytest.approx(0.88)
    assert row["worse"] == pytest.approx(0.07)
    assert row["predictions"] == 109
    assert row["quality_before"][-2:] == pytest.approx([0.82, 0.81])


def test_models_are_found_sorted_and_paged(port: int) -> None:
    assert [r["model"] for r in rows(api(port, "fleet", search="FRAU"), "models")] == ["fraud"]
    assert rows(api(port, "fleet", health="ok"), "models") == []
    first = rows(api(port, "fleet", sort="model", size=2), "models")
    second = rows(api(port, "fleet", sort="model", size=2, page=1), "models")
    backward = rows(api(port, "fleet", sort="model", down="true"), "models")

    names = [row["model"] for row in backward][::-1]
    assert [row["model"] for row in (*first, *second)] == names[:4]


def test_owner_and_tags_come_from_alerts(tmp_path: Path) -> None:
    log = webs.a_log("fraud", "churn")
    log.add(alert(model="churn", alert_id="x", owner="risk", tags={"tier": "1"}))

    with webs.page(webs.write(log, tmp_path)) as running:
        facts = api(running.port, "fleet")["facts"]
        owned = rows(api(running.port, "fleet", owner="risk"), "models")
        tagged = rows(api(running.port, "fleet", tag="tier=1"), "models")

    assert (facts["owners"], facts["tags"]) == ([["risk", 1]], [["tier=1", 1]])
    assert [row["model"] for row in owned] == [row["model"] for row in tagged] == ["churn"]


def test_a_model_of_which_nothing_comes_is_silent(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    log.add(alert("resolved", 1, alert_id="a0"))

    with webs.page(webs.write(log, tmp_path)) as running:
        end = START_MS + webs.WINDOWS * MINUTE_MS
        healths = [
            rows(api(running.port, "fleet", at=at), "models")[0]["health"]
            for at in (end + 900_000, end + 900_001)
        ]

    assert healths == ["ok", "silent"]


def test_hosts_are_no_models(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    log.add(metric(model="host:a", version="", metric="cpu_utilization"))

    with webs.page(webs.write(log, tmp_path)) as running:
        answer = api(running.port, "fleet")

    assert [row["model"] for row in rows(answer, "models")] == ["fraud"]
    assert answer["facts"]["hosts"] == 1


# ------------------------------------------------------------------ model
@pytest.mark.parametrize("model", ["fraud", *webs.NASTY])
def test_a_model_has_its_series_alerts_and_versions(port: int, model: str) -> None:
    answer = api(port, "model", model=model)

    quality = rows(answer, "quality")
    assert [row["value"] for row in quality] == pytest.approx([0.9 - n / 100 for n in range(10)])
    assert [row["final"] for row in quality] == [True] * 8 + [False] * 2
    assert answer["facts"]["drawn"] == "accuracy"
    assert [row["message"] for row in rows(answer, "alerts")] == ["accuracy is 0.4, below 0.8"]
    assert [row["version"] for row in rows(answer, "versions")] == ["3"]


def test_a_model_that_is_not_there_is_said(port: int) -> None:
    reply = ask(port, "/api/model?model=none")

    assert (reply.status, list(reply.json)) == (404, ["missing"])


def test_what_changed_since_a_time_is_what_was_revised_after_it(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    before = max(entry.timestamp_ms for entry in log.entries)
    later = metric(2, model="fraud", metric="accuracy", value=0.5, count=77, final=True)
    log.add(later, at_ms=before + 1)

    with webs.page(webs.write(log, tmp_path)) as running:
        answer = api(running.port, "model", model="fraud", since=before)

    (row,) = rows(answer, "changed")
    assert row["window_start_ms"] == START_MS
    assert (row["value_before"], row["value_after"]) == (0.9, 0.5)
    assert (row["revision_before"], row["revision_after"], row["count_after"]) == (1, 2, 77)
    assert rows(answer, "then")[0]["value"] == 0.9
    assert rows(answer, "quality")[0]["value"] == 0.5


def test_a_confusion_is_put_together_from_recall_and_precision(tmp_path: Path) -> None:
    # Two windows: TP 3, FN 1, FP 2, TN 14; and TP 0, FN 0, FP 0, TN 5, without either ratio.
    log = Log()
    later = {"window_start_ms": START_MS + MINUTE_MS, "window_end_ms": START_MS + 2 * MINUTE_MS}
    log.add(
        metric(metric="accuracy", value=17 / 20, count=20),
        metric(metric="recall", value=3 / 4, count=4),
        metric(metric="precision", value=3 / 5, count=5),
        metric(metric="support", value=4.0, count=4),
        metric(metric="accuracy", value=1.0, count=5, **later),
    )

    with webs.page(webs.write(log, tmp_path)) as running:
        found = rows(api(running.port, "model", model="fraud"), "confusion")

    counts = {(row["predicted"], row["true"]): row["count"] for row in found}
    assert counts == {
        ("positive", "positive"): 3,
        ("positive", "negative"): 2,
        ("negative", "positive"): 1,
        ("negative", "negative"): 19,
    }


def test_classes_are_told_apart_the_largest_first(tmp_path: Path) -> None:
    log = Log()
    for number, name in enumerate(("<b>a</b>", "b:c")):
        log.add(
            metric(metric=f"support:{name}", value=10.0 + number, count=10 + number),
            metric(metric=f"recall:{name}", value=0.5, count=10 + number),
        )

    with webs.page(webs.write(log, tmp_path)) as running:
        found = rows(api(running.port, "model", model="fraud"), "classes")

    assert [(row["class"], row["support"], row["recall"]) for row in found] == [
        ("b:c", 11, 0.5),
        ("<b>a</b>", 10, 0.5),
    ]


def test_of_classes_hours_tell_which_were_taken_for_which(tmp_path: Path) -> None:
    log = Log()
    log.add(metric(metric="support:a", value=10.0), metric(metric="recall:a", value=0.5))
    of = {"series": "confusion", "predicted_classes": ["a", "b"], "true_classes": ["a", "<i>"]}
    webs.told(log, "window", START_MS, counts=[5, 2], **of)
    webs.told(log, "window", START_MS + HOUR_MS, counts=[1, 1], other=3, **of)

    with webs.page(webs.write(log, tmp_path)) as running:
        panel = api(running.port, "model", model="fraud")["panels"]["confusion"]

    assert panel["rows"] == [["a", "a", 6], ["b", "<i>", 3]]
    assert panel["notes"] == [
        "of the newest 2 hours in which labels can change no more",
        "3 answers are of pairs that are not told",
    ]


def test_scores_of_the_newest_hour_are_beside_those_that_they_are_compared_with(
    tmp_path: Path,
) -> None:
    hour_ms, log = HOUR_MS, webs.a_log("fraud")
    score = {"series": "score", "edges": [0.1, 0.5, 0.9]}
    webs.told(log, "reference", START_MS - hour_ms, counts=[5, 5], **score)
    webs.told(log, "window", START_MS, counts=[1, 1], **score)
    webs.told(log, "window", START_MS + hour_ms, counts=[3, 4], above=2, **score)
    right = {"counts": [0, 4], "probabilities": [None, 0.8], "positives": [0, 3]}
    webs.told(log, "window", START_MS, series="reliability", **right)

    with webs.page(webs.write(log, tmp_path)) as running:
        answer = api(running.port, "model", model="fraud")

    assert answer["panels"]["scores"]["rows"] == [
        [0.1, 0.5, 3, 5],
        [0.5, 0.9, 4, 5],
        [0.9, None, 2, 0],
    ]
    assert answer["facts"]["hours"]["scores"]["start_ms"] == START_MS + hour_ms
    assert answer["panels"]["reliability"]["rows"] == [[0.8, 0.75, 3, 4]]


# ------------------------------------------------------------------ alerts
def test_alerts_are_listed_by_state_severity_and_words(tmp_path: Path) -> None:
    log = webs.a_log("fraud", "churn")
    log.add(alert("resolved", 1, model="churn", alert_id="a1"))
    log.add(alert(model="churn", alert_id="x", severity="info", monitor="Mine"))

    with webs.page(webs.write(log, tmp_path)) as running:

        def found(**asked: str) -> list[str]:
            return [row["alert_id"] for row in rows(api(running.port, "alerts", **asked), "alerts")]

        assert sorted(found()) == ["a0", "x"]
        assert sorted(found(state="all")) == ["a0", "a1", "x"]
        assert found(severity="info") == ["x"]
        assert found(search="mine") == ["x"]
        assert found(search="FRAUD") == ["a0"]
        (over,) = (
            r for r in rows(api(running.port, "alerts", state="all"), "alerts") if r["ended_ms"]
        )
    assert over["alert_id"] == "a1"


def test_an_alert_shows_its_evidence_revisions_and_what_it_is_about(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    began = START_MS + 5 * MINUTE_MS
    log.add(
        alert(
            "resolved", 1, alert_id="a0", at_ms=began + MINUTE_MS, evidence={"metric": "accuracy"}
        )
    )

    with webs.page(webs.write(log, tmp_path)) as running:
        answer = api(running.port, "alerts", alert="a0", state="all")
        missing = ask(running.port, "/api/alerts?alert=none")

    opened = answer["facts"]["opened"]
    assert (opened["began_ms"], opened["ended_ms"]) == (began, began + MINUTE_MS)
    assert rows(answer, "evidence") == [{"what": "metric", "value": "accuracy"}]
    assert [row["state"] for row in rows(answer, "revisions")] == ["firing", "resolved"]
    assert [row["window_start_ms"] for row in rows(answer, "picture")] == [
        START_MS + number * MINUTE_MS for number in range(webs.WINDOWS)
    ]
    assert missing.status == 404


def test_an_incident_stands_for_its_alerts_and_opens_with_them(tmp_path: Path) -> None:
    log = Log()
    told = {
        "alerts": 2,
        "causes": [{"cause": "data", "alerts": 2, "score": 1.0, "signs": ["a", "b"]}],
        "members": [1],
    }
    log.add(
        metric(metric="predictions"),
        alert(alert_id="in", kind="incident", evidence=told),
        alert(alert_id="one", incident_id="in"),
        alert(alert_id="two", incident_id="in"),
        alert(alert_id="alone"),
    )

    with webs.page(webs.write(log, tmp_path)) as running:

        def found(**asked: str) -> set[str]:
            answer = api(running.port, "alerts", **asked)
            return {row["alert_id"] for row in rows(answer, "alerts")}

        opened = api(running.port, "alerts", alert="in")
        (line,) = rows(api(running.port, "fleet"), "models")
        assert found() == {"in", "alone"}
        assert found(what="alerts") == {"one", "two", "alone"}
    assert {row["alert_id"] for row in rows(opened, "members")} == {"one", "two"}
    assert rows(opened, "causes") == [{"cause": "data", "alerts": 2, "score": 1.0, "signs": "a, b"}]
    assert rows(opened, "evidence") == [{"what": "alerts", "value": 2}]
    assert line["open_alerts"] == 3


def test_an_alert_and_its_incident_say_what_was_asked_for(tmp_path: Path) -> None:
    log = Log()
    log.add(
        metric(metric="predictions"),
        alert(alert_id="in", kind="incident"),
        alert(alert_id="one", incident_id="in"),
        alert(alert_id="two", incident_id="in"),
    )
    then = START_MS + MINUTE_MS
    own = {"alert_id": "one", "incident_id": "in", "parameters": {"to": "<b>"}}
    log.add(action("rollback", **own), action(action_id="c2", alert_id="x"), at_ms=then)

    with webs.page(webs.write(log, tmp_path)) as running:
        found = {
            name: api(running.port, "alerts", what="alerts", alert=name)
            for name in ("in", "one", "two")
        }
        before = api(running.port, "alerts", alert="in", at=then - 1)

    asked = {name: rows(answer, "actions") for name, answer in found.items() if name != "two"}
    (line,) = asked["in"]
    assert (line["action"], line["parameters"]) == ("rollback", '{"to":"<b>"}')
    assert asked["one"] == [line]
    assert "actions" not in found["two"]["panels"]
    assert "actions" not in before["panels"]


def test_an_alert_that_was_deleted_is_gone(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    log.put(TOPICS.alerts, b"a0", None)

    with webs.page(webs.write(log, tmp_path)) as running:
        assert rows(api(running.port, "alerts", state="all"), "alerts") == []
        assert rows(api(running.port, "model", model="fraud"), "alerts") == []
        assert ask(running.port, "/api/alerts?alert=a0").status == 404


@pytest.mark.parametrize(
    "question", ["page=-1", "at=x", "at=-1", "sort=x", "nothing=1", "at=999999999999999999"]
)
def test_a_wrong_question_is_told_what_is_wrong(port: int, question: str) -> None:
    reply = ask(port, f"/api/fleet?{question}")

    assert (reply.status, list(reply.json)) == (400, ["wrong"])


def test_quality_is_found_where_labels_come_much_later_than_predictions(tmp_path: Path) -> None:
    log = Log()
    for number in range(400):
        at = START_MS + number * MINUTE_MS
        places = {"window_start_ms": at, "window_end_ms": at + MINUTE_MS}
        log.add(metric(metric="predictions", value=1.0, **places), at_ms=START_MS)
        if number < 150:
            log.add(metric(value=number / 1_000, **places), at_ms=START_MS)

    with webs.page(webs.write(log, tmp_path)) as running:
        (row,) = rows(api(running.port, "fleet"), "models")
        answer = api(running.port, "model", model="fraud")

    assert row["quality"] == "accuracy"
    assert 0.1 < row["value"] < 0.15  # not the newest that there is, but almost
    assert row["usual"] < row["value"]
    assert answer["facts"]["drawn"] == "accuracy"


def test_a_long_series_that_is_kept_is_as_if_it_were_read_again(tmp_path: Path) -> None:
    def window(number: int, value: float) -> Metric:
        at = START_MS + number * MINUTE_MS
        return metric(value=value, window_start_ms=at, window_end_ms=at + MINUTE_MS)

    log = Log()
    log.add(*(window(number, number / 10_000) for number in range(1_500)), at_ms=START_MS)
    url = webs.write(log, tmp_path)
    question = {"model": "fraud", "range_ms": 1_500 * MINUTE_MS}

    with webs.page(url) as running:
        before = api(running.port, "model", **question)
        for late in (window(3, 9.0), window(1_400, 8.0), window(1_499, 7.0), window(1_500, 6.0)):
            log.add(late, at_ms=START_MS)
            webs.write(log, tmp_path)
            running.following.step()
            kept = api(running.port, "model", **question)
            with webs.page(url) as fresh:
                again = api(fresh.port, "model", **question)

            assert kept["panels"]["quality"] == again["panels"]["quality"]
            assert kept["panels"]["quality"] != before["panels"]["quality"]
            before = kept


def test_what_was_read_before_a_revision_is_not_kept_after_it() -> None:
    settled, who = Settled(), Who("m", "1")
    key = Key(who, ("accuracy",), 0, 10, 20)
    early = settled.begin()
    settled.forget([(who, 5)])

    early.put(key, Part(100, []))
    assert settled.get(key) is None
    settled.begin().put(key, Part(100, []))
    settled.forget([(who, 45), (Who("m", "2"), 0)])

    assert settled.get(key) == Part(40, [])


# ------------------------------------------------------------------ csv
def test_every_panel_has_a_csv(port: int) -> None:
    for path in (
        "fleet/models?sort=model",
        "model/quality?model=fraud",
        "model/alerts?model=fraud",
    ):
        reply = ask(port, f"/csv/{path}")

        assert reply.headers["Content-Type"].startswith("text/csv")
        assert reply.headers["Content-Disposition"].startswith("attachment; filename=driftline-")
        assert len(list(csv.reader(io.StringIO(reply.body.decode())))) > 1
    assert ask(port, "/csv/fleet/none").status == 404


def test_a_name_is_no_formula_of_a_spreadsheet() -> None:
    text = as_csv(Panel(("model", "value"), [("=1+1", -1.5), ("@x", None), ('a,"b"', 2)]))

    assert list(csv.reader(io.StringIO(text)))[1:] == [
        ["'=1+1", "-1.5"],
        ["'@x", ""],
        ['a,"b"', "2"],
    ]


# ------------------------------------------------------------------ away
def test_a_history_that_is_not_there_yet_is_said_and_shown_once_it_is(tmp_path: Path) -> None:
    with webs.page(str(tmp_path / "history.db")) as running:
        reply = ask(running.port, "/api/fleet")
        assert (reply.status, list(reply.json)) == (503, ["away"])
        assert running.following.news.away is not None
        assert not (tmp_path / "history.db").exists()

        webs.write(webs.a_log("fraud"), tmp_path)
        running.following.step()

        assert running.following.news.away is None
        assert len(rows(api(running.port, "fleet"), "models")) == 1


def test_a_history_of_a_newer_schema_is_refused_with_the_fix(tmp_path: Path) -> None:
    url = webs.write(webs.a_log("fraud"), tmp_path)
    with webs.page(url) as running:
        assert ask(running.port, "/api/fleet").status == 200
        with sqlite3.connect(url) as other:  # while the page is shown
            other.execute("UPDATE driftline_schema SET version_num = 'next'")
        other.close()

        reply = ask(running.port, "/api/fleet")

        assert reply.status == 503
        assert "a newer one wrote it; install that version" in reply.json["away"]


def test_what_comes_is_told_and_shown(tmp_path: Path) -> None:
    log = webs.a_log("fraud")
    url = webs.write(log, tmp_path)
    with webs.page(url) as running:
        before = running.following.news
        log.add(
            metric(model="new", metric="predictions", value=7.0),
            alert("resolved", 1, alert_id="a0"),
        )
        webs.write(log, tmp_path)

        running.following.step()

        assert running.following.news.metrics > before.metrics
        assert {row["model"] for row in rows(api(running.port, "fleet"), "models")} == {
            "fraud",
            "new",
        }
        assert api(running.port, "fleet")["facts"]["open_alerts"] == 0


def test_many_models_are_shown_while_the_rest_is_read(tmp_path: Path) -> None:
    names = [f"m{number:03}" for number in range(210)]
    log = Log()
    log.add(*(metric(model=name) for name in names), alert(model="m000"), at_ms=START_MS)
    history = History(database.url_of(webs.write(log, tmp_path)))
    told: list[News] = []
    following = Following(history, told.append)

    following.step()
    history.close()

    assert [(news.models, news.ready) for news in told] == [(200, False), (210, False), (210, True)]
    assert {line.model for line in following.board.lines.values()} == set(names)
    assert list(following.board.open) == ["m000"]


def test_of_many_models_at_an_earlier_time_some_are_shown_until_all_are_read(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_ms = START_MS + 5 * MINUTE_MS
    with webs.page(url) as running:
        every = rows(api(running.port, "fleet", at=at_ms), "models")
        now = rows(api(running.port, "fleet"), "models")
    monkeypatch.setattr(past, "FEW", 2)
    last = max(row["model"] for row in every)

    with webs.page(url) as running:
        first = api(running.port, "fleet", at=at_ms)
        own = api(running.port, "model", model=last, at=at_ms)
        deadline_s = time.monotonic() + 30
        while "begun" in (answer := api(running.port, "fleet", at=at_ms))["facts"]:
            assert time.monotonic() < deadline_s
        later = at_ms + MINUTE_MS
        told = ask(running.port, f"/csv/fleet/models?at={later}").body.decode()

    some = rows(first, "models")
    assert first["facts"]["begun"]
    assert 0 < len(some) < len(every) == len(now)
    assert all(row in every for row in some)
    assert own["facts"]["health"] == "ok"
    assert rows(answer, "models") == every
    assert len(list(csv.DictReader(io.StringIO(told)))) == len(every)  # a CSV is of all


def test_a_port_that_is_taken_is_said(url: str, port: int) -> None:
    with (
        pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be used"),
        webs.page(url, Address(port=port)),
    ):
        pass


# ------------------------------------------------------------------ whom models belong to
SPECIFICATION = """
models:
  fraud: {owner: risk, tags: {tier: "1"}}
  "churn-*": {owner: crm}
  mine: {tags: {tier: "2"}}
"""


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve models of which *mine* and *other* have alerts that name an owner."""
    log = webs.a_log("churn-de")
    for number, name in enumerate(("fraud", "mine", "other")):
        log.add(metric(model=name, metric="predictions", value=9.0))
        if name != "fraud":
            log.add(alert(model=name, alert_id=f"owned-{number}", owner="me", tags={"a": "b"}))
    url = webs.write(log, tmp_path_factory.mktemp("history"))
    monitors = parse_monitors(yaml.safe_load(SPECIFICATION))
    history = History(database.url_of(url))
    with serving(history, Address(port=0), told=lambda: Told(monitors=monitors)) as running:
        running.following.step()
        yield running.port
    history.close()


def owners(answer: Any) -> dict[str, Any]:
    return {row["model"]: (row["owner"], row["tags"]) for row in rows(answer, "models")}


def test_the_specification_says_whom_models_belong_to_and_alerts_of_the_rest(owned: int) -> None:
    assert owners(api(owned, "fleet")) == {
        "fraud": ("risk", {"tier": "1"}),
        "churn-de": ("crm", {}),
        "mine": ("", {"tier": "2"}),
        "other": ("me", {"a": "b"}),
    }
    assert owners(api(owned, "fleet", owner="crm")).keys() == {"churn-de"}
    assert api(owned, "model", model="fraud")["facts"]["owner"] == "risk"


def test_an_earlier_time_has_the_owners_that_alerts_had(owned: int) -> None:
    found = owners(api(owned, "fleet", at=2 * START_MS))

    assert found["mine"] == found["other"] == ("me", {"a": "b"})
    assert found["fraud"] == ("", {})
