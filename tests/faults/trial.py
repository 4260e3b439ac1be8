"""One trial: a truth, topics of its own, workers under a supervisor, faults, and the verdict."""

import random
import re
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import ConsumerGroupState, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streams.specification import KEY
from tests import brokers, workers
from tests.faults import verify
from tests.faults.broker import FaultyBroker
from tests.faults.cluster import NODES, Cluster
from tests.faults.ledger import Entry, Ledger, entries
from tests.faults.onlooker import Onlooker
from tests.faults.supervisor import EXIT_UNEXPECTED, Slot, Supervisor
from tests.faults.truth import MONITORS, Truth, specification

PARTITIONS = 4
SESSION_S = 6.0
LOG_BYTES = 4_000
_LOOK_S = 0.25
_SETTLE_S = 1.5
_ANSWER_S = 5.0
_TOLD_S = 30.0
#: Why a worker ended itself.
_ENDED = re.compile(r"\] ended: ([^\n]{1,160})")


@dataclass
class Verdict:
    """What became of a trial.

    Attributes
    ----------
    problems
        Empty if every number is exact.
    restarts
        How often the supervisor started a worker again.
    exits
        How many processes ended with which code.
    blackouts_s
        The longest silence around each fault.
    notes
        What else is worth knowing.
    """

    problems: list[str] = field(default_factory=list)
    restarts: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    blackouts_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems


