"""Harm workers and brokers in every way we know, and compare every number; needs a real Kafka.

Starts a Kafka of its own (Java and Maven), runs scenario after scenario on it, prints a table and,
as the last line, ``runs=… exact=…``. Exit code 0 only if every run was exact.
"""

import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from agents.local_kafka import LocalKafkaError
from streams.errors import StateError
from tests.faults import cluster_scenarios, history_scenarios, refusals
from tests.faults.broker import FaultyBroker, SmallDisk
from tests.faults.cluster import Cluster
from tests.faults.mutants import MUTANTS
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.trial import Trial, Verdict
from tests.faults.truth import Traffic, Truth, work_out

console = Console()
_EVENTS = 6_000
_SHOWN = 8
_SHOWN_CHARACTERS = 300
_DISK_MB = 200
#: What the suite itself may run into; the next scenarios can still tell something.
_FAILURES = (AssertionError, KafkaException, LocalKafkaError, OSError, TimeoutError, StateError)


@dataclass(frozen=True)
class Plan:
    """How big the runs are."""

    write_s: float
    away_s: float
    deadline_s: float
    kills: int


QUICK = Plan(write_s=12.0, away_s=10.0, deadline_s=240.0, kills=4)
FULL = Plan(write_s=30.0, away_s=60.0, deadline_s=300.0, kills=20)

#: The wrong numbers of a broken worker need not be waited for.
BROKEN_DEADLINE_S = 60.0


class Suite:
    """Run scenarios, each on the brokers that it needs; only those of the last one are kept.

    Attributes
    ----------
    verdicts
        What became of every run, by scenario.
    """

    def __init__(self, folder: Path, *, plan: Plan) -> None:
        self.verdicts: dict[str, list[Verdict]] = {}
        self._folder, self._plan = folder, plan
        self._brokers: FaultyBroker | Cluster | None = None
        self._truths: dict[tuple[Traffic, int], Truth] = {}

    def run(self, scenario: Scenario, seed: int, *, broken: str | None = None) -> Verdict:
        """Run a scenario once."""
        started_s = time.monotonic()
        folder = self._folder / f"{scenario.name}-{seed}"
        folder.mkdir()
        with self._trial(scenario, seed, folder, broken) as trial:
            try:
                scenario.act(trial)
                verdict = trial.judge()
            except _FAILURES as error:
                verdict = trial.close()
                verdict.problems.append(f"{type(error).__name__}: {error}")
        verdict.seconds = time.monotonic() - started_s
        if verdict.exact:
            shutil.rmtree(folder)
        else:
            verdict.notes.append(f"see {folder}")
        self.verdicts.setdefault(scenario.name, []).append(verdict)
        return verdict

    @contextmanager
    def _trial(
        self, scenario: Scenario, seed: int, folder: Path, broken: str | None
    ) -> Iterator[Trial]:
        with ExitStack() as stack:
            brokers = self._running(Cluster if scenario.cluster else FaultyBroker)
            if scenario.small_disk:
                disk = stack.enter_context(SmallDisk(_DISK_MB))
                brokers = stack.enter_context(FaultyBroker(disk=disk))
            trial = Trial(
                servers=brokers.servers,
                broker=brokers if isinstance(brokers, FaultyBroker) else None,
                cluster=brokers if isinstance(brokers, Cluster) else None,
                truth=self._truth(scenario, seed),
                seed=seed,
                folder=folder,
                broken=broken,
                **vars(self._plan),
            )
            stack.callback(brokers.heal)
            stack.callback(trial.close)
            yield trial

    def _running(self, kind: type[FaultyBroker] | type[Cluster]) -> FaultyBroker | Cluster:
        """Return brokers that run; those of another kind would only take memory."""
        if not isinstance(self._brokers, kind):
            self._stop()
            self._brokers = kind()
            self._brokers.__enter__()
        return self._brokers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._brokers is not None:
            self._brokers.__exit__(None, None, None)
            self._brokers = None

    def _truth(self, scenario: Scenario, seed: int) -> Truth:
        key = (scenario.traffic, seed)
        if key not in self._truths:
            folder = self._folder / f"truth-{scenario.traffic.__name__}-{seed}"
            self._truths[key] = work_out(scenario.traffic(seed, count=_EVENTS), folder)
        return self._truths[key]

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return sum(map(len, self.verdicts.values()))

    @property
    def exact(self) -> int:
        """How many of them were exact."""
        return sum(verdict.exact for verdicts in self.verdicts.values() for verdict in verdicts)

    def table(self) -> Table:
        """Summarise, a line a scenario."""
        table = Table("scenario", title="faults")
        for name in ("runs", "exact", "restarts", "blackout median", "longest"):
            table.add_column(name, justify="right")
        for name, verdicts in self.verdicts.items():
            blackouts_s = [one for verdict in verdicts for one in verdict.blackouts_s]
            table.add_row(
                name,
                str(len(verdicts)),
                str(sum(verdict.exact for verdict in verdicts)),
                str(sum(verdict.restarts for verdict in verdicts)),
                f"{statistics.median(blackouts_s):.1f} s" if blackouts_s else "–",
                f"{max(blackouts_s):.1f} s" if blackouts_s else "–",
            )
        return table


