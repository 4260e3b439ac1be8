"""What cannot be counted must be refused in clear words, and no number may change by it."""

import re
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from tests.faults.scenarios import scenario
from tests.faults.supervisor import EXIT_CONFIG, EXIT_UNEXPECTED
from tests.faults.trial import PARTITIONS, Trial

_REFUSED_S = 90.0


def _stop_all(trial: Trial) -> None:
    trial.ledger.finish()
    trial.wait_for_quiet()
    trial.supervisor.scale(0)


def _expect_refusal(trial: Trial, pattern: str) -> None:
    """Start a worker: it must end by itself, say why, and publish nothing."""
    trial.refusal = True
    before = len(trial.onlooker.seen)
    trial.supervisor.add()
    deadline_s = time.monotonic() + _REFUSED_S
    while time.monotonic() < deadline_s:
        codes = trial.supervisor.exits
        if codes[EXIT_UNEXPECTED] + codes[EXIT_CONFIG] > 0 and _says(trial, pattern):
            break
        time.sleep(0.2)
    else:
        trial.verdict.problems.append(f"no worker refused with {pattern!r}")
    trial.supervisor.problems.clear()
    trial.supervisor.scale(0)
    if len(trial.onlooker.seen) > before:
        trial.verdict.problems.append("a worker that should refuse has published")


def _says(trial: Trial, pattern: str) -> bool:
    return re.search(pattern, trial.supervisor.said) is not None


def _admin(trial: Trial) -> AdminClient:
    return AdminClient({"bootstrap.servers": trial.servers, "log_level": 2})


def _raise_partitions(trial: Trial, *names: str) -> None:
    wanted = [NewPartitions(f"{trial.prefix}.{name}", PARTITIONS + 2) for name in names]
    admin = _admin(trial)  # kept until the answer is there: a dropped client cancels its request
    for answer in admin.create_partitions(wanted).values():
        answer.result(30)


@scenario("retention-passed-unread-input")
def retention_passed(trial: Trial) -> None:
    """While workers are down, retention deletes input that was never read."""
    half = len(trial.records) // 2
    trial.supervisor.scale(1)
    trial.write(trial.records[:half], seconds=3.0)
    _stop_all(trial)
    trial.write(trial.records[half:], seconds=1.0)
    trial.ledger.finish()
    topic = f"{trial.prefix}.predictions"
    gone = [TopicPartition(topic, number, -1) for number in range(PARTITIONS)]
    admin = _admin(trial)
    for answer in admin.delete_records(gone).values():
        answer.result(30)
    _expect_refusal(trial, rf"{topic}/\d: records \d+ to \d+ were deleted before they were read")


@scenario("one-input-repartitioned")
def one_input_repartitioned(trial: Trial) -> None:
    """While workers are down, one input gets more partitions."""
    trial.supervisor.scale(1)
    trial.write(trial.records[: len(trial.records) // 2], seconds=3.0)
    _stop_all(trial)
    _raise_partitions(trial, "labels")
    _expect_refusal(trial, "must have equal numbers of partitions")


@scenario("join-repartitioned")
def join_repartitioned(trial: Trial) -> None:
    """While workers are down, all of the join's topics get more partitions, its output does not."""
    _repartitioned(trial, "predictions", "labels", "join-state")


@scenario("all-repartitioned")
def all_repartitioned(trial: Trial) -> None:
    """While workers are down, all topics get more partitions alike: keys have moved."""
    _repartitioned(
        trial, "predictions", "labels", "resources", "join-state", "outcomes", "monitor-state"
    )


def _repartitioned(trial: Trial, *names: str) -> None:
    half = len(trial.records) // 2
    trial.supervisor.scale(1)
    trial.write(trial.records[:half], seconds=3.0)
    _stop_all(trial)
    _raise_partitions(trial, *names)
    trial.write(trial.records[half:], seconds=1.0)
    trial.ledger.finish()
    _expect_refusal(trial, r"more partitions|numbers? of partitions|repartition")


@scenario("repartitioned-while-running")
def repartitioned_while_running(trial: Trial) -> None:
    """While workers run, one input gets more partitions; they look every minute."""
    trial.begin()
    trial.ledger.finish()
    trial.wait_for_quiet()
    trial.refusal = True
    _raise_partitions(trial, "labels")
    trial.wait(
        lambda: _says(trial, "not co-partitioned|equal numbers of partitions"),
        "a refusal",
        _REFUSED_S,
    )
    trial.supervisor.problems.clear()