class Trial:
    """What a scenario works with.

    Attributes
    ----------
    broker, cluster
        What may be harmed; None if it belongs to others, or is not what the scenario needs.
    servers, worker_servers, face
        The broker's address for those who watch, the one for workers, and how to connect to it.
    options, injections
        More options of the workers, and those of `crashing_worker`.
    refusal
        Whether the end is a refusal, which the scenario itself has checked.
    write_s
        How long the history is written.
    away_s
        How long something that goes away stays away.
    deadline_s
        How long after the last fault the numbers may take.
    broken
        Which defect is built in; None: none.
    kills
        How often what is killed a number of times is killed.
    checks
        What else must be right once the numbers are: each says what is wrong, a line each.
    stack
        Ends what a scenario has started.
    """

    def __init__(
        self,
        *,
        servers: str,
        broker: FaultyBroker | None = None,
        cluster: Cluster | None = None,
        truth: Truth,
        seed: int,
        folder: Path,
        write_s: float = 20.0,
        away_s: float = 20.0,
        deadline_s: float = 150.0,
        kills: int = 4,
        broken: str | None = None,
    ) -> None:
        self.broker, self.cluster = broker, cluster
        self.truth, self.folder = truth, folder
        self.random = random.Random(seed)
        self.write_s, self.away_s, self.deadline_s = write_s, away_s, deadline_s
        self.kills = kills
        self.checks: list[Callable[[], list[str]]] = []
        self.stack = ExitStack()
        self.verdict = Verdict()
        self.prefix = f"fault-{uuid.uuid4().hex[:10]}"
        self.options: list[str] = []
        self.injections: list[str] = ["--broken", broken] if broken else []
        self.servers = self.worker_servers = servers
        self.refusal = False
        self.broken = broken
        self._closed = False
        self.face = brokers.connect(servers)
        self._written_s = float("inf")
        self._faults_s: list[float] = []
        copies = -1 if cluster is None else len(NODES)
        workers.create_topics(self.face, self.prefix, partitions=PARTITIONS, copies=copies)
        _tell(servers, f"{self.prefix}.monitors")
        self.records = entries(self.prefix, truth.lines)
        self.ledger = Ledger(servers)
        outputs = [f"{self.prefix}.{name}" for name in ("metrics", "alerts", "outcomes")]
        self.onlooker = Onlooker(servers, outputs, partitions=PARTITIONS)
        self.supervisor = Supervisor(self._command, folder / "workers.log")

    def _command(self, slot: int) -> list[str]:
        face = brokers.connect(self.worker_servers)
        disorder = f"{self.truth.disorder_ms}ms"
        session = f"{SESSION_S:.0f}s"
        command = workers.command(
            *(face, self.prefix, "--disorder", disorder, "--session-timeout", session),
            *("--monitors", str(MONITORS), "--stall-timeout", "20s"),
            # A replay has no time in which nothing comes; that a trial takes long makes none final.
            *("--tick-after", "366d"),
            # Half of the workers have a name that outlives them.
            *(("--worker-id", f"worker-{slot}") if slot % 2 == 0 else ()),
            *self.options,
        )
        # Little room in the state logs, so that they are swept and cut all the time.
        faults = ["--log-bytes", str(LOG_BYTES), *self.injections]
        start = command.index("worker")
        return [
            *(sys.executable, "-m", "tests.faults.crashing_worker", *faults, "--"),
            *command[start:],
        ]

    # --- what scenarios do

    @property
    def writing(self) -> bool:
        """Whether the history is still being written."""
        return self.ledger.writing

    def begin(self, workers: int = 2) -> None:
        """Start workers; once they publish, write at full pace."""
        self.supervisor.scale(workers)
        self.ledger.write(self.records, seconds=self.write_s, trickle=True)
        self.wait_for_output()
        if not self.injections:  # else they may die before they are all there
            self.wait_for_members(workers)
        self.ledger.speed_up()

    def write(self, records: Sequence[Entry], *, seconds: float) -> None:
        """Begin to write these records."""
        self.ledger.write(records, seconds=seconds)

    def moments(self, least_s: float, most_s: float) -> Iterator[None]:
        """Yield at random moments for as long as records are written; there must be one."""
        count = 0
        self.pause(least_s / 2, most_s / 2)
        while self.writing:
            self.fault()
            yield
            count += 1
            self.pause(least_s, most_s)
        if not count:
            self.verdict.problems.append("nothing was harmed: the run proves nothing")

    def pause(self, least_s: float, most_s: float) -> None:
        """Wait for a random time."""
        time.sleep(self.random.uniform(least_s, most_s))

    def fault(self) -> None:
        """Note that something is done to the installation now."""
        self._faults_s.append(time.monotonic())

    def wait_for_output(self, timeout_s: float = 120.0) -> None:
        """Wait until workers publish something, or nothing more is written."""
        before = len(self.onlooker.times_s)
        self.wait(
            lambda: len(self.onlooker.times_s) > before or not self.writing, "output", timeout_s
        )

    def wait(self, reached: Callable[[], bool], what: str, timeout_s: float) -> bool:
        """Wait for something; if it does not come, that is a problem."""
        deadline_s = time.monotonic() + timeout_s
        while not reached():
            if time.monotonic() > deadline_s or not self.supervisor.slots:
                self.verdict.problems.append(f"{what} did not come within {timeout_s:.0f} s")
                return False
            time.sleep(_LOOK_S)
        return True

    def wait_for_members(self, count: int, timeout_s: float = 120.0) -> None:
        """Wait until the group has settled with so many workers."""
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        group = f"{self.prefix}-workers"
        self.wait(lambda: members(admin, group) == count, f"a group of {count}", timeout_s)

    def wait_for_quiet(self, quiet_s: float = 2.0, timeout_s: float = 60.0) -> None:
        """Wait until workers have published what they can, and nothing more for a while."""

        def quiet() -> bool:
            times_s = self.onlooker.times_s
            return bool(times_s) and time.monotonic() - times_s[-1] > quiet_s

        self.wait(quiet, "the end of the output", timeout_s)

    def any_slot(self) -> Slot:
        """Choose a worker by chance."""
        return self.random.choice(self.supervisor.slots)

    def expect_fenced(self, slot: Slot, pid: int, timeout_s: float = 30.0) -> None:
        """Wait until the process that was in a slot has ended itself, with 70."""
        before = self.supervisor.exits[EXIT_UNEXPECTED]

        def gone() -> bool:
            assert slot.process is not None
            return slot.process.pid != pid and self.supervisor.exits[EXIT_UNEXPECTED] >= before

        self.wait(gone, "the end of a worker that had lost its partitions", timeout_s)

    def calm(self) -> None:
        """Let the next workers be sound ones, and replace those that are not."""
        if self.injections and not self.broken:
            self.injections = []
            for slot in self.supervisor.slots:
                self.supervisor.signal(slot, signal.SIGKILL)

    # --- the verdict

    def judge(self) -> Verdict:
        """Wait for the numbers, or for the deadline, and compare."""
        self.ledger.finish()
        self._written_s = time.monotonic()
        if self.refusal:
            return self.close()
        self.calm()
        deadline_s = time.monotonic() + self.deadline_s
        compared = -1
        while time.monotonic() < deadline_s and self.supervisor.slots:
            count = len(self.onlooker.seen)
            time.sleep(_LOOK_S)
            # To compare is work: only when something is new, and it has come to rest.
            if compared != count == len(self.onlooker.seen):
                compared = count
                if verify.settled(self.onlooker, self.prefix, self.truth):
                    break
        else:
            self.verdict.problems.append("the right numbers were not reached")
        time.sleep(_SETTLE_S)  # for what should not come any more
        self.verdict.problems += self.supervisor.problems + self.ledger.failed
        self.verdict.problems += verify.differences(
            self.face,
            self.prefix,
            truth=self.truth,
            acknowledged=self.ledger.acknowledged,
            onlooker=self.onlooker,
            partitions=PARTITIONS,
            folder=self.folder / "said",
        )
        for check in self.checks:
            self.verdict.problems += check()
        starts = verify.log_starts(self.face, f"{self.prefix}.join-state", PARTITIONS)
        self.verdict.notes.append(f"{sum(start > 0 for start in starts)} state logs were cut")
        return self.close()

    def close(self) -> Verdict:
        """End everything that runs; return the verdict so far."""
        verdict, supervisor = self.verdict, self.supervisor
        if self._closed:
            return verdict
        self._closed = True
        supervisor.stop()
        self.stack.close()
        self.ledger.stop()
        self.onlooker.stop()
        verdict.restarts, verdict.exits = supervisor.restarts, supervisor.exits
        reasons = Counter(_ENDED.findall(supervisor.said))
        verdict.notes += [f"{count}× ended: {reason}" for reason, count in reasons.items()]
        silences = (self.onlooker.silence_s(t, until_s=self._written_s) for t in self._faults_s)
        verdict.blackouts_s = [silence for silence in silences if silence is not None]
        return verdict


def _tell(servers: str, topic: str) -> None:
    """Tell the workers to come what they are to watch from an event time on, in mid-history."""
    producer = Producer({"bootstrap.servers": servers, "log_level": 2})
    producer.produce(topic, specification(), KEY)
    if producer.flush(_TOLD_S):
        raise RuntimeError(f"{topic} could not be written within {_TOLD_S:.0f} s")


def members(admin: AdminClient, group: str) -> int:
    """Count the members of a group; 0 while it is not settled, or nobody answers."""
    try:
        asked = admin.describe_consumer_groups([group], request_timeout=_ANSWER_S)
        found = asked[group].result(_ANSWER_S + 1)
    except (KafkaException, TimeoutError):
        return 0
    return len(found.members) if found.state == ConsumerGroupState.STABLE else 0
