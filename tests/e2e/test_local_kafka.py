"""The local Kafka as a process: its port, and its end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from agents.local_kafka import LocalKafka, LocalKafkaError, missing_tools

pytestmark = pytest.mark.skipif(bool(missing_tools()), reason="needs Java and Maven")

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 30.0


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


def test_a_port_where_another_kafka_listens_is_refused() -> None:
    with LocalKafka() as kafka:
        port = int(kafka.bootstrap_servers.rpartition(":")[2])

        with pytest.raises(LocalKafkaError, match=r"another|in use"):
            LocalKafka(port).start()


def test_the_broker_dies_with_a_process_that_is_killed() -> None:
    code = (
        "import time; from agents.local_kafka import LocalKafka\n"
        "kafka = LocalKafka(); kafka.start(); print(kafka.pid, flush=True); time.sleep(100)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)

        owner.kill()

        assert wait_until_gone(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_the_foreground_broker_stops_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "agents.local_kafka", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "Starting Kafka" in process.stdout.readline()
        assert "Kafka answers at 127.0.0.1:" in process.stdout.readline()
        children = psutil.Process(process.pid).children()

        process.send_signal(number)

        assert process.wait(WAIT_S) == 0
        assert all(wait_until_gone(child.pid) for child in children)


def test_data_in_a_folder_of_its_own_outlive_the_broker(tmp_path: Path) -> None:
    data = tmp_path / "kept"
    with LocalKafka(data=data) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        admin.create_topics([NewTopic("t", 1, 1)])["t"].result(WAIT_S)
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        producer.produce("t", b"kept", partition=0)
        assert producer.flush(WAIT_S) == 0

    with LocalKafka(data=data) as kafka:
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "g"})
        consumer.assign([TopicPartition("t", 0, 0)])
        message = consumer.poll(WAIT_S)
        consumer.close()

    assert message is not None
    assert message.value() == b"kept"
    assert data.exists()
