"""Two workers on a real broker say what `driftline replay` says about the same events."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests import builders, oracle
from tests.brokers import Broker

PARTITIONS = 4
DEADLINE_S = 40


@contextmanager
def _worker(broker: Broker, prefix: str, log: Path, *options: str) -> Iterator[subprocess.Popen]:
    """Run one worker process until the block ends, then end it politely."""
    command = [
        *(sys.executable, "-m", "agents.cli", "worker"),
        *("--bootstrap-servers", broker.bootstrap_servers, "--prefix", prefix),
        *("--window", "5m", "--horizon", "1h", "--metrics-port", "0", *options),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=oracle.ROOT, stdout=output, stderr=output)
        try:
            yield process
            process.terminate()
            assert process.wait(20) == 0, log.read_text()[-2000:]
        finally:
            process.kill()


def _produce(broker: Broker, prefix: str, lines: list[bytes]) -> None:
    producer = Producer(broker.client(partitioner="murmur2_random", **{"linger.ms": 5}))
    for line in lines:
        event = json.loads(line)
        topic = "labels" if "label" in event or event.get("retract") else "predictions"
        producer.produce(f"{prefix}.{topic}", key=event["prediction_id"].encode(), value=line)
        producer.poll(0)
    assert producer.flush(30) == 0


def _records(broker: Broker, topic: str) -> list[tuple[bytes, bytes | None]]:
    """Read a whole topic, committed records only, partition by partition."""
    consumer = Consumer(broker.consumer("reader", **{"enable.partition.eof": True}))
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    found, ended = [], 0
    while ended < len(partitions):
        for message in consumer.consume(5_000, 1.0):
            if message.error():
                ended += 1
            else:
                found.append((message.key(), message.value()))
    consumer.close()
    return found


def _identity(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "revision"}


def _said(broker: Broker, prefix: str) -> tuple[dict[bytes, Any], list[dict[str, Any]]]:
    """Return the last revision of every metric, and all alert records in a fixed order."""
    last = dict(_records(broker, f"{prefix}.metrics"))
    metrics = {key: _identity(json.loads(value)) for key, value in last.items() if value}
    alerts = [json.loads(value) for _, value in _records(broker, f"{prefix}.alerts") if value]
    return metrics, sorted(alerts, key=lambda a: (a["at_ms"], a["alert_id"], a["revision"]))


def _key(metric: dict[str, Any]) -> bytes:
    names = ("model", "version", "segment", "window_start_ms", "window_end_ms", "metric")
    return json.dumps([metric[n] for n in names], separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], oracle.Result, int]:
    """Make a history with every mishap and a drift, and replay it."""
    folder = tmp_path_factory.mktemp("parity")
    events = builders.delayed(builders.history(5, count=12_000), seed=6, bound_ms=60_000)
    lines = builders.as_lines(events)
    file = builders.write_lines(folder / "events.jsonl", lines)
    result = oracle.replay(file, "--json", out=folder)
    return lines, result, json.loads(result.stdout)["disorder_ms"]


@pytest.mark.timeout(240)
def test_two_workers_say_what_replay_says(
    real_broker: Broker,
    prefix: str,
    tmp_path: Path,
    replayed: tuple[list[bytes], oracle.Result, int],
) -> None:
    """The second worker joins half-way; metrics and alerts are equal, field for field."""
    lines, result, disorder_ms = replayed
    create = ["topics", "create", "--bootstrap-servers", real_broker.bootstrap_servers]
    done = oracle.run(*create, "--prefix", prefix, "--partitions", PARTITIONS)
    assert done.returncode == 0, done.stderr
    disorder = ("--disorder", f"{disorder_ms + 60_000}ms")
    expected = {_key(metric): _identity(metric) for metric in result.metrics}

    _produce(real_broker, prefix, lines[: len(lines) // 2])
    with _worker(real_broker, prefix, tmp_path / "a.log", *disorder):
        time.sleep(4)
        with _worker(real_broker, prefix, tmp_path / "b.log", *disorder):
            _produce(real_broker, prefix, lines[len(lines) // 2 :])
            deadline = time.monotonic() + DEADLINE_S
            metrics, alerts = {}, []
            while time.monotonic() < deadline:
                time.sleep(2)
                metrics, alerts = _said(real_broker, prefix)
                if metrics == expected and alerts == result.alerts:
                    break

    differing = [(metrics.get(k), v) for k, v in expected.items() if metrics.get(k) != v]
    assert (len(differing), differing[:3]) == (0, [])
    assert metrics.keys() == expected.keys()
    assert alerts == result.alerts
    assert any(alert["kind"] == "drift" and alert["direction"] == "worse" for alert in alerts)
