"""The publisher against a broker: what it queued arrives, where Java would look for it."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from agents.embedded import _library_path
from driftline import Publisher
from tests.brokers import Broker

ROOT = Path(__file__).parents[2]
PARTITIONS = 4


@pytest.fixture
def prefix(any_broker: Broker, prefix: str) -> str:
    """Extend the common fixture: this prefix has its topics."""
    any_broker.create_topics({f"{prefix}.predictions": PARTITIONS, f"{prefix}.labels": PARTITIONS})
    return prefix


def read(broker: Broker, topic: str, *, count: int, timeout_s: float = 20.0) -> list[Any]:
    """Read `count` records of all partitions, and those that come within half a second after."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "unused",
            "enable.auto.commit": False,
            "check.crcs": broker.crc,
        }
    )
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    found: list[Any] = []
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and len(found) < count:
        found += consumer.consume(1000, 0.2)
    found += consumer.consume(1000, 0.5)
    consumer.close()
    assert not [message.error() for message in found if message.error()]
    return found


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "timed out"
        time.sleep(0.02)


def test_predictions_and_labels_arrive_on_their_topics(any_broker: Broker, prefix: str) -> None:
    with Publisher(any_broker.bootstrap_servers, prefix=prefix) as publisher:
        for i in range(500):
            assert publisher.prediction(prediction_id=f"r-{i}", model="m", prediction=i % 2 == 0)
        publisher.label(prediction_id="r-1", label=True, timestamp_ms=1_700_000_000_007)
        publisher.retract("r-1", timestamp_ms=1_700_000_000_008)

    assert (publisher.sent, publisher.delivered, dict(publisher.dropped)) == (502, 502, {})
    predictions = read(any_broker, f"{prefix}.predictions", count=500)
    assert sorted(m.key() for m in predictions) == sorted(f"r-{i}".encode() for i in range(500))
    assert all(
        msgspec.json.decode(m.value())["prediction_id"].encode() == m.key() for m in predictions
    )
    labels = [msgspec.json.decode(m.value()) for m in read(any_broker, f"{prefix}.labels", count=2)]
    assert labels == [
        {"prediction_id": "r-1", "label": True, "timestamp_ms": 1_700_000_000_007},
        {"prediction_id": "r-1", "retract": True, "timestamp_ms": 1_700_000_000_008},
    ]


def test_records_arrive_without_flush_or_close(any_broker: Broker, prefix: str) -> None:
    publisher = Publisher(any_broker.bootstrap_servers, prefix=prefix)

    publisher.prediction(prediction_id="r-1", model="m", prediction=1)

    wait_for(lambda: publisher.delivered == 1)
    publisher.close()


# org.apache.kafka.clients.producer.internals.BuiltInPartitioner of kafka-clients 4.1.1
PARTITION_IN_JAVA = {
    "21": 0,
    "foobar": 2,
    "a-little-bit-long-string": 0,
    "a-little-bit-longer-string": 3,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": 1,
    "abc": 3,
    "r-17": 1,
    "prédiction-é": 0,
}


def test_a_prediction_and_its_label_meet_in_the_partition_that_java_would_choose(
    any_broker: Broker, prefix: str
) -> None:
    with Publisher(any_broker.bootstrap_servers, prefix=prefix) as publisher:
        for prediction_id in PARTITION_IN_JAVA:
            publisher.prediction(prediction_id=prediction_id, model="m", prediction=1)
            publisher.label(prediction_id=prediction_id, label=1)

    for topic in (f"{prefix}.predictions", f"{prefix}.labels"):
        found = read(any_broker, topic, count=len(PARTITION_IN_JAVA))
        assert {m.key().decode(): m.partition() for m in found} == PARTITION_IN_JAVA


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_until_ready(broker: Broker, prefix: str) -> None:
    """Deliver one record: a broker that has just started makes idempotent producers wait."""
    with Publisher(broker.bootstrap_servers, prefix=prefix, flush_timeout_s=30) as publisher:
        publisher.label(prediction_id="0", label=1)


def test_a_process_that_ends_without_close_delivers_everything(
    any_broker: Broker, prefix: str
) -> None:
    script = """
import sys
from driftline import Publisher

publisher = Publisher(sys.argv[1], prefix=sys.argv[2])
for i in range(2000):
    publisher.prediction(prediction_id=str(i), model="m", prediction=1)
"""

    wait_until_ready(any_broker, prefix)
    ended = run_script(script, any_broker.bootstrap_servers, prefix)

    assert (ended.returncode, ended.stderr) == (0, "")
    found = read(any_broker, f"{prefix}.predictions", count=2000)
    assert sorted(int(message.key()) for message in found) == list(range(2000))


def test_forked_servers_deliver_what_each_of_them_published(
    any_broker: Broker, prefix: str
) -> None:
    """As gunicorn does: the parent loads the application, children are forked and serve.

    The first child is forked from a parent that has published nothing, the second from one whose
    client is connected. Parent and children end in the ordinary way, exit handlers and finalisation
    included.
    """
    script = """
import os, sys, time, warnings
from driftline import Publisher

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside threads
publisher = Publisher(sys.argv[1], prefix=sys.argv[2])
children = []
for name in ("a", "b"):
    child = os.fork()
    if child == 0:
        for i in range(100):
            assert publisher.prediction(prediction_id=f"{name}-{i}", model="m", prediction=1)
        assert publisher.sent == 100
        sys.exit(0)
    children.append(child)
    publisher.prediction(prediction_id=f"parent-{name}", model="m", prediction=1)
    while not publisher.delivered:
        time.sleep(0.01)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
sys.exit(max(codes))
"""

    wait_until_ready(any_broker, prefix)
    ended = run_script(script, any_broker.bootstrap_servers, prefix)

    assert (ended.returncode, ended.stderr) == (0, "")
    keys = sorted(m.key().decode() for m in read(any_broker, f"{prefix}.predictions", count=202))
    expected = ["parent-a", "parent-b", *(f"{name}-{i}" for name in "ab" for i in range(100))]
    assert keys == sorted(expected)


def test_a_client_that_broke_for_good_is_replaced(any_broker: Broker, prefix: str) -> None:
    """An idempotent producer refuses everything after a fatal error; publishing goes on."""
    with Publisher(any_broker.bootstrap_servers, prefix=prefix) as publisher:
        publisher.prediction(prediction_id="before", model="m", prediction=1)
        wait_for(lambda: publisher.delivered == 1)

        break_for_good(publisher._delivery._producer)
        assert not publisher.prediction(prediction_id="during", model="m", prediction=1)
        wait_for(lambda: publisher.prediction(prediction_id="after", model="m", prediction=1))

    assert publisher.dropped["unavailable"] >= 1
    keys = {m.key() for m in read(any_broker, f"{prefix}.predictions", count=2)}
    assert keys == {b"before", b"after"}


def break_for_good(producer: Any) -> None:
    """Raise a fatal error with librdkafka's own test function, which the Python client hides."""
    library = ctypes.CDLL(_library_path())
    fail = library.rd_kafka_test_fatal_error
    fail.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    # The client's C object begins with the two fields of every Python object, then the handle.
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    assert fail(handle, 45, b"out of order sequence number, as a test") == 0
