"""Processes, cores and CPU time: a broker, workers on it, and what they used.

A worker's progress is what its consumer group has committed. Asking the broker for that costs the
worker nothing, and what is committed is done.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from agents.local_kafka import LocalKafka
from benchmarks import quota
from benchmarks.load import PARTS, Progress

ROOT = Path(__file__).parent.parent
CLI = (sys.executable, "-m", "agents.cli")
OUTPUTS = ("outcomes", "join-state", "monitor-state", "metrics", "alerts")
_STARTED, _LATEST = 0.2, 0.6
_TIMEOUT_S = 20.0
_POLL_S = 0.1
_STILL_S = 1.0
_IDLE = 0.15
_UNCOMMITTED = IsolationLevel.READ_UNCOMMITTED


class MeasurementError(RuntimeError):
    """A run that says nothing: a worker that ended or never finished, records that were lost."""


# --- cores


def spare_cores() -> set[int]:
    """Return the cores of the broker and the generator: all but the workers', if there are more."""
    return set(_CORES[: -2 * OWN_CORES if OWN_CORES > 1 else -1] or _CORES)


def worker_core(number: int = 0) -> set[int]:
    """Return the core of a measured process, of which there may be `OWN_CORES`."""
    return {_CORES[::-2][:OWN_CORES][number]}


def all_cores() -> set[int]:
    """Return every core."""
    return set(_CORES)


_PINS = hasattr(os, "sched_setaffinity")  # macOS has nothing of the kind
_CORES = sorted(os.sched_getaffinity(0)) if _PINS else list(range(os.cpu_count() or 1))

