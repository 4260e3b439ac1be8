"""The jobs of a run: one stream each, drawn from its row, rate and seed, through all methods."""

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from agents.replay import load_monitors
from benchmarks.signal import others
from benchmarks.signal.change import Change
from benchmarks.signal.changes import CHANGES, change_time
from benchmarks.signal.product import Notice, alerts_of, notices
from benchmarks.signal.stationary import RATES, STATIONARY, Row
from benchmarks.signal.stream import DAY_MS, MONDAY_MS, Stream
from benchmarks.signal.verdict import Noise, Noticed, noise, noticed
from streams.monitors import Monitors

OURS = "driftline"
OLD = "old defaults"
_OLD_FILE = Path(__file__).parent / "old_defaults.yaml"

ROWS: dict[str, Row | Change] = {row.name: row for row in (*STATIONARY, *CHANGES)}


class Job(NamedTuple):
    """One stream."""

    name: str
    rate: int
    seed: int


class Done(msgspec.Struct, frozen=True):
    """What every method made of one stream of a row."""

    name: str
    rate: int
    seed: int
    noise: dict[str, Noise] = {}
    noticed: dict[str, Noticed] = {}


def jobs(
    names: Sequence[str], *, rates: Sequence[int], seeds: Callable[[int], Sequence[int]]
) -> list[Job]:
    """Return the jobs of rows, those that take longest first.

    Parameters
    ----------
    names
        Beginnings of names; none are all.
    rates
        At which of its own rates a row is run; one that has none of these is left out.
    seeds
        Of a rate.
    """
    wanted = [one for name, one in ROWS.items() if not names or name.startswith(tuple(names))]
    found = [
        Job(one.name, rate, seed)
        for one in wanted
        for rate in (one.rates if isinstance(one, Row) else RATES)
        if rate in rates
        for seed in seeds(rate)
    ]
    return sorted(found, key=lambda job: (-job.rate, job.seed))


def draw(job: Job) -> tuple[Stream, int]:
    """Return the stream of a job, and when it changes; -1 where nothing does.

    Streams begin on any day of the week.
    """
    row = ROWS[job.name]
    name = (row.drawn_as or row.name).encode()
    rng = np.random.default_rng([zlib.crc32(name), job.rate, job.seed])
    begun_ms = MONDAY_MS + job.seed % 7 * DAY_MS
    if isinstance(row, Row):
        return row.make(rng, job.rate, begun_ms), -1
    change_ms = change_time(rng, begun_ms)
    return row.make(rng, job.rate, begun_ms, change_ms), change_ms


def run(job: Job, *, file: Path | None = None, alone: bool = False) -> Done:
    """Run a stream through the product and, unless it stands alone, through the others.

    Parameters
    ----------
    file
        Monitors instead of the defaults.
    """
    stream, change_ms = draw(job)
    found = {OURS: notices(alerts_of(stream, _monitors(file)))}
    if not alone:
        found[OLD] = notices(alerts_of(stream, _monitors(_OLD_FILE)))
        found |= {name: method(stream) for name, method in OTHERS.items()}
    row = ROWS[job.name]
    if isinstance(row, Row):
        return Done(*job, noise={name: noise(alerts) for name, alerts in found.items()})
    return Done(
        *job, noticed={name: noticed(row, change_ms, alerts) for name, alerts in found.items()}
    )


OTHERS: dict[str, Callable[[Stream], list[Notice]]] = {
    "ADWIN": others.adwin,
    "Page-Hinkley": others.page_hinkley,
    "PSI": others.psi_of_days,
}


@cache
def _monitors(file: Path | None) -> Monitors | None:
    return load_monitors(file)
