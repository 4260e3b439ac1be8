"""Commands and workers that log in on a secured broker, and users that may do what is listed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import topics_admin
from agents.acls import grants
from agents.settings import Settings
from driftline import Publisher
from tests import oracle
from tests.secure_broker import SecureBroker

CERTIFICATE = ("ssl.certificate.location", "ssl.key.location")
START_MS = 1_767_225_600_000
DEADLINE_S = 90
ENDS_S = 90


class Ended(NamedTuple):
    """How a command ended, and all that it said."""

    code: int
    said: str


def as_flags(kafka: Mapping[str, str]) -> list[str]:
    return [word for key, value in kafka.items() for word in ("--kafka", f"{key}={value}")]


def as_variables(kafka: Mapping[str, str]) -> dict[str, str]:
    return {f"DRIFTLINE_KAFKA_{k.upper().replace('.', '_')}": v for k, v in kafka.items()}


def command(servers: str, prefix: str, *words: str) -> list[str]:
    where = ("--bootstrap-servers", servers, "--prefix", prefix)
    return [sys.executable, "-m", "agents.cli", *words, *where]


def run(servers: str, prefix: str, *words: str, variables: Mapping[str, str] = {}) -> Ended:
    done = subprocess.run(
        command(servers, prefix, *words),
        cwd=oracle.ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout + done.stderr)


def run_worker(broker: SecureBroker, prefix: str, user: str) -> Ended:
    options = ("worker", "--metrics-port", "0", "--idle-timeout", "1s")
    return run(broker.sasl_servers, prefix, *options, variables=as_variables(broker.sasl(user)))


def worker(
    broker: SecureBroker, prefix: str, log: Path, *options: str, variables: Mapping[str, str] = {}
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    words = ("worker", "--metrics-port", "0", *options)
    return running(broker, prefix, log, *words, variables=variables)


@contextmanager
def running(
    broker: SecureBroker, prefix: str, log: Path, *words: str, variables: Mapping[str, str] = {}
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command(broker.sasl_servers, prefix, *words),
            cwd=oracle.ROOT,
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
        )
        try:
            yield process
            process.terminate()
            assert process.wait(30) == 0, log.read_text()[-2000:]
        finally:
            process.kill()


def create_topics(broker: SecureBroker, prefix: str) -> None:
    """Create the topics as the administrator, where rights are not what a test is about."""
    topics_admin.create(Settings(bootstrap_servers=broker.admin_servers, prefix=prefix), 1)


def publish(publisher: Publisher, first: int, count: int) -> None:
    """Publish predictions, one a second, of which three in four are right."""
    for number in range(first, first + count):
        name, time_ms = f"r{number}", START_MS + number * 1_000
        publisher.prediction(prediction_id=name, model="m", prediction=True, timestamp_ms=time_ms)
        publisher.label(prediction_id=name, label=number % 4 > 0, timestamp_ms=time_ms + 1)


def publish_poison(settings: Mapping[str, Any], prefix: str) -> None:
    producer = Producer(settings)
    for topic in ("predictions", "labels"):
        producer.produce(f"{prefix}.{topic}", b"{", b"key")
    assert producer.flush(30) == 0


def wait_until(reached: Callable[[], bool], log: Path) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline_s, log.read_text()[-3000:]
        time.sleep(0.5)


class Installation(NamedTuple):
    """Topics on a secured broker, and a user for each part with exactly the rights listed."""

    broker: SecureBroker
    prefix: str
    group: str

    def user(self, part: str) -> str:
        return "reader" if part == "tail" else f"{self.prefix}-{part}"

    def kafka(self, part: str) -> dict[str, str]:
        if part == "tail":
            return self.broker.sasl("reader", mechanism="PLAIN")
        return self.broker.sasl(self.user(part))

    def run(self, part: str, *words: str) -> Ended:
        return run(self.broker.sasl_servers, self.prefix, *words, *as_flags(self.kafka(part)))

    def totals(self) -> tuple[float, float]:
        """Return how many predictions and right answers `tail` reports over all windows."""
        words = ("tail", "metrics", "--from-beginning", "--no-follow", "--json")
        ended = self.run("tail", *words)
        assert ended.code == 0, ended.said
        last = {}
        for metric in map(json.loads, ended.said.splitlines()):
            last[metric["metric"], metric["window_start_ms"]] = metric
        counted = sum(m["value"] for m in last.values() if m["metric"] == "predictions")
        right = sum(m["value"] * m["count"] for m in last.values() if m["metric"] == "accuracy")
        return counted, round(right, 6)

    def members(self) -> int:
        """Return how many workers have partitions."""
        admin = AdminClient({"bootstrap.servers": self.broker.admin_servers})
        group = f"{self.prefix}-workers"
        try:
            found = admin.describe_consumer_groups([group])[group].result(10)
        except KafkaException:  # there is no group yet, nor a coordinator for it
            return 0
        return sum(1 for member in found.members if member.assignment.topic_partitions)

    def records(self, topic: str) -> int:
        """Return how many offsets a topic has."""
        settings = {"bootstrap.servers": self.broker.admin_servers, "group.id": "ends"}
        consumer = Consumer(settings)
        name = f"{self.prefix}.{topic}"
        partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(name, p)) for p in partitions]
        consumer.close()
        return sum(high for _, high in ends)


def install(broker: SecureBroker, prefix: str) -> Installation:
    """Make the users of an installation, without its topics."""
    made = Installation(broker, prefix, f"{prefix}-pager")
    every = grants(prefix, alerts_group=made.group)
    for part in dict.fromkeys(grant.part for grant in every):
        user = made.user(part)
        if part != "tail":
            broker.add_user(user)
        broker.allow(user, [grant for grant in every if grant.part == part])
    return made
