"""A worker that is killed again and again loses nothing and counts nothing twice."""

import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import builders, oracle, workers
from tests.brokers import Broker

SLICES = 12
KILLS = 6
DEADLINE_S = 120


def _start(broker: Broker, prefix: str, log: Path, disorder_ms: int) -> subprocess.Popen[bytes]:
    command = workers.command(broker, prefix, "--disorder", f"{disorder_ms}ms")
    command += ["--session-timeout", "6s", "--worker-id", "only"]
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=oracle.ROOT, stdout=output, stderr=output)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_kill_9_at_random_moments_changes_no_number(
    real_broker: Broker, prefix: str, tmp_path: Path, seed: int
) -> None:
    """Metrics and alerts equal an undisturbed replay; no revision is published twice."""
    rng = random.Random(seed)
    events = builders.delayed(builders.history(40 + seed, count=9_000), seed=1, bound_ms=30_000)
    lines = builders.as_lines(events)
    file = builders.write_lines(tmp_path / "events.jsonl", lines)
    result = oracle.replay(file, "--json", out=tmp_path)
    disorder_ms = json.loads(result.stdout)["disorder_ms"] + 60_000
    expected = {workers.key(metric): workers.identity(metric) for metric in result.metrics}
    workers.create_topics(real_broker, prefix, partitions=3)
    kills = set(rng.sample(range(1, SLICES), KILLS))

    log = tmp_path / "worker.log"
    process = _start(real_broker, prefix, log, disorder_ms)
    try:
        for number in range(SLICES):
            workers.produce(real_broker, prefix, _part(lines, number))
            time.sleep(rng.uniform(1.0, 4.0))
            if number in kills:
                process.kill()
                process.wait()
                process = _start(real_broker, prefix, log, disorder_ms)
        deadline = time.monotonic() + DEADLINE_S
        metrics, alerts = workers.said(real_broker, prefix)
        while (metrics, alerts) != (expected, result.alerts) and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(2)
            metrics, alerts = workers.said(real_broker, prefix)
    finally:
        process.kill()
        process.wait()

    differing = [(metrics.get(k), v) for k, v in expected.items() if metrics.get(k) != v]
    assert (len(differing), differing[:3]) == (0, [])
    assert metrics.keys() == expected.keys()
    assert alerts == result.alerts
    revisions = Counter(
        (m.key(), json.loads(m.value())["revision"])
        for m in workers.records(real_broker, f"{prefix}.metrics")
        if m.value() is not None
    )
    assert [key for key, count in revisions.items() if count > 1] == []


def _part(lines: list[bytes], number: int) -> list[bytes]:
    size = len(lines) // SLICES + 1
    return lines[number * size : (number + 1) * size]
