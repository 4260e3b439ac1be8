"""Records that are taken by columns are those that confluent-kafka hands over, on both brokers."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from agents import fetching
from agents.embedded import EmbeddedBroker
from agents.fetching import Failure, Fetcher, Headers, consumer_and_fetcher
from agents.passing import passes
from streams import native
from streams.texts import Texts
from tests.brokers import Broker

pytestmark = pytest.mark.skipif(
    not (fetching.available and native.available), reason="the compiled part is not there"
)

PARTITIONS = 4
TIMEOUT_S = 30.0
MOST = 500

Row = tuple[int, bytes | None, bytes | None, int, Any]
"""Offset, key, value, time and headers."""

Rows = dict[tuple[str, int], list[Row]]


def odd_records(count: int) -> Iterator[dict[str, Any]]:
    """Yield records of all shapes: without key or value, empty, large, with headers."""
    chance = random.Random(1)
    for number in range(count):
        size = chance.choice([0, 1, 7, 200, 200, 200, 5_000])
        names = chance.choices(["trace", "ä", "", "trace"], k=chance.choice([0, 0, 0, 1, 3]))
        headers = [(n, chance.choice([None, b"", b"\xff\0", b"x" * 300])) for n in names]
        record: dict[str, Any] = {
            "key": chance.choice([b"key-%d" % number, b"", None]),
            "value": None if size == 7 else chance.randbytes(size),
            "timestamp": 1_750_000_000_000 + number,
        }
        yield record | ({"headers": headers} if headers else {})


@pytest.fixture
def topics(any_broker: Broker, prefix: str) -> list[str]:
    names = [f"{prefix}-a", f"{prefix}-b"]
    any_broker.create_topics(dict.fromkeys(names, PARTITIONS))
    producer = Producer(any_broker.client())
    for number, record in enumerate(odd_records(4_000)):
        producer.produce(names[number % 2], partition=number % 3, **record)
    assert producer.flush(TIMEOUT_S) == 0
    return names


def inputs(topics: list[str]) -> list[TopicPartition]:
    return [TopicPartition(topic, n, 0) for topic in topics for n in range(PARTITIONS)]


def as_confluent_reads(broker: Broker, topics: list[str]) -> Rows:
    consumer = Consumer(broker.consumer("alone", enable_partition_eof=True))
    consumer.assign(inputs(topics))
    found: Rows = defaultdict(list)
    left = len(inputs(topics))
    deadline_s = time.monotonic() + TIMEOUT_S
    while left and time.monotonic() < deadline_s:
        for message in consumer.consume(MOST, 0.5):
            if message.error() is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF
                left -= 1
                continue
            found[message.topic(), message.partition()].append(row(message))
    consumer.close()
    assert not left
    return found


def row(message: Message) -> Row:
    time_ms = message.timestamp()[1]
    return message.offset(), message.key(), message.value(), time_ms, message.headers()


class Reading:
    """A consumer, of which records are taken by columns."""

    def __init__(self, broker: Broker, **settings: object) -> None:
        config = broker.consumer("fetching", enable_partition_eof=True)
        config |= {name.replace("_", "."): value for name, value in settings.items()}
        self.consumer, fetcher = consumer_and_fetcher(config, most=MOST)
        assert fetcher is not None
        self.fetcher: Fetcher = fetcher
        self.rows: Rows = defaultdict(list)
        self.ends: dict[tuple[str, int], int] = {}
        self.failures: list[Failure] = []

    def seek(self, source: TopicPartition) -> None:
        """Go to an offset, once a new assignment runs."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            try:
                return self.consumer.seek(source)
            except KafkaException:
                assert time.monotonic() < deadline_s
                time.sleep(0.01)

    def open(self, sources: list[TopicPartition]) -> None:
        for source in sources:
            self.fetcher.forward(source.topic, source.partition)
        self.consumer.resume(sources)

    def take(self) -> int:
        """Take what is there; return how many records."""
        assert self.consumer.poll(0) is None  # all records come to the fetcher
        failures, found = self.fetcher.take(0.1)
        for failure in failures:
            if failure.code == KafkaError._PARTITION_EOF:
                self.ends[failure.topic, failure.partition] = failure.offset
            else:
                self.failures.append(failure)
        for batch, partition in found:
            assert batch.next_offset == batch.offsets[-1] + 1
            assert {type(batch.offsets[0]), type(batch.times_ms[0])} == {int}
            headers = batch.headers or [None] * len(batch.offsets)
            columns = batch.offsets, batch.keys, batch.values, batch.times_ms, headers
            self.rows[batch.topic, partition] += zip(*columns, strict=True)
        return sum(len(batch.offsets) for batch, _ in found)

    def take_until(self, ends: int) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        while len(self.ends) < ends:
            assert time.monotonic() < deadline_s
            self.take()

    def close(self) -> None:
        self.fetcher.close()
        self.consumer.close()


