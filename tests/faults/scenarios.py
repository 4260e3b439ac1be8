"""What is done to an installation while events come; every scenario is a function of its trial.

A scenario starts workers and the writing, does harm, and returns; the trial then waits for the
numbers and judges them. What must not be counted but refused is in `refusals`, what is done to
three brokers in `cluster_scenarios`.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.broker import FaultyBroker
from tests.faults.trial import PARTITIONS, SESSION_S, Trial
from tests.faults.truth import (
    Traffic,
    mishaps,
    one_a_day_ahead,
    one_host_fast,
    skewed,
    without_labels_for_a_while,
)


@dataclass(frozen=True)
class Scenario:
    """A scenario and what it needs.

    Attributes
    ----------
    harms_broker
        Whether it needs a broker of its own.
    small_disk
        Whether that broker's disk must be one that can be filled.
    cluster
        Whether it needs three brokers.
    quick
        Whether it is part of the quick selection.
    random
        Whether each seed makes a different run, so that repeating it is worth while.
    """

    name: str
    act: Callable[[Trial], None]
    harms_broker: bool = False
    small_disk: bool = False
    cluster: bool = False
    quick: bool = False
    random: bool = False
    traffic: Traffic = mishaps

    @property
    def about(self) -> str:
        """What it does, in one line."""
        return (self.act.__doc__ or "").splitlines()[0]


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, **needs: object
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Register a function as a scenario."""

    def register(act: Callable[[Trial], None]) -> Callable[[Trial], None]:
        SCENARIOS[name] = Scenario(name, act, **needs)  # type: ignore[arg-type]
        return act

    return register


def _broker(trial: Trial) -> FaultyBroker:
    assert trial.broker is not None, "this scenario needs a broker of its own"
    return trial.broker


# --- workers


def _write_while_they_die(trial: Trial) -> None:
    """Write everything; a run in which no worker died of its injections is a failure."""
    trial.begin()
    trial.ledger.finish()
    crashes = trial.supervisor.said.count("crash at ")
    trial.verdict.notes.append(f"{crashes} crashes")
    if not crashes:
        trial.verdict.problems.append("nothing crashed: the run proves nothing")


@scenario("nothing")
def nothing(trial: Trial) -> None:
    """No fault at all: the suite must agree with itself."""
    trial.begin()


@scenario("kill-9", quick=True, random=True)
def kill_9(trial: Trial) -> None:
    """Workers are killed at random moments, again and again."""
    trial.begin()
    for _ in trial.moments(0.5, 4.0):
        trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)
        if trial.random.random() < 0.7:  # else the next one hits a worker that only starts
            trial.wait_for_output(30.0)


@scenario("inside-transactions", quick=True, random=True)
def inside_transactions(trial: Trial) -> None:
    """Workers die inside transactions, with records, or offsets too, written and not committed."""
    for point in ("begin", "produced", "offsets", "committing", "committed"):
        trial.injections += ["--crash-at", f"{point}={trial.random.randint(10, 60)}"]
    _write_while_they_die(trial)


@scenario("zombie", quick=True, random=True)
def zombie(trial: Trial) -> None:
    """A worker is stopped for longer than its session, and wakes up: it must end with 70."""
    trial.begin()
    for _ in trial.moments(0.5, 2.0):
        trial.wait_for_members(2)  # one that is not in the group has nothing to lose …
        trial.pause(1.0, 2.0)  # … nor has one that was not told yet what is its own
        slot = trial.any_slot()
        pid = trial.supervisor.signal(slot, signal.SIGSTOP)
        time.sleep(SESSION_S)
        trial.pause(1.0, 6.0)
        trial.supervisor.signal(slot, signal.SIGCONT)
        trial.expect_fenced(slot, pid)


@scenario("zombie-in-transaction", random=True)
def zombie_in_transaction(trial: Trial) -> None:
    """A worker freezes inside a transaction, offsets pending or not, past its session."""
    for point in ("begin", "produced", "offsets"):
        trial.injections += ["--freeze-at", f"{point}={trial.random.randint(20, 60)}"]
    trial.begin()
    while trial.writing:
        frozen = trial.supervisor.frozen()
        if not frozen:
            time.sleep(0.05)
            continue
        trial.fault()
        time.sleep(SESSION_S)
        trial.pause(0.5, 6.0)
        for slot in frozen:
            pid = trial.supervisor.signal(slot, signal.SIGCONT)
            trial.expect_fenced(slot, pid)
    for slot in trial.supervisor.frozen():
        trial.supervisor.signal(slot, signal.SIGKILL)


