"""Measure how long a worker takes to come back with much state, on a real broker.

    python -m benchmarks.recovery --predictions 1000000

Publishes predictions without labels to one partition, lets a worker take them all, kills it, and
starts another: the seconds from its start until it is ready (`empty_s`: of one without state; the
dead one stays in the group for its session timeout unless it is replaced by its own name), the
bytes that a prediction takes in memory and in the state log; the last line is for machines.
"""

import argparse
import json
import time
from typing import Any

from confluent_kafka import TopicPartition

from benchmarks import measure
from benchmarks.load import Load, fill
from benchmarks.measure import Site, Worker

_GAUGES_S = 5.0  # they follow every other second
_SWEEP_S = 10.0
_OPTIONS = ("--session-timeout", "6s", "--worker-id", "one")


def _ready_s(worker: Worker) -> float:
    """Wait until a worker is ready; return how many seconds that took."""
    started_s = time.monotonic()
    measure.until(worker.ready, timeout_s=300.0, poll_s=0.05)
    return time.monotonic() - started_s


def _log(site: Site) -> tuple[int, int]:
    """Return records and bytes of the join's state log, the latter as the files on disk."""
    start, end = site.range(TopicPartition(f"{site.prefix}.join-state", 0))
    files = (site.kafka.folder / "data" / f"{site.prefix}.join-state-0").glob("*.log")
    return end - start, sum(file.stat().st_size for file in files)


def run(site: Site, *, predictions: int, runs: int) -> dict[str, Any]:
    """Fill a site of one partition, kill and come back; return the figures."""
    with measure.worker(site, *_OPTIONS) as worker:
        empty_s = _ready_s(worker)
        empty_mb = worker.rss_mb()
        fill(site.servers, site.prefix, Load(events=0, pending=predictions, features=0))
        measure.until(
            lambda: worker.total("driftline_pending_predictions") >= predictions,
            timeout_s=600.0,
            poll_s=0.5,
        )
        time.sleep(_SWEEP_S)
        held_mb = worker.rss_mb()
        state_bytes = worker.total("driftline_state_bytes")
        records, log_bytes = _log(site)
        worker.kill()
    print(f"rss {empty_mb:.0f} MB empty, {held_mb:.0f} MB full; log of {records} records")
    took_s = []
    for _ in range(runs):
        with measure.worker(site, *_OPTIONS) as worker:
            took_s.append(_ready_s(worker))
            time.sleep(_GAUGES_S)
            if worker.total("driftline_pending_predictions") != predictions:
                raise measure.MeasurementError("the worker came back with other state")
            print(f"ready after {took_s[-1]:.2f} s, rss {worker.rss_mb():.0f} MB", flush=True)
            worker.kill()
    return {
        "empty_s": round(empty_s, 2),
        "recovery_s": [round(seconds, 2) for seconds in took_s],
        "predictions": predictions,
        "memory_bytes": round(state_bytes / predictions, 1),
        "log_bytes": round(log_bytes / predictions, 1),
    }


def main() -> None:
    """Parse the command line, and measure on a broker of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with measure.broker() as kafka:
        site = Site(kafka, "recovery", partitions=1)
        print(json.dumps(run(site, predictions=options.predictions, runs=options.runs)))


if __name__ == "__main__":
    main()
