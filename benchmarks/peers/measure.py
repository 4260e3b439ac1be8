"""One measured run of one engine."""

import os
import shutil
import time
import uuid
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from benchmarks.measure import ROOT, on_cores, worker_core
from benchmarks.peers.engines import BUILD, Engine, command
from benchmarks.peers.processes import Sample, Sampler, at, ended
from benchmarks.peers.progress import (
    Commits,
    Lines,
    Progress,
    Watch,
    largest_step,
    settled,
    when,
)
from benchmarks.peers.site import Site
from benchmarks.peers.truth import compare, read_rates, read_tallies

_PROGRESS_S = 0.2
_SETTLED_S = 2.0
_RESULT_S = 45.0
"""How long a result may take to become visible once the job is done."""
_LARGEST_STEP = 0.5


class RunError(RuntimeError):
    """A run that gave no figures; the message says why and has the job's last lines."""


class Run(NamedTuple):
    """Figures of one run.

    Attributes
    ----------
    cpu_us
        User and system CPU time of the job's processes, by input record.
    broker_us
        The same of the broker.
    wrong
        What is wrong with the result; empty if nothing is.
    """

    cpu_us: float
    broker_us: float
    events_per_s: float
    memory_mb: float
    wrong: str


def measure(engine: Engine, site: Site, *, timeout_s: float, begin: float) -> Run:
    """Run a job over all of the input, from its start to the right result.

    Parameters
    ----------
    begin
        Share of the input after which the figures begin.

    Raises
    ------
    RunError
        If the job ends, stands still or takes longer than `timeout_s`.
    """
    application = f"peer-{engine.project or 'driftline'}-{uuid.uuid4().hex[:8]}"
    folder = BUILD / "runs" / application
    folder.mkdir(parents=True)
    output = _prepare(engine, site, application)
    environment = _environment(site, application, engine=engine, output=output, folder=folder)
    try:
        with (folder / "out.log").open("wb") as log:
            process = _start(engine, site, environment=environment, log=log)
            with ended(process), Sampler(process, site.kafka.pid) as sampler:
                progress = _watch(process, engine, site, folder / "out.log", timeout_s)
                wrong = _await_result(engine, site, output) if engine.compared else ""
    finally:
        site.forget_job(application)
    shutil.rmtree(folder)
    return _figures(progress, sampler.samples, site.truth.events, begin=begin, wrong=wrong)


def _prepare(engine: Engine, site: Site, application: str) -> str:
    if engine.runtime == "driftline":
        site.forget()
        site.used = True
        return f"{site.prefix}.metrics"
    site.create_output(f"{application}.output")
    return f"{application}.output"


def _environment(
    site: Site, application: str, *, engine: Engine, output: str, folder: Path
) -> dict[str, str]:
    told = {
        "SERVERS": site.servers,
        "PREDICTIONS": f"{site.prefix}.predictions",
        "LABELS": f"{site.prefix}.labels",
        "OUTPUT": output,
        "APPLICATION": application,
        "FOLDER": str(folder),
        "VARIANT": engine.variant,
        "EVENTS": str(site.truth.events),
        "LABELLED": str(site.truth.labelled),
    }
    # A setting of the worker in the environment would be a setting of the measurement.
    mine = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    return {**mine, **{f"PEER_{name}": value for name, value in told.items()}}


def _start(
    engine: Engine, site: Site, *, environment: dict[str, str], log: IO[bytes]
) -> psutil.Popen:
    words = command(engine, site.servers, site.prefix)
    folder = ROOT if engine.runtime == "driftline" else environment["PEER_FOLDER"]
    with on_cores(worker_core()):
        return psutil.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)


def _watch(
    process: psutil.Popen, engine: Engine, site: Site, log: Path, timeout_s: float
) -> list[Progress]:
    """Follow a job until all input is consumed and aggregated and nothing moves any more."""
    events, labelled = site.truth.events, site.truth.labelled
    watch: Watch = Lines(log)
    if engine.runtime == "driftline":
        watch = Commits(site)
    progress: list[Progress] = [Progress(time.time(), 0, 0)]
    deadline_s = progress[0].time_s + timeout_s
    while True:
        time.sleep(_PROGRESS_S)
        now_s = time.time()
        progress += watch.new(now_s)
        last = progress[-1]
        if last.consumed >= events and last.aggregated >= labelled:
            if now_s > settled(progress) + _SETTLED_S:
                return progress
        elif process.poll() is not None:
            raise RunError(f"ended with status {process.returncode}:\n{_tail(log)}")
        elif now_s > deadline_s:
            raise RunError(f"at {last[1:]} of {events} after {timeout_s:.0f} s:\n{_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join([line for line in lines if not line.startswith("P ")][-15:])


def _await_result(engine: Engine, site: Site, output: str) -> str:
    """Read the output until it is right; return what is wrong with it at the last."""
    read = read_rates if engine.runtime == "driftline" else read_tallies
    deadline_s = time.monotonic() + _RESULT_S
    while True:
        found = read(site.servers, output)
        wrong = compare(found, site.truth.result, engine.compared)
        if not wrong or time.monotonic() > deadline_s:
            return wrong
        time.sleep(1)


def _figures(
    progress: list[Progress], samples: list[Sample], events: int, *, begin: float, wrong: str
) -> Run:
    if largest_step(progress) > _LARGEST_STEP * events:
        raise RunError("too much was consumed between two looks to tell when: take more events")
    start_s, end_s = when(progress, begin * events), settled(progress)
    assert start_s is not None
    first, last = at(samples, start_s), at(samples, end_s)
    count = (1 - begin) * events
    return Run(
        cpu_us=1e6 * (last.job_s - first.job_s) / count,
        broker_us=1e6 * (last.broker_s - first.broker_s) / count,
        events_per_s=count / (end_s - start_s),
        memory_mb=max(sample.memory_mb for sample in samples if sample.time_s <= end_s + 1),
        wrong=wrong,
    )
