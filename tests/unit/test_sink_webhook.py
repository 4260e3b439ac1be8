"""Alerts are posted, signed and once; what is old is a summary; nothing private is reached."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agents.sinks import posting
from agents.sinks.apprise import Apprise, AppriseOptions
from agents.sinks.contract import AwayError, RefusedError
from agents.sinks.notifying import check_notify
from agents.sinks.posting import Poster
from agents.sinks.templates import TEMPLATES
from agents.sinks.webhook import Webhook, WebhookOptions
from streams.errors import ConfigError
from tests import oracle
from tests.receivers import Receiver, receiving
from tests.sinking import MINUTE_MS, OWNED, START_MS, Log, action, alert, letters, run

SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
HOUR_MS = 60 * MINUTE_MS
EVIL = "<!channel> *b* [x](http://y) \x1b[31m\u202e"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def webhook(receiver: Receiver, *, now_ms: int = START_MS, **options: str) -> Webhook:
    target = f"{receiver.url}/hook?t0ken"
    given = WebhookOptions(target=target, allow_private=True, **options)  # type: ignore[arg-type]
    return Webhook(given, clock=lambda: now_ms)


@pytest.mark.parametrize(
    ("notify", "told"),
    [("incidents", ["i1", "a0"]), ("alerts", ["a1", "a0"]), ("all", ["a1", "i1", "a0"])],
)
def test_people_are_told_of_incidents_and_of_alerts_that_are_in_none(
    notify: str, told: list[str], receiver: Receiver, tmp_path: Path
) -> None:
    log = Log()
    log.add(alert(incident_id="i1"))
    log.add(alert(alert_id="i1", kind="incident", monitor="incident"))
    log.add(alert(alert_id="a0"))

    run(webhook(receiver, notify=notify), log, tmp_path)

    assert [post.json["data"]["alert_id"] for post in receiver.posts] == told


def test_a_choice_of_what_is_told_that_there_is_not_is_refused(receiver: Receiver) -> None:
    with pytest.raises(ConfigError, match="--notify: 'none' must be incidents, alerts or all"):
        webhook(receiver, notify="none")


def test_posts_are_signed_as_standard_webhooks_are(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"whsec_{SECRET}\n")
    log = Log()
    log.add(alert())

    run(webhook(receiver, secret_file=str(tmp_path / "secret")), log, tmp_path)

    [post] = receiver.posts
    name, at_s = post.headers["webhook-id"], post.headers["webhook-timestamp"]
    signed = f"{name}.{at_s}.".encode() + post.body
    expected = hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert (name, post.path) == ("a1-0", "/hook?t0ken")
    assert post.json["type"] == "alert.firing"
    assert post.json["data"] == msgspec.to_builtins(alert())


@pytest.mark.parametrize("answer", [500, 503, 429, 408, 302])
def test_a_receiver_that_may_take_it_later_is_asked_again(
    receiver: Receiver, tmp_path: Path, answer: int
) -> None:
    log = Log()
    log.add(alert(alert_id="a1"), alert(alert_id="a2"), alert("resolved", 1, alert_id="a1"))
    receiver.answers = [200, answer, answer]

    run(webhook(receiver), log, tmp_path)

    names = [post.headers["webhook-id"] for post in receiver.posts]
    assert names == ["a1-0", "a2-0", "a2-0", "a2-0", "a1-1"]
    assert letters(tmp_path) == []


def test_what_a_receiver_refuses_is_set_aside_and_the_rest_is_posted_once(
    receiver: Receiver, tmp_path: Path
) -> None:
    log = Log()
    log.add(*(alert(alert_id=f"a{number}") for number in range(5)))
    receiver.refused = [b'"a1"', b'"a3"']

    run(webhook(receiver), log, tmp_path)

    assert [post.json["data"]["alert_id"] for post in receiver.posts] == [
        "a0", "a1", "a2", "a3", "a4",
    ]  # fmt: skip
    assert [(one["reason"], one["key"]) for one in letters(tmp_path)] == [
        ("http_422", "a1"),
        ("http_422", "a3"),
    ]


@pytest.mark.parametrize("answer", [401, 403, 404, 410])
def test_a_receiver_that_takes_nothing_from_us_ends_the_sink_without_showing_the_url(
    receiver: Receiver, tmp_path: Path, answer: int
) -> None:
    log = Log()
    log.add(alert())
    receiver.answers = [answer]

    with pytest.raises(ConfigError, match=f"answers {answer}.*are the URL and its secret") as ended:
        run(webhook(receiver), log, tmp_path)

    assert "t0ken" not in str(ended.value)
    assert log.committed == 0


def test_a_receiver_that_hangs_is_away(receiver: Receiver) -> None:
    receiver.answers = [-1]

    with pytest.raises(AwayError, match="timed out"):
        Poster(receiver.url, allow_private=True, timeout_s=0.2).post(b"{}")


def test_nobody_who_listens_is_away() -> None:
    with receiving() as receiver:
        poster = Poster(receiver.url, allow_private=True)

    with pytest.raises(AwayError, match="refused"):
        poster.post(b"{}")


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answers = [307]
    receiver.location = f"{receiver.url}/private"

    with pytest.raises(AwayError, match="redirects are not followed"):
        Poster(receiver.url, allow_private=True).post(b"{}")

    assert len(receiver.posts) == 1


def test_an_address_that_is_not_public_is_refused_unless_it_is_allowed(receiver: Receiver) -> None:
    private = [receiver.url, receiver.url.replace("127.0.0.1", "localhost")]

    for url in [*private, "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest"]:
        with pytest.raises(ConfigError, match=r"no public address.*--allow-private"):
            Poster(url, allow_private=False).post(b"{}")

    assert receiver.posts == []


def test_the_address_that_was_judged_is_the_one_that_is_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is resolved again could lead elsewhere by then."""
    port = int(receiver.url.rpartition(":")[2])
    asked = []

    def resolve(host: str, *words: object, **named: object) -> list[object]:
        asked.append(host)
        assert len(asked) == 1
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(posting.socket, "getaddrinfo", _first(resolve))

    Poster(f"http://hook.example:{port}/", allow_private=True).post(b"{}")

    assert receiver.posts[0].headers["host"] == f"hook.example:{port}"


