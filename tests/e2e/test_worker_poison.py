"""Poison on the input topics of a real broker ends in the dead letters and harms nothing else."""

import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests import builders, oracle, workers
from tests.brokers import Broker

HEADERS = [("trace", b"\x00\xff"), ("empty", b"")]
DEADLINE_S = 120


@pytest.fixture
def good_lines() -> list[bytes]:
    """Return a history without poison."""
    arrivals = builders.history(22, count=2_000, span_ms=20 * builders.MINUTE_MS)
    return builders.as_lines(builders.in_order(arrivals))


def _poison(broker: Broker, prefix: str) -> Counter[tuple[str, bytes | None]]:
    """Publish poison to both inputs; return what must be in the dead letters."""
    producer = Producer(broker.client(**{"message.max.bytes": 12_000_000}))
    sent: Counter[tuple[str, bytes | None]] = Counter()
    records = [("predictions", value) for value in builders.POISON.values()]
    records += [("labels", value) for value in builders.POISON.values()]
    records.append(("predictions", None))
    for topic, value in records:
        producer.produce(f"{prefix}.{topic}", key=b"poison", value=value, headers=HEADERS)
        sent[f"{prefix}.{topic}.dlq", value] += 1
        producer.poll(0)
    assert producer.flush(30) == 0
    return sent


@pytest.mark.timeout(300)
def test_poison_is_kept_byte_for_byte_and_the_rest_is_unharmed(
    real_broker: Broker, prefix: str, tmp_path: Path, good_lines: list[bytes]
) -> None:
    """Every bad record is a dead letter with a reason; metrics equal those without poison."""
    workers.create_topics(real_broker, prefix, partitions=2)
    clean = oracle.replay(builders.write_lines(tmp_path / "clean.jsonl", good_lines), out=tmp_path)
    expected = {workers.key(metric): workers.identity(metric) for metric in clean.metrics}
    half = len(good_lines) // 2

    workers.produce(real_broker, prefix, good_lines[:half])
    sent = _poison(real_broker, prefix)
    workers.produce(real_broker, prefix, good_lines[half:])
    with workers.worker(real_broker, prefix, tmp_path / "w.log", "--disorder", "2h"):
        deadline = time.monotonic() + DEADLINE_S
        metrics = {}
        while metrics != expected and time.monotonic() < deadline:
            time.sleep(2)
            metrics, _ = workers.said(real_broker, prefix)

    dead = [
        m
        for t in ("predictions", "labels")
        for m in workers.records(real_broker, f"{prefix}.{t}.dlq")
    ]
    late = [m for m in dead if dict(m.headers())["driftline.reason"] == b"late_label"]
    poisoned = [m for m in dead if m not in late]
    assert metrics == expected
    assert len(late) == clean.fates["late_label"]
    assert _missing(sent, Counter((m.topic(), m.value()) for m in poisoned)) == []
    assert all(m.headers()[: len(HEADERS)] == HEADERS and m.key() == b"poison" for m in poisoned)


def _missing(
    sent: Counter[tuple[str, bytes | None]], found: Counter[tuple[str, bytes | None]]
) -> list[str]:
    """Name the poison that is not in the dead letters as often as it was sent, or too often."""
    names = {value: name for name, value in builders.POISON.items()}
    return [
        f"{topic} {names.get(value, 'tombstone')}: {found[topic, value]} of {sent[topic, value]}"
        for topic, value in sent.keys() | found.keys()
        if sent[topic, value] != found[topic, value]
    ]
