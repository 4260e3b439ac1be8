"""The processes of a job: what they use, and their end."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import psutil

from benchmarks.measure import cpu_s

_SAMPLE_S = 0.1


class Sample(NamedTuple):
    """CPU seconds that a job and the broker have used by a time, and the job's memory."""

    time_s: float
    job_s: float
    broker_s: float
    memory_mb: float


@contextmanager
def ended(process: psutil.Popen) -> Iterator[None]:
    """End a job and everything that it has started, however the block ends."""
    try:
        yield
    finally:
        family = _family(process)
        try:
            if process.poll() is None:
                process.terminate()
            psutil.wait_procs(family, timeout=10)
        finally:  # a second Ctrl-C, too, leaves nothing running
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait(10)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class Sampler:
    """Samples CPU time and memory of a job, children included, and of the broker."""

    def __init__(self, process: psutil.Process, broker_pid: int) -> None:
        self.samples: list[Sample] = []
        self._process, self._broker = process, psutil.Process(broker_pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sampler":
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
                    job_s += cpu_s(one)
                    memory += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            if job_s:
                sample = Sample(time.time(), job_s, cpu_s(self._broker), memory / 1e6)
                self.samples.append(sample)


def at(samples: list[Sample], time_s: float) -> Sample:
    """Return what had been used at a time, between two samples in proportion."""
    after = min(max(bisect_left(samples, (time_s,)), 1), len(samples) - 1)
    low, high = samples[after - 1], samples[after]
    share = min(max((time_s - low.time_s) / (high.time_s - low.time_s), 0.0), 1.0)
    pairs: Any = zip(low, high, strict=True)
    return Sample(*(a + share * (b - a) for a, b in pairs))
