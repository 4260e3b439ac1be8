"""`python -m benchmarks.signal.run`: how noisy and how blind the default monitors are.

    make bench-signal ARGS=--quick                          within ten minutes
    make bench-signal ARGS='--only error-5 --rates 20000'   rows by the beginning of their names
    make bench-signal ARGS='--monitors mine.yaml --alone'   other monitors, nothing beside them
    make bench-signal ARGS='--json all.json --page'         all of it, into docs/signal.md

Results depend on seeds alone. A run that was interrupted goes on with `--resume`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from os import cpu_count
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.signal.jobs import ROWS, Done, Job, jobs, run
from benchmarks.signal.page import PAGE, page
from benchmarks.signal.tables import changes_table, evidence_table, noise_table

SEEDS = {2_000: 10, 20_000: 10, 75_000: 10, 200_000: 4}
QUICK = {2_000: 2, 20_000: 1}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, and print or write the tables."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{row.name:24} {row.title}" for row in ROWS.values()))
        return
    found = _results(options.json) if options.resume else []
    for some in _run(_wanted(options, found), options):
        found += some
        if options.json:
            _save(options.json, found)
    found.sort(key=lambda one: (one.name, one.rate, one.seed))
    if options.page:
        PAGE.write_text(page(found, monitors=options.monitors), encoding="utf-8")
        print(PAGE)
    else:
        print(f"{noise_table(found)}\n{changes_table(found)}\n{evidence_table(found)}")


def _parser() -> argparse.ArgumentParser:
    head, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--list", action="store_true", help="name the rows")
    add("--only", nargs="+", default=[], metavar="NAME", help="rows whose names begin so")
    add("--quick", action="store_true", help="two rates, one or two seeds, nothing beside")
    add("--rates", nargs="+", type=int, help="predictions a month")
    add("--seeds", type=int, help="streams of every row and rate; else 10, at 200000 4")
    add("--first-seed", type=int, default=0, help="others for a look that nobody tuned to")
    add("--monitors", type=Path, metavar="FILE", help="monitors.yaml instead of the defaults")
    add("--alone", action="store_true", help="leave out what stands beside")
    add("--jobs", type=int, default=cpu_count(), help="processes")
    add("--json", type=Path, metavar="FILE", help="write the results of all streams there")
    add("--resume", action="store_true", help="keep what --json has, and run what is missing")
    add("--page", action="store_true", help="write docs/signal.md")
    return parser


def _wanted(options: argparse.Namespace, found: Sequence[Done]) -> list[Job]:
    unknown = [name for name in options.only if not any(row.startswith(name) for row in ROWS)]
    if unknown:
        sys.exit(f"--only: no row is called {', '.join(unknown)}: --list names them")
    counts = QUICK if options.quick else SEEDS
    rates = options.rates or list(counts)

    def seeds(rate: int) -> range:
        count = options.seeds or counts.get(rate, 1)
        return range(options.first_seed, options.first_seed + count)

    done = {(one.name, one.rate, one.seed) for one in found}
    return jobs(options.only, rates=rates, seeds=seeds, done=done)


def _run(left: Sequence[Job], options: argparse.Namespace) -> Iterator[list[Done]]:
    """Run jobs side by side, and say on a terminal how far it is."""
    one = partial(run, file=options.monitors, alone=options.alone or options.quick)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress,
        ProcessPoolExecutor(options.jobs) as pool,
    ):
        task = progress.add_task("streams", total=sum(len(job.names) for job in left))
        waiting = {pool.submit(one, job): job for job in left}
        for future in as_completed(waiting):
            job = waiting[future]
            yield future.result()
            progress.update(task, advance=len(job.names), description=f"at {job.rate // 1_000}k")


def _results(file: Path | None) -> list[Done]:
    if file is None or not file.exists():
        return []
    return msgspec.json.decode(file.read_bytes(), type=list[Done])


def _save(file: Path, found: Sequence[Done]) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))


if __name__ == "__main__":
    main()
