"""The poll thread with a real broker: where reading begins."""

from __future__ import annotations

import time
from collections.abc import Mapping

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


@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_assigned_is_not_fetched_before_it_is_opened(
    real_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    """Else a worker ends whenever records before its position were deleted."""
    ended: list[str] = []
    monkeypatch.setattr(fetching, "Consumer", SlowToReturn)
    monkeypatch.setattr(fetching, "available", compiled and fetching.available)
    monkeypatch.setattr(reader, "end_process", ended.append)
    listener = Opening()
    exactly = {"auto.offset.reset": "error", "enable.partition.eof": True}
    it = listener.reader = Reader(
        real_broker.consumer(f"{topic}-group") | exactly,
        topics=[topic],
        watched=[topic],
        idle_s=5.0,
        ask_ends=lambda _: {},
        backlog=Backlog(),
        listener=listener,
    )

    it.start()
    left = PARTITIONS * (COUNT - DELETED)
    deadline_s = time.monotonic() + TIMEOUT_S
    while sum(map(len, listener.offsets.values())) < left and not ended:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    it.stop(TIMEOUT_S)

    assert not ended
    assert listener.offsets == {
        (topic, number): list(range(DELETED, COUNT)) for number in range(PARTITIONS)
    }
