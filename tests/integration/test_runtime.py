"""The runtime's promises, checked with two toy stages that count; on both brokers alike."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, ConsumerGroupState, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.topics import Topics
from tests.brokers import Broker
from tests.integration.toy_stage import BLOCK, IDLE_KEY, NEWEST_KEY, POISON
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
TIMEOUT_S = 60.0
KEYS = 101


class Installation:
    """Topics of their own on a broker, and workers on them."""

    def __init__(self, broker: Broker, prefix: str, folder: Path) -> None:
        self.broker = broker
        self.topics = Topics(prefix)
        self.sent: Counter[bytes] = Counter()
        self._log = folder / "worker.log"
        self._workers: list[subprocess.Popen[bytes]] = []
        names = [
            *(self.topics.predictions, self.topics.labels, self.topics.outcomes),
            *(self.topics.join_state, self.topics.monitor_state),
            *(self.topics.metrics, self.topics.alerts),
            self.topics.dead_letters(self.topics.predictions),
            self.topics.dead_letters(self.topics.labels),
        ]
        broker.create_topics(dict.fromkeys(names, PARTITIONS))
        # Idempotent, since otherwise what is sent again may come after what was sent later.
        settings = broker.client(
            partitioner="murmur2_random", message_max_bytes=12_000_000, enable_idempotence=True
        )
        self.producer = Producer(settings)

    def start(self, *, descriptors: int | None = None, **settings: str) -> subprocess.Popen[bytes]:
        """Start a worker of the toy stages, which may have so many descriptors."""
        flags = {"idle_timeout": "1s", "session_timeout": "6s", **settings}
        more = [f"{name}={value}" for name, value in flags.items()]
        if self.broker.kind == "embedded":
            more.append("embedded")
        command = [sys.executable, "-m", "tests.integration.toy_stage"]
        if descriptors is not None:
            command = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                [*command, self.broker.bootstrap_servers, self.topics.prefix, *more],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        self._workers.append(worker)
        return worker

    def send(self, count: int, *, pace_s: float = 0.0) -> None:
        """Produce records, half of them to each input, evenly over the keys."""
        for number in range(count):
            key = b"key-%d" % (number % KEYS)
            self.sent[key] += 1
            topic = self.topics.predictions if number % 2 else self.topics.labels
            self.producer.produce(topic, key=key, value=b"record")
            if number % 500 == 0:
                self.producer.poll(0)
                time.sleep(pace_s)
        self.producer.flush(TIMEOUT_S)

    def send_history(self, topic: str, *, start_ms: int, span_s: int, step_s: int) -> None:
        """Produce a record for every step of a time span, evenly over the partitions."""
        for number in range(span_s // step_s):
            key = b"key-%d" % (number % KEYS)
            self.sent[key] += 1
            self.producer.produce(
                topic,
                key=key,
                value=b"record",
                partition=number % PARTITIONS,
                timestamp=start_ms + number * step_s * 1_000,
            )
            if number % 50_000 == 0:
                self.producer.flush(TIMEOUT_S)
        self.producer.flush(TIMEOUT_S)

    def read(self, topic: str, *, isolation: str = "read_committed") -> list[Message]:
        """Read a topic to its end."""
        consumer = Consumer(
            self.broker.consumer("readers", isolation_level=isolation, enable_partition_eof=True)
            | {"isolation.level": isolation}
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        records: list[Message] = []
        ended: set[int | None] = set()  # a partition that grows meanwhile may end twice
        while len(ended) < PARTITIONS:
            for message in consumer.consume(1_000, 1.0):
                if message.error() is None:
                    records.append(message)
                else:
                    ended.add(message.partition())
        consumer.close()
        return records

    def wait_for_letters(self, topic: str, count: int) -> list[Message]:
        """Wait for so many dead letters: a commit becomes visible in one topic after another."""
        letters: list[Message] = []

        def reached() -> bool:
            letters[:] = self.read(self.topics.dead_letters(topic))
            return len(letters) >= count

        self.wait_until(reached)
        return letters

    def has_cut_transactions(self) -> bool:
        """Tell whether outcomes were written that nobody may read."""
        everything = self.read(self.topics.outcomes, isolation="read_uncommitted")
        return len(everything) > len(self.read(self.topics.outcomes))

    def totals(self) -> dict[bytes, int]:
        """Return the last published total of each key; totals must never fall."""
        last: dict[bytes, int] = {}
        for message in self.read(self.topics.metrics):
            key, value = message.key(), message.value()
            assert key is not None
            assert value is not None
            assert int(value) > last.get(key, 0), "a total came twice, or fell"
            last[key] = int(value)
        return last

    def wait_until(self, reached: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> None:
        """Wait for something, and show what the workers said if it does not come."""
        deadline_s = time.monotonic() + timeout_s
        while not reached():
            if time.monotonic() > deadline_s:
                pytest.fail(f"not reached in {timeout_s} s; the workers said:\n{self.said}")
            time.sleep(0.3)

    def wait_until_counted(self) -> None:
        """Wait until the totals are what was sent; they may never be more."""
        self.wait_until(lambda: sum(self.totals().values()) >= self.sent.total())
        assert self.totals() == self.sent

    def count_and_stop(self, count: int) -> None:
        """Let a worker count records, and end as it is told to."""
        worker = self.start()
        self.send(count)
        self.wait_until_counted()
        worker.terminate()
        worker.wait(20)

    def wait_for_members(self, count: int) -> None:
        """Wait until the group has settled with `count` workers."""
        admin = AdminClient(self.broker.client())
        group = f"{self.topics.prefix}-workers"

        def settled() -> bool:
            found = admin.describe_consumer_groups([group])[group].result(TIMEOUT_S)
            return found.state == ConsumerGroupState.STABLE and len(found.members) == count

        self.wait_until(settled)

    @property
    def said(self) -> str:
        """What all workers wrote."""
        return self._log.read_text()

    def stop(self) -> None:
        """End all workers."""
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()


@pytest.fixture
def installation(any_broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Installation]:
    it = Installation(any_broker, prefix, tmp_path)
    yield it
    it.stop()


@pytest.fixture
def real_installation(real_broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Installation]:
    it = Installation(real_broker, prefix, tmp_path)
    yield it
    it.stop()


def test_every_record_is_counted_once(installation: Installation) -> None:
    installation.send(10_000)
    installation.start()

    installation.wait_until(installation.totals)
    installation.send(10_000, pace_s=0.02)

    installation.wait_until_counted()
    time.sleep(1.0)
    assert installation.totals() == installation.sent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_worker_that_is_told_to_stop_hands_over_and_exits_0(
    installation: Installation, number: signal.Signals
) -> None:
    worker = installation.start()
    installation.send(2_000)
    installation.wait_until(installation.totals)

    worker.send_signal(number)
    code = worker.wait(20)
    installation.start()
    installation.send(2_000)

    assert code == 0, installation.said
    # It has left the group: the next does not wait for its session to expire.
    installation.wait_until_counted()


def test_counts_stay_exact_when_workers_die_inside_transactions(
    real_installation: Installation,
) -> None:
    """Killed with records written and the transaction open, and started again at once.

    A crash before anything is written, or after the commit, cuts nothing: with bad luck, all four.
    """
    it = real_installation
    crashes = 0
    while crashes < 4 or (crashes < 20 and not it.has_cut_transactions()):
        crashes += 1
        worker = it.start(worker_id="one", crash="0.1")
        while worker.poll() is None:
            it.send(1_000, pace_s=0.1)

    it.start(worker_id="one")

    it.wait_until_counted()
    assert it.said.count("crash") == crashes
    assert it.has_cut_transactions()


def test_counts_stay_exact_when_workers_come_and_go(real_installation: Installation) -> None:
    it = real_installation
    it.start()
    it.send(5_000, pace_s=0.03)
    it.wait_until(it.totals)
    other = it.start()
    it.wait_for_members(2)
    it.send(20_000, pace_s=0.1)
    other.terminate()
    code = other.wait(20)
    it.send(5_000, pace_s=0.03)
    crashing = it.start()
    it.send(10_000, pace_s=0.1)
    crashing.kill()

    it.wait_until_counted()
    assert code == 0
    assert "ended" not in it.said


def test_a_worker_that_was_frozen_past_its_session_writes_nothing_more(
    real_installation: Installation,
) -> None:
    it = real_installation
    frozen = it.start()
    it.start()
    it.wait_for_members(2)
    it.send(5_000, pace_s=0.05)
    it.wait_until(it.totals)

    frozen.send_signal(signal.SIGSTOP)
    it.send(5_000, pace_s=0.05)
    time.sleep(10.0)
    frozen.send_signal(signal.SIGCONT)
    it.send(5_000, pace_s=0.05)

    it.wait_until_counted()
    assert frozen.wait(20) == 70
    assert "ended: " in it.said


def test_poison_reaches_the_dead_letters_byte_for_byte(installation: Installation) -> None:
    it = installation
    headers: list[tuple[str, str | bytes | None]] = [("trace", b"\xff\x00"), ("empty", None)]
    it.producer.produce(it.topics.labels, key=b"\xfe", value=POISON, headers=headers)
    it.send(1_000)

    it.start()
    it.wait_until_counted()

    [letter] = it.wait_for_letters(it.topics.labels, 1)
    found = letter.headers()
    assert found is not None
    said = dict(found[2:])
    assert (letter.key(), letter.value()) == (b"\xfe", POISON)
    assert found[:2] == headers
    assert said["driftline.reason"] == b"toy_poison"
    assert said["__connect.errors.topic"] == it.topics.labels.encode()
    assert said["__connect.errors.offset"].isdigit()
    assert said["__connect.errors.partition"].isdigit()
    assert said["__connect.errors.connector.name"] == b"driftline"
    assert said["__connect.errors.stage"] == b"join"
    assert said["__connect.errors.exception.class.name"] == b"streams.errors.RecordError"
    assert said["__connect.errors.exception.message"] == b"the value is poison"


def test_poison_of_ten_megabytes_arrives_whole_and_harms_nobody(
    real_installation: Installation,
) -> None:
    it = real_installation
    value = POISON + bytes(10_000_000)
    for number in range(6):
        it.producer.produce(it.topics.predictions, key=b"big-%d" % number, value=value)
    it.send(1_000)

    it.start()

    it.wait_until_counted()
    letters = it.wait_for_letters(it.topics.predictions, 6)
    assert [len(letter.value() or b"") for letter in letters] == [len(value)] * 6


def test_inputs_are_idle_only_after_their_last_record(installation: Installation) -> None:
    it = installation
    it.start()
    it.send(1_000)

    def notices() -> list[list[str]]:
        return [
            msgspec.msgpack.decode(message.value() or b"")
            for message in it.read(it.topics.alerts)
            if message.key() == IDLE_KEY
        ]

    both = sorted((it.topics.predictions, it.topics.labels))
    it.wait_until(lambda: notices().count(both) >= PARTITIONS)
    it.wait_until_counted()

    assert [] in notices()


@pytest.mark.parametrize("sparse", ["labels", "predictions"])
def test_a_topic_that_was_written_first_and_has_fewer_records_is_not_read_far_ahead(
    installation: Installation, sparse: str
) -> None:
    it = installation
    span_s = 60_000
    start_ms = (int(time.time()) - span_s) * 1_000
    first, then = sorted([it.topics.labels, it.topics.predictions], key=lambda t: sparse not in t)
    it.send_history(first, start_ms=start_ms, span_s=span_s, step_s=3)
    it.send_history(then, start_ms=start_ms, span_s=span_s, step_s=1)

    it.start(backlog="16000", transaction="8000")
    it.wait_until_counted()

    newest = [
        msgspec.msgpack.decode(message.value() or b"", type=tuple[int, int])
        for message in it.read(it.topics.alerts)
        if message.key() == NEWEST_KEY
    ]
    lead_ms = max(abs(max(a, start_ms) - max(b, start_ms)) for a, b in newest)
    assert lead_ms < span_s * 1_000 / 3


def test_what_a_stage_has_left_keeps_no_other_from_getting_what_it_waits_for(
    installation: Installation,
) -> None:
    """With many models the monitor always has something left; the join may wait for labels."""
    it = installation
    start_ms = (int(time.time()) - 20_000) * 1_000
    it.send_history(it.topics.predictions, start_ms=start_ms, span_s=20_000, step_s=1)
    it.send_history(it.topics.labels, start_ms=start_ms, span_s=20_000, step_s=3)

    it.start(backlog="500", transaction="2000", unfinished="1")

    it.wait_until_counted()


def test_a_state_that_was_deleted_is_an_error_not_a_fresh_start(
    real_installation: Installation,
) -> None:
    it = real_installation
    it.count_and_stop(1_000)

    stranger = Topics(it.topics.prefix + "-other")
    it.broker.create_topics({stranger.join_state: PARTITIONS})
    lost = it.start(state_prefix=stranger.prefix)

    assert lost.wait(30) == 2
    assert "has committed offset" in it.said


def test_records_that_the_state_refers_to_must_not_be_deleted(
    real_installation: Installation,
) -> None:
    it = real_installation
    it.count_and_stop(1_000)

    # All have been read, but the last of them are told in the log by their offsets only.
    group = Consumer(it.broker.consumer(f"{it.topics.prefix}-workers"))
    read = [TopicPartition(it.topics.outcomes, number) for number in range(PARTITIONS)]
    read = group.committed(read, timeout=TIMEOUT_S)
    group.close()
    admin = AdminClient(it.broker.client())
    for answer in admin.delete_records(read).values():
        answer.result(TIMEOUT_S)
    lost = it.start()

    assert lost.wait(30) == 2
    assert "were deleted before they were done with" in it.said


# --- the watchdog, and what is said about it over HTTP


def ask(port: int, path: str) -> tuple[int, str]:
    """Return status and body; status 0 means that nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_a_worker_says_that_it_is_alive_and_when_it_is_ready(installation: Installation) -> None:
    [port] = free_ports(1)
    installation.start(metrics_port=str(port))
    seen = []

    def ready() -> bool:
        seen.append(ask(port, "/readyz"))
        return seen[-1] == (200, "ok\n")

    installation.wait_until(ready)

    assert {code for code, _ in seen} <= {0, 200, 503}
    assert ask(port, "/livez") == (200, "ok\n")
    assert "driftline_ready" in ask(port, "/metrics")[1]
    code, told = ask(port, "/status")
    assert code == 200
    status = json.loads(told)
    assert status["unready"] is None
    assert status["partitions"]["join"] == list(range(PARTITIONS))


