"""Run workers under a steady load for long, and see whether anything grows.

Starts a Kafka of its own, workers, and a producer process; looks every few seconds at memory, open
files, state logs and lag of the workers, and at the delay from a label to its metric. The last line
is ``soak: … flat=true`` if nothing grew in the second half, else ``flat=false`` and exit code 1.
"""

import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import psutil
import typer
from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from rich.console import Console
from rich.table import Table

from tests import brokers, oracle, workers
from tests.faults.broker import FaultyBroker
from tests.faults.probes import Probes
from tests.faults.trial import members

console = Console()
_PARTITIONS = 4
_EVERY_S = 5.0
_WINDOW_MS = 60_000
#: How much the highest of the last quarter may be over the highest of the quarter before.
_GROWTH = {"rss_mb": 0.10, "fds": 0.05, "log_records": 0.25, "log_mb": 0.25}
#: The lag may be what comes in so many seconds.
_LAG_S = 5.0


class Sample(NamedTuple):
    """What was seen at one moment; the sum over workers and partitions."""

    at_s: float
    rss_mb: float
    fds: int
    log_records: int
    log_mb: float
    lag: int
    cpu_s: float


class Looks:
    """Take samples.

    Parameters
    ----------
    data
        The broker's data folder.
    """

    def __init__(self, servers: str, prefix: str, *, data: Path) -> None:
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
        # Not the admin client: asked for a group's offsets while the group's coordinator is being
        # found, it crashes (librdkafka 2.16, `rd_kafka_handle_OffsetFetch`).
        self._group = Consumer({"bootstrap.servers": servers, "group.id": f"{prefix}-workers"})
        self._prefix, self._data = prefix, data
        self._started_s = time.monotonic()

    def take(self, processes: list[psutil.Process]) -> Sample:
        """Look at everything once."""
        logs = [f"{self._prefix}.{name}" for name in ("join-state", "monitor-state")]
        # Compaction moves no first offset: of the monitor's log only the bytes tell something.
        lows, highs = (self._offsets(logs[:1], spec) for spec in _ENDS)
        times = [process.cpu_times() for process in processes]
        return Sample(
            at_s=time.monotonic() - self._started_s,
            rss_mb=sum(process.memory_info().rss for process in processes) / 1e6,
            fds=sum(process.num_fds() for process in processes),
            log_records=sum(highs[place] - lows[place] for place in highs),
            log_mb=sum(map(self._size_bytes, logs)) / 1e6,
            lag=self._lag(),
            cpu_s=sum(one.user + one.system for one in times),
        )

    def _offsets(self, topics: list[str], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        wanted = {TopicPartition(t, p): spec for t in topics for p in range(_PARTITIONS)}
        answers = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=30
        )
        return {(p.topic, p.partition): a.result(30).offset for p, a in answers.items()}

    def _lag(self) -> int:
        inputs = [f"{self._prefix}.{name}" for name in ("predictions", "labels")]
        highs = self._offsets(inputs, _ENDS[1])
        found = self._group.committed([TopicPartition(*place) for place in highs], timeout=30)
        committed = {(one.topic, one.partition): max(0, one.offset) for one in found}
        return sum(high - committed[place] for place, high in highs.items())

    def _size_bytes(self, topic: str) -> int:
        return sum(_size(file) for file in self._data.glob(f"{topic}-*/*.log"))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # deleted meanwhile
        return 0


_ENDS = OffsetSpec.earliest(), OffsetSpec.latest()


