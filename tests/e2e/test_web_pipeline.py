"""The page hears workers and dead letters on Kafka, whatever else is written there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from agents.dead_letters import Origin, dead_record
from agents.installation import RECENT_MS
from agents.settings import Settings
from agents.status import Tally, status_of
from agents.web.listening import Listening
from agents.web.told import Told
from streams.steps import DeadLetter
from streams.topics import Topics
from streams.topology import build
from tests import workers
from tests.brokers import Broker

DEADLINE_S = 60.0


def until(listening: Listening, holds: Callable[[Told], bool]) -> Told:
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds(told := listening.told()):
        assert time.monotonic() < deadline_s, told
        time.sleep(0.1)
    return told


@pytest.mark.timeout(180)
def test_workers_and_dead_letters_are_heard_as_they_come(real_broker: Broker, prefix: str) -> None:
    workers.create_topics(real_broker, prefix, partitions=2)
    settings = Settings(bootstrap_servers=real_broker.bootstrap_servers, prefix=prefix)
    topics, at_ms = Topics(prefix), time.time_ns() // 1_000_000
    producer = Producer(real_broker.client())
    status = status_of([], Tally(), worker_id="w", version="1", unready=None)
    for name, age_ms in ((b"w", 0), (b"old", 10 * RECENT_MS)):
        producer.produce(
            topics.workers, msgspec.json.encode(status), name, timestamp=at_ms - age_ms
        )
    producer.produce(topics.workers, b"\xff{", b"none")
    stage: Any = build(topics, window_ms=1_000, horizon_ms=1_000, disorder_ms=0, partitions=2)[0]
    letter = DeadLetter(
        topic=topics.predictions,
        offset=7,
        key=None,
        value=b"\x1b[31m<b>",
        reason="invalid_json",
        detail="not JSON",
        headers=None,
    )
    record = dead_record(letter, Origin(stage, 1, "w"), limit_bytes=1_000_000)
    dead = topics.dead_letters(topics.predictions)
    headers: Any = record.headers
    for _ in range(2):
        producer.produce(dead, record.value, record.key, headers=headers)
    producer.produce(dead, b"of somebody else")
    assert producer.flush(30) == 0

    with Listening(settings) as listening:
        told = until(listening, lambda told: len(told.workers) == 1 and len(told.letters) == 2)
        producer.produce(topics.workers, None, b"w")
        assert producer.flush(30) == 0
        until(listening, lambda told: not told.workers)

    by_reason = {one.reason: one for one in told.letters}
    ours = by_reason["invalid_json"]
    assert (ours.topic, ours.records, ours.detail) == (topics.predictions, 2, "not JSON")
    assert ours.where == f"{topics.predictions}/1:7"
    assert ours.example == "\x1b[31m<b>"
    assert (by_reason["unknown"].topic, by_reason["unknown"].records) == (dead, 1)
    assert told.wrong is None


@pytest.mark.timeout(60)
def test_a_topic_of_workers_that_is_not_there_is_said(real_broker: Broker, prefix: str) -> None:
    settings = Settings(bootstrap_servers=real_broker.bootstrap_servers, prefix=prefix)

    with Listening(settings) as listening:
        told = until(listening, lambda told: told.wrong is not None)

    assert f"topic {prefix}.workers does not exist" in (told.wrong or "")
