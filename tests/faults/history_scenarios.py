"""The history that `driftline sink sql` keeps, while workers and the sink itself are killed."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, create_engine

from tests import oracle
from tests.faults import history_verify, state_log, verify
from tests.faults.history_verify import Revision
from tests.faults.scenarios import scenario
from tests.faults.supervisor import Supervisor
from tests.faults.trial import PARTITIONS, Trial
from tests.postgres import MissingProgramsError, run_postgres

_KILLED = -signal.SIGKILL
_START_S = 60.0
_DIES_S = 6.0
_COMPLETE_S = 60.0
_LOOK_S = 0.1
_KILL_EVERY_S = 5.0
_TIMES = 5
#: Sinks that die by themselves do so around one of these, at one of the first times: in a
#: transaction of the database with records and offsets, or with records only, or between two.
_POINTS = (
    "agents.history.writing:moved",
    "agents.history.writing:written",
    "agents.sinks.sql:Sql.flush",
)
_FIRST_TIMES = 4


class HistorySink:
    """A sink that writes a history, is killed, and is started again by a supervisor.

    Attributes
    ----------
    url
        Of the database: PostgreSQL, or SQLite where there is none.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial, self._sound = trial, False
        self._folder = trial.folder / "history"
        self._folder.mkdir()
        try:
            database = trial.stack.enter_context(run_postgres())
            self.url = database.make_database("history")
            engine_url = self.url.replace("postgresql://", "postgresql+psycopg://")
        except MissingProgramsError:
            self.url = str(self._folder / "history.db")
            engine_url = f"sqlite:///{self.url}"
        self._engine = create_engine(engine_url)
        trial.stack.callback(self._engine.dispose)
        self._letters = self._folder / "dead.jsonl"
        self.supervisor = Supervisor(self._command, self._folder / "log")
        trial.stack.callback(self.supervisor.stop)
        self.supervisor.add()

    def _command(self, _slot: int) -> Sequence[str]:
        """Return the command line; every second process dies by itself."""
        faults = []
        if not self._sound and self.kills % 2:
            point = _POINTS[self.kills // 2 % len(_POINTS)]
            faults += ["--crash-at", f"{point}={_FIRST_TIMES}"]
        faults += ["--broken", self._trial.broken] if self._trial.broken else []
        return [
            *(sys.executable, "-m", "tests.faults.crashing_worker", *faults, "--", "sink", "sql"),
            *(self.url, "--bootstrap-servers", self._trial.servers, "--prefix", self._trial.prefix),
            *("--metrics-port", "0", "--dead-letters", str(self._letters)),
        ]

    @property
    def kills(self) -> int:
        """How often it was killed, or died by itself."""
        return self.supervisor.exits[_KILLED]

    def kill(self) -> None:
        """Wait until it has begun, and kill it a random moment later, unless it dies by itself."""
        before = self.kills
        started = self._wait(lambda: self.supervisor.said.count(" starts: ") > before, _START_S)
        if not started:
            self._trial.verdict.problems.append("the sink did not start")
        if before % 2 and self._wait(lambda: self.kills > before, _DIES_S):
            return
        self._trial.pause(0.0, 1.5)
        self._end_by_force()

    def _end_by_force(self) -> None:
        before = self.kills
        for slot in self.supervisor.slots:
            self.supervisor.signal(slot, signal.SIGKILL)
        self._wait(lambda: self.kills > before, _DIES_S)

    def _wait(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while not reached() and self.supervisor.slots:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_LOOK_S)
        return reached()

    def calm(self) -> None:
        """Let the next process be one that does not die by itself, and replace this one."""
        self._sound = True
        self._end_by_force()

    # ------------------------------------------------------------------ the verdict
    def judge(self) -> list[str]:
        """Wait until all that was published is in the history, end the sink, and compare."""
        published = {
            name: history_verify.on_topic(
                self._trial.servers, f"{self._trial.prefix}.{name}", partitions=PARTITIONS
            )
            for name in ("metrics", "alerts")
        }
        problems = []
        if not self._wait(lambda: self._has(published), _COMPLETE_S):
            problems.append("the history was not complete in time")
        for slot in self.supervisor.slots:
            self.supervisor.end(slot)
        problems += self.supervisor.problems
        if self._letters.exists():
            problems.append(f"dead letters of the sink: {self._letters.read_text()[:200]}")
        with self._engine.begin() as connection:
            problems += self._compare(connection, published["metrics"], published["alerts"])
        problems += self._asof([*published["metrics"], *published["alerts"]])
        return [f"history: {problem}" for problem in problems]

    def _has(self, published: dict[str, list[Revision]]) -> bool:
        wanted = {
            (f"{self._trial.prefix}.{name}", one.partition): one.offset + 1
            for name, revisions in published.items()
            for one in revisions
        }
        with self._engine.begin() as connection:
            held = history_verify.next_offsets(connection)
        return all(held.get(place, 0) >= offset for place, offset in wanted.items())

    def _compare(
        self, connection: Connection, metrics: Sequence[Revision], alerts: Sequence[Revision]
    ) -> list[str]:
        rows = history_verify.revisions_of(connection, "metric_revisions")
        of_alerts = history_verify.revisions_of(connection, "alert_revisions")
        last = history_verify.last_values(connection)
        self._trial.verdict.notes.append(
            f"history in {connection.dialect.name}: {self.kills} kills of the sink, of which"
            f" {self.supervisor.said.count('crash at ')} around its transactions;"
            f" {len(rows)} revisions of {len(last)} metrics, {len(of_alerts)} of alerts"
        )
        return [
            *history_verify.gaps(connection),
            *history_verify.every_revision_once(rows, metrics),
            *history_verify.every_revision_once(of_alerts, alerts),
            *history_verify.last_values_are(last, metrics),
            *self._as_replayed(last, [one.record or {} for one in of_alerts]),
        ]

    def _as_replayed(
        self, metrics: Sequence[history_verify.Record], alerts: Sequence[history_verify.Record]
    ) -> list[str]:
        """Judge what the history says by what oracle and replay say, and not by the topics."""
        trial = self._trial
        fates: Counter[str] = state_log.fates(
            trial.face, trial.prefix, trial.truth, partitions=PARTITIONS
        )
        ordered, folder = verify.in_order(alerts), self._folder / "said"
        result = verify.as_result(metrics, ordered, fates=fates, folder=folder)
        return [
            *(f"replay: {change}" for change in oracle.changes(result, trial.truth.replayed)),
            *(f"oracle: {one}" for one in oracle.differences(trial.truth.expected, result)),
        ]

    def _asof(self, published: Sequence[Revision]) -> list[str]:
        """Ask for what was known at several times, on the command line."""
        times_ms = sorted({one.time_ms for one in published})
        chosen = {times_ms[0], times_ms[-1], times_ms[len(times_ms) // 2] - 1}
        chosen |= {self._trial.random.choice(times_ms) for _ in range(_TIMES - len(chosen))}
        problems, counts = [], []
        for at_ms in sorted(chosen):
            at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
            done = oracle.run("asof", at.isoformat(), "--json", "--history", self.url)
            if done.returncode or done.stderr:
                problems.append(f"asof {at}: exit code {done.returncode}: {done.stderr}")
            lines = done.stdout.splitlines()
            known = history_verify.known_at(published, at_ms)
            problems += [f"{at}: {one}" for one in history_verify.asof_is(lines, known=known)]
            counts.append(str(len(lines)))
        self._trial.verdict.notes.append(
            f"asof at {len(chosen)} times: {', '.join(counts)} records"
        )
        return problems


@scenario("history", quick=True, random=True)
def history(trial: Trial) -> None:
    """Workers, and the sink that keeps the history, are killed: every revision is there once."""
    trial.write_s = max(trial.write_s, _KILL_EVERY_S * trial.kills)
    sink = HistorySink(trial)
    trial.checks.append(sink.judge)
    trial.begin()
    late = 0
    while sink.kills < trial.kills and sink.supervisor.slots:
        trial.fault()
        trial.supervisor.signal(trial.any_slot(), signal.SIGKILL)
        sink.kill()
        late += not trial.writing
    trial.verdict.notes.append(f"{trial.kills} kills of workers; {late} kills when all was written")
    if "crash at " not in sink.supervisor.said:
        trial.verdict.problems.append("no sink died in a transaction: the run proves little")
    sink.calm()
