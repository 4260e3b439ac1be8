"""Run the same job on several engines, side by side, and write what it costs.

Predictions and labels are joined by prediction id; per model and minute there are confusion
counts, the Brier sum and a histogram of scores. A real broker runs on one core, the job on
another. The result of every run is compared with an independent count; a run whose result is wrong
gives no figure.
"""

import argparse
import signal
import sys
from typing import Any

from agents.local_kafka import LocalKafka
from benchmarks.load import Load
from benchmarks.measure import broker
from benchmarks.peers import report
from benchmarks.peers.builds import BuildError, build
from benchmarks.peers.engines import ENGINES
from benchmarks.peers.measure import Run, RunError, measure
from benchmarks.peers.site import Site

WARM_EVENTS = 6_000_000
COLD_BEGIN, WARM_BEGIN = 0.2, 0.5

Outcomes = dict[str, report.Outcome]

EXAMPLES = """
examples:
  python -m benchmarks.peers.run --list
  python -m benchmarks.peers.run --engines driftline,ks-papi-eos --runs 1 --events 300000
  python -m benchmarks.peers.run --engines driftline,ks-papi-eos,flink-eos --runs 5 --warm
"""


def main() -> None:
    """Build, measure, print a table, and write results.json."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no job outlives this process
    options = _options()
    if options.list:
        print("\n".join(f"{n:22} {e.engine}, {e.variant}: {e.about}" for n, e in ENGINES.items()))
        return
    names = _built(options.engines)
    outcomes = {name: report.Outcome(options.events) for name in names}
    with broker() as kafka:
        _cold(kafka, outcomes, options)
    if options.warm:
        with broker() as kafka:
            _warm(kafka, outcomes, options)
    entries = _entries(outcomes, options)
    print(report.table(entries))
    if len(names) < len(options.engines) or not all(entry["result_ok"] for entry in entries):
        sys.exit(1)


def _cold(kafka: LocalKafka, outcomes: Outcomes, options: argparse.Namespace) -> None:
    site = Site(kafka, Load(options.events))
    for _ in range(options.runs):
        for name, outcome in outcomes.items():
            outcome.cold.append(_measured(name, site, options, begin=COLD_BEGIN))
        _entries(outcomes, options)


def _warm(kafka: LocalKafka, outcomes: Outcomes, options: argparse.Namespace) -> None:
    """Measure what compiles while it runs and driftline, so that there is a ratio."""
    site = Site(kafka, Load(options.warm_events))
    for _ in range(options.runs):
        for name, outcome in outcomes.items():
            if ENGINES[name].runtime != "python":
                outcome.warm_events = options.warm_events
                outcome.warm.append(_measured(name, site, options, begin=WARM_BEGIN))
        _entries(outcomes, options)


def _entries(outcomes: Outcomes, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the results so far, and write them: an interrupted run keeps what it has."""
    entries = [report.entry(name, outcome) for name, outcome in outcomes.items()]
    report.write(options.output, entries)
    return entries


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.run",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--engines", default=",".join(ENGINES), help="names, separated by commas (default: all)")
    add("--list", action="store_true", help="show the engines and end")
    add("--runs", type=int, default=5, help="of each engine, taking turns (default: 5)")
    add("--events", type=int, default=1_000_000, help="predictions and labels (default: 1000000)")
    add(
        "--warm",
        action="store_true",
        help="JVM engines and driftline once more, warm, on a bigger input",
    )
    add("--warm-events", type=int, default=WARM_EVENTS, help=f"how big (default: {WARM_EVENTS})")
    add("--timeout", type=float, default=600, metavar="S", help="of a run (default: 600)")
    add("--output", default=report.RESULTS, help="where results are written (default: %(default)s)")
    options = parser.parse_args()
    options.engines = options.engines.split(",")
    unknown = set(options.engines) - ENGINES.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; --list shows the engines")
    return options


def _built(names: list[str]) -> list[str]:
    """Build the engines; leave out, with a word, those that cannot be built here."""
    built = []
    for name in names:
        try:
            build(ENGINES[name])
        except BuildError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
        else:
            built.append(name)
    return built


def _measured(name: str, site: Site, options: argparse.Namespace, *, begin: float) -> Run | str:
    engine = ENGINES[name]
    try:
        run: Run | str = measure(engine, site, timeout_s=options.timeout, begin=begin)
    except RunError as error:
        run = str(error)
    print(report.line(name, run), file=sys.stderr, flush=True)
    return run


if __name__ == "__main__":
    main()