@pytest.fixture
def open_reading(any_broker: Broker) -> Iterator[Callable[..., Reading]]:
    """Open consumers, and close them: one that is left open keeps the process, once it is freed."""
    opened: list[Reading] = []

    def make(**settings: object) -> Reading:
        opened.append(Reading(any_broker, **settings))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_records_are_those_that_confluent_reads(
    any_broker: Broker, open_reading: Callable[..., Reading], topics: list[str]
) -> None:
    sources = inputs(topics)
    reading = open_reading()
    reading.consumer.assign(sources)
    reading.consumer.pause(sources)

    reading.open(sources)
    reading.take_until(len(sources))

    expected = as_confluent_reads(any_broker, topics)
    assert reading.rows == expected
    assert {place for place, rows in reading.rows.items() if rows} == set(expected)
    assert reading.ends == {
        (s.topic, s.partition): len(expected[s.topic, s.partition]) for s in sources
    }


def test_what_was_fetched_before_a_seek_is_not_handed_over(
    open_reading: Callable[..., Reading], topics: list[str]
) -> None:
    [source] = sources = [TopicPartition(topics[0], 0, 0)]
    reading = open_reading()
    reading.consumer.assign(sources)
    reading.consumer.pause(sources)  # else something comes before it is forwarded
    reading.open(sources)
    while not reading.take():
        pass
    time.sleep(0.5)  # more is fetched meanwhile
    place = (source.topic, source.partition)
    reading.rows.clear()
    reading.ends.clear()

    reading.seek(TopicPartition(source.topic, source.partition, 100))
    reading.take_until(1)

    offsets = [offset for offset, *_ in reading.rows[place]]
    assert offsets == list(range(100, reading.ends[place]))


def test_nothing_comes_of_a_paused_partition_and_nothing_is_lost(
    any_broker: Broker, open_reading: Callable[..., Reading], topics: list[str]
) -> None:
    sources = inputs(topics)
    reading = open_reading(queued_max_messages_kbytes=64)
    reading.consumer.assign(sources)
    reading.consumer.pause(sources)  # else something comes before it is forwarded
    reading.open(sources)
    while not reading.take():
        pass

    reading.consumer.pause(sources)
    taken = sum(map(len, reading.rows.values()))
    for _ in range(5):
        reading.take()
    assert sum(map(len, reading.rows.values())) == taken
    reading.consumer.resume(sources)
    reading.take_until(len(sources))

    assert reading.rows == as_confluent_reads(any_broker, topics)


def test_a_partition_that_is_assigned_again_comes_again(
    any_broker: Broker, open_reading: Callable[..., Reading], topics: list[str]
) -> None:
    """Ending an assignment undoes the forwarding, in the background."""
    sources = inputs(topics)
    reading = open_reading()
    for _ in range(3):
        reading.rows.clear()
        reading.ends.clear()
        reading.consumer.assign(sources)
        reading.consumer.pause(sources)
        for source in sources:
            reading.seek(source)
        reading.open(sources)
        reading.take_until(len(sources))
        assert reading.rows == as_confluent_reads(any_broker, topics)
        reading.consumer.unassign()