def _report(name: str, seed: int, verdict: Verdict) -> None:
    word = "[green]exact[/]" if verdict.exact else "[red]NOT EXACT[/]"
    exits = ", ".join(f"{n}× {code}" for code, n in sorted(verdict.exits.items()))
    console.print(f"{word} {name} seed {seed}: {verdict.seconds:.0f} s, exits: {exits or 'none'}")
    for note in verdict.notes:
        console.print(f"  {note}", markup=False, highlight=False)
    for problem in verdict.problems[:_SHOWN]:
        short = problem if len(problem) <= _SHOWN_CHARACTERS else problem[:_SHOWN_CHARACTERS] + "…"
        console.print(f"  {short}", markup=False, highlight=False)
    if len(verdict.problems) > _SHOWN:
        console.print(f"  and {len(verdict.problems) - _SHOWN} more problems")


def _choose(names: list[str], *, quick: bool) -> list[Scenario]:
    for name in names:
        if name not in SCENARIOS:
            raise typer.BadParameter(f"{name!r}; known are {', '.join(SCENARIOS)}")
    if names:
        return [SCENARIOS[name] for name in names]
    return [
        one
        for one in SCENARIOS.values()
        if (one.quick or not quick) and (os.geteuid() == 0 or not one.small_disk)
    ]


def _runs(
    chosen: list[Scenario], *, first_seed: int, seeds: int, minutes: float | None
) -> Iterator[tuple[Scenario, int]]:
    """Yield what to run: everything once, then what chance makes different, seed by seed."""
    end_s = None if minutes is None else time.monotonic() + 60 * minutes
    number = 0
    while number < seeds if end_s is None else time.monotonic() < end_s:
        for scenario in chosen:
            if number and not scenario.random:
                continue
            if number and end_s is not None and time.monotonic() > end_s:
                return
            yield scenario, first_seed + number
        number += 1
        if not any(one.random for one in chosen):
            return


def main(
    *,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this scenario; repeatable.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="How many runs of those scenarios that are made by chance.")
    ] = 1,
    first_seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(help="Go on with new seeds for so long, whatever --seeds says.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A selection of scenarios, short outages.")
    ] = False,
    broken: Annotated[
        str | None, typer.Option(help=f"Run workers and sinks with a defect: {', '.join(MUTANTS)}.")
    ] = None,
    list_scenarios: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
) -> None:
    """Harm workers and brokers in every way we know, and compare every number.

    Examples:

    `python -m tests.faults.run --quick`

    `python -m tests.faults.run --scenario kill-9 --scenario zombie --seeds 5`

    `python -m tests.faults.run --broken outputs-outside-transaction --scenario
    inside-transactions` must find that the numbers are wrong.
    """
    chosen = _choose(scenario or [], quick=quick)
    if broken is not None and broken not in MUTANTS:
        raise typer.BadParameter(f"{broken!r}; known are {', '.join(MUTANTS)}")
    if list_scenarios:
        for one in chosen:
            console.print(f"[bold]{one.name}[/]  {one.about}")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="driftline-faults-"))
    plan = QUICK if quick else FULL
    if broken is not None:
        plan = replace(plan, deadline_s=BROKEN_DEADLINE_S)
    with Suite(folder, plan=plan) as suite:
        for one, seed in _runs(chosen, first_seed=first_seed, seeds=seeds, minutes=minutes):
            with console.status(f"{one.name}, seed {seed}: {one.about}"):
                verdict = suite.run(one, seed, broken=broken)
            _report(one.name, seed, verdict)
    if suite.exact == suite.runs:
        shutil.rmtree(folder)
    console.print(suite.table())
    print(f"runs={suite.runs} exact={suite.exact}")
    raise typer.Exit(int(suite.exact < suite.runs))


_registered = (cluster_scenarios, history_scenarios, refusals)  # imported for their scenarios

if __name__ == "__main__":
    typer.run(main)