@scenario("hand-over", random=True)
def hand_over(trial: Trial) -> None:
    """Workers are told to stop and replaced, as in a rolling upgrade: exit code 0."""
    trial.begin()
    took_s = []
    for _ in trial.moments(0.5, 3.0):
        old = trial.supervisor.slots[0]
        trial.supervisor.add()
        trial.wait_for_members(3)
        took_s.append(trial.supervisor.end(old))
    slowest_s = max(took_s, default=0.0)
    trial.verdict.notes.append(f"{len(took_s)} hand-overs, slowest exit {slowest_s:.1f} s")
    if trial.supervisor.exits[0] != len(took_s):
        trial.verdict.problems.append(f"exit codes {dict(trial.supervisor.exits)}, should be all 0")


@scenario("scale", quick=True, random=True)
def scale(trial: Trial) -> None:
    """1, 2, 4, and 1 worker again, while events come."""
    trial.begin(1)
    step_s = trial.write_s / 4
    for count in (2, 4, 1):
        trial.pause(0.5 * step_s, step_s)
        trial.fault()
        trial.supervisor.scale(count)
        trial.wait_for_members(count)


@scenario("storm", random=True)
def storm(trial: Trial) -> None:
    """Everything that can happen to workers, in random order, transactions cut included."""
    trial.injections += ["--crash-at", "produced=0.01", "--crash-at", "offsets=0.01"]
    trial.begin()
    for _ in trial.moments(0.3, 2.5):
        match trial.random.choice(["kill", "stop", "scale", "end"]):
            case "kill":
                trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)
            case "stop":
                slot = trial.any_slot()
                trial.supervisor.signal(slot, signal.SIGSTOP)
                trial.pause(0.1, 2 * SESSION_S)
                trial.supervisor.signal(slot, signal.SIGCONT)
            case "scale":
                trial.supervisor.scale(trial.random.randint(1, PARTITIONS))
            case "end":
                trial.supervisor.end(trial.any_slot())
                trial.supervisor.add()


@scenario("dying-while-opening", random=True)
def dying_while_opening(trial: Trial) -> None:
    """Workers are killed, and those that follow die while they read the state."""
    trial.injections += ["--crash-at", "opening=0.2"]
    trial.begin()
    for _ in trial.moments(0.5, 3.0):
        trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)


@scenario("dying-while-logs-are-cut", random=True)
def dying_while_logs_are_cut(trial: Trial) -> None:
    """Workers die while they sweep over the state, and around the deletion of old records."""
    for point in ("delete_records", "streams.join_log:sweep"):
        trial.injections += ["--crash-at", f"{point}={trial.random.randint(4, 40)}"]
    _write_while_they_die(trial)


# --- broker and network


@scenario("broker-killed", harms_broker=True, quick=True)
def broker_killed(trial: Trial) -> None:
    """The broker is killed (SIGKILL) and comes back with its data."""
    _bounced(trial, signal.SIGKILL)


@scenario("broker-restarted", harms_broker=True)
def broker_restarted(trial: Trial) -> None:
    """The broker is stopped properly (SIGTERM) and comes back."""
    _bounced(trial, signal.SIGTERM)


def _bounced(trial: Trial, number: signal.Signals) -> None:
    trial.begin()
    trial.pause(0.1, trial.write_s / 2)
    trial.fault()
    _broker(trial).bounce(number, away_s=0.0)


@scenario("broker-away", harms_broker=True)
def broker_away(trial: Trial) -> None:
    """The broker is gone for a long time, and comes back."""
    # A pause of the traffic that is longer than this would settle what is still to come.
    trial.options += ["--idle-timeout", f"{2 * trial.away_s:.0f}s"]
    trial.begin()
    trial.pause(0.1, trial.write_s / 2)
    trial.fault()
    _broker(trial).bounce(signal.SIGKILL, away_s=trial.away_s)


