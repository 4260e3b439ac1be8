"""`driftline topics reset`: workers start anew, from what the inputs still hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from agents import topics_admin
from agents.settings import Settings
from streams.topics import Topics
from tests import builders, oracle, workers
from tests.brokers import Broker
from tests.secured import wait_until

PARTITIONS = 3
OWN = {"outcomes": ("retention.ms", "987654321"), "metrics": ("max.message.bytes", "3000000")}
STATE = ("join-state", "monitor-state", "outcomes")
RESULTS = ("metrics", "alerts", "predictions.dlq", "labels.dlq")
POISON = b'{"prediction_id": "poison", "label": []}'

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def installed(real_broker: Broker, prefix: str) -> Broker:
    """The broker, with topics of which two have a configuration of their own, and events."""
    workers.create_topics(real_broker, prefix, partitions=PARTITIONS)
    admin = AdminClient(real_broker.client())
    wanted = [
        ConfigResource(
            ResourceType.TOPIC,
            f"{prefix}.{name}",
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for name, (key, value) in OWN.items()
    ]
    for answer in admin.incremental_alter_configs(wanted).values():
        answer.result(30)
    lines = builders.as_lines(builders.in_order(builders.history(3, count=1_500)))
    workers.produce(real_broker, prefix, [*lines, POISON])
    return real_broker


def reset(broker: Broker, prefix: str, *options: str, answer: str = "") -> tuple[int, str]:
    where = ("--bootstrap-servers", broker.bootstrap_servers, "--prefix", prefix)
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", "topics", "reset", *where, *options],
        cwd=oracle.ROOT,
        input=answer,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def counted(broker: Broker, prefix: str) -> float:
    metrics, _ = workers.said(broker, prefix)
    return sum(m["value"] for m in metrics.values() if _is_total(m))


def _is_total(metric: dict[str, Any]) -> bool:
    return metric["metric"] == "predictions" and not metric["segment"]


def run_until(broker: Broker, prefix: str, log: Path, reached: Callable[[], bool]) -> None:
    """Run a worker until something is reached and what it has read does not change any more."""
    at_once = ("--metrics-linger", "1ms", "--metrics-refresh", "1ms")
    with workers.worker(broker, prefix, log, "--idle-timeout", "1s", *at_once):
        wait_until(reached, log)
        before: list[int] = []

        def quiet() -> bool:
            now = [len(workers.records(broker, f"{prefix}.{name}")) for name in RESULTS]
            same, before[:] = now == before, now
            return same

        wait_until(quiet, log)


def sizes(broker: Broker, prefix: str, names: tuple[str, ...]) -> dict[str, int]:
    return {name: len(workers.records(broker, f"{prefix}.{name}")) for name in names}


def own_configs(broker: Broker, prefix: str) -> dict[str, str]:
    admin = AdminClient(broker.client())
    topics = {name: ConfigResource(ResourceType.TOPIC, f"{prefix}.{name}") for name in OWN}
    answers = admin.describe_configs(list(topics.values()))
    return {name: answers[one].result(30)[OWN[name][0]].value for name, one in topics.items()}


def test_workers_start_anew_and_say_the_same_again(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    run_until(installed, prefix, log, lambda: counted(installed, prefix) >= 1_400)
    before = workers.said(installed, prefix)
    dead = sizes(installed, prefix, RESULTS[2:])

    refused, why_refused = reset(installed, prefix, answer="n\n")
    still_there = workers.said(installed, prefix)
    code, said = reset(installed, prefix, "--yes")

    assert (refused, still_there == before) == (130, True)
    assert why_refused.endswith("nothing was changed\n")
    assert code == 0, said
    assert sizes(installed, prefix, STATE + RESULTS) == dict.fromkeys(STATE + RESULTS, 0)
    settings = Settings(bootstrap_servers=installed.bootstrap_servers, prefix=prefix)
    partitions = topics_admin.check(settings)
    assert {partitions.pop(f"{prefix}.{name}") for name in ("monitors", "feedback")} == {1}
    assert set(partitions.values()) == {PARTITIONS}
    assert own_configs(installed, prefix) == {name: value for name, (_, value) in OWN.items()}
    for name in (*STATE, *RESULTS):
        assert f"emptied: {prefix}.{name} ({PARTITIONS} partitions)" in said

    run_until(installed, prefix, log, lambda: workers.said(installed, prefix) == before)
    assert sizes(installed, prefix, RESULTS[2:]) == dead


def test_results_that_are_kept_are_overwritten_where_inputs_have_expired_and_that_is_said_first(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    log, topics = tmp_path / "log", Topics(prefix)
    run_until(installed, prefix, log, lambda: counted(installed, prefix) >= 1_400)
    before, _ = workers.said(installed, prefix)
    admin = AdminClient(installed.client())
    gone = [TopicPartition(topics.predictions, number, 150) for number in range(PARTITIONS)]
    for answer in admin.delete_records(gone).values():
        answer.result(30)

    code, said = reset(installed, prefix, "--keep-results", answer="y\n")
    kept, _ = workers.said(installed, prefix)
    total = counted(installed, prefix)
    run_until(installed, prefix, log, lambda: counted(installed, prefix) < total)
    after, _ = workers.said(installed, prefix)

    assert code == 0, said
    assert f"{topics.predictions}: about" in said
    assert "450 older ones are gone" in said
    assert "OVERWRITTEN with smaller counts" in said
    assert kept == before
    smaller = [
        key for key, m in before.items() if _is_total(m) and after[key]["value"] < m["value"]
    ]
    assert smaller
    assert after.keys() >= before.keys()


def test_nothing_is_reset_while_a_worker_is_alive(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with workers.worker(installed, prefix, log):
        wait_until(lambda: "ready" in log.read_text(), log)
        wait_until(lambda: counted(installed, prefix) > 0, log)

        code, said = reset(installed, prefix, "--yes")

    assert code == 2
    assert said.startswith(f"driftline: 1 workers of the group {prefix}-workers are alive, at ")
    assert counted(installed, prefix) > 0


def test_a_reset_that_was_interrupted_is_finished_by_another(
    installed: Broker, prefix: str, tmp_path: Path
) -> None:
    admin = AdminClient(installed.client())
    names = [f"{prefix}.{name}" for name in STATE]
    for answer in admin.delete_topics(names).values():
        answer.result(30)

    code, said = reset(installed, prefix, "--yes")

    assert code == 0, said
    run_until(installed, prefix, tmp_path / "log", lambda: counted(installed, prefix) >= 1_400)
