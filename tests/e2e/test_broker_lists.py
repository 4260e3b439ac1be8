"""Whoever is given several brokers, of which the first is gone, works as with one."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

from driftline import Alerts, Publisher
from tests import oracle, workers
from tests.brokers import Broker
from tests.ports import free_ports

DEADLINE_S = 60.0
STEP_MS = 10_000
EVENTS = 100
RULE = (
    "thresholds: [{name: floor, metric: accuracy, below: 0.5, minimum: 5, window: 5m, by: value}]"
)


def test_a_list_of_brokers_of_which_the_first_is_gone_serves_every_part(
    real_broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Topics, worker, `Publisher`, `Alerts` and tail; another is named twice, with spaces."""
    (gone,) = free_ports(1)
    alive = real_broker.bootstrap_servers
    servers = f"127.0.0.1:{gone}, {alive} ,{alive}"
    broker = replace(real_broker, bootstrap_servers=servers)
    monitors = tmp_path / "monitors.yaml"
    monitors.write_text(RULE)
    where = ("--bootstrap-servers", servers, "--prefix", prefix)
    start_ms = time.time_ns() // 1_000_000 - EVENTS * STEP_MS
    workers.create_topics(broker, prefix, partitions=1)

    with (
        workers.worker(broker, prefix, tmp_path / "log", "--monitors", str(monitors)),
        Publisher(servers, prefix=prefix) as publisher,
        Alerts(servers, prefix=prefix, start="earliest") as alerts,
    ):
        for number in range(EVENTS):
            event = {"prediction_id": f"p-{number}", "timestamp_ms": start_ms + number * STEP_MS}
            publisher.prediction(model="m", prediction=1, **event)  # type: ignore[arg-type]
            publisher.label(label=0, **event)  # type: ignore[arg-type]
        alert = alerts.poll(DEADLINE_S)
        said = oracle.run("tail", "metrics", *where, "--from-beginning", "--no-follow", "--json")

    assert alert is not None
    assert (alert.model, alert.monitor) == ("m", "floor")
    assert {json.loads(line)["model"] for line in said.stdout.splitlines()} == {"m"}
    assert oracle.run("topics", "check", *where).returncode == 0
