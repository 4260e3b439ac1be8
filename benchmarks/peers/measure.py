"""One measured run of one engine."""

import os
import shutil
import subprocess
import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from benchmarks.peers.engines import BUILD, HERE, Engine, command
from benchmarks.peers.progress import Commits, Lines, Progress, Watch, when
from benchmarks.peers.site import ROOT, Site
from benchmarks.peers.truth import compare, read_rates, read_tallies

_SAMPLE_S = 0.1
_PROGRESS_S = 0.2
_SETTLED_S = 2.0
_RESULT_S = 45.0
"""How long a result may take to become visible once the job is done."""


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


class _Sample(NamedTuple):
    time_s: float
    job_s: float
    broker_s: float
    memory_mb: float


def measure(
    engine: Engine, site: Site, *, core: int | None, timeout_s: float, begin: float = 0.2
) -> Run:
    """Run a job over all of the input, from its start to the right result.

    Parameters
    ----------
    core
        Pin the job to it; None leaves it free.
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
    with (folder / "out.log").open("wb") as log:
        environment = _environment(site, application, engine=engine, output=output, folder=folder)
        process = _start(engine, site, core=core, environment=environment, log=log)
        with _ended(process), _Sampler(process, site.kafka.pid) as sampler:
            progress = _watch(process, engine, site, folder / "out.log", timeout_s)
            wrong = _await_result(engine, site, output) if engine.compared else ""
    site.forget(application)
    shutil.rmtree(folder)
    return _figures(progress, sampler.samples, site.truth.events, begin=begin, wrong=wrong)


def _prepare(engine: Engine, site: Site, application: str) -> str:
    if engine.runtime == "driftline":
        site.forget_driftline()
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
    return {**os.environ, **{f"PEER_{name}": value for name, value in told.items()}}


def _start(
    engine: Engine,
    site: Site,
    *,
    core: int | None,
    environment: dict[str, str],
    log: IO[bytes],
) -> psutil.Popen:
    pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
    words = [*pinned, *command(engine)]
    if engine.runtime == "driftline":
        words += ["--bootstrap-servers", site.servers, "--prefix", site.prefix]
        words += ["--window", "1m", "--horizon", "1h", "--metrics-port", "0"]
        words += ["--monitors", str(HERE / "driftline.yaml"), *_no_features()]
        return psutil.Popen(words, cwd=ROOT, stdout=log, stderr=log)
    folder = environment["PEER_FOLDER"]
    return psutil.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)


@cache
def _no_features() -> tuple[str, ...]:
    """Return the flag that leaves features out, if the worker has it."""
    words = [*command(_DRIFTLINE), "--help"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return ("--no-features",) if "--no-features" in said else ()


_DRIFTLINE = Engine("driftline", "eos", True, "driftline", "", "", (), (), "")


@contextmanager
def _ended(process: psutil.Popen) -> Iterator[None]:
    """End a job and everything that it has started, however the block ends."""
    try:
        yield
    finally:
        family = _family(process)
        if process.poll() is None:
            process.terminate()
        psutil.wait_procs(family, timeout=10)
        for one in family:
            if one.is_running():
                one.kill()
        process.wait(10)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class _Sampler:
    """Samples CPU time and memory in a thread."""

    def __init__(self, process: psutil.Process, broker_pid: int) -> None:
        self.samples: list[_Sample] = []
        self._process, self._broker = process, psutil.Process(broker_pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            job_s = memory = 0.0
            for one in _family(self._process):
                try:
                    job_s += _cpu_s(one)
                    memory += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            if job_s:
                sample = _Sample(time.time(), job_s, _cpu_s(self._broker), memory / 1e6)
                self.samples.append(sample)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _watch(
    process: psutil.Popen, engine: Engine, site: Site, log: Path, timeout_s: float
) -> list[Progress]:
    """Follow a job until all input is consumed and aggregated and nothing moves any more."""
    events, labelled = site.truth.events, site.truth.labelled
    watch: Watch = Lines(log)
    if engine.runtime == "driftline":
        watch = Commits(site.servers, site.prefix, labelled=labelled)
    progress: list[Progress] = [Progress(time.time(), 0, 0)]
    deadline_s = progress[0].time_s + timeout_s
    while True:
        time.sleep(_PROGRESS_S)
        now_s = time.time()
        progress += [new for new in watch.new(now_s) if new[1:] != progress[-1][1:]]
        last = progress[-1]
        if last.consumed >= events and last.aggregated >= labelled:
            if now_s > last.time_s + _SETTLED_S:
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
    progress: list[Progress], samples: list[_Sample], events: int, *, begin: float, wrong: str
) -> Run:
    start_s, end_s = when(progress, begin * events), progress[-1].time_s
    assert start_s is not None
    first, last = _at(samples, start_s), _at(samples, end_s)
    count = (1 - begin) * events
    return Run(
        cpu_us=1e6 * (last.job_s - first.job_s) / count,
        broker_us=1e6 * (last.broker_s - first.broker_s) / count,
        events_per_s=count / (end_s - start_s),
        memory_mb=max(sample.memory_mb for sample in samples if sample.time_s <= end_s + 1),
        wrong=wrong,
    )


def _at(samples: list[_Sample], time_s: float) -> _Sample:
    """Return what had been used at a time, between two samples in proportion."""
    after = min(max(bisect_left(samples, (time_s,)), 1), len(samples) - 1)
    low, high = samples[after - 1], samples[after]
    share = min(max((time_s - low.time_s) / (high.time_s - low.time_s), 0.0), 1.0)
    pairs: Any = zip(low, high, strict=True)
    return _Sample(*(a + share * (b - a) for a, b in pairs))