def growth(samples: list[Sample], name: str) -> float:
    """Return by which share the highest of the last quarter is over that of the one before."""
    values = [getattr(sample, name) for sample in samples]
    quarter = max(1, len(values) // 4)
    before, last = max(values[-2 * quarter : -quarter], default=0), max(values[-quarter:])
    return last / before - 1 if before else float(last > 0)


def slope_per_hour(samples: list[Sample], name: str) -> float:
    """Return the slope of a line through the second half."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    values = [getattr(sample, name) for sample in half]
    return 3_600 * float(np.polyfit([sample.at_s for sample in half], values, 1)[0])


def is_flat(samples: list[Sample], *, events_per_s: float) -> bool:
    """Tell whether nothing grows, and the workers keep up."""
    half = samples[len(samples) // 2 :]
    keeps_up = float(np.median([sample.lag for sample in half])) <= _LAG_S * events_per_s
    return keeps_up and all(growth(samples, name) <= most for name, most in _GROWTH.items())


@contextmanager
def _processes(
    servers: str, prefix: str, folder: Path, *, count: int, options: list[str]
) -> Iterator[list[psutil.Process]]:
    with ExitStack() as stack:
        face = brokers.connect(servers)
        started = [
            stack.enter_context(
                workers.worker(face, prefix, folder / f"worker-{number}.log", *options)
            )
            for number in range(count)
        ]
        yield [psutil.Process(process.pid) for process in started]


@contextmanager
def _producer(
    servers: str, prefix: str, *, events: float, delay_s: float, seconds: float
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.steady_producer", servers, prefix]
    command += ["--events", str(events), "--delay", str(delay_s), "--seconds", str(seconds)]
    process = subprocess.Popen(command, cwd=oracle.ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(servers: str, prefix: str) -> None:
    """Wait until the workers own partitions: their start is no part of the load."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    while not members(admin, f"{prefix}-workers"):
        time.sleep(0.5)


def main(
    *,
    minutes: Annotated[float, typer.Option(help="How long.")] = 20.0,
    events: Annotated[float, typer.Option(help="Events a second; half of them labels.")] = 20_000,
    workers_count: Annotated[int, typer.Option("--workers", help="How many workers.")] = 1,
    delay: Annotated[float, typer.Option(help="Seconds from prediction to label.")] = 60.0,
    horizon: Annotated[str, typer.Option(help="--horizon of the workers.")] = "5m",
) -> None:
    """Run workers under a steady load for long, and see whether anything grows.

    Examples:

    `python -m tests.faults.soak`

    `python -m tests.faults.soak --minutes 3 --events 5000 --horizon 20s --delay 5`
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prefix = f"soak-{uuid.uuid4().hex[:8]}"
    options = ["--window", f"{_WINDOW_MS // 1_000}s", "--horizon", horizon]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftline-soak-")))
        broker = stack.enter_context(FaultyBroker(log_dir=folder / "data"))
        workers.create_topics(brokers.connect(broker.servers), prefix, partitions=_PARTITIONS)
        processes = stack.enter_context(
            _processes(broker.servers, prefix, folder, count=workers_count, options=options)
        )
        _wait_until_ready(broker.servers, prefix)
        load = {"events": events, "delay_s": delay, "seconds": 60 * minutes}
        producer = stack.enter_context(_producer(broker.servers, prefix, **load))
        probes = Probes(broker.servers, prefix, partitions=_PARTITIONS, window_ms=_WINDOW_MS)
        stack.callback(probes.stop)
        looks = Looks(broker.servers, prefix, data=folder / "data")
        samples, middle_s = [], time.monotonic() + 30 * minutes
        while producer.poll() is None:
            samples.append(looks.take(processes))
            _show(samples[-1], probes)
            time.sleep(_EVERY_S)
        p50_ms, p99_ms = probes.quantiles_ms((50, 99), since_s=middle_s)
    flat = is_flat(samples, events_per_s=events)
    console.print(_table(samples))
    cpu_us = 1e6 * (samples[-1].cpu_s - samples[0].cpu_s) / (events * samples[-1].at_s)
    print(
        f"soak: events_per_s={events:.0f} minutes={minutes:g} workers={workers_count}"
        f" p50_ms={p50_ms:.0f} p99_ms={p99_ms:.0f} cpu_us_per_event={cpu_us:.1f}"
        f" rss_mb={samples[-1].rss_mb:.0f} flat={str(flat).lower()}"
    )
    raise typer.Exit(int(not flat))


def _show(sample: Sample, probes: Probes) -> None:
    p50_ms, p99_ms = probes.quantiles_ms((50, 99), since_s=time.monotonic() - 60)
    console.print(
        f"{sample.at_s:6.0f} s  rss {sample.rss_mb:6.0f} MB  fds {sample.fds:4}"
        f"  state log {sample.log_records:9,} records {sample.log_mb:8.1f} MB"
        f"  lag {sample.lag:9,}  p50/p99 {p50_ms:5.0f}/{p99_ms:5.0f} ms",
        highlight=False,
        soft_wrap=True,
    )


def _table(samples: list[Sample]) -> Table:
    table = Table("", "last", "slope per hour", "growth in the last quarter", title="second half")
    for name in ("rss_mb", "fds", "log_records", "log_mb", "lag"):
        last, slope = getattr(samples[-1], name), slope_per_hour(samples, name)
        table.add_row(name, f"{last:,.0f}", f"{slope:+,.0f}", f"{growth(samples, name):+.0%}")
    return table


if __name__ == "__main__":
    typer.run(main)
