"""Readings of a host on a real broker: published by the command, and metrics of a worker."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.partitioning import partition_of
from tests import workers
from tests.brokers import Broker

DEADLINE_S = 60
PARTITIONS = 3


def watch(broker: Broker, prefix: str, *options: str) -> subprocess.Popen[str]:
    where = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", prefix]
    command = [sys.executable, "-m", "agents.cli", "watch-host", *where, *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(240)
def test_what_a_host_publishes_becomes_metrics_of_its_models_and_poison_a_dead_letter(
    real_broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Once for two models that are in different partitions, then until it is told to stop."""
    workers.create_topics(real_broker, prefix, partitions=PARTITIONS)
    models = ["fraud", "churn"]
    assert len({partition_of(model, PARTITIONS) for model in models}) == len(models)
    once = watch(real_broker, prefix, "--once", *(f"--model={model}" for model in models))
    said = once.communicate(timeout=60)[1]
    assert once.returncode == 0, said
    going = watch(real_broker, prefix, "--interval", "1s")
    producer = Producer(real_broker.client())
    producer.produce(f"{prefix}.resources", b'{"model": "fraud"}', b"fraud")
    assert producer.flush(30) == 0

    with workers.worker(real_broker, prefix, tmp_path / "w.log", "--window", "1m"):
        found: dict[str, set[str]] = {}
        deadline = time.monotonic() + DEADLINE_S
        while len(found) < 3 and time.monotonic() < deadline:
            time.sleep(1)
            for metric in workers.said(real_broker, prefix)[0].values():
                found.setdefault(metric["model"], set()).add(metric["metric"])
        going.send_signal(signal.SIGTERM)
        said = going.communicate(timeout=30)[1]
        letters = workers.records(real_broker, f"{prefix}.resources.dlq")

    assert going.returncode == 0
    assert said.rstrip().endswith("stopped")
    assert "not delivered" not in said
    assert found.keys() > set(models)
    assert next(model for model in found if model not in models).startswith("host:")
    for metrics in found.values():
        assert metrics >= {"memory_utilization", "memory_utilization_max", "cpu_utilization"}
        assert "predictions" not in metrics
    [letter] = letters
    assert dict(letter.headers())["driftline.reason"] == b"invalid_reading"