def _first(resolve: object) -> object:
    known = posting.socket.getaddrinfo

    def answer(host: str, *words: object, **named: object) -> object:
        is_name = host == "hook.example"
        return (resolve if is_name else known)(host, *words, **named)  # type: ignore[operator]

    return answer


def test_of_several_addresses_one_that_is_private_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(2, 1, 6, "", (address, 80)) for address in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(posting.socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(ConfigError, match=r"hook\.example is 10\.0\.0\.1"):
        Poster("https://hook.example/", allow_private=False).post(b"{}")


@pytest.mark.parametrize("url", ["ftp://x/", "https:///x", "hook", "http://x:99999/", "http://[/"])
def test_a_url_that_is_none_of_http_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="none of HTTP"):
        Poster(url, allow_private=True)


def test_a_user_in_the_url_is_authenticated_and_a_file_has_the_header(
    receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("Bearer x\n")
    basic = Poster(receiver.url.replace("//", "//me:p%20w@"), allow_private=True)
    header = posting.secret_in(str(tmp_path / "token"), option="--authorization-file")

    basic.post(b"{}")
    Poster(receiver.url, authorization=header, allow_private=True).post(b"{}")

    said = [post.headers["authorization"] for post in receiver.posts]
    assert said == [f"Basic {base64.b64encode(b'me:p w').decode()}", "Bearer x"]


# ------------------------------------------------------------------ what is old
def test_what_is_older_than_an_hour_is_one_summary_and_the_rest_comes_one_by_one(
    receiver: Receiver, tmp_path: Path
) -> None:
    """The hour is inclusive."""
    log = Log()
    log.add(*(alert(alert_id=f"old{number}", at_ms=START_MS + number) for number in range(30)))
    log.add(alert("resolved", 1, alert_id="old3", at_ms=START_MS + 31))
    log.add(alert(alert_id="new", at_ms=START_MS + 40))

    run(webhook(receiver, now_ms=START_MS + 40 + HOUR_MS), log, tmp_path, idle_steps=3)

    assert [post.json["type"] for post in receiver.posts] == ["alert.firing", "alerts.summary"]
    summary = receiver.posts[1].json["data"]
    assert summary["severity"] == "critical"
    assert len(summary["firing"]) == 29
    assert summary["text"] == (
        "30 alerts changed between 2026-01-01 00:00:00 and 2026-01-01 00:00:00 UTC, more than an"
        " hour ago: 29 firing, 1 resolved"
    )


def test_a_summary_that_could_not_be_posted_is_posted_again_under_its_name(
    receiver: Receiver, tmp_path: Path
) -> None:
    log = Log()
    log.add(alert(), alert(alert_id="a2"))
    receiver.answers = [500]

    run(webhook(receiver, now_ms=START_MS + 2 * HOUR_MS), log, tmp_path)

    first, second = receiver.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


# ------------------------------------------------------------------ templates
def told(receiver: Receiver, tmp_path: Path, template: str, *, old: bool = False) -> list[object]:
    (tmp_path / "key").write_text("r0uting")
    options = {"template": template, "key_file": str(tmp_path / "key")}
    log, name = Log(), {"model": EVIL, "message": EVIL}
    log.add(alert(**name), alert("retracted", 1, **name))
    now_ms = START_MS + (2 * HOUR_MS if old else 0)
    run(webhook(receiver, now_ms=now_ms, **options), log, tmp_path)
    return [post.json for post in receiver.posts]


def test_slack_gets_plain_text_blocks_and_an_escaped_fallback(
    receiver: Receiver, tmp_path: Path
) -> None:
    firing, over = told(receiver, tmp_path, "slack")

    assert firing["text"].startswith("\N{LARGE RED CIRCLE} [FIRING] critical &lt;!channel&gt; *b*")  # type: ignore[index]
    assert {block["text"]["type"] for block in firing["blocks"]} == {"plain_text"}  # type: ignore[index]
    assert over["text"].startswith("\N{LARGE GREEN CIRCLE} [RETRACTED]")  # type: ignore[index]


def test_pagerduty_gets_an_incident_by_alert_that_its_end_resolves(
    receiver: Receiver, tmp_path: Path
) -> None:
    firing, over = told(receiver, tmp_path, "pagerduty")

    assert [one["event_action"] for one in (firing, over)] == ["trigger", "resolve"]  # type: ignore[index]
    assert [one["dedup_key"] for one in (firing, over)] == ["a1", "a1"]  # type: ignore[index]
    assert firing["routing_key"] == "r0uting"  # type: ignore[index]
    assert firing["payload"]["severity"] == "critical"  # type: ignore[index]
    assert firing["payload"]["timestamp"] == "2026-01-01T00:00:00Z"  # type: ignore[index]


def test_teams_gets_a_card_of_text_runs(receiver: Receiver, tmp_path: Path) -> None:
    firing, _ = told(receiver, tmp_path, "teams")

    [attachment] = firing["attachments"]  # type: ignore[index]
    assert firing["type"] == "message"  # type: ignore[index]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert {block["type"] for block in attachment["content"]["body"]} == {"RichTextBlock"}


def test_every_template_says_whom_the_model_belongs_to_and_links_to_what_to_do(
    receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("r0uting")
    (tmp_path / "hook").write_text(receiver.url.replace("http:", "json:"))
    log, now_ms = Log(), START_MS
    log.add(alert(**OWNED), alert(alert_id="a2", **{**OWNED, "runbook": "https://a/|x>"}))
    for template in TEMPLATES:
        named = {"template": template, "key_file": str(tmp_path / "key")}
        run(webhook(receiver, now_ms=now_ms, **named), log, tmp_path)
        log.committed = 0
    apprise = Apprise(AppriseOptions(target=str(tmp_path / "hook")), clock=lambda: now_ms)
    run(apprise, log, tmp_path)

    posts, names = [post.json for post in receiver.posts], [*TEMPLATES, "apprise"]
    firsts, others = (dict(zip(names, posts[n::2], strict=True)) for n in (0, 1))
    assert firsts["plain"]["data"]["tags"] == OWNED["tags"]
    assert firsts["pagerduty"]["payload"]["custom_details"]["owner"] == "risk"
    assert firsts["pagerduty"]["links"] == [{"href": OWNED["runbook"], "text": "Runbook"}]
    assert firsts["slack"]["blocks"][-1]["text"]["text"] == "<https://wiki/f?a=1&amp;b=2|Runbook>"
    [card] = firsts["teams"]["attachments"]
    assert card["content"]["actions"][0]["url"] == OWNED["runbook"]
    for template in ("slack", "teams", "apprise"):
        assert "owner: risk" in json.dumps(firsts[template])
        assert "tier: 1" in json.dumps(firsts[template])
    for template in ("slack", "pagerduty", "teams", "apprise"):
        assert "|x>" not in json.dumps({**others[template], "payload": None})


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("old", [False, True])
def test_no_template_hands_on_what_steers_a_terminal(
    receiver: Receiver, tmp_path: Path, template: str, old: bool
) -> None:
    posts = told(receiver, tmp_path, template, old=old)

    assert len(posts) == (1 if old else 2)
    for post in receiver.posts:
        assert b"\x1b" not in post.body
    if template in ("slack", "teams"):
        assert "\u202e" not in json.dumps(receiver.posts[0].json, ensure_ascii=False)


@pytest.mark.parametrize("name", ["a\r\nx-evil: 1", "ünï", "", "a" * 300])
def test_an_alert_id_that_is_no_text_of_a_header_is_told_under_another(
    receiver: Receiver, tmp_path: Path, name: str
) -> None:
    log = Log()
    log.add(alert(alert_id=name))

    run(webhook(receiver), log, tmp_path)

    [post] = receiver.posts
    assert re.fullmatch(r"[0-9a-f]{16}|-0", post.headers["webhook-id"])
    assert "x-evil" not in post.headers
    assert post.json["data"]["alert_id"] == name


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"template": "slak"}, "'slak': no such template; did you mean slack"),
        ({"template": "pagerduty"}, "--template pagerduty needs --key-file"),
        ({"secret_file": "none"}, "--secret-file: 'none' cannot be read"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    receiver: Receiver, options: dict[str, str], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        webhook(receiver, **options)


def test_a_secret_that_is_none_is_refused_without_showing_it(
    receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("hunter2!")

    with pytest.raises(ConfigError, match="is not whsec_ and base64") as refused:
        webhook(receiver, secret_file=str(tmp_path / "secret"))

    assert "hunter2" not in str(refused.value)


def test_a_test_is_posted(receiver: Receiver) -> None:
    webhook(receiver).test()

    [post] = receiver.posts
    assert post.json["data"]["message"] == "this is a test; alerts arrive here"


def test_a_body_that_is_refused_says_why(receiver: Receiver) -> None:
    receiver.answers = [400]

    with pytest.raises(RefusedError, match=r"http_400: 127\.0\.0\.1 answers 400"):
        Poster(receiver.url, allow_private=True).post(b"{}")


def test_a_test_that_is_not_delivered_is_one_line_and_one_that_is_says_so(
    receiver: Receiver,
) -> None:
    command = [sys.executable, "-m", "agents.cli", "sink", "webhook", receiver.url]
    receiver.answers = [503]

    failed, delivered = (
        subprocess.run(
            [*command, "--allow-private", "--test"],
            cwd=oracle.ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for _ in range(2)
    )

    assert failed.returncode == 2
    assert failed.stderr == "driftline: the test was not delivered: 127.0.0.1 answers 503\n"
    assert (delivered.returncode, delivered.stdout) == (0, "the test was delivered\n")


def test_actions_are_posted_one_by_one_where_they_are_asked_for(
    receiver: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log, now_ms = Log(), START_MS + 24 * HOUR_MS
    old, new = action(action_id="c0", at_ms=START_MS - 1), action(parameters={"n": 3})
    log.add(alert(), old, new, action("rollback", action_id="c2"))
    receiver.answers = [503, 200, 422]

    run(webhook(receiver, notify="actions", now_ms=now_ms), log, tmp_path)

    ids = [post.headers["webhook-id"] for post in receiver.posts]
    assert ids == ["c1", "c1", "c2"]
    assert receiver.posts[0].json == {
        "type": "action.retrain",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": msgspec.to_builtins(new),
    }
    assert [one["reason"] for one in letters(tmp_path)] == ["http_422"]
    assert "too old, and not posted: c0" in capfd.readouterr().err


def test_alerts_alone_are_posted_where_nothing_else_is_asked_for(
    receiver: Receiver, tmp_path: Path
) -> None:
    log = Log()
    log.add(action(), alert())

    run(webhook(receiver), log, tmp_path)

    assert [post.json["type"] for post in receiver.posts] == ["alert.firing"]


def test_actions_are_for_programs(receiver: Receiver) -> None:
    with pytest.raises(ConfigError, match="programs take these as they are"):
        webhook(receiver, notify="actions", template="slack")
    with pytest.raises(ConfigError, match="driftline sink webhook posts them"):
        check_notify("actions")
