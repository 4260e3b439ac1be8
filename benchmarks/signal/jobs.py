"""The jobs of a run: streams of one rate and seed, drawn row by row, through all methods."""

import zlib
from collections.abc import Callable, Container, Mapping, Sequence
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


ROWS_TOGETHER, MODELS_TOGETHER = 3_000_000, 40
"""So many predictions, with all their features, are in memory at a time, of so many models."""


class Job(NamedTuple):
    """One stream of every row that is named."""

    names: tuple[str, ...]
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
    names: Sequence[str],
    *,
    rates: Sequence[int],
    seeds: Callable[[int], Sequence[int]],
    done: Container[tuple[str, int, int]] = (),
) -> list[Job]:
    """Return the jobs of rows.

    Parameters
    ----------
    names
        Beginnings of names; none are all.
    rates
        At which of its own rates a row is run; one that has none of these is left out.
    seeds
        Of a rate.
    done
        Name, rate and seed of what is not to be run again.
    """
    wanted = [one for name, one in ROWS.items() if not names or name.startswith(tuple(names))]
    found = []
    for rate in sorted(rates):
        own = [one.name for one in wanted if rate in (one.rates if isinstance(one, Row) else RATES)]
        together = min(max(ROWS_TOGETHER // rate, 1), MODELS_TOGETHER)
        for seed in seeds(rate):
            left = [name for name in own if (name, rate, seed) not in done]
            parts = (tuple(left[n : n + together]) for n in range(0, len(left), together))
            found += [Job(part, rate, seed) for part in parts]
    return found


def draw(name: str, rate: int, seed: int) -> tuple[Stream, int]:
    """Return a stream of a row, and when it changes; -1 where nothing does.

    Streams begin on any day of the week.
    """
    row = ROWS[name]
    key = zlib.crc32((row.drawn_as or row.name).encode())
    rng = np.random.default_rng([key, rate, seed])
    begun_ms = MONDAY_MS + seed % 7 * DAY_MS
    if isinstance(row, Row):
        return row.make(rng, rate, begun_ms), -1
    change_ms = change_time(rng, begun_ms)
    return row.make(rng, rate, begun_ms, change_ms), change_ms


def run(job: Job, *, file: Path | None = None, alone: bool = False) -> list[Done]:
    """Run streams through the product and, unless it stands alone, through the others.

    Parameters
    ----------
    file
        Monitors instead of the defaults.
    """
    drawn = {name: draw(name, job.rate, job.seed) for name in job.names}
    streams = {name: stream for name, (stream, _) in drawn.items()}
    found = {OURS: _noticed(streams, file)}
    if not alone:
        found[OLD] = _noticed(streams, _OLD_FILE)
        for name, method in OTHERS.items():
            found[name] = {row: method(stream) for row, stream in streams.items()}
    return [
        _done(name, job, change_ms, {method: of[name] for method, of in found.items()})
        for name, (_, change_ms) in drawn.items()
    ]


def _noticed(streams: Mapping[str, Stream], file: Path | None) -> dict[str, list[Notice]]:
    every = alerts_of(streams, _monitors(file))
    return {name: notices(alerts) for name, alerts in every.items()}


def _done(name: str, job: Job, change_ms: int, found: Mapping[str, list[Notice]]) -> Done:
    row = ROWS[name]
    done = Done(name, job.rate, job.seed)
    if isinstance(row, Row):
        own = {method: noise(alerts) for method, alerts in found.items()}
        return msgspec.structs.replace(done, noise=own)
    seen = {method: noticed(row, change_ms, alerts) for method, alerts in found.items()}
    return msgspec.structs.replace(done, noticed=seen)


OTHERS: dict[str, Callable[[Stream], list[Notice]]] = {
    "ADWIN": others.adwin,
    "Page-Hinkley": others.page_hinkley,
    "PSI": others.psi_of_days,
}


@cache
def _monitors(file: Path | None) -> Monitors | None:
    return load_monitors(file)
