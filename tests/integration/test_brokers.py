"""What driftline relies on in a broker, checked on the embedded and on the real one alike."""

from __future__ import annotations

import time
import zlib

import pytest
from confluent_kafka import Consumer, Producer

from agents.embedded import EmbeddedBroker, EmbeddedBrokerError
from tests.brokers import Broker

PARTITIONS = 16
TIMEOUT_S = 30.0

# Where Kafka's Java client puts each key: Utils.toPositive(Utils.murmur2(key)) % 16, computed
# with org.apache.kafka.common.utils.Utils of Kafka 4.1.1.
MURMUR2 = {
    "a": 12,
    "p-1": 4,
    "request-7#3": 11,
    "0f8fad5b-d9cb-469f-a165-70867728950e": 5,
    "Zürich": 1,
    "prediction-000001": 4,
    "prediction-000002": 10,
    "prediction-000003": 2,
    "x" * 1000: 14,
}


def read(broker: Broker, topic: str, *, count: int) -> list[tuple[int, bytes, bytes]]:
    """Read (partition, key, value) until there are `count`, then look whether more come."""
    consumer = Consumer(broker.consumer(f"{topic}-readers"))
    consumer.subscribe([topic])
    records: list[tuple[int, bytes, bytes]] = []
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None:
            if len(records) >= count:
                break
            continue
        assert message.error() is None
        records.append((message.partition(), message.key(), message.value()))
    consumer.close()
    return records


def test_topics_have_the_partitions_that_were_asked_for(any_broker: Broker, prefix: str) -> None:
    wanted = {f"{prefix}-{count}": count for count in (1, 4, 16)}

    any_broker.create_topics(wanted)

    topics = Producer(any_broker.client()).list_topics(timeout=TIMEOUT_S).topics
    assert {name: len(topics[name].partitions) for name in wanted} == wanted


def test_a_read_committed_consumer_sees_committed_transactions(
    any_broker: Broker, prefix: str
) -> None:
    any_broker.create_topics({prefix: 4})
    producer = Producer(any_broker.client(transactional_id=prefix))
    producer.init_transactions(TIMEOUT_S)

    for transaction in range(3):
        producer.begin_transaction()
        for number in range(100):
            producer.produce(prefix, key=f"{transaction}-{number}", value=b"committed")
        producer.commit_transaction(TIMEOUT_S)

    records = read(any_broker, prefix, count=300)
    assert sorted(key for _, key, _ in records) == sorted(
        f"{transaction}-{number}".encode() for transaction in range(3) for number in range(100)
    )


def test_a_real_broker_hides_aborted_transactions(real_broker: Broker, prefix: str) -> None:
    real_broker.create_topics({prefix: 1})
    producer = Producer(real_broker.client(transactional_id=prefix))
    producer.init_transactions(TIMEOUT_S)

    for value, finish in (
        (b"aborted", producer.abort_transaction),
        (b"committed", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.produce(prefix, key=b"key", value=value)
        producer.flush(TIMEOUT_S)
        finish(TIMEOUT_S)

    assert read(real_broker, prefix, count=1) == [(0, b"key", b"committed")]


def test_keys_go_where_the_java_client_sends_them(any_broker: Broker, prefix: str) -> None:
    any_broker.create_topics({prefix: PARTITIONS})
    producer = Producer(any_broker.client(partitioner="murmur2_random"))

    for key in MURMUR2:
        producer.produce(prefix, key=key.encode(), value=b"")
    producer.flush(TIMEOUT_S)

    records = read(any_broker, prefix, count=len(MURMUR2))
    assert {key.decode(): partition for partition, key, _ in records} == MURMUR2


def test_a_value_of_ten_megabytes_arrives_whole(real_broker: Broker, prefix: str) -> None:
    real_broker.create_topics({prefix: 1})
    producer = Producer(real_broker.client(message_max_bytes=12_000_000))
    value = bytes(10_000_000)

    producer.produce(prefix, key=b"key", value=value)
    producer.flush(TIMEOUT_S)

    [(_, _, read_back)] = read(real_broker, prefix, count=1)
    assert zlib.crc32(read_back) == zlib.crc32(value)


@pytest.mark.parametrize("time_ms", [1, 32_503_680_000_000], ids=["1970", "3000"])
def test_records_of_any_year_are_taken(any_broker: Broker, prefix: str, time_ms: int) -> None:
    any_broker.create_topics({prefix: 1})
    producer = Producer(any_broker.client())

    producer.produce(prefix, key=b"key", value=b"value", timestamp=time_ms)
    producer.flush(TIMEOUT_S)

    assert read(any_broker, prefix, count=1) == [(0, b"key", b"value")]


def test_the_embedded_broker_refuses_a_topic_that_exists(
    embedded_broker: Broker, prefix: str
) -> None:
    embedded_broker.create_topics({prefix: 2})

    with pytest.raises(EmbeddedBrokerError, match="already exists"):
        embedded_broker.create_topics({prefix: 4})


def test_the_embedded_broker_refuses_a_topic_without_partitions(
    embedded_broker: Broker, prefix: str
) -> None:
    with pytest.raises(EmbeddedBrokerError, match="1 partition or more"):
        embedded_broker.create_topics({prefix: 0})


def test_embedded_brokers_are_apart_and_end_with_their_block(prefix: str) -> None:
    with EmbeddedBroker({prefix: 1}) as one, EmbeddedBroker({}) as other:
        assert one.bootstrap_servers != other.bootstrap_servers
        topics = Producer({"bootstrap.servers": other.bootstrap_servers}).list_topics(timeout=5)
        assert prefix not in topics.topics

    assert one.bootstrap_servers == ""
    with pytest.raises(EmbeddedBrokerError, match="while the broker runs"):
        one.create_topics({prefix: 1})
