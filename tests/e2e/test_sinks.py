"""Sinks as processes, on a real Kafka."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from agents import topics_admin
from agents.history import database, reading
from agents.settings import Settings
from driftline.reader import Entry, Reader
from streams.topics import Topics
from tests import debian, oracle
from tests.brokers import Broker
from tests.ports import free_ports
from tests.receivers import receiving
from tests.sinking import OWNED, alert, metric, metric_key

DEADLINE_S = 60.0
KEYS, REVISIONS = 40, 60


@contextmanager
def sink(
    broker: Broker, prefix: str, folder: Path, *words: str
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "agents.cli", "sink", *words, "--prefix", prefix]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--bootstrap-servers", broker.bootstrap_servers],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(oracle.ROOT)},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
        if process.poll() is None:
            process.terminate()
            assert process.wait(30) == 0, (folder / "log").read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def wait_until(reached: Callable[[], bool], folder: Path) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline_s, (folder / "log").read_text()[-3000:]
        time.sleep(0.1)


def starts(folder: Path) -> int:
    return (folder / "log").read_text().count(" starts: ")


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def producing(broker: Broker, topics: Topics) -> Producer:
    producer = Producer(broker.client(**{"transactional.id": topics.prefix}))
    producer.init_transactions(30)
    return producer


def publish(producer: Producer, topics: Topics, revisions: Iterable[int]) -> None:
    """Write revisions in transactions, some of which are aborted, and deletions."""
    for revision in revisions:
        producer.begin_transaction()
        for number in range(KEYS):
            record = metric(revision, metric=f"mean:{number}")
            gone = (revision + number) % 17 == 0
            value = None if gone else msgspec.json.encode(record)
            producer.produce(topics.metrics, value, metric_key(record))
        producer.produce(topics.alerts, msgspec.json.encode(alert(revision=revision)), b"a1")
        if revision % 10 == 0:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)


def everything(broker: Broker, topics: Topics) -> list[Entry]:
    found: list[Entry] = []
    servers, names = broker.bootstrap_servers, [topics.metrics, topics.alerts]
    with Reader(servers, names, start="earliest") as reader:
        while not reader.at_end:
            found += reader.read(1.0)
    return found


@pytest.fixture
def topics(real_broker: Broker, prefix: str) -> Topics:
    settings = Settings(bootstrap_servers=real_broker.bootstrap_servers, prefix=prefix)
    topics_admin.create(settings, 3)
    return Topics(prefix)


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.long)])
def test_the_history_has_every_revision_once_after_kills(
    real_broker: Broker, topics: Topics, tmp_path: Path, kills: int
) -> None:
    producer, chance, killed = producing(real_broker, topics), random.Random(1), 0
    for number in range(kills):
        publish(producer, topics, range(3 * number + 1, 3 * number + 4))
        with sink(real_broker, topics.prefix, tmp_path, "sql", "--metrics-port", "0") as process:
            wait_until(lambda so_far=number: starts(tmp_path) > so_far, tmp_path)
            time.sleep(chance.uniform(0.0, 0.6))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
    [port] = free_ports(1)

    with sink(real_broker, topics.prefix, tmp_path, "sql", "--metrics-port", str(port)):
        wait_until(lambda: ready(port), tmp_path)

    assert killed == kills
    published = [one for one in everything(real_broker, topics) if one.topic == topics.metrics]
    engine = database.engine_of(database.url_of(str(tmp_path / "driftline-history.db")))
    with engine.begin() as connection:
        places = connection.exec_driver_sql(
            "SELECT kafka_partition, kafka_offset FROM metric_revisions"
        ).all()
        known = reading.metrics_at(connection, sys.maxsize)
        states = connection.exec_driver_sql("SELECT revision FROM alert_revisions ORDER BY id")
        alerts = [row[0] for row in states]
    engine.dispose()
    assert sorted(map(tuple, places)) == sorted((one.partition, one.offset) for one in published)
    last = {one.key: one.value for one in published}
    assert {msgspec.json.encode(key): one.record for key, one in known.items()} == {
        key: msgspec.json.decode(value) for key, value in last.items() if value is not None
    }
    assert alerts == [n for n in range(1, 3 * kills + 1) if n % 10]


def test_files_of_a_process_that_was_killed_have_every_record_once(
    real_broker: Broker, topics: Topics, tmp_path: Path
) -> None:
    publish(producing(real_broker, topics), topics, range(1, REVISIONS + 1))
    for _ in range(3):
        with sink(real_broker, topics.prefix, tmp_path, "files", "out") as process:
            time.sleep(0.8)
            process.send_signal(signal.SIGKILL)
            process.wait()
    [port] = free_ports(1)

    with sink(real_broker, topics.prefix, tmp_path, "files", "out", "--metrics-port", str(port)):
        wait_until(lambda: ready(port), tmp_path)

    lines = [
        json.loads(line)
        for file in (tmp_path / "out" / "metrics").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    published = [one for one in everything(real_broker, topics) if one.topic == topics.metrics]
    assert sorted((one["partition"], one["offset"]) for one in lines) == sorted(
        (one.partition, one.offset) for one in published
    )


def test_a_topic_that_is_not_there_is_refused_with_the_fix(
    real_broker: Broker, prefix: str, tmp_path: Path
) -> None:
    with sink(real_broker, prefix, tmp_path, "files", "out", "--metrics-port", "0") as process:
        assert process.wait(60) == 2

    said = (tmp_path / "log").read_text()
    assert f"no topic {prefix}.metrics, {prefix}.alerts" in said
    assert "driftline topics create" in said


def test_what_was_gone_before_it_was_read_is_said_and_written_down(
    real_broker: Broker, topics: Topics, tmp_path: Path
) -> None:
    producer = Producer(real_broker.client())

    def produce(revisions: Iterable[int]) -> None:
        for revision in revisions:
            record = metric(revision)
            value = msgspec.json.encode(record)
            producer.produce(topics.metrics, value, metric_key(record), partition=1)
        assert producer.flush(30) == 0

    [port] = free_ports(1)
    words = ("sql", "--metrics-port", str(port))
    produce(range(1, 4))
    with sink(real_broker, topics.prefix, tmp_path, *words):
        wait_until(lambda: ready(port), tmp_path)
    produce(range(4, 8))
    admin = AdminClient(real_broker.client())
    entry = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topics.metrics, incremental_configs=[entry])
    [altered] = admin.incremental_alter_configs([resource]).values()
    altered.result(30)  # Kafka cuts no topic that is compacted
    [cut] = admin.delete_records([TopicPartition(topics.metrics, 1, 6)]).values()
    assert cut.result(30).low_watermark == 6

    with sink(real_broker, topics.prefix, tmp_path, *words):
        wait_until(lambda: ready(port), tmp_path)

    said = f"records are missing: {topics.metrics}/1: wanted from offset 3"
    assert said in (tmp_path / "log").read_text()
    engine = database.engine_of(database.url_of(str(tmp_path / "driftline-history.db")))
    with engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT revision FROM metric_revisions ORDER BY id")
        revisions = [row[0] for row in rows]
        [told] = reading.holes(connection, None, time.time_ns() // 1_000_000)
    engine.dispose()
    assert revisions == [1, 2, 3, 7]
    assert told.startswith(f"{topics.metrics}/1: wanted from offset 3")
    assert "begins at 6" in told


def test_a_topic_that_was_deleted_and_created_again_is_refused_with_the_fix(
    real_broker: Broker, topics: Topics, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    words = ("sql", "--metrics-port", str(port))
    publish(producing(real_broker, topics), topics, range(1, 4))
    with sink(real_broker, topics.prefix, tmp_path, *words):
        wait_until(lambda: ready(port), tmp_path)
    make_anew(real_broker, topics.metrics)
    # More than was read: offsets do not tell.
    publish(producing(real_broker, topics), topics, range(1, 8))

    with sink(real_broker, topics.prefix, tmp_path, *words) as process:
        assert process.wait(60) == 2

    said = f"{topics.metrics} was deleted and created again: its id was "
    assert said in (tmp_path / "log").read_text()
    now = datetime.now(UTC).isoformat()
    done = oracle.run("asof", now, "--history", tmp_path / "driftline-history.db")
    assert f"incomplete: {said}" in done.stderr
    assert len(done.stdout.splitlines()) == KEYS + 1 - 2  # two were deleted


def make_anew(broker: Broker, topic: str) -> None:
    admin = AdminClient(broker.client())
    [deleted] = admin.delete_topics([topic]).values()
    deleted.result(30)
    deadline_s = time.monotonic() + DEADLINE_S
    while True:  # it takes brokers a moment to have forgotten it
        [made] = admin.create_topics([NewTopic(topic, 3, 1)]).values()
        try:
            made.result(30)
        except KafkaException:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        else:
            return


def test_an_alert_that_was_retracted_is_resolved_with_its_reason_behind_alertmanager(
    real_broker: Broker, topics: Topics, tmp_path: Path
) -> None:
    producer, now_ms = Producer(real_broker.client()), time.time_ns() // 1_000_000
    (tmp_path / "alertmanager").mkdir()

    def write(state: str, revision: int, message: str) -> None:
        record = alert(state, revision, at_ms=now_ms, message=message, **OWNED)
        producer.produce(topics.alerts, msgspec.json.encode(record), b"a1")
        assert producer.flush(30) == 0

    with (
        receiving() as receiver,
        debian.run_alertmanager(tmp_path / "alertmanager", receiver_url=receiver.url) as running,
        sink(
            *(real_broker, topics.prefix, tmp_path),
            *("alertmanager", running.url, "--metrics-port", "0"),
        ),
    ):
        write("firing", 0, "accuracy is 0.4, below 0.8")
        wait_until(lambda: len(receiver.posts) >= 1, tmp_path)
        write("retracted", 1, "labels of 12 predictions were corrected")
        wait_until(lambda: receiver.posts[-1].json["status"] == "resolved", tmp_path)

    told = [one for post in receiver.posts for one in post.json["alerts"]]
    assert [one["status"] for one in (told[0], told[-1])] == ["firing", "resolved"]
    assert told[-1]["labels"] == told[0]["labels"]
    assert "retracted" not in told[0]["annotations"]
    assert told[-1]["annotations"]["retracted"] == "labels of 12 predictions were corrected"
