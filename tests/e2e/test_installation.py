"""Workers tell of themselves on a topic: `driftline status` shows them from anywhere."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from agents.installation import RECENT_MS, ask_installation
from agents.settings import Settings
from agents.status import Status, Tally, status_of
from streams.errors import ConfigError, NoAnswerError
from tests import builders, oracle, workers
from tests.brokers import Broker

DEADLINE_S = 60.0


@pytest.fixture
def settings(real_broker: Broker, prefix: str) -> Settings:
    workers.create_topics(real_broker, prefix, partitions=2)
    return Settings(bootstrap_servers=real_broker.bootstrap_servers, prefix=prefix)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def told(settings: Settings) -> dict[str, Status]:
    try:
        return {one.worker_id: one for one in ask_installation(settings, now_ms=now_ms())}
    except NoAnswerError:
        return {}


def wait_for(settings: Settings, *names: str, joined: int = 0) -> dict[str, Status]:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        found = told(settings)
        counted = sum(one.fates.get("joined", 0) for one in found.values())
        ready = all(one.unready is None for one in found.values())
        shared = sorted(n for one in found.values() for n in one.partitions.get("join", ()))
        ready = ready and len(shared) == len(set(shared))  # a rebalance is told by one, then all
        if found.keys() == set(names) and ready and counted == joined:
            return found
        assert time.monotonic() < deadline_s, found
        time.sleep(0.3)


@pytest.mark.timeout(300)
def test_the_whole_installation_is_shown_from_anywhere(
    real_broker: Broker, settings: Settings, tmp_path: Path
) -> None:
    prefix = settings.prefix
    with (tmp_path / "a").open("wb") as output:
        first = subprocess.Popen(
            workers.command(real_broker, prefix, "--worker-id", "a"),
            cwd=oracle.ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        with workers.worker(real_broker, prefix, tmp_path / "b", "--worker-id", "b"):
            both = wait_for(settings, "a", "b")
            at_ms = now_ms()
            pairs = [
                (
                    builders.prediction(f"p{number}", timestamp_ms=at_ms),
                    builders.label(f"p{number}", timestamp_ms=at_ms + 1),
                )
                for number in range(40)
            ]
            events = [event for pair in pairs for event in pair]
            workers.produce(real_broker, prefix, builders.as_lines(events))
            counted = wait_for(settings, "a", "b", joined=80)  # predictions and labels
            where = ("--bootstrap-servers", real_broker.bootstrap_servers, "--prefix", prefix)
            lines = oracle.run("status", *where)
            whole = oracle.run("status", *where, "--json")
        after_a_stop = told(settings).keys()
        first.kill()
        first.wait(20)
        after_a_kill = told(settings).keys()
        with pytest.raises(NoAnswerError, match="within the last minute"):
            ask_installation(settings, now_ms=now_ms() + RECENT_MS)
    finally:
        first.kill()
        first.wait()

    assert sorted(both["a"].partitions["join"] + both["b"].partitions["join"]) == [0, 1]
    assert all(one.version and one.host for one in both.values())
    assert sum(sum(one.lag.values()) for one in counted.values()) == 0
    assert max(one.clock_ms.get("join", 0) for one in counted.values()) > at_ms - 60_000
    assert lines.stdout.count("worker ") == 2, lines
    assert "joined " in lines.stdout
    assert {one["worker_id"] for one in json.loads(whole.stdout)} == {"a", "b"}
    assert after_a_stop == after_a_kill == {"a"}


def test_what_is_old_or_no_status_is_left_out_wherever_it_stands(
    real_broker: Broker, settings: Settings
) -> None:
    """The clocks of workers differ: what is old may come after what is recent."""
    topic, at_ms = f"{settings.prefix}.workers", now_ms()
    producer = Producer(real_broker.client())
    for name, age_ms in (("recent", 0), ("old", 10 * RECENT_MS)):
        status = status_of([], Tally(), worker_id=name, version="1", unready=None)
        value = msgspec.json.encode(status)
        producer.produce(topic, value, name, partition=0, timestamp=at_ms - age_ms)
    producer.produce(topic, b"\xff{", "none", partition=0)
    assert producer.flush(30) == 0

    assert [one.worker_id for one in ask_installation(settings, now_ms=at_ms)] == ["recent"]


def test_a_topic_that_is_not_there_is_named(real_broker: Broker) -> None:
    none = Settings(bootstrap_servers=real_broker.bootstrap_servers, prefix="no-such")

    with pytest.raises(ConfigError, match=r"no-such\.workers does not exist"):
        ask_installation(none, now_ms=now_ms())
