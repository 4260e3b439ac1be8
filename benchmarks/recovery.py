"""Measure how long a worker takes to come back with much state, on a real broker.

    python -m benchmarks.recovery --predictions 1000000

Publishes predictions without labels to one partition, lets a worker take them all, kills it, and
starts another: the seconds from its start until it is ready (`empty_s`: of one without state; the
dead one stays in the group for its session timeout unless it is replaced by its own name), the
bytes that a prediction takes in memory and in the state log; the last line is for machines.
"""

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from agents.local_kafka import LocalKafka

ROOT = Path(__file__).parent.parent
START_MS = 1_750_000_000_000
PORT = 19_480
PREFIX = "recovery"


def fill(servers: str, count: int) -> None:
    """Publish predictions, a thousand in a second of event time."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.messages": 500_000,
        }
    )
    for number in range(count):
        key = f"request-{number:08}"
        value = (
            f'{{"prediction_id":"{key}","model":"m{number % 10}","timestamp_ms":'
            f'{START_MS + number},"prediction":{number % 2},"score":0.{number * 7919 % 999_983}}}'
        )
        while True:
            try:
                producer.produce(f"{PREFIX}.predictions", key=key, value=value)
                producer.poll(0)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(60)


@contextmanager
def worker(servers: str) -> Iterator[psutil.Popen]:
    """Run a worker until the block ends."""
    command = [sys.executable, "-m", "agents.cli", "worker", "--bootstrap-servers", servers]
    command += ["--prefix", PREFIX, "--metrics-port", str(PORT), "--session-timeout", "6s"]
    process = psutil.Popen([*command, "--worker-id", "one"], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ask(path: str) -> tuple[int, str]:
    """Return status and body of a page of the worker, 0 if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def gauge(name: str) -> float:
    """Return the sum of a metric of the worker."""
    lines = [line for line in ask("/metrics")[1].splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def wait_until_ready() -> float:
    """Wait until the worker is ready; return how many seconds that took."""
    started_s = time.monotonic()
    while ask("/readyz")[0] != 200:
        time.sleep(0.05)
    return time.monotonic() - started_s


def wait_until_pending(count: int) -> None:
    """Wait until the worker holds so many predictions, and its log was looked after."""
    while gauge("driftline_pending_predictions") < count:
        time.sleep(0.5)
    time.sleep(10)


def log_size(servers: str, folder: Path) -> tuple[int, float]:
    """Return records and megabytes of the state log, the latter as the files on disk."""
    admin, log = AdminClient({"bootstrap.servers": servers}), (f"{PREFIX}.join-state", 0)
    ends = []
    for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
        place = TopicPartition(*log)
        answer = admin.list_offsets({place: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        ends.append(answer[place].result(10).offset)
    files = (folder / "data" / f"{log[0]}-{log[1]}").glob("*.log")
    return ends[1] - ends[0], sum(file.stat().st_size for file in files) / 1e6


def measure(kafka: LocalKafka, folder: Path, *, predictions: int, runs: int) -> str:
    """Fill, kill and come back; return the line that sums it up."""
    servers = kafka.bootstrap_servers
    create = ["topics", "create", "--bootstrap-servers", servers, "--prefix", PREFIX]
    subprocess.run(
        [sys.executable, "-m", "agents.cli", *create, "--partitions", "1"], cwd=ROOT, check=True
    )
    with worker(servers) as process:
        empty_s = wait_until_ready()
        empty_mb = process.memory_info().rss / 1e6
        fill(servers, predictions)
        wait_until_pending(predictions)
        held_mb = process.memory_info().rss / 1e6
        state_mb = gauge("driftline_state_bytes") / 1e6
        records, log_mb = log_size(servers, folder)
    print(
        f"rss {empty_mb:.0f} MB empty, {held_mb:.0f} MB full; log {log_mb:.1f} MB, {records} rows"
    )
    took = []
    for _ in range(runs):
        with worker(servers) as process:
            took.append(wait_until_ready())
            time.sleep(5)  # gauges follow every other second
            assert gauge("driftline_pending_predictions") == predictions
            print(f"ready after {took[-1]:.2f} s, rss {process.memory_info().rss / 1e6:.0f} MB")
    per = predictions / 1e6
    return (
        f"empty_s={empty_s:.2f} recovery_s={min(took):.2f}..{max(took):.2f}"
        f" predictions={predictions} memory_bytes={state_mb / per:.0f} log_bytes={log_mb / per:.0f}"
    )


def main() -> None:
    """Parse the command line, and measure on a broker of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with LocalKafka() as kafka:
        folder = kafka.folder
        print(measure(kafka, folder, predictions=options.predictions, runs=options.runs))


if __name__ == "__main__":
    main()
