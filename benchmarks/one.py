"""Measure one case of your own: a load, and a worker that goes through it.

    python -m benchmarks.one --events 400000 --models 1000 --features 64 --job same

All is on the topics before the worker starts, so that it runs at full speed. Memory should level
off however long the backlog is, and whichever topic was written first:

    python -m benchmarks.one --events 2000000 --horizon 1m --order labels-first --runs 1
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace

from benchmarks import exact, jobs, measure
from benchmarks.load import ORDERS, Load, fill

_JOBS = {"same": jobs.SAME_JOB, "full": jobs.FULL}
_LOOK_S = 2.0


class _EarlyLabels:
    """The most labels that waited for their prediction at once."""

    def __init__(self) -> None:
        self.most = 0.0
        self._due_s = 0.0

    def look(self, worker: measure.Worker) -> None:
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + _LOOK_S
            self.most = max(self.most, worker.total("driftline_early_labels"))


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = Load()
    parser.add_argument("--events", type=int, default=defaults.events)
    parser.add_argument("--models", type=int, default=defaults.models)
    parser.add_argument("--features", type=int, default=defaults.features)
    parser.add_argument("--delay-ms", type=int, default=defaults.delay_ms, help="of labels")
    parser.add_argument("--spacing-ms", type=int, default=defaults.spacing_ms)
    parser.add_argument("--at-once", type=int, default=defaults.at_once)
    parser.add_argument("--pending", type=int, default=0, help="predictions before all others")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--horizon", default="1h", help="of the worker")
    parser.add_argument("--order", choices=ORDERS, default=ORDERS[0], help="of writing")
    parser.add_argument("--job", choices=sorted(_JOBS), default="full")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    names = ("events", "models", "features", "delay_ms", "spacing_ms", "at_once", "pending")
    load = Load(**{name: getattr(options, name) for name in names})
    job = replace(
        _JOBS[options.job],
        horizon=options.horizon,
        workers=options.workers,
        shared=options.workers > measure.OWN_CORES,
    )
    with measure.broker() as kafka:
        site = measure.Site(kafka, "bench", partitions=options.partitions)
        with measure.on_cores(measure.all_cores()):
            site.records = fill(site.servers, site.prefix, load, order=options.order)
        sys.exit(0 if _measure(site, load, job, runs=options.runs) else 1)


def _measure(site: measure.Site, load: Load, job: jobs.Job, *, runs: int) -> bool:
    expected = exact.Expected(load)
    costs, all_exact = [], True
    for _ in range(runs):
        early = _EarlyLabels()
        result = jobs.run(site, load, job, expected=expected, observe=early.look)
        costs.append(result.cost.cpu_us)
        all_exact &= not result.problems
        figures = {**result.cost.figures(), "early_labels": early.most}
        print(json.dumps(figures), *result.problems, *result.notes, sep="\n  ", flush=True)
    median = statistics.median(costs)
    verdict = str(all_exact).lower()
    print(f"cpu_us={median:.2f} runs={runs} events={site.records} exact={verdict}")
    return all_exact


if __name__ == "__main__":
    main()
