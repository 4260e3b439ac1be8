"""The two brokers that tests run on, behind one face.

The embedded broker is librdkafka's mock cluster; the real one is a Kafka that the environment
names, or one that is started here from Maven jars.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from confluent_kafka.admin import AdminClient, NewTopic

from agents.embedded import EmbeddedBroker
from agents.local_kafka import LocalKafka, kafka_version, missing_tools

BOOTSTRAP_VARIABLE = "DRIFTLINE_BOOTSTRAP_SERVERS"
TIMEOUT_S = 30.0
TOPIC_CONFIG = {"max.message.bytes": "12582912"}  # 10 MB values are among the poison


@dataclass(frozen=True)
class Broker:
    """A running broker.

    Attributes
    ----------
    kind
        Whether it is a real Kafka.
    bootstrap_servers
        ``host:port``, or several.
    create_topics
        Makes topics of the given numbers of partitions, and returns when they can be used.
    crc
        Whether records carry checksums; where not, consumers need ``check.crcs=False``.
    pid
        Process id of a real broker that was started for the tests, else None.
    """

    kind: Literal["real", "embedded"]
    bootstrap_servers: str
    create_topics: Callable[[Mapping[str, int]], None]
    crc: bool
    pid: int | None = None

    def client(self, **settings: object) -> dict[str, object]:
        """Give the configuration of a client; ``group_id="g"`` is written ``group.id``."""
        dotted = {name.replace("_", "."): value for name, value in settings.items()}
        return {"bootstrap.servers": self.bootstrap_servers, **dotted}

    def consumer(self, group: str, **settings: object) -> dict[str, object]:
        """Give the configuration of a read_committed consumer that reads from the start."""
        return {
            **self.client(**settings),
            "group.id": group,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "check.crcs": self.crc,
        }


def on_ci() -> bool:
    """Tell whether a missing real broker is a failure."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def describe_real_broker() -> str:
    """Say which real broker the tests take, or why none."""
    if address := os.environ.get(BOOTSTRAP_VARIABLE):
        return f"{address} (from {BOOTSTRAP_VARIABLE})"
    if missing := missing_tools():
        fate = "FAIL" if on_ci() else "are skipped"
        return f"none, tests that need one {fate}: {' and '.join(missing)} not found"
    return f"a local Kafka {kafka_version()}, started from Maven jars"


@contextmanager
def run_real_broker() -> Iterator[Broker]:
    """Connect to the broker of the environment, else start one.

    Raises
    ------
    LocalKafkaError
        If none is named and none can be started.
    """
    if address := os.environ.get(BOOTSTRAP_VARIABLE):
        yield connect(address)
        return
    with LocalKafka() as kafka:
        yield connect(kafka.bootstrap_servers, pid=kafka.pid)


@contextmanager
def run_embedded_broker() -> Iterator[Broker]:
    """Start a broker inside this process."""
    with EmbeddedBroker({}) as broker:
        yield Broker("embedded", broker.bootstrap_servers, broker.create_topics, crc=False)


def connect(address: str, *, pid: int | None = None) -> Broker:
    """Describe a real broker that runs."""

    def create_topics(topics: Mapping[str, int]) -> None:
        admin = AdminClient({"bootstrap.servers": address})
        wanted = [
            NewTopic(name, num_partitions=count, config=TOPIC_CONFIG)
            for name, count in topics.items()
        ]
        for future in admin.create_topics(wanted, operation_timeout=TIMEOUT_S).values():
            future.result(TIMEOUT_S)

    return Broker("real", address, create_topics, crc=True, pid=pid)
