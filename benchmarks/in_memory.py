"""What each stage costs by itself: its pure steps over records in memory, without a broker.

    python -m benchmarks.in_memory --events 400000 --job full

Batches are as a worker on a backlog makes them. The last line is JSON: CPU microseconds per input
event of the join and of the monitor, between 20 % of the input and its end; the records that the
monitor would have written, and the bytes of these that are its state.
"""

import argparse
import gc
import json
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.exact import SAME
from benchmarks.load import START_MS, Load, label_records, prediction_records
from streams.join import Join
from streams.monitor import Monitor
from streams.monitors import Monitors
from streams.monitors_file import parse_monitors
from streams.steps import Batch, Record
from streams.topics import Topics
from streams.topology import build

TOPICS = Topics("bench")


_SAME = {
    "defaults": False,
    "features": False,
    "metrics": {"exclude": ["all"], "include": list(SAME)},
}


def measure(load: Load, *, monitors: Monitors, step: int) -> dict[str, float]:
    """Run both stages over a load in one partition."""
    join, monitor = stages(monitors)
    begun_ms = START_MS + load.span_ms + load.delay_ms
    joined, monitored = join.new_state(0), monitor.new_state(0)
    used = {"join_us": 0.0, "monitor_us": 0.0}
    done = counted = offset = written = state_bytes = 0
    steps = _steps(load, step)
    collect_as_a_worker()
    for batches in steps:
        records = sum(len(batch.offsets) for batch in batches)
        now_ms = begun_ms + int(1_000 * time.monotonic())
        started_s = time.process_time()
        effects = join.step(joined, batches, now_ms=now_ms)
        between_s = time.process_time()
        outcomes = outcomes_of(effects.records, offset)
        offset = outcomes.next_offset
        begun_s = time.process_time()
        results = monitor.step(monitored, [outcomes], now_ms=now_ms)
        ended_s = time.process_time()
        done += records
        if done > load.events // 5:
            counted += records
            written += len(results.records) + len(results.state)
            state_bytes += sum(len(key or b"") + len(value or b"") for key, value in results.state)
            used["join_us"] += between_s - started_s
            used["monitor_us"] += ended_s - begun_s
    counted = max(counted, 1)
    found = {name: 1e6 * seconds / counted for name, seconds in used.items()}
    per_event = {"monitor_records": written, "monitor_state_bytes": state_bytes}
    return {**found, **{name: amount / counted for name, amount in per_event.items()}}


def stages(monitors: Monitors) -> tuple[Join, Monitor]:
    """Return both stages as a worker with one partition and the default settings has them."""
    return build(
        TOPICS,
        window_ms=300_000,
        horizon_ms=3_600_000,
        disorder_ms=5_000,
        partitions=1,
        monitors=monitors,
    )


def collect_as_a_worker() -> None:
    """Let garbage be collected as in a worker from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _steps(load: Load, step: int) -> list[list[Batch]]:
    """Cut a load into steps: what is of the same time is read together, as by a worker."""
    predictions: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    made_ms, said_ms = [], []
    for chunk in load.chunks():
        predictions += prediction_records(chunk)
        labels += label_records(chunk, delay_ms=load.delay_ms)
        made_ms.append(chunk.time_ms)
        said_ms.append(chunk.time_ms[chunk.labelled] + load.delay_ms)
    ends = list(range(step, len(predictions), step))
    until_ms = np.concatenate(made_ms)[ends]
    label_ends = np.searchsorted(np.concatenate(said_ms), until_ms).tolist()
    parts = zip(
        _batches(TOPICS.predictions, predictions, ends),
        _batches(TOPICS.labels, labels, label_ends),
        strict=True,
    )
    return [[batch for batch in pair if batch.offsets] for pair in parts]


def _batches(topic: str, records: Sequence[dict[str, Any]], ends: Sequence[int]) -> list[Batch]:
    return [
        batch_of(topic, records[start:end], start)
        for start, end in pairwise([0, *ends, len(records)])
    ]


def batch_of(topic: str, records: Sequence[dict[str, Any]], offset: int) -> Batch:
    """Return records as a worker reads them, from an offset on."""
    return Batch(
        topic=topic,
        offsets=range(offset, offset + len(records)),
        keys=[record["key"].encode() for record in records],
        values=[record["value"].encode() for record in records],
        times_ms=[START_MS] * len(records),
        next_offset=offset + len(records),
    )


def outcomes_of(records: Sequence[Record], offset: int) -> Batch:
    """Return what a join has written as the monitor reads it, from an offset on."""
    return Batch(
        topic=TOPICS.outcomes,
        offsets=range(offset, offset + len(records)),
        keys=[record.key for record in records],
        values=[record.value for record in records],
        times_ms=[START_MS] * len(records),
        next_offset=offset + len(records),
    )


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--spacing-ms", type=int, default=10)
    parser.add_argument("--pending", type=int, default=0, help="predictions before all others")
    parser.add_argument("--step", type=int, default=4_000, help="predictions in a step")
    parser.add_argument("--job", choices=("same", "full"), default="full")
    options = parser.parse_args()
    names = ("events", "features", "models", "pending", "spacing_ms")
    load = Load(**{name: getattr(options, name) for name in names})
    monitors = parse_monitors({} if options.job == "full" else _SAME)
    print(json.dumps(measure(load, monitors=monitors, step=options.step)))


if __name__ == "__main__":
    main()
