"""Two workers on a real broker say what `driftline replay` says about the same events."""

import json
import time
from pathlib import Path

import pytest

from tests import builders, oracle, workers
from tests.brokers import Broker

PARTITIONS = 4
DEADLINE_S = 120


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], oracle.Result, int]:
    """Make a history with every mishap and a drift, and replay it."""
    folder = tmp_path_factory.mktemp("parity")
    events = builders.delayed(builders.history(5, count=12_000), seed=6, bound_ms=60_000)
    lines = builders.as_lines(events)
    file = builders.write_lines(folder / "events.jsonl", lines)
    result = oracle.replay(file, "--json", "--monitors", oracle.RAW, out=folder)
    return lines, result, json.loads(result.stdout)["disorder_ms"]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_workers_say_what_replay_says(
    real_broker: Broker,
    prefix: str,
    tmp_path: Path,
    replayed: tuple[list[bytes], oracle.Result, int],
) -> None:
    """The second worker joins half-way; metrics and alerts are equal, field for field."""
    lines, result, disorder_ms = replayed
    workers.create_topics(real_broker, prefix, partitions=PARTITIONS)
    options = "--monitors", str(oracle.RAW), "--disorder", f"{disorder_ms + 60_000}ms"
    expected = {workers.key(metric): workers.identity(metric) for metric in result.metrics}

    workers.produce(real_broker, prefix, lines[: len(lines) // 2])
    with workers.worker(real_broker, prefix, tmp_path / "a.log", *options):
        time.sleep(4)
        with workers.worker(real_broker, prefix, tmp_path / "b.log", *options):
            workers.produce(real_broker, prefix, lines[len(lines) // 2 :])
            deadline = time.monotonic() + DEADLINE_S
            metrics, alerts = workers.said(real_broker, prefix)
            while (metrics, alerts) != (expected, result.alerts) and time.monotonic() < deadline:
                time.sleep(2)
                metrics, alerts = workers.said(real_broker, prefix)

    differing = [(metrics.get(k), v) for k, v in expected.items() if metrics.get(k) != v]
    assert (len(differing), differing[:3]) == (0, [])
    assert metrics.keys() == expected.keys()
    assert alerts == result.alerts
    assert any(alert["kind"] == "drift" and alert["direction"] == "worse" for alert in alerts)
