"""The ladder: every case that is measured, as data.

A case is one run of something that gives figures; `run` repeats it, `report` makes tables of it.
What needs a capacity (latency at a share of it) takes the median of the case `full`.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from agents.local_kafka import LocalKafka
from benchmarks import exact, jobs, live, measure, recovery
from benchmarks.jobs import FULL, SAME_JOB, Job
from benchmarks.load import Load, fill
from benchmarks.measure import Site

Figures = dict[str, Any]
Recorded = Mapping[str, Sequence[Figures]]

_traffic = partial(live.Traffic, seconds=25.0, warm_s=10.0)
_WARM_BROKER_S = 150.0
_LATE_S, _FEW = 0.5, 100
_PART = 0.4  # of a core: on two cores, two workers leave more to the broker than it needs
_ALARMED = Path(__file__).with_name("latency.yaml")
_LATENCY_OPTIONS = ("--disorder", "500ms", "--monitors", str(_ALARMED))


class Bench:
    """What the cases share: a broker, loads that are written once, what was measured before.

    Attributes
    ----------
    events
        Events of the cases on a backlog; those whose records are large or many take fewer.
    """

    def __init__(self, kafka: LocalKafka, *, events: int, recorded: Recorded) -> None:
        self.kafka, self.events, self.recorded = kafka, events, recorded
        self._site: tuple[Load, int, Site, exact.Expected] | None = None
        self._number = 0
        self._warm = False

    def warm_up(self) -> None:
        """Let the broker compile what little traffic makes it run, which takes minutes."""
        if self._warm:
            return
        traffic = live.Traffic(1_000, _WARM_BROKER_S, linger_ms=100)
        with self.alone(16) as site, measure.worker(site) as worker:
            measure.until(worker.ready)
            generator = live.Generator(site, traffic)
            generator.start()
            generator.join()
        self._warm = True

    def filled(self, load: Load, partitions: int) -> tuple[Site, exact.Expected]:
        """Return a site with a load on it; the one before is deleted if it is another."""
        if self._site is None or self._site[:2] != (load, partitions):
            self.clear()
            site = self.site(partitions)
            with measure.on_cores(measure.all_cores()):
                site.records = fill(site.servers, site.prefix, load)
            self._site = (load, partitions, site, exact.Expected(load))
        return self._site[2:]

    @contextmanager
    def alone(self, partitions: int) -> Iterator[Site]:
        """Make a site, the only one, and delete it when the block ends."""
        self.clear()
        site = self.site(partitions)
        try:
            yield site
        finally:
            site.delete()

    def site(self, partitions: int) -> Site:
        """Return a new site."""
        self._number += 1
        return Site(self.kafka, f"bench-{self._number}", partitions=partitions)

    def clear(self) -> None:
        """Delete what is on the topics."""
        if self._site is not None:
            self._site[2].delete()
            self._site = None

    def capacity(self) -> float:
        """Return the events per second of a worker with the default monitoring."""
        runs = self.recorded.get("full")
        if not runs:
            raise measure.MeasurementError("measure the case `full` first: it gives the capacity")
        return float(statistics.median(run["events_per_s"] for run in runs))


@dataclass(frozen=True)
class Case:
    """One rung.

    Attributes
    ----------
    group
        Which table it belongs to.
    long
        Whether it is left out unless asked for.
    most_runs
        Repeating it more often would take too long for what it says.
    size
        Where it is on the axis of a plot of growth.
    """

    name: str
    group: str
    says: str
    run: Callable[[Bench], Figures]
    long: bool = False
    most_runs: int = 100
    size: int | None = None


def _reading(what: str, bench: Bench) -> Figures:
    site, _ = bench.filled(Load(events=bench.events), 4)
    place = ("--servers", site.servers, "--prefix", site.prefix)
    options = (*place, "--records", str(site.records), "--what", what)
    return measure.figures_of("benchmarks.reading", *options)


def _in_memory(job: str, bench: Bench) -> Figures:
    options = ("--events", str(bench.events // 2), "--job", job)
    return measure.figures_of("benchmarks.in_memory", *options)


def _kept(models: int, bench: Bench) -> Figures:  # noqa: ARG001
    return measure.figures_of("benchmarks.kept", "--models", str(models))


def _time(models: int, days: int, a_day: int, bench: Bench) -> Figures:  # noqa: ARG001
    options = ("--models", str(models), "--days", str(days), "--a-day", str(a_day))
    return measure.figures_of("benchmarks.month", *options)


def _backlog(
    bench: Bench,
    *,
    job: Job = FULL,
    partitions: int = 4,
    share: float = 1.0,
    **load: int,
) -> Figures:
    of = Load(events=round(bench.events * share), **load)
    site, expected = bench.filled(of, partitions)
    result = jobs.run(site, of, job, expected=expected)
    return {**result.cost.figures(), "exact": not result.problems, "problems": result.problems}


def _latency(share: float, bench: Bench) -> Figures:
    rate = share * bench.capacity()
    traffic = _traffic(rate, drift_at=0.6)
    bench.warm_up()
    figures = _run_live(bench, traffic, 4, _LATENCY_OPTIONS)
    return {"rate": round(rate), **figures}


def _low_load(rate: int, partitions: int, bench: Bench) -> Figures:
    probes = 10.0 if rate else 0.0
    traffic = _traffic(rate, probes_per_s=probes, linger_ms=100)
    bench.warm_up()
    return _run_live(bench, traffic, partitions, ())


def _written(rate: int, bench: Bench) -> Figures:
    traffic = live.Traffic(2 * rate, 70.0, warm_s=10.0, models=3, probes_per_s=0.0)
    bench.warm_up()
    return _run_live(bench, traffic, 4, ())


def _run_live(
    bench: Bench, traffic: live.Traffic, partitions: int, options: Sequence[str]
) -> Figures:
    """Run a worker while events come; figures are of the time after `Traffic.warm_s`."""
    with bench.alone(partitions) as site, measure.worker(site, *options) as worker:
        measure.until(worker.ready)
        reader, generator = live.Reader(site), live.Generator(site, traffic)
        generator.start()
        time.sleep(traffic.warm_s)
        warm_s, before, seconds = time.time(), _used(site, worker), time.monotonic()
        written = reader.metric_records
        generator.join()
        worker.check()
        used = [now - then for now, then in zip(_used(site, worker), before, strict=True)]
        took_s = time.monotonic() - seconds
        written = reader.metric_records - written
        time.sleep(3.0)
        reader.stop()
        found = live.latencies(generator.sent, reader, after_s=warm_s)
    queued = generator.sent.most_queued
    if queued > max(traffic.rate * _LATE_S, _FEW):
        raise measure.MeasurementError(
            f"the broker did not keep up with {traffic.rate:.0f} events/s: {queued} were waiting"
        )
    per_event = 1e6 / (traffic.rate * took_s) if traffic.rate else 0.0
    return {
        "worker_cpu_percent": round(100 * used[0] / took_s, 2),
        "broker_cpu_percent": round(100 * used[1] / took_s, 2),
        "cpu_us": round(used[0] * per_event, 2),
        "broker_cpu_us": round(used[1] * per_event, 2),
        "transactions_per_s": round(used[2] / took_s, 2),
        "metric_records_per_prediction": round(2e-6 * written * per_event, 3),
        "generator_behind_s": round(generator.sent.behind_s, 3),
        **{name: round(value, 1) for name, value in found.items()},
    }


def _used(site: Site, worker: measure.Worker) -> tuple[float, float, float]:
    commits = worker.total("driftline_commits_total")
    return worker.cpu_s(), site.broker_cpu_s(), commits


def _recovery(predictions: int, bench: Bench) -> Figures:
    with bench.alone(1) as site:
        return recovery.run(site, predictions=predictions, runs=1)


def _steps() -> list[Case]:
    says = {
        "consume": "confluent consume, nothing else",
        "transport": "the worker's reader, which hands over batches",
        "decode": "consume, and decode what the same job needs",
        "decode-all": "consume, and decode the features, too",
    }
    return [
        *(Case(what, "reading", text, partial(_reading, what)) for what, text in says.items()),
        Case("in-memory-same", "stages", "same job, no broker", partial(_in_memory, "same")),
        Case(
            "in-memory-full", "stages", "default monitoring, no broker", partial(_in_memory, "full")
        ),
    ]


def _memory() -> list[Case]:
    says = "{:,} models, 5 cells each, 20 rows a cell: 120 panes of a minute, 72 hours, 35 days"
    return [
        Case(
            f"kept-{n}",
            "memory",
            says.format(n),
            partial(_kept, n),
            long=n > 100,
            most_runs=1,
            size=n,
        )
        for n in (100, 1_000, 10_000)
    ]


def _month() -> list[Case]:
    sizes = ((10, 30, 700, False), (10_000, 30, 24, True))
    return [
        Case(
            f"month-{models}",
            "month",
            f"{models:,} models, {days} days, {a_day} predictions a day each, 8 features",
            partial(_time, models, days, a_day),
            long=long,
            most_runs=1,
            size=models,
        )
        for models, days, a_day, long in sizes
    ]


def _case(
    group: str,
    name: str,
    says: str,
    *,
    long: bool = False,
    size: int | None = None,
    **options: Any,
) -> Case:
    return Case(name, group, says, partial(_backlog, **options), long=long, size=size)


def _jobs() -> list[Case]:
    kinds = {
        "same-job": ("join, confusion, Brier, score histograms", SAME_JOB),
        "full": ("default monitoring of 8 features, with the scan", FULL),
        "no-features": ("the same without features", Job(features=False)),
        "no-detectors": ("features, no scan", Job(detectors=False)),
    }
    # Where measuring begins, the monitor may be half a million events behind the join: see `Cost`.
    return [_case("jobs", name, says, job=job, share=3.0) for name, (says, job) in kinds.items()]


def _scaling() -> list[Case]:
    partitions = [
        _case("partitions", f"partitions-{n}", _several(n, "partition"), partitions=n)
        for n in (1, 2, 4)
    ]
    counts = (1, 2, 4)
    own = max(counts) <= measure.OWN_CORES
    whole = "with a core each" if own else "sharing all cores with the broker"
    kinds = {
        "": (f"with {_PART:.0%} of a core each", replace(SAME_JOB, shared=True, core_share=_PART)),
        "-whole": (whole, replace(SAME_JOB, shared=not own)),
    }
    workers = [
        _case(
            "workers",
            f"workers-{n}{kind}",
            f"{_several(n, 'worker')} {says}",
            models=100,
            job=replace(job, workers=n),
            share=4.0,
        )
        for kind, (says, job) in kinds.items()
        for n in counts
        if kind or n * _PART < 1.0  # two cores have no more, with a broker on them
    ]
    return partitions + workers


def _several(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _growth() -> list[Case]:
    dense = {"spacing_ms": 1, "at_once": 10}  # 20,000 events/s in event time
    cases = [
        _case(
            "models",
            f"models-{n}",
            f"{n:,} models",
            models=n,
            size=n,
            share=4.0,
            long=n > 10_000,
            **dense,
        )
        for n in (10, 1_000, 10_000, 100_000)
    ]
    cases.append(
        _case(
            "models",
            "models-sparse",
            "10,000 models, a tenth of the events in the same time",
            models=10_000,
            share=2.0,
            spacing_ms=1,
        )
    )
    cases += [
        _case("features", f"features-{n}", f"{n} features", features=n, size=n, share=share)
        for n, share in ((0, 0.5), (8, 0.5), (64, 0.4), (256, 0.15))
    ]
    held = replace(SAME_JOB, horizon="2d")
    cases += [
        _case(
            "pending",
            f"pending-{name}",
            f"{n:,} pending predictions",
            pending=n,
            size=n,
            job=held,
            share=3.0,
            long=n > 1_000_000,
        )
        for name, n in (("10k", 10_000), ("1M", 1_000_000), ("5M", 5_000_000), ("10M", 10_000_000))
    ]
    cases += [
        _case(
            "delay", f"delay-{name}", f"labels {name} after", delay_ms=ms, job=SAME_JOB, share=0.5
        )
        for name, ms in (("1s", 1_000), ("30s", 30_000), ("10m", 600_000), ("50m", 3_000_000))
    ]
    return cases


def _live() -> list[Case]:
    cases = [
        Case(
            f"latency-{percent}",
            "latency",
            f"at {percent} % of capacity",
            partial(_latency, percent / 100),
            most_runs=5,
        )
        for percent in (10, 50, 80)
    ]
    cases += [
        Case(
            f"load-{rate}-{partitions}",
            "low load",
            f"{rate:,} events/s, {partitions} partitions",
            partial(_low_load, rate, partitions),
            most_runs=5,
        )
        for partitions in (4, 16)
        for rate in (0, 100, 1_000, 5_000)
    ]
    cases += [
        Case(
            f"written-{rate}",
            "written",
            f"{rate:,} predictions/s of 3 models, their labels a second later",
            partial(_written, rate),
        )
        for rate in (15, 20_000)
    ]
    return cases


def _recoveries() -> list[Case]:
    return [
        Case(
            f"recovery-{name}",
            "recovery",
            f"{n:,} pending predictions in one partition",
            partial(_recovery, n),
            long=n > 1_000_000,
            most_runs=3,
        )
        for name, n in (("100k", 100_000), ("1M", 1_000_000), ("5M", 5_000_000))
    ]


CASES: Sequence[Case] = (
    *_steps(),
    *_memory(),
    *_month(),
    *_jobs(),
    *_scaling(),
    *_growth(),
    *_live(),
    *_recoveries(),
)
"""All cases, in the order in which they run."""
