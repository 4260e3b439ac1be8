"""What each stage costs by itself: its pure steps over records in memory, without a broker.

    python -m benchmarks.in_memory --events 400000 --job full

Batches are as a worker on a backlog makes them. The last line is JSON: CPU microseconds per input
event of the join and of the monitor, between 20 % of the input and its end, and the records that
the monitor would have written.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.load import START_MS, Load, label_records, prediction_records
from streams.monitors import parse_monitors
from streams.steps import Batch, Record
from streams.topics import Topics
from streams.topology import build

_BATCH = 2_000
_STEP = 2  # batches of an input in a step: some 8,000 records, as in a transaction
_TOPICS = Topics("bench")


def measure(load: Load, *, detectors: bool) -> dict[str, float]:
    """Run both stages over a load in one partition."""
    monitors = parse_monitors({"defaults": detectors})
    join, monitor = build(
        _TOPICS,
        window_ms=300_000,
        horizon_ms=3_600_000,
        disorder_ms=5_000,
        partitions=1,
        monitors=monitors,
    )
    begun_ms = START_MS + load.span_ms + load.delay_ms
    joined, monitored = join.new_state(0), monitor.new_state(0)
    used = {"join_us": 0.0, "monitor_us": 0.0}
    done = counted = offset = written = 0
    for batches in _steps(load):
        records = sum(len(batch.offsets) for batch in batches)
        now_ms = begun_ms + int(1_000 * time.monotonic())
        started_s = time.process_time()
        effects = join.step(joined, batches, now_ms=now_ms)
        between_s = time.process_time()
        outcomes = _outcomes(effects.records, offset)
        offset = outcomes.next_offset
        begun_s = time.process_time()
        results = monitor.step(monitored, [outcomes], now_ms=now_ms)
        ended_s = time.process_time()
        done += records
        if done > load.events // 5:
            counted += records
            written += len(results.records) + len(results.state)
            used["join_us"] += between_s - started_s
            used["monitor_us"] += ended_s - begun_s
    counted = max(counted, 1)
    found = {name: 1e6 * seconds / counted for name, seconds in used.items()}
    return {**found, "monitor_records": written / counted}


def _steps(load: Load) -> list[list[Batch]]:
    parts: dict[str, list[dict[str, Any]]] = {_TOPICS.predictions: [], _TOPICS.labels: []}
    for chunk in load.chunks():
        parts[_TOPICS.predictions] += prediction_records(chunk)
        parts[_TOPICS.labels] += label_records(chunk, delay_ms=load.delay_ms)
    queues = {topic: _batches(topic, records) for topic, records in parts.items()}
    steps = max(len(queue) for queue in queues.values())
    return [
        [batch for queue in queues.values() for batch in queue[at : at + _STEP]]
        for at in range(0, steps, _STEP)
    ]


def _batches(topic: str, records: Sequence[dict[str, Any]]) -> list[Batch]:
    return [
        Batch(
            topic=topic,
            offsets=range(at, at + len(part)),
            keys=[record["key"].encode() for record in part],
            values=[record["value"].encode() for record in part],
            times_ms=[START_MS] * len(part),
            next_offset=at + len(part),
        )
        for at in range(0, len(records), _BATCH)
        for part in [records[at : at + _BATCH]]
    ]


def _outcomes(records: Sequence[Record], offset: int) -> Batch:
    return Batch(
        topic=_TOPICS.outcomes,
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
    parser.add_argument("--job", choices=("same", "full"), default="full")
    options = parser.parse_args()
    names = ("events", "features", "models", "pending", "spacing_ms")
    load = Load(**{name: getattr(options, name) for name in names})
    print(json.dumps(measure(load, detectors=options.job == "full")))


if __name__ == "__main__":
    main()
