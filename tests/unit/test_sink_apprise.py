"""The sink of apprise gives up as webhooks do: by what the service answers, or after an hour."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from agents.sinks.apprise import Apprise, AppriseOptions
from agents.sinks.contract import AwayError, RefusedError
from streams.errors import ConfigError
from tests.ports import free_ports
from tests.receivers import Receiver, receiving
from tests.sinking import START_MS, Log, alert, letters, run

HOUR_MS = 3_600_000


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def apprise(url: str, folder: Path, now_ms: list[int] | None = None) -> Apprise:
    (folder / "url").write_text(url.replace("http:", "json:"))
    times = now_ms or [START_MS]
    return Apprise(AppriseOptions(target=str(folder / "url")), clock=lambda: times[0])


def test_what_a_service_refuses_is_set_aside_and_the_rest_is_told(
    receiver: Receiver, tmp_path: Path
) -> None:
    log = Log()
    log.add(*(alert(alert_id=name, message=name) for name in ("a0", "a1", "a2")))
    receiver.refused = [b"a1"]

    run(apprise(receiver.url, tmp_path), log, tmp_path)

    assert [(one["reason"], one["key"]) for one in letters(tmp_path)] == [("http_422", "a1")]
    assert [post.json["title"][-2:] for post in receiver.posts] == ["a0", "a1", "a2"]


def test_a_service_that_answers_later_is_waited_for(receiver: Receiver, tmp_path: Path) -> None:
    log = Log()
    log.add(alert())
    receiver.answers = [503, 429, 500]

    run(apprise(receiver.url, tmp_path), log, tmp_path)

    assert len(receiver.posts) == 4
    assert letters(tmp_path) == []


def test_a_service_that_takes_nothing_from_us_ends_the_sink(
    receiver: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What apprise logs has URLs, and these have passwords."""
    receiver.answers, logged = [401], StringIO()
    handler = logging.StreamHandler(logged)
    logging.getLogger().addHandler(handler)

    with pytest.raises(ConfigError, match="the service answers 401; are the URL"):
        apprise(f"{receiver.url}/?password=s3cret", tmp_path).tell(alert())

    logging.getLogger().removeHandler(handler)
    assert "".join(capfd.readouterr()) == logged.getvalue() == ""


def test_a_service_that_cannot_be_reached_is_waited_for_longer_than_an_hour(
    tmp_path: Path,
) -> None:
    now_ms = [START_MS]
    [port] = free_ports(1)
    sink = apprise(f"http://127.0.0.1:{port}", tmp_path, now_ms)

    for _ in range(3):
        with pytest.raises(AwayError):
            sink.tell(alert())
        now_ms[0] += HOUR_MS


def test_what_is_not_taken_for_an_hour_and_nobody_knows_why_is_refused(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour is inclusive, and begins anew with another message, or once one was taken."""
    now_ms, taken = [START_MS], [False]
    sink = apprise(receiver.url, tmp_path, now_ms)
    monkeypatch.setattr(sink._apprise, "notify", lambda **_: taken[0])

    def told(after_ms: int, message: str) -> str:
        now_ms[0] = START_MS + after_ms
        try:
            sink.tell(alert(message=message))
        except (AwayError, RefusedError) as error:
            return type(error).__name__
        return "taken"

    assert told(0, "a") == told(HOUR_MS - 1, "a") == "AwayError"
    assert told(HOUR_MS, "a") == "RefusedError"
    assert told(HOUR_MS, "b") == told(2 * HOUR_MS - 1, "b") == "AwayError"
    taken[0] = True
    assert told(2 * HOUR_MS, "b") == "taken"
    taken[0] = False
    assert told(2 * HOUR_MS, "b") == "AwayError"


def test_a_summary_that_is_refused_is_set_aside_with_all_that_is_in_it(
    receiver: Receiver, tmp_path: Path
) -> None:
    log, now_ms = Log(), [START_MS + 2 * HOUR_MS]
    log.add(alert(alert_id="a0"), alert(alert_id="a1"), alert(alert_id="new", at_ms=now_ms[0]))
    receiver.refused = [b"2 alerts changed"]

    run(apprise(receiver.url, tmp_path, now_ms), log, tmp_path, idle_steps=3)

    assert [(one["reason"], one["key"]) for one in letters(tmp_path)] == [
        ("http_422", "a0"),
        ("http_422", "a1"),
    ]
    assert len(receiver.posts) == 2
