"""Topics that every worker reads in full: from the beginning, on and on, and anew."""

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Producer

from agents.settings import Settings
from agents.specifications import GlobalReader
from tests.brokers import Broker

DEADLINE_S = 20


def write(
    broker: Broker, topic: str, *values: bytes, keys: Sequence[bytes] = (b"monitors",)
) -> None:
    producer = Producer(broker.client())
    for key in keys:
        for value in values:
            producer.produce(topic, value, key, partition=0)
    assert producer.flush(30) == 0


def until(found: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not found() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert found()


def values(reader: GlobalReader, offset: int) -> list[bytes | None]:
    batch = reader.since(offset)
    return [] if batch is None else list(batch.values)


def test_what_was_there_is_read_before_anybody_goes_on_and_more_as_it_comes(
    any_broker: Broker, prefix: str
) -> None:
    topic, news = f"{prefix}.monitors", list[int]()
    any_broker.create_topics({topic: 1})
    write(any_broker, topic, b"a", b"b")
    settings = Settings(
        bootstrap_servers=any_broker.bootstrap_servers,
        prefix=prefix,
        embedded=any_broker.kind == "embedded",
    )
    reader = GlobalReader(settings, topic, came=lambda: news.append(1))

    reader.start()
    reader.wait(lambda: True)
    assert values(reader, 0) == [b"a", b"b"]
    assert values(reader, 1) == [b"b"]
    assert values(reader, 2) == []
    write(any_broker, topic, b"c")
    until(lambda: values(reader, 2) == [b"c"])
    reader.stop()

    assert news
    # Beyond the end: the topic was deleted and made again.
    assert values(reader, 9) == [b"a", b"b", b"c"]


def test_many_records_of_other_keys_do_not_displace_one(any_broker: Broker, prefix: str) -> None:
    topic = f"{prefix}.monitors"
    any_broker.create_topics({topic: 1})
    write(any_broker, topic, b"a", *[b"b"] * 70)
    write(any_broker, topic, b"c", keys=[b"%d" % number for number in range(70)])
    settings = Settings(
        bootstrap_servers=any_broker.bootstrap_servers,
        prefix=prefix,
        embedded=any_broker.kind == "embedded",
    )
    reader = GlobalReader(settings, topic, came=lambda: None)

    reader.start()
    reader.wait(lambda: True)
    reader.stop()

    assert values(reader, 0) == [b"b"] * 64 + [b"c"] * 70


def test_nobody_waits_for_a_topic_who_does_not_want_it_any_more(prefix: str) -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1", prefix=prefix)
    reader = GlobalReader(settings, f"{prefix}.monitors", came=lambda: None)

    reader.start()
    reader.wait(lambda: False)
    reader.stop()

    assert values(reader, 0) == []
