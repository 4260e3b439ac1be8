"""Real worker processes on a broker, and what they published, read from outside."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

from driftline.reader import Reader
from driftline.snapshot import snapshot
from tests import oracle
from tests.brokers import Broker


def create_topics(broker: Broker, prefix: str, *, partitions: int, copies: int = -1) -> None:
    """Create the topics as a user would; `copies` is the replication factor."""
    create = ["topics", "create", "--bootstrap-servers", broker.bootstrap_servers]
    sizes = ["--partitions", partitions, "--replication-factor", copies]
    done = oracle.run(*create, "--prefix", prefix, *sizes)
    assert done.returncode == 0, done.stderr


def command(
    broker: Broker, prefix: str, *options: str, entry: Sequence[str] = ("agents.cli",)
) -> list[str]:
    """Return the command line of a worker; `entry` is the module that runs it, and arguments."""
    return [
        *(sys.executable, "-m", *entry, "worker"),
        *("--bootstrap-servers", broker.bootstrap_servers, "--prefix", prefix),
        *("--window", "5m", "--horizon", "1h", "--metrics-port", "0", *options),
    ]


def start(process_command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a worker that nobody ends."""
    with log.open("wb") as output:
        return subprocess.Popen(process_command, cwd=oracle.ROOT, stdout=output, stderr=output)


@contextmanager
def worker(
    broker: Broker, prefix: str, log: Path, *options: str, entry: Sequence[str] = ("agents.cli",)
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one worker process until the block ends, then end it politely."""
    process_command = command(broker, prefix, *options, entry=entry)
    with log.open("wb") as output:
        process = subprocess.Popen(process_command, cwd=oracle.ROOT, stdout=output, stderr=output)
        try:
            yield process
            process.terminate()
            assert process.wait(20) == 0, log.read_text()[-2000:]
        finally:
            process.kill()


def produce(broker: Broker, prefix: str, lines: list[bytes]) -> None:
    """Publish recorded lines, each to its topic under its key."""
    ordered = {"enable.idempotence": True, "linger.ms": 5}
    producer = Producer(broker.client(partitioner="murmur2_random", **ordered))
    for line in lines:
        event = json.loads(line)
        topic = "labels" if "label" in event or event.get("retract") else "predictions"
        producer.produce(f"{prefix}.{topic}", key=event["prediction_id"].encode(), value=line)
        producer.poll(0)
    assert producer.flush(30) == 0


def records(broker: Broker, topic: str) -> list[Message]:
    """Read a whole topic, committed records only."""
    kafka = {"check.crcs": broker.crc}
    with Reader(broker.bootstrap_servers, [topic], kafka=kafka) as reader:
        return list(snapshot(reader))


def identity(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without its revision."""
    return {name: value for name, value in record.items() if name != "revision"}


def said(broker: Broker, prefix: str) -> tuple[dict[bytes, Any], list[dict[str, Any]]]:
    """Return the last revision of every metric, and all alert records in a fixed order."""
    last = {m.key(): m.value() for m in records(broker, f"{prefix}.metrics")}
    metrics = {key: identity(json.loads(value)) for key, value in last.items() if value}
    alerts = [json.loads(m.value()) for m in records(broker, f"{prefix}.alerts")]
    return metrics, sorted(alerts, key=lambda a: (a["at_ms"], a["alert_id"], a["revision"]))


def key(metric: dict[str, Any]) -> bytes:
    """Return the key under which a metric is published."""
    names = ("model", "version", "segment", "window_start_ms", "window_end_ms", "metric")
    return json.dumps(
        [metric[n] for n in names], separators=(",", ":"), ensure_ascii=False
    ).encode()