OWN_CORES = min(4, len(_CORES) // 4) or 1
"""So many measured processes can have a core each. Where there are several, the neighbours by
number of their cores stay empty: mostly, these are halves of one.
"""


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Run this thread, and whatever it starts meanwhile, on these cores."""
    if not _PINS:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def unpinned(kafka: LocalKafka) -> Iterator[None]:
    """Let the broker, and this thread, run on any core until the block ends."""
    threads = Path(f"/proc/{kafka.pid}/task")
    if not _PINS or not threads.exists():
        yield
        return

    def let_run(cores: set[int]) -> None:
        for thread in threads.iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)

    let_run(all_cores())
    try:
        with on_cores(all_cores()):
            yield
    finally:
        let_run(spare_cores())


# --- the broker and the topics


@contextmanager
def broker() -> Iterator[LocalKafka]:
    """Run a broker on the spare cores; this thread stays there, too."""
    with on_cores(spare_cores()), LocalKafka() as kafka:
        yield kafka


class Site:
    """One installation: a prefix on a broker.

    Attributes
    ----------
    records
        How many records its inputs hold, once they are filled.
    used
        Whether a worker has run.
    """

    def __init__(self, kafka: LocalKafka, prefix: str, *, partitions: int = 4) -> None:
        self.kafka, self.prefix, self.partitions = kafka, prefix, partitions
        self.servers = kafka.bootstrap_servers
        self.group = f"{prefix}-workers"
        self.records, self.used = 0, False
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        self.create_topics()
        self._await_coordinator()

    def _await_coordinator(self) -> None:
        """Wait until the broker coordinates the workers' group.

        A new broker makes its topic of offsets on demand. An admin client that asks meanwhile
        waits for ever, or crashes (librdkafka 2.16.0); a consumer asks until it is answered.
        """
        consumer = Consumer(
            {"bootstrap.servers": self.servers, "group.id": self.group, "log_level": 2}
        )

        def answered() -> bool:
            place = TopicPartition(f"{self.prefix}.labels", 0)
            try:
                consumer.committed([place], timeout=_TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NOT_COORDINATOR:
                    raise
                return False
            return True

        until(answered)
        consumer.close()

    def create_topics(self) -> None:
        """Create the topics that are missing."""
        create = ["topics", "create", "--bootstrap-servers", self.servers]
        create += ["--prefix", self.prefix, "--partitions", str(self.partitions)]
        done = subprocess.run(
            [*CLI, *create], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MeasurementError(done.stderr)

    def forget(self) -> None:
        """Delete all that workers made of the inputs, so that the next one begins anew."""
        if not self.used:
            return
        names = [f"{self.prefix}.{name}" for name in OUTPUTS]
        deletions = self._admin.delete_topics(names, operation_timeout=_TIMEOUT_S)
        for future in deletions.values():
            future.result(_TIMEOUT_S)
        (group,) = self._admin.delete_consumer_groups([self.group]).values()
        group.result(_TIMEOUT_S)
        until(lambda: not set(names) & set(self._admin.list_topics(timeout=_TIMEOUT_S).topics))
        self.create_topics()
        self.used = False

    def delete(self) -> None:
        """Delete all topics, to free the disk."""
        known = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        names = [name for name in known if name.startswith(f"{self.prefix}.")]
        for future in self._admin.delete_topics(names, operation_timeout=_TIMEOUT_S).values():
            future.result(_TIMEOUT_S)

    def range(self, place: TopicPartition) -> tuple[int, int]:
        """Return the first offset of a partition and its end."""
        found = []
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
            answers = self._admin.list_offsets({place: spec}, isolation_level=_UNCOMMITTED)
            found.append(answers[place].result(_TIMEOUT_S).offset)
        return found[0], found[1]

    def broker_cpu_s(self) -> float:
        """Return the seconds of CPU that the broker has used."""
        return cpu_s(psutil.Process(self.kafka.pid))

    def committed(self) -> Counter[str]:
        """Return how many input records the workers are done with, by topic."""
        request = [ConsumerGroupTopicPartitions(self.group)]
        answer = self._admin.list_consumer_group_offsets(request)[self.group].result(_TIMEOUT_S)
        counts: Counter[str] = Counter()
        for place in answer.topic_partitions or ():
            counts[place.topic.removeprefix(f"{self.prefix}.")] += max(place.offset, 0)
        return counts


def until(true: Callable[[], bool], *, timeout_s: float = 60.0, poll_s: float = _POLL_S) -> None:
    """Wait until something is true."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline_s:
            raise MeasurementError(f"what was waited for did not come within {timeout_s:.0f} s")
        time.sleep(poll_s)


# --- workers


class Worker:
    """A running worker, and its numbers."""

    def __init__(self, process: psutil.Popen, port: int) -> None:
        self.process, self._port = process, port

    def cpu_s(self) -> float:
        """Return the seconds of CPU, user and system, that it has used."""
        return cpu_s(self.process)

    def rss_mb(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss / 1e6)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def metrics(self) -> Counter[str]:
        """Return all samples of its Prometheus endpoint, once that answers."""
        pages: list[str] = []

        def answered() -> bool:
            page = self._ask("/metrics")
            pages.extend([] if page is None else [page])
            return page is not None

        until(answered, timeout_s=_TIMEOUT_S)
        lines = pages[-1].splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return Counter({name: float(value) for name, value in pairs})

    def _ask(self, path: str) -> str | None:
        """Return a page, None if the worker does not answer or says no."""
        self.check()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as page:
                text: str = page.read().decode()
        except OSError:
            return None
        return text

    def fates(self) -> dict[str, float]:
        """Return how many records ended in which fate so far, those still pending included."""
        start, found = 'driftline_records_total{fate="', {}
        for sample, count in self.metrics().items():
            if sample.startswith(start):
                found[sample.removeprefix(start).removesuffix('"}')] = count
        return found | {"pending": self.total("driftline_pending_predictions")}

    def total(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        return sum(n for sample, n in self.metrics().items() if sample.partition("{")[0] == name)

    def ready(self) -> bool:
        """Tell whether its partitions are open."""
        return self._ask("/readyz") is not None

    def check(self) -> None:
        """Raise if it has ended."""
        if (status := self.process.poll()) is not None:
            raise MeasurementError(f"the worker ended by itself, with status {status}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(process: psutil.Process) -> float:
    """Return the seconds of CPU, user and system, that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def worker(
    site: Site, *options: str, cores: set[int] | None = None, core_share: float | None = None
) -> Iterator[Worker]:
    """Run a worker until the block ends.

    Parameters
    ----------
    options
        More flags of `driftline worker`.
    cores
        None for the core of the measured process.
    core_share
        How much of a core it may use; None for all of it.
    """
    port = _free_port()
    command = [*CLI, "worker", "--bootstrap-servers", site.servers, "--prefix", site.prefix]
    command += ["--metrics-port", str(port), *options]
    log = site.kafka.folder / f"worker-{port}.log"
    site.used = True
    with ExitStack() as stack:
        limit = None if core_share is None else _quota(stack, core_share)
        with log.open("wb") as output, on_cores(worker_core() if cores is None else cores):
            process = psutil.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        stack.callback(_end, process)
        if limit is not None:
            limit.add(process.pid)
        try:
            yield Worker(process, port)
        except MeasurementError as error:
            raise MeasurementError(f"{error}\n{log.read_text(errors='replace')[-2000:]}") from None


def _quota(stack: ExitStack, cores: float) -> quota.Quota:
    try:
        return stack.enter_context(quota.quota(cores))
    except OSError as error:
        raise MeasurementError(f"no process can be kept to a part of a core: {error}") from error


def _end(process: psutil.Popen) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_TIMEOUT_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()


# --- cost


class Sample(NamedTuple):
    """What was used so far, and how much was done with it.

    Attributes
    ----------
    done
        Input records that were joined.
    ready
        Whether all workers have had partitions.
    """

    time_s: float
    done: int
    cpu_s: float
    broker_cpu_s: float
    rss_mb: float
    ready: bool = True


@dataclass(frozen=True)
class Cost:
    """What records cost, measured from 20 % of the input until the workers have nothing to do.

    If not all workers have partitions by then, from when they have: the first to start gets all
    of them, and nobody works while they are given out anew.

    At 20 %, some records are read and not joined, others joined and not evaluated: a part of what
    they cost is before that moment, or after it. With large inputs that does not matter.

    Attributes
    ----------
    cpu_us, broker_cpu_us
        CPU microseconds per input record, of the workers and of the broker.
    whole_cpu_us
        The same of the workers with their start and until the last result.
    rss_mb, half_rss_mb
        Largest resident memory seen, the sum of all workers; likewise in the first half.
    """

    cpu_us: float
    whole_cpu_us: float
    broker_cpu_us: float
    events_per_s: float
    rss_mb: float
    half_rss_mb: float

    def figures(self) -> dict[str, float]:
        """Return the numbers by name, rounded to what is known of them."""
        return {name: round(value, 3) for name, value in vars(self).items()}


def backlog(
    site: Site,
    workers: Sequence[Worker],
    *,
    standing: int = 0,
    check: Callable[[], bool] = lambda: True,
    observe: Callable[[], None] = lambda: None,
    patience_s: float = 60.0,
) -> Cost:
    """Watch workers that go through what is on the topics, until `check` is satisfied.

    Parameters
    ----------
    standing
        So many records come first that do not count.
    check
        Asked, once all input is done, whether all results are there; for `patience_s` at most.
    observe
        Called with every sample.

    Raises
    ------
    MeasurementError
        If a worker ends, or nothing moves for a minute.
    """
    samples = [_sample(site, workers, ready=False)]
    moved_s = time.monotonic()
    with Progress(f"worker on {site.prefix}", site.records) as progress:
        while samples[-1].done < site.records or time.monotonic() < moved_s + _STILL_S:
            time.sleep(_POLL_S)
            samples.append(_sample(site, workers, ready=samples[-1].ready))
            progress.reach(samples[-1].done)
            observe()
            if samples[-1].done > samples[-2].done or (
                samples[-1].done >= site.records and _busy(*samples[-2:])
            ):
                moved_s = time.monotonic()
            elif time.monotonic() > moved_s + 60:
                raise MeasurementError(f"the worker stands still at {samples[-1].done} records")
    with suppress(MeasurementError):  # whoever checks knows what was wrong
        until(check, timeout_s=patience_s, poll_s=0.5)
    return cost(
        samples, first=standing, last=site.records, whole=_sample(site, workers, ready=True)
    )


def _sample(site: Site, workers: Sequence[Worker], *, ready: bool) -> Sample:
    for one in workers:
        one.check()
    counts = site.committed()
    return Sample(
        time.monotonic(),
        sum(counts[part] for part in PARTS),
        sum(one.cpu_s() for one in workers),
        site.broker_cpu_s(),
        sum(one.rss_mb() for one in workers),
        ready=ready or all(one.ready() for one in workers),
    )


def _busy(before: Sample, after: Sample) -> bool:
    """Tell whether workers did more between two samples than look for work."""
    return after.cpu_s - before.cpu_s > _IDLE * (after.time_s - before.time_s)


def cost(samples: Sequence[Sample], *, first: int, last: int, whole: Sample) -> Cost:
    """Work out the cost between two samples: see `Cost`, and the last one that work came before.

    Raises
    ------
    MeasurementError
        If workers had partitions, or a sample was taken, only when 60 % of the input was done.
    """
    size = last - first
    begin = next((s for s in samples if s.ready and s.done >= first + _STARTED * size), samples[-1])
    end = [after for before, after in pairwise(samples) if _busy(before, after)][-1]
    done = end.done - begin.done
    if begin.done > first + _LATEST * size or done <= 0:
        late = f"{begin.done - first} of {size} records"
        raise MeasurementError(f"{late} were done before their cost could be measured: take more")
    return Cost(
        cpu_us=1e6 * (end.cpu_s - begin.cpu_s) / done,
        whole_cpu_us=1e6 * whole.cpu_s / last,
        broker_cpu_us=1e6 * (end.broker_cpu_s - begin.broker_cpu_s) / done,
        events_per_s=done / (end.time_s - begin.time_s),
        rss_mb=max(s.rss_mb for s in (*samples, whole)),
        half_rss_mb=max(s.rss_mb for s in samples if s.done <= first + size // 2),
    )


def figures_of(script: str, *arguments: str) -> dict[str, Any]:
    """Run a module on the measured core; return the JSON of its last line."""
    with on_cores(worker_core()):
        done = subprocess.run(
            [sys.executable, "-m", script, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise MeasurementError(f"{script}: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
