"""Measure what one event costs a worker: CPU microseconds, both stages, on a real broker.

    python -m benchmarks.worker_cost --events 1000000 --core 1

Half of the events are predictions with 8 features, half are labels; they are on the topics
before the worker starts, so that it runs at full speed. CPU time of the worker process (user
and system) is taken between 20 % and 100 % of the input, so that its start is left out.

Memory should level off however long the backlog is, and whichever topic was written first:

    python -m benchmarks.worker_cost --events 2000000 --horizon 1m --order labels-first --runs 1
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from confluent_kafka import Producer

from agents.local_kafka import LocalKafka

ROOT = Path(__file__).parent.parent
START_MS = 1_750_000_000_000


ORDERS = ("arrival", "labels-first", "predictions-first")


def fill(servers: str, prefix: str, *, events: int, models: int, order: str) -> None:
    """Publish 100 predictions a second of event time, each with its label 30 s later."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.messages": 500_000,
        }
    )
    parts = {"arrival": (True, True), "labels-first": (False, True)}.get(order, (True, False))
    _publish(producer, prefix, events=events, models=models, parts=parts)
    if order != "arrival":
        rest = (not parts[0], not parts[1])
        _publish(producer, prefix, events=events, models=models, parts=rest)
    producer.flush(60)


def _publish(
    producer: Producer, prefix: str, *, events: int, models: int, parts: tuple[bool, bool]
) -> None:
    random.seed(1)
    waiting: deque[tuple[str, int, int]] = deque()
    for number in range(events // 2):
        time_ms = START_MS + number * 10
        score = random.random()
        name = f"p-{number:010}"
        prediction = {
            "prediction_id": name,
            "model": f"m{number % models}",
            "timestamp_ms": time_ms,
            "prediction": int(score > 0.5),
            "score": round(score, 4),
            "features": {c: round(random.gauss(0, 1), 3) for c in "abcdefgh"},
        }
        if parts[0]:
            _send(producer, f"{prefix}.predictions", name, prediction)
        waiting.append((name, time_ms + 30_000, int(random.random() < score)))
        if len(waiting) > 3_000 and parts[1]:
            _label(producer, prefix, *waiting.popleft())
    while waiting and parts[1]:
        _label(producer, prefix, *waiting.popleft())
    producer.flush(60)


def _label(producer: Producer, prefix: str, name: str, time_ms: int, label: int) -> None:
    value = {"prediction_id": name, "timestamp_ms": time_ms, "label": label}
    _send(producer, f"{prefix}.labels", name, value)


def _send(producer: Producer, topic: str, key: str, value: dict[str, object]) -> None:
    while True:
        try:
            producer.produce(topic, key=key, value=json.dumps(value, separators=(",", ":")))
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.1)


def measure(
    servers: str, prefix: str, *, events: int, horizon: str, core: int | None, port: int
) -> dict[str, float]:
    """Run a worker over what is on the topics; return CPU microseconds per event and events/s.

    Memory is the largest seen in the first and in the second half; early labels are labels that
    waited for their prediction, the most at once.
    """
    with _worker(servers, prefix, port, horizon, core) as worker:
        start = _wait(port, prefix, worker, at_least=events // 5)
        half = _wait(port, prefix, worker, at_least=events // 2)
        end = _wait(port, prefix, worker, at_least=events)
    read = end.read - start.read
    return {
        "cpu_us": 1e6 * (end.cpu_s - start.cpu_s) / read,
        "events_per_s": read / (end.time_s - start.time_s),
        "rss_mb": end.rss_mb,
        "half_rss_mb": max(start.rss_mb, half.rss_mb),
        "early_labels": max(start.early_labels, half.early_labels, end.early_labels),
    }


class Sample(NamedTuple):
    """What a worker has used; memory and early labels are the most since the last sample."""

    read: float
    cpu_s: float
    time_s: float
    rss_mb: float
    early_labels: float


@contextmanager
def _worker(
    servers: str, prefix: str, port: int, horizon: str, core: int | None
) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "agents.cli", "worker", "--bootstrap-servers", servers]
    command += ["--prefix", prefix, "--metrics-port", str(port), "--horizon", horizon]
    process = psutil.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    if core is not None:
        process.cpu_affinity([core])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _wait(port: int, prefix: str, worker: psutil.Process, *, at_least: int) -> Sample:
    rss_mb = early_labels = 0.0
    inputs = (f'topic="{prefix}.predictions"', f'topic="{prefix}.labels"')
    while True:
        found = _ask(port)
        counted = "driftline_input_records_total"
        read = sum(found[f"{counted}{{{topic}}}"] for topic in inputs)
        early = sum(n for name, n in found.items() if name.startswith("driftline_early_labels"))
        early_labels = max(early_labels, early)
        rss_mb = max(rss_mb, worker.memory_info().rss / 1e6)
        if read >= at_least:
            times = worker.cpu_times()
            cpu_s = times.user + times.system
            return Sample(read, cpu_s, time.monotonic(), rss_mb, early_labels)
        time.sleep(0.05)


def _ask(port: int) -> Counter[str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return Counter()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return Counter({name: float(value) for name, value in pairs})


def main() -> None:
    """Fill a broker and measure several runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--horizon", default="1h", help="of the worker")
    parser.add_argument("--order", choices=ORDERS, default=ORDERS[0], help="of writing")
    parser.add_argument("--core", type=int, help="pin the worker to this core")
    options = parser.parse_args()
    results = []
    with LocalKafka() as kafka:
        if options.core is not None and (os.cpu_count() or 1) > 1:
            others = [c for c in range(os.cpu_count() or 1) if c != options.core]
            psutil.Process(kafka.pid).cpu_affinity(others)
        for run in range(options.runs):
            prefix = f"bench-{uuid.uuid4().hex[:8]}"
            create = ["topics", "create", "--bootstrap-servers", kafka.bootstrap_servers]
            create += ["--prefix", prefix, "--partitions", str(options.partitions)]
            subprocess.run([sys.executable, "-m", "agents.cli", *create], cwd=ROOT, check=True)
            servers = kafka.bootstrap_servers
            fill(servers, prefix, events=options.events, models=options.models, order=options.order)
            result = measure(
                servers,
                prefix,
                events=options.events,
                horizon=options.horizon,
                core=options.core,
                port=19_464 + run,
            )
            results.append(result)
            print(json.dumps({name: round(value, 2) for name, value in result.items()}), flush=True)
    median = statistics.median(result["cpu_us"] for result in results)
    print(f"full_us={median:.2f} runs={len(results)} events={options.events}")


if __name__ == "__main__":
    main()