def test_clients_that_hang_take_nothing_from_a_worker_that_counts(
    real_installation: Installation,
) -> None:
    """A thread and a descriptor for each ended a worker that may have 256."""
    installation = real_installation
    [port] = free_ports(1)
    installation.start(descriptors=256, metrics_port=str(port))
    installation.wait_until(lambda: ask(port, "/readyz") == (200, "ok\n"))
    with ExitStack() as hanging:
        for _ in range(400):
            one = hanging.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            with suppress(OSError):  # it gave way already
                one.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-a: ")

        installation.send(2_000)
        second = installation.start()
        installation.wait_for_members(2)
        second.terminate()
        second.wait(20)
        installation.send(2_000)

        installation.wait_until_counted()
        assert ask(port, "/livez") == (200, "ok\n")
    assert "ended" not in installation.said


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "ended: the event loop has been blocked for 4 s"),
        ({"hang": "1"}, "ended: a commit made no progress, for 4 s, and the broker answers"),
        ({"memory_budget": "64MiB"}, "of a budget of 64MiB, 0 pending predictions: shorten"),
    ],
    ids=["a blocked event loop", "a commit that hangs", "no more memory"],
)
def test_the_watchdog_ends_a_worker_and_says_why(
    installation: Installation, settings: dict[str, str], says: str
) -> None:
    worker = installation.start(stall_timeout="4s", **settings)
    if not settings:
        installation.send(1_000)
        installation.wait_until(installation.totals)
    value = b"record" if settings else BLOCK
    installation.producer.produce(installation.topics.predictions, key=b"k", value=value)
    installation.producer.flush(TIMEOUT_S)

    installation.wait_until(lambda: worker.poll() is not None)

    assert worker.returncode == 70
    assert says in installation.said


def test_the_watchdog_forgives_a_worker_that_was_suspended(installation: Installation) -> None:
    worker = installation.start(stall_timeout="10s", session_timeout="30s")
    installation.send(1_000)
    installation.wait_until(installation.totals)

    worker.send_signal(signal.SIGSTOP)
    time.sleep(12)
    worker.send_signal(signal.SIGCONT)
    installation.send(1_000)
    installation.wait_until_counted()

    assert worker.poll() is None
