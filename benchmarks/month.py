"""What watching costs as time passes: a month of event time of few or many models, in memory.

    python -m benchmarks.month --models 10 --days 30 --a-day 700
    python -m benchmarks.month --models 10000 --days 3 --a-day 24

Panes of the scan take time whether rows come or not, so that this, and not events, is what many
models with little traffic cost. The last line is JSON: CPU microseconds of the scan for each lane
and pane, and of the whole monitor for each event; the bytes of its state as they would be on its
topic, in all and for each lane; the resident set of the process before and at the end.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import psutil

from benchmarks.in_memory import TOPICS, batch_of, collect_as_a_worker, outcomes_of, stages
from benchmarks.load import START_MS, Chunk, Load, Progress, label_records, prediction_records
from streams.monitors import Monitors
from streams.monitors_file import parse_monitors
from streams.scan.panes import PANE_MS
from streams.scan.watch import Scan
from streams.steps import Batch

_DAY_MS = 86_400_000
_STEP_MS = 10 * 60_000


class _Clock:
    """Adds up the CPU time of a generator's turns."""

    def __init__(self) -> None:
        self.used_s = 0.0
        self.lane_panes = 0

    def watch(self, scan: Scan) -> None:
        """Let what a scan does count from now on."""
        advance = scan.advance

        def timed(*given: Any, from_ms: int, until_ms: int) -> Iterator[Any]:
            begun_s = time.process_time()
            found = list(advance(*given, from_ms=from_ms, until_ms=until_ms))
            self.used_s += time.process_time() - begun_s
            panes = until_ms // PANE_MS - max(from_ms, 0) // PANE_MS if from_ms >= 0 else 0
            self.lane_panes += panes * len(scan.lanes.used())
            yield from found

        scan.advance = timed  # type: ignore[method-assign]


def measure(load: Load, *, monitors: Monitors) -> dict[str, float]:
    """Run both stages over a load in one partition, ten minutes of event time a step."""
    join, monitor = stages(monitors)
    before = psutil.Process().memory_info().rss
    joined, monitored = join.new_state(0), monitor.new_state(0)
    clock = _Clock()
    clock.watch(monitored.scan)
    kept: dict[bytes | None, int] = {}
    used_s, written, offset, events, alerts = 0.0, 0, 0, 0, 0
    collect_as_a_worker()
    with Progress(f"{load.models:,} models", load.span_ms) as progress:
        for at_ms, batches in _steps(load):
            now_ms = at_ms + load.delay_ms
            outcomes = outcomes_of(join.step(joined, batches, now_ms=now_ms).records, offset)
            offset = outcomes.next_offset
            begun_s = time.process_time()
            results = monitor.step(monitored, [outcomes], now_ms=now_ms)
            used_s += time.process_time() - begun_s
            events += sum(len(batch.offsets) for batch in batches)
            written += len(results.records)
            alerts += sum(record.topic == TOPICS.alerts for record in results.records)
            for key, value in results.state:
                if value is None:
                    kept.pop(key, None)
                else:
                    kept[key] = len(key or b"") + len(value)
            progress.reach(at_ms - START_MS)
    lanes = len(monitored.scan.lanes.used())
    state = sum(kept.values())
    return {
        "lanes": lanes,
        "scan_us_per_lane_and_pane": 1e6 * clock.used_s / max(clock.lane_panes, 1),
        "scan_share": clock.used_s / used_s,
        "monitor_us_per_event": 1e6 * used_s / events,
        "events": events,
        "records": written,
        "alerts": alerts,
        "state_bytes": state,
        "state_bytes_per_lane": state / max(lanes, 1),
        "resident_before": before,
        "resident": psutil.Process().memory_info().rss,
    }


def _steps(load: Load) -> Iterator[tuple[int, list[Batch]]]:
    """Yield what comes in each ten minutes, and when they end; labels come after their delay."""
    offsets = {TOPICS.predictions: 0, TOPICS.labels: 0}
    waiting: list[Chunk] = []
    for chunk in load.chunks():
        edges = np.arange(int(chunk.time_ms[0]), int(chunk.time_ms[-1]) + _STEP_MS, _STEP_MS)
        bounds = np.searchsorted(chunk.time_ms, edges)
        for start, end, until_ms in zip(bounds, bounds[1:], edges[1:].tolist(), strict=False):
            made = _cut(chunk, int(start), int(end))
            waiting.append(made)
            due = [_before(one, until_ms - load.delay_ms) for one in waiting]
            waiting = [late for _, late in due if len(late.number)]
            said = [
                record for one, _ in due for record in label_records(one, delay_ms=load.delay_ms)
            ]
            parts = (TOPICS.predictions, prediction_records(made)), (TOPICS.labels, said)
            batches = []
            for topic, records in parts:
                if records:
                    batches.append(batch_of(topic, records, offsets[topic]))
                    offsets[topic] = batches[-1].next_offset
            if batches:
                yield until_ms, batches


def _before(chunk: Chunk, until_ms: int) -> tuple[Chunk, Chunk]:
    place = int(np.searchsorted(chunk.time_ms, until_ms))
    return _cut(chunk, 0, place), _cut(chunk, place, len(chunk.number))


def _cut(chunk: Chunk, start: int, end: int) -> Chunk:
    return Chunk(*(column[start:end] for column in chunk))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--a-day", type=int, default=700, help="predictions of a model")
    parser.add_argument("--features", type=int, default=8)
    options = parser.parse_args()
    a_day = options.a_day * options.models
    load = Load(models=options.models, features=options.features)
    predictions = round(options.days * a_day)
    load = replace(
        load,
        events=round(predictions * (2 - load.unlabelled)),
        spacing_ms=max(round(_DAY_MS / a_day), 1),
    )
    monitors = parse_monitors({})
    print(json.dumps(measure(load, monitors=monitors)))


if __name__ == "__main__":
    main()
