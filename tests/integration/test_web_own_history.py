"""The page's own history: filled from Kafka by a thread, once, whoever else looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Producer

from agents import topics_admin
from agents.embedded import EmbeddedBroker
from agents.settings import Settings
from agents.web.history import History
from agents.web.own_history import OwnHistory
from agents.web.run import Address, serving
from tests import webs
from tests.sinking import TOPICS
from tests.webs import api, rows


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def publish(servers: str, *models: str) -> None:
    producer = Producer({"bootstrap.servers": servers})
    for model in models:
        for entry in webs.a_log(model).entries:
            producer.produce(entry.topic, entry.value, entry.key)  # now: old ones are not kept
    assert producer.flush(30) == 0


def test_one_command_shows_what_is_on_the_topics_and_what_comes(tmp_path: Path) -> None:
    with EmbeddedBroker(dict.fromkeys(topics_admin.wanted(TOPICS), 2)) as broker:
        servers = broker.bootstrap_servers
        publish(servers, "fraud")
        settings = Settings(bootstrap_servers=servers, embedded=True)
        with (
            OwnHistory(settings, tmp_path, tell=lambda _: None) as own,
            OwnHistory(settings, tmp_path, tell=lambda _: None) as along,
            serving(History(own.url), Address(port=0)) as running,
            serving(History(along.url), Address(port=0)) as other,
        ):
            until(lambda: len(running.following.board.lines) == 1)
            publish(servers, "churn")
            until(lambda: len(running.following.board.lines) == 2)
            until(lambda: len(other.following.board.lines) == 2)

            assert (own.wrong, along.wrong) == (None, None)
            shown = [rows(api(one.port, "fleet"), "models") for one in (running, other)]
    assert shown[0] == shown[1]
    assert {row["model"] for row in shown[0]} == {"fraud", "churn"}


def test_topics_that_are_missing_are_said_and_read_once_they_are_there(tmp_path: Path) -> None:
    with EmbeddedBroker({"other": 1}) as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, embedded=True)
        with OwnHistory(settings, tmp_path, tell=lambda _: None) as own:
            until(lambda: own.wrong is not None)
            assert "driftline topics create" in (own.wrong or "")
            broker.create_topics(dict.fromkeys(topics_admin.wanted(TOPICS), 1))
            until(lambda: own.wrong is None)