@scenario("broker-stalls", harms_broker=True)
def broker_stalls(trial: Trial) -> None:
    """The broker stops for some seconds, as with a disk that does not answer, several times."""
    trial.begin()
    for _ in trial.moments(1.0, 4.0):
        _broker(trial).stall(trial.random.uniform(0.5, 1.5 * SESSION_S))


@scenario("disk-full", small_disk=True)
def disk_full(trial: Trial) -> None:
    """The broker's disk is full: Kafka gives up; there is room again, and it is started anew."""
    disk = _broker(trial).disk
    assert disk is not None
    trial.begin()
    trial.pause(0.1, trial.write_s / 2)
    trial.fault()
    disk.fill()
    gave_up = _broker(trial).wait_for_end(trial.away_s)
    trial.verdict.notes.append("Kafka ended itself" if gave_up else "Kafka went on")
    disk.free()
    if gave_up:
        _broker(trial).kafka.restart()


@scenario("slow-network", harms_broker=True)
def slow_network(trial: Trial) -> None:
    """50 ms each way, and 500 kB/s a connection."""
    trial.worker_servers = _broker(trial).proxied_servers
    trial.begin()
    trial.fault()
    proxy = _broker(trial).proxy
    proxy.latency_s, proxy.bytes_per_s = 0.05, 500_000
    trial.ledger.finish()
    proxy.heal()


@scenario("connection-resets", harms_broker=True, random=True)
def connection_resets(trial: Trial) -> None:
    """All connections of the workers are reset, again and again."""
    trial.worker_servers = _broker(trial).proxied_servers
    trial.begin()
    for _ in trial.moments(0.2, 3.0):
        _broker(trial).proxy.reset()


@scenario("silent-network", harms_broker=True, random=True)
def silent_network(trial: Trial) -> None:
    """For some seconds nothing goes through, now shorter and now longer than a session."""
    trial.worker_servers = _broker(trial).proxied_servers
    trial.begin()
    proxy = _broker(trial).proxy
    for _ in trial.moments(1.0, 4.0):
        proxy.silent = True
        trial.pause(0.5, 2.5 * SESSION_S)
        proxy.heal()


# --- inputs


@scenario("labels-first")
def labels_first(trial: Trial) -> None:
    """After a downtime all labels are there first, then the predictions."""
    _backlog(trial, first="labels")


@scenario("predictions-first")
def predictions_first(trial: Trial) -> None:
    """After a downtime all predictions are there first, then the labels."""
    _backlog(trial, first="predictions")


def _backlog(trial: Trial, *, first: str) -> None:
    half = len(trial.records) // 2
    old, new = trial.records[:half], trial.records[half:]
    trial.write(sorted(old, key=lambda entry: not entry.topic.endswith(first)), seconds=0.1)
    trial.ledger.finish()
    trial.supervisor.scale(2)
    trial.write(new, seconds=trial.write_s)
    trial.wait_for_output()


@scenario("idle-labels", traffic=without_labels_for_a_while)
def idle_labels(trial: Trial) -> None:
    """No labels come for longer than the idle timeout, while predictions do; a kill besides."""
    trial.options += ["--idle-timeout", "2s"]
    trial.begin()
    for _ in trial.moments(2.0, 6.0):
        trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)


@scenario("one-record-a-day-ahead", traffic=one_a_day_ahead, quick=True)
def one_record_a_day_ahead(trial: Trial) -> None:
    """One prediction is a day ahead, and labels are quiet past the idle timeout; a kill besides."""
    trial.options += ["--idle-timeout", "1s"]
    trial.begin()
    trial.pause(1.0, trial.write_s / 2)
    trial.fault()
    trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)


@scenario("one-host-hours-fast", traffic=one_host_fast, quick=True)
def one_host_hours_fast(trial: Trial) -> None:
    """The clock of a host that sends a fifth of the records is three hours fast; a kill besides."""
    trial.begin()
    trial.pause(1.0, trial.write_s / 2)
    trial.fault()
    trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)


@scenario("skewed-clocks", traffic=skewed)
def skewed_clocks(trial: Trial) -> None:
    """The clocks of the labels' producers are off by 45 s; a kill besides."""
    trial.begin()
    trial.pause(1.0, trial.write_s / 2)
    trial.fault()
    trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)
