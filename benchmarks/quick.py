"""The benchmark in three minutes: what an event costs, beside what merely reading it costs.

    python -m benchmarks.quick

One load is written to a real broker. A worker on a core of its own goes through it with the job
that other engines are measured with, another with the default monitoring; a third process only
reads. Every number that the workers publish is compared with an independent count. The last line
is for machines, in CPU microseconds per event, medians of the runs; the exit status is 1 if
anything published was not exactly right.
"""

import argparse
import statistics
import sys
import time

from benchmarks import exact, jobs, measure
from benchmarks.load import Load, fill

_BUDGET_S = 140.0


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="as far as the time allows")
    parser.add_argument("--partitions", type=int, default=4)
    options = parser.parse_args()
    load = Load(events=options.events)
    with measure.broker() as kafka:
        site = measure.Site(kafka, "bench", partitions=options.partitions)
        sys.exit(0 if measure_all(site, load, runs=options.runs) else 1)


def measure_all(site: measure.Site, load: Load, *, runs: int) -> bool:
    """Fill a site and measure; return whether all results were exact."""
    started_s = time.monotonic()
    with measure.on_cores(measure.all_cores()):
        site.records = fill(site.servers, site.prefix, load)
    say(f"{site.records:,} events written in {time.monotonic() - started_s:.0f} s")
    cases = {"same_job": jobs.SAME_JOB, "full": jobs.FULL}
    expected = exact.Expected(load)
    figures: dict[str, list[float]] = {"same_job": [], "full": [], "floor": []}
    problems: list[str] = []
    for run in range(runs):
        begun_s = time.monotonic()
        figures["floor"].append(reading(site, "decode"))
        for name, job in cases.items():
            result = jobs.run(site, load, job, expected=expected)
            figures[name].append(result.cost.cpu_us)
            problems += [f"{name}: {problem}" for problem in result.problems]
            say(f"{name}: {result.cost.figures()}", *result.problems, *result.notes)
        took_s = time.monotonic() - begun_s
        if time.monotonic() - started_s + took_s > _BUDGET_S and run + 1 < runs:
            say(f"{run + 1} of {runs} runs: more would take too long")
            break
    medians = {name: statistics.median(values) for name, values in figures.items()}
    parts = [f"{name}_us={medians[name]:.2f}" for name in ("same_job", "full", "floor")]
    print(*parts, f"exact={str(not problems).lower()}", flush=True)
    return not problems


def reading(site: measure.Site, what: str) -> float:
    """Return the CPU microseconds per record of a process that only reads, see `reading`."""
    figures = measure.figures_of(
        "benchmarks.reading",
        *("--what", what, "--servers", site.servers),
        *("--prefix", site.prefix, "--records", str(site.records)),
    )
    return float(figures["cpu_us"])


def say(*lines: str) -> None:
    """Print what happens, before the last line."""
    print(*lines, sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
