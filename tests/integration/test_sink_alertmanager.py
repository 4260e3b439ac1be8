"""Alertmanager hears of what fires until it is over, and tells those behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.sinks.alertmanager import Alertmanager, AlertmanagerOptions
from agents.sinks.contract import AwayError, Upsert
from streams.alerts import Alert
from streams.errors import ConfigError
from tests import debian
from tests.receivers import Receiver, receiving
from tests.sinking import MINUTE_MS, OWNED, START_MS, TOPICS, Log, alert, run

HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS + MINUTE_MS

    def __call__(self) -> int:
        return self.now_ms


def alertmanager(receiver: Receiver, clock: Clock) -> Alertmanager:
    return Alertmanager(AlertmanagerOptions(target=receiver.url), clock=clock)


def sent(receiver: Receiver) -> list[list[tuple[str, str]]]:
    """Return alerts and ends of every post."""
    return [
        [(one["labels"]["alert_id"], one["endsAt"][11:19]) for one in post.json]
        for post in receiver.posts
    ]


def upsert(record: Alert | None, key: bytes = b"a1") -> Upsert:
    return Upsert("alerts", TOPICS.alerts, 0, 0, START_MS, key, b"", record)


def test_what_fires_is_sent_again_and_its_end_for_a_while(
    receiver: Receiver, tmp_path: Path
) -> None:
    clock, log = Clock(), Log()
    sink = alertmanager(receiver, clock)
    log.add(alert())
    run(sink, log, tmp_path)
    clock.now_ms += MINUTE_MS
    sink.flush()
    sink.write([upsert(alert("resolved", 1, at_ms=clock.now_ms))])
    sink.flush()
    for _ in range(20):
        clock.now_ms += MINUTE_MS
        sink.flush()

    posts = sent(receiver)

    assert posts[0] == [("a1", "00:04:00")]  # three intervals from then
    assert posts[1] == [("a1", "00:05:00")]
    assert set(map(tuple, posts[2:])) == {(("a1", "00:02:00"),)}
    assert 15 <= len(posts[2:]) <= 18
    assert {post.path for post in receiver.posts} == {"/api/v2/alerts"}


def test_what_fires_and_is_over_in_what_was_there_before_wakes_nobody(
    receiver: Receiver, tmp_path: Path
) -> None:
    log, clock = Log(), Clock()
    clock.now_ms = START_MS + 2 * HOUR_MS
    log.add(alert(alert_id="over"), alert("resolved", 1, alert_id="over"), alert(alert_id="firing"))

    run(alertmanager(receiver, clock), log, tmp_path, most=1)

    assert [[name for name, _ in post] for post in sent(receiver)] == [["firing"]]


def test_an_alert_that_was_deleted_is_not_sent_again(receiver: Receiver, tmp_path: Path) -> None:
    clock, log = Clock(), Log()
    sink = alertmanager(receiver, clock)
    log.add(alert())
    run(sink, log, tmp_path)

    sink.write([upsert(None)])
    clock.now_ms += MINUTE_MS
    sink.flush()

    assert len(receiver.posts) == 1


def test_of_a_cluster_one_that_answers_is_enough(receiver: Receiver, tmp_path: Path) -> None:
    with receiving() as gone:
        urls = f"{gone.url},{receiver.url}"
    log = Log()
    log.add(alert())

    run(Alertmanager(AlertmanagerOptions(target=urls), clock=Clock()), log, tmp_path)
    alone = Alertmanager(AlertmanagerOptions(target=gone.url), clock=Clock())
    alone.write([upsert(alert())])
    alone.caught_up()

    assert len(receiver.posts) == 1
    with pytest.raises(AwayError):
        alone.flush()


def test_wrong_credentials_are_refused(receiver: Receiver) -> None:
    receiver.answers = [401]

    with pytest.raises(ConfigError, match="answers 401"):
        alertmanager(receiver, Clock()).test()


# ------------------------------------------------------------------ a real one
def told(receiver: Receiver) -> list[tuple[str, Any, Any]]:
    """Return status, model and annotations of what those behind Alertmanager were told."""
    return [
        (one["status"], one["labels"]["model"], one["annotations"])
        for post in receiver.posts
        for one in post.json["alerts"]
    ]


def test_those_behind_alertmanager_hear_that_it_fires_is_resolved_and_is_retracted(
    receiver: Receiver, tmp_path: Path
) -> None:
    now_ms = time.time_ns() // 1_000_000
    name = "o'brien \"/<b>\\ ünï\x1b[31m"
    log = Log()
    log.add(alert(model=name, at_ms=now_ms), alert(alert_id="a2", at_ms=now_ms, **OWNED))

    with debian.run_alertmanager(tmp_path, receiver_url=receiver.url) as running:
        sink = Alertmanager(AlertmanagerOptions(target=running.url))
        run(sink, log, tmp_path)
        debian.wait_until(lambda: len(told(receiver)) == 2, what="firing")
        later_ms = time.time_ns() // 1_000_000
        over = alert("resolved", 1, model=name, at_ms=later_ms, message="back within 0.8")
        taken_back = alert(
            "retracted", 1, alert_id="a2", at_ms=later_ms, message="labels came", **OWNED
        )
        sink.write([upsert(over), upsert(taken_back, b"a2")])
        sink.flush()
        debian.wait_until(lambda: len(told(receiver)) >= 4, what="resolved")

    found = told(receiver)
    assert sorted(status for status, _, _ in found[:2]) == ["firing", "firing"]
    ends = {model: (status, annotations) for status, model, annotations in found[2:]}
    shown = name.replace("\x1b", "\\x1b")
    assert ends[shown] == ("resolved", {"summary": "back within 0.8", "value": "0.4"})
    assert ends["fraud"][0] == "resolved"
    assert ends["fraud"][1]["retracted"] == "labels came"
    assert ends["fraud"][1]["runbook_url"] == OWNED["runbook"]


def test_a_test_reaches_a_real_alertmanager(receiver: Receiver, tmp_path: Path) -> None:
    with debian.run_alertmanager(tmp_path, receiver_url=receiver.url) as running:
        Alertmanager(AlertmanagerOptions(target=running.url)).test()


def test_messages_are_json(receiver: Receiver, tmp_path: Path) -> None:
    log = Log()
    log.add(alert())

    run(alertmanager(receiver, Clock()), log, tmp_path)

    [[message]] = [msgspec.json.decode(post.body) for post in receiver.posts]
    assert message["labels"] == {
        "alertname": "accuracy-drop",
        "alert_id": "a1",
        "model": "fraud",
        "version": "3",
        "severity": "critical",
        "kind": "threshold",
        "detector": "threshold",
        "direction": "worse",
    }
    assert message["startsAt"] == "2026-01-01T00:00:00Z"


def test_labels_say_whom_a_model_belongs_to_and_where_to_read_on(
    receiver: Receiver, tmp_path: Path
) -> None:
    log = Log()
    log.add(alert(**OWNED), alert(alert_id="a2", runbook="javascript:alert(1)"))

    run(alertmanager(receiver, Clock()), log, tmp_path)

    first, second = receiver.posts[0].json
    assert first["labels"].items() >= {"owner": "risk", "tag_tier": "1", "tag_a_b": "x"}.items()
    assert first["annotations"]["runbook_url"] == OWNED["runbook"]
    assert "owner" not in second["labels"]
    assert "runbook_url" not in second["annotations"]
