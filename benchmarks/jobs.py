"""A worker on a backlog: its cost, and whether what it published is exactly right."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import exact, measure
from benchmarks.load import Load
from benchmarks.measure import Cost, MeasurementError, Site


@dataclass(frozen=True)
class Job:
    """How workers are set up.

    Attributes
    ----------
    features, detectors
        Whether features are looked at; whether the default rules and detectors run.
    metrics
        Which are counted and published alone; empty for the usual ones.
    horizon
        How long a label is waited for.
    workers
        How many.
    shared
        Whether they run, as the broker does, on whichever core is free; else each has one to
        itself, of which there are `measure.OWN_CORES`.
    core_share
        How much of a core each of them may use, where they are shared; None for all of it.
    """

    features: bool = True
    detectors: bool = True
    metrics: tuple[str, ...] = ()
    horizon: str = "1h"
    workers: int = 1
    shared: bool = False
    core_share: float | None = None

    def options(self, folder: Path) -> list[str]:
        """Return flags of `driftline worker`; `folder` takes the monitors file."""
        lines = [] if self.features else ["features: false"]
        lines += [] if self.detectors else ["defaults: false"]
        if self.metrics:
            lines.append(f"metrics: {{exclude: [all], include: [{', '.join(self.metrics)}]}}")
        file = folder / "monitors.yaml"
        file.write_text("\n".join([*lines, ""]))
        return ["--horizon", self.horizon, "--monitors", str(file)]


SAME_JOB = Job(features=False, detectors=False, metrics=exact.SAME)
FULL = Job()


@dataclass(frozen=True)
class Result:
    """What a run cost, and what was wrong with its numbers: nothing, if they are exact.

    Attributes
    ----------
    notes
        What was not judged.
    """

    cost: Cost
    problems: list[str]
    notes: list[str]


def run(
    site: Site,
    load: Load,
    job: Job,
    *,
    expected: exact.Expected,
    observe: Callable[[measure.Worker], None] = lambda _: None,
) -> Result:
    """Let workers go through the inputs of a site, and judge what they publish.

    What workers before them have made is deleted first. `observe` is called ten times a second.
    """
    site.forget()
    if not job.features:
        expected = expected.without_features()
    if job.metrics:
        expected = expected.only(job.metrics)
    published = exact.Published(site.servers, site.prefix)
    problems: list[str] = []

    def is_exact() -> bool:
        problems[:] = published.differences(expected)
        return not problems

    with ExitStack() as stack:
        stack.callback(published.close)
        if job.shared:
            stack.enter_context(measure.unpinned(site.kafka))
        workers = [
            stack.enter_context(
                measure.worker(
                    site,
                    *job.options(site.kafka.folder),
                    cores=measure.all_cores() if job.shared else measure.worker_core(n),
                    core_share=job.core_share,
                )
            )
            for n in range(job.workers)
        ]
        cost = measure.backlog(
            site,
            workers,
            standing=load.pending,
            check=is_exact,
            observe=lambda: observe(workers[0]),
        )
        balance = _balance(workers, load, labels=int(expected.labels.sum()))
        notes = published.notes(expected)
    return Result(cost, [*problems, *balance], notes)


def _balance(workers: Sequence[measure.Worker], load: Load, *, labels: int) -> list[str]:
    """Wait until the fates that workers show balance, which gauges do after seconds."""
    found: list[str] = []

    def balanced() -> bool:
        fates: dict[str, float] = {}
        for one in workers:
            for name, count in one.fates().items():
                fates[name] = fates.get(name, 0.0) + count
        found[:] = [f"fate {x}" for x in exact.fates_differences(fates, load, labels=labels)]
        return not found

    try:
        measure.until(balanced, timeout_s=10.0, poll_s=0.5)
    except MeasurementError:
        return found
    return []