def test_an_offset_that_does_not_exist_is_said_by_its_partition(
    open_reading: Callable[..., Reading], topics: list[str]
) -> None:
    sources = [TopicPartition(topics[0], 0, 1_000_000)]
    reading = open_reading(auto_offset_reset="error")
    reading.consumer.assign([TopicPartition(topics[0], 0, 0)])
    reading.consumer.pause(sources)
    reading.seek(sources[0])
    reading.open(sources)

    deadline_s = time.monotonic() + TIMEOUT_S
    while not reading.failures:
        assert time.monotonic() < deadline_s
        reading.take()

    [failure] = reading.failures
    assert (failure.topic, failure.partition) == (topics[0], 0)
    assert failure.code == KafkaError._AUTO_OFFSET_RESET


@pytest.mark.parametrize(
    ("code", "passing"),
    [(KafkaError.UNKNOWN_TOPIC_OR_PART, True), (KafkaError.TOPIC_AUTHORIZATION_FAILED, False)],
    ids=["unknown for a while", "a right taken away"],
)
def test_a_topic_that_is_refused_is_a_failure_of_its_partitions(code: int, passing: bool) -> None:
    """librdkafka tells it by a callback of confluent-kafka's, which must not run in the fetcher."""
    with EmbeddedBroker({"t": 2}) as broker:
        sources = [TopicPartition("t", number, 0) for number in range(2)]
        config = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "g", "log_level": 0}
        config |= {"topic.metadata.refresh.interval.ms": 200, "check.crcs": False}
        consumer, fetcher = consumer_and_fetcher(
            config | {"topic.metadata.propagation.max.ms": 0}, most=MOST
        )
        assert fetcher is not None
        consumer.assign(sources)
        for source in sources:
            fetcher.forward(source.topic, source.partition)
        write(broker, count=3)
        assert take(consumer, fetcher, count=3) == ([], 3)

        broker.refuse_topic("t", code)
        failures, _ = take(consumer, fetcher, code=code)
        broker.refuse_topic("t", 0)
        write(broker, count=4)
        _, after = take(consumer, fetcher, count=4)

        assert {one.topic for one in failures} == {"t"}
        assert code in {one.code for one in failures}
        assert {one.partition for one in failures} <= {0, 1}
        assert not any(one.fatal for one in failures)
        assert all(passes(one.code) for one in failures) is passing
        assert after == 4
        fetcher.close()
        consumer.close()


def write(broker: EmbeddedBroker, *, count: int) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(count):
        producer.produce("t", partition=number % 2, value=b"v")
    assert producer.flush(TIMEOUT_S) == 0


def take(
    consumer: Consumer, fetcher: Fetcher, *, count: int = 1 << 30, code: int | None = None
) -> tuple[list[Failure], int]:
    """Take until there are so many records, or a failure of that kind."""
    failures: list[Failure] = []
    records = 0
    deadline_s = time.monotonic() + TIMEOUT_S
    while records < count and code not in {one.code for one in failures}:
        assert time.monotonic() < deadline_s
        assert consumer.poll(0) is None
        found_failures, found = fetcher.take(0.1)
        failures += found_failures
        records += sum(len(batch.offsets) for batch, _ in found)
    return failures, records


def test_a_header_whose_name_is_no_utf8_harms_nothing() -> None:
    packed = b"\x01\0\0\0" + b"\x02\0\0\0\xff\xfe" + b"\x01\0\0\0v"

    headers = Headers(Texts.of([packed, b""]))

    assert headers[0] == [("\ufffd\ufffd", b"v")]
    assert headers[1] is None
    assert headers.size_bytes == len(packed)
