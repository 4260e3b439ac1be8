"""What whoever runs workers sees: one line a change of state, exit codes that say what to do."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests import builders, oracle, workers
from tests.brokers import Broker
from tests.secured import wait_until

PARTITIONS = 2
MISTAKE = 2

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def installed(real_broker: Broker, prefix: str) -> Broker:
    """The broker, with topics under the prefix and some events on them."""
    workers.create_topics(real_broker, prefix, partitions=PARTITIONS)
    workers.produce(
        real_broker, prefix, builders.as_lines(builders.in_order(builders.history(3, count=500)))
    )
    return real_broker


def saying(log: Path, text: str) -> Callable[[], bool]:
    return lambda: text in log.read_text()


def ours(log: Path) -> list[str]:
    """What a worker said itself, without times and addresses."""
    lines = re.findall(r"^\S+ driftline\[\d+\] (.*)$", log.read_text(), re.MULTILINE)
    return [line.split(": bootstrap_servers")[0] for line in lines]


def refused(broker: Broker, prefix: str, *options: str) -> tuple[int, list[str]]:
    """Run a worker that must end by itself; return its exit code and what it said."""
    done = subprocess.run(
        workers.command(broker, prefix, *options),
        cwd=oracle.ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_worker_says_one_line_for_each_change_of_its_state(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    with workers.worker(installed, prefix, log):
        wait_until(saying(log, "ready"), log)

    every = "join 0-1; monitor 0-1"
    lines = [line for line in ours(log) if not line.startswith("model ")]  # if some were counted
    assert lines == [
        "worker starts",
        f"assigned: {every}",
        "ready: 4 partitions are open",
        f"released: {every}",
        "stopped",
    ]


def test_a_changed_window_is_a_mistake_that_is_told_before_any_partition_is_taken(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    log, group = tmp_path / "log", f"{prefix}-workers"
    admin = AdminClient(installed.client())
    with workers.worker(installed, prefix, log):
        wait_until(lambda: bool(workers.records(installed, f"{prefix}.metrics")), log)

    code, said = refused(installed, prefix, "--window", "1m")

    assert code == MISTAKE
    [line] = said
    assert line.startswith(f"driftline: state record {prefix}.monitor-state/")
    assert "the state was made with windows of 5m, the settings say 1m" in line
    assert f"driftline topics reset --bootstrap-servers {installed.bootstrap_servers}" in line
    assert "b'" not in line
    assert admin.describe_consumer_groups([group])[group].result(30).members == []


def test_of_two_workers_with_one_id_the_first_ends_and_says_so(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    command = workers.command(installed, prefix, "--worker-id", "twin", "--session-timeout", "30s")
    with first.open("wb") as output:
        ends = subprocess.Popen(command, cwd=oracle.ROOT, stdout=output, stderr=output)
    try:
        wait_until(saying(first, "ready"), first)
        with workers.worker(installed, prefix, second, "--worker-id", "twin"):
            wait_until(saying(second, "assigned"), second)
            events = builders.in_order(builders.history(4, count=500))
            more = [event | {"prediction_id": f"more-{event['prediction_id']}"} for event in events]
            workers.produce(installed, prefix, builders.as_lines(more))
            code = ends.wait(60)
    finally:
        ends.kill()

    assert code == MISTAKE
    assert ours(first)[-1] == (
        "ended: commit: --worker-id: another worker is 'twin', too, and has taken over;"
        " give each an id of its own, or none"
    )


def test_workers_of_a_host_find_ports_of_their_own_and_one_that_was_told_its_port_does_not_move(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    logs = tmp_path / "first", tmp_path / "second"
    with (
        workers.worker(installed, prefix, logs[0], "--metrics-port", "auto"),
        workers.worker(installed, prefix, logs[1], "--metrics-port", "auto"),
    ):
        for log in logs:
            wait_until(saying(log, "ready"), log)
        ports = [int(re.findall(r"metrics_port=(\d+)", log.read_text())[0]) for log in logs]
        later = max(ports)
        status = ["status", "--json", *(f"127.0.0.1:{port}" for port in ports)]
        told = oracle.run(*status)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(installed, prefix, "--metrics-port", str(port))

    assert ports[0] != ports[1]
    assert f"port 9464 is taken: Prometheus is answered at port {later}" in "".join(
        log.read_text() for log in logs
    )
    assert len({one["worker_id"] for one in json.loads(told.stdout)}) == 2
    assert (code, said) == (
        MISTAKE,
        [f"driftline: --metrics-port: '127.0.0.1:{port}' cannot be used: Address already in use"],
    )
