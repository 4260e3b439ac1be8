"""Measure what one event costs a worker: CPU microseconds, both stages, on a real broker.

    python -m benchmarks.worker_cost --events 1000000 --core 1

Half of the events are predictions with 8 features, half are labels; they are on the topics
before the worker starts, so that it runs at full speed. CPU time of the worker process (user
and system) is taken between 20 % and 100 % of the input, so that its start is left out.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from confluent_kafka import Producer

from agents.local_kafka import LocalKafka

ROOT = Path(__file__).parent.parent
START_MS = 1_750_000_000_000


def fill(servers: str, prefix: str, *, events: int, models: int) -> None:
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
    random.seed(1)
    waiting: list[tuple[str, int, int]] = []
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
        _send(producer, f"{prefix}.predictions", name, prediction)
        waiting.append((name, time_ms + 30_000, int(random.random() < score)))
        if len(waiting) > 3_000:
            _label(producer, prefix, *waiting.pop(0))
    for label in waiting:
        _label(producer, prefix, *label)
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
    servers: str, prefix: str, *, events: int, core: int | None, port: int
) -> dict[str, float]:
    """Run a worker over what is on the topics; return CPU microseconds per event and events/s."""
    with _worker(servers, prefix, port, core) as worker:
        start = _wait(port, prefix, worker, at_least=events // 5)
        end = _wait(port, prefix, worker, at_least=events)
        rss_mb = worker.memory_info().rss / 1e6
    read, cpu_s, wall_s = (end[i] - start[i] for i in range(3))
    return {"cpu_us": 1e6 * cpu_s / read, "events_per_s": read / wall_s, "rss_mb": rss_mb}


@contextmanager
def _worker(servers: str, prefix: str, port: int, core: int | None) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "agents.cli", "worker", "--bootstrap-servers", servers]
    command += ["--prefix", prefix, "--metrics-port", str(port)]
    process = psutil.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    if core is not None:
        process.cpu_affinity([core])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _wait(
    port: int, prefix: str, worker: psutil.Process, *, at_least: int
) -> tuple[float, float, float]:
    while True:
        read = _records_read(port, prefix)
        times = worker.cpu_times()
        if read >= at_least:
            return read, times.user + times.system, time.monotonic()
        time.sleep(0.05)


def _records_read(port: int, prefix: str) -> float:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    inputs = (f'topic="{prefix}.predictions"', f'topic="{prefix}.labels"')
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("driftline_input_records_total") and any(i in line for i in inputs)
    )


def main() -> None:
    """Fill a broker and measure several runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=4)
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
            fill(servers, prefix, events=options.events, models=options.models)
            result = measure(
                servers, prefix, events=options.events, core=options.core, port=19_464 + run
            )
            results.append(result)
            print(json.dumps({name: round(value, 2) for name, value in result.items()}), flush=True)
    median = statistics.median(result["cpu_us"] for result in results)
    print(f"full_us={median:.2f} runs={len(results)} events={options.events}")


if __name__ == "__main__":
    main()
