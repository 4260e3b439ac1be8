"""The poll thread with a real broker: where reading begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Self

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import fetching, reader
from agents.deliveries import Backlog, Delivery
from agents.idleness import Input
from agents.reader import Reader
from tests.brokers import Broker

PARTITIONS = 3
COUNT = 100
DELETED = 60
TIMEOUT_S = 30.0


class SlowToReturn(Consumer):
    """A consumer that has time to fetch before anybody comes to pause what it was assigned."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        super().assign(partitions)
        time.sleep(0.5)


class Opening:
    """A listener that opens all it is given where the inputs begin."""

    def __init__(self) -> None:
        self.reader: Reader | None = None
        self.offsets: dict[Input, list[int]] = {}

    def assigned(self, inputs: set[Input], _metadata: object) -> None:
        assert self.reader is not None
        self.reader.open(dict.fromkeys(inputs, DELETED), wanted=lambda: True)

    def delivered(self, delivery: Delivery) -> None:
        for source, batch in delivery.batches.items():
            self.offsets.setdefault(source, []).extend(batch.offsets)

    def revoked(self, inputs: set[Input]) -> None:
        pass

    def lag_seen(self, lags: Mapping[Input, int]) -> None:
        pass


@pytest.fixture
def topic(real_broker: Broker, prefix: str) -> str:
    """Make a topic of which the first records are gone, as retention leaves it."""
    real_broker.create_topics({prefix: PARTITIONS})
    producer = Producer(real_broker.client())
    for number in range(PARTITIONS * COUNT):
        producer.produce(prefix, partition=number % PARTITIONS, value=b"v")
    assert producer.flush(TIMEOUT_S) == 0
    gone = [TopicPartition(prefix, number, DELETED) for number in range(PARTITIONS)]
    admin = AdminClient(real_broker.client())
    for answer in admin.delete_records(gone).values():
        answer.result(TIMEOUT_S)
    return prefix


class Reading:
    """A reader under way, which never ends the process: `ended` has why it would have."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        monkeypatch: pytest.MonkeyPatch,
        *,
        compiled: bool,
        **settings: object,
    ) -> None:
        self.ended: list[str] = []
        self.said: list[str] = []
        monkeypatch.setattr(fetching, "available", compiled and fetching.available)
        monkeypatch.setattr(reader, "end_process", self.ended.append)
        monkeypatch.setattr(reader, "say", self.said.append)
        listener = Opening()
        self.offsets = listener.offsets
        exactly = {"auto.offset.reset": "error", "enable.partition.eof": True}
        self.reader = listener.reader = Reader(
            broker.consumer(f"{topic}-group", **settings) | exactly,
            topics=[topic],
            watched=[topic],
            idle_s=5.0,
            ask_ends=lambda _: {},
            backlog=Backlog(),
            listener=listener,
        )

    def until(self, reached: Callable[[], bool]) -> None:
        """Read until something is reached, or the reader would have ended the process."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not reached() and not self.ended:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

    def all_read(self) -> bool:
        """Whether all records that were left have come."""
        return sum(map(len, self.offsets.values())) >= PARTITIONS * (COUNT - DELETED)

    def __enter__(self) -> Self:
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.stop(TIMEOUT_S)


@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_assigned_is_not_fetched_before_it_is_opened(
    real_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    """Else a worker ends whenever records before its position were deleted."""
    monkeypatch.setattr(fetching, "Consumer", SlowToReturn)
    with Reading(real_broker, topic, monkeypatch, compiled=compiled) as it:
        it.until(it.all_read)

    assert not it.ended
    assert it.offsets == {
        (topic, number): list(range(DELETED, COUNT)) for number in range(PARTITIONS)
    }


@pytest.mark.parametrize("compiled", [True, False])
def test_a_topic_that_is_gone_is_named_and_waited_for(
    real_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    """Else a worker whose inputs were deleted would look idle for ever."""
    admin = AdminClient(real_broker.client())
    often = {"topic_metadata_refresh_interval_ms": 500}
    with Reading(real_broker, topic, monkeypatch, compiled=compiled, **often) as it:
        it.until(it.all_read)
        admin.delete_topics([topic])[topic].result(TIMEOUT_S)
        it.until(lambda: bool(it.said))
        time.sleep(2.0)  # several refreshes

    assert not it.ended
    assert len(it.said) == 1
    assert topic in it.said[0]
    assert "waiting" in it.said[0]
