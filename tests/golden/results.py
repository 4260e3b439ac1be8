"""What comes of a golden stream: run, written down and compared to the bit.

What runs is whatever is built, in `tests.driver`. Compared are the last value of every metric key
after the end, all alerts and the fates of records. Not compared are `revision`, since it counts how
often a window was published, and metrics that came after the files. Terms with a logarithm may
differ by a rounding, see `ROUNDING`.
"""

import gzip
import hashlib
import json
import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from streams.cells.schedule import Revising
from streams.monitors_file import parse_monitors
from tests.builders import MINUTE_MS
from tests.driver import AT_ONCE, Driver, Input, cut
from tests.golden.streams import Stream

FILES = Path(__file__).with_name("files")
#: Sums of logarithms depend on the C library: relative difference that is none.
ROUNDING = 1e-12
#: How many differences are spelled out.
SHOWN = 10

IDENTITY = ("model", "version", "segment", "window_start_ms", "window_end_ms", "metric")
_FIELDS = ("value", "low", "high", "count", "coverage", "final")
#: Fields that came after the files.
_OWNERSHIP = ("owner", "runbook", "tags")
_LATER = (*_OWNERSHIP, "incident_id", "silenced")
_ROUNDED = {"value", "low", "high", "threshold", "reference"}

Key = tuple[Any, ...]


class Results(NamedTuple):
    """What is compared.

    Attributes
    ----------
    digest
        Of the records that came in.
    metrics
        The last value of every metric that exists at the end.
    alerts
        The revisions of every alert, by its id, in order of publication.
    """

    digest: str
    metrics: dict[Key, dict[str, Any]]
    alerts: dict[str, list[dict[str, Any]]]
    fates: dict[str, int]


class Way(NamedTuple):
    """How a stream is fed: the results must not depend on it.

    Attributes
    ----------
    restarts
        How often, between two batches, all state is forgotten and folded from what was written.
    held
        Whether metrics are published at the end only, as in a replay.
    revising
        How soon windows under way are written again.
    pace_ms
        How far the wall clock goes on between batches.
    """

    sizes: tuple[int, ...] = (500,)
    partitions: int = 1
    restarts: float = 0.0
    held: bool = False
    revising: Revising = AT_ONCE
    pace_ms: int = MINUTE_MS


AS_RECORDED = Way()
OTHER_WAYS = (
    Way(sizes=(400, 1, 37, 900), partitions=3, restarts=0.4, revising=Revising(), pace_ms=700),
    Way(sizes=(100_000,), partitions=2, held=True),
)


def run(stream: Stream, way: Way = AS_RECORDED) -> Results:
    """Run a stream in a way to its end."""
    driver = Driver(
        partitions=way.partitions,
        disorder_ms=stream.disorder_ms,
        horizon_ms=stream.horizon_ms,
        monitors=parse_monitors(stream.watched),
        revising=way.revising,
        pace_ms=way.pace_ms,
    )
    driver.monitor.hold_metrics = way.held
    luck = random.Random(len(stream.inputs))
    for batch in cut(stream.inputs, way.sizes):
        driver.feed(batch)
        if luck.random() < way.restarts:
            driver.restart(luck)
    driver.monitor.hold_metrics = False
    driver.finish()
    return results_of(driver, digest_of(stream.inputs))


def digest_of(inputs: Iterable[Input]) -> str:
    """Return a digest of records."""
    digest = hashlib.sha256()
    for record in inputs:
        digest.update(repr(record).encode())
    return digest.hexdigest()


def results_of(driver: Driver, digest: str) -> Results:
    """Return what is compared of what a driver has received."""
    metrics = {key: _without_identity(key, record) for key, record in driver.metrics.items()}
    alerts: dict[str, list[dict[str, Any]]] = {}
    for record in driver.alerts:
        alert = {name: value for name, value in record.items() if name not in _LATER}
        assert not any(record.get(name) for name in _OWNERSHIP), "nobody says whose it is"
        alerts.setdefault(alert["alert_id"], []).append(alert)
    return Results(digest, metrics, alerts, driver.fates)


def _without_identity(key: Key, record: Mapping[str, Any]) -> dict[str, Any]:
    assert key == tuple(record[name] for name in IDENTITY), f"{key} is the key of {record}"
    left_out = (*IDENTITY, "revision")
    return {name: value for name, value in record.items() if name not in left_out}


# --- files


def path_of(name: str) -> Path:
    """Return the golden file of a stream."""
    return FILES / f"{name.replace(' ', '-')}.jsonl.gz"


def write(path: Path, results: Results) -> None:
    """Write results as compressed JSON lines, the same bytes for the same results."""
    path.write_bytes(compressed(lines_of(results)))


def read(path: Path) -> Results:
    """Read what `write` wrote."""
    return parsed(decompressed(path))


@cache
def recorded() -> frozenset[str]:
    """Return the metrics, without their parts, that occur in any golden file of a stream.

    Every metric that existed when they were written does: others are new.
    """
    found: set[str] = set()
    for path in FILES.iterdir():
        found.update(_NAME.findall(gzip.decompress(path.read_bytes()).decode()))
    return frozenset(found)


_NAME = re.compile(r'"([a-z0-9_]+)(?::(?:[^"\\]|\\.)*)?",\[[^\[\]"]*\]\]$', re.MULTILINE)
"""Of a line, the metric: the last text before the fields."""


def known(
    metrics: Mapping[Key, dict[str, Any]], also: Iterable[Key] = ()
) -> dict[Key, dict[str, Any]]:
    """Return the metrics that can be in golden files, and others of the names in `also`."""
    names = recorded() | {key[-1].partition(":")[0] for key in also}
    return {key: one for key, one in metrics.items() if key[-1].partition(":")[0] in names}


def compressed(lines: Iterable[str]) -> bytes:
    """Return lines as the content of a file."""
    return gzip.compress("\n".join(lines).encode(), 9, mtime=0)


def decompressed(path: Path) -> list[str]:
    """Return the lines of a file."""
    return gzip.decompress(path.read_bytes()).decode().split("\n")


def lines_of(results: Results) -> list[str]:
    """Return results as lines.

    The first one has the digest and the fates; then there is one for every alert, an array of
    objects; then one for every metric: how many elements of the key are those of the line before,
    the others, and the fields.
    """
    lines = [json.dumps([results.digest, results.fates], sort_keys=True)]
    lines += [json.dumps(results.alerts[name], sort_keys=True) for name in sorted(results.alerts)]
    before: Key = ()
    for key in sorted(results.metrics):
        alike = next((n for n, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), 0)
        record = results.metrics[key]
        assert set(record) == set(_FIELDS), f"{key} has the fields {sorted(record)}"
        fields = [record[name] for name in _FIELDS]
        lines.append(json.dumps([alike, *key[alike:], fields], separators=(",", ":")))
        before = key
    return lines


def parsed(lines: Iterable[str]) -> Results:
    """Read lines."""
    first, *others = map(json.loads, lines)
    results = Results(first[0], {}, {}, first[1])
    key: Key = ()
    for line in others:
        if isinstance(line[0], dict):
            results.alerts[line[0]["alert_id"]] = line
            continue
        alike, *rest, fields = line
        key = key[:alike] + tuple(rest)
        results.metrics[key] = dict(zip(_FIELDS, fields, strict=True))
    return results


# --- comparing


def check(name: str, got: Results, want: Results) -> None:
    """Fail, naming the stream and what differs in it, unless results are the recorded ones."""
    assert got.digest == want.digest, (
        f"stream {name!r}: its events are others than those that were recorded: what makes them was"
        " changed, or numpy's distributions were; put that back, or see tests/golden/record.py"
    )
    found = list(differences(got._replace(metrics=known(got.metrics, want.metrics)), want))
    more = f"\n  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    shown = "".join(f"\n  {one}" for one in found[:SHOWN])
    assert not found, f"stream {name!r}: {len(found)} published numbers differ:{shown}{more}"


def differences(got: Results, want: Results) -> Iterator[str]:
    """Say of every field that differs whose it is, what it should be and what it is."""
    yield from _different("fates", got.fates, want.fates)
    for key in sorted({*got.metrics, *want.metrics}):
        rounded = _ROUNDED if key[-1] == "log_loss" else frozenset()
        name = f"metric {json.dumps(key, ensure_ascii=False)}"
        yield from _compared(name, got.metrics.get(key), want.metrics.get(key), rounded)
    for alert_id in sorted({*got.alerts, *want.alerts}):
        yield from _alerts(got.alerts.get(alert_id, []), want.alerts.get(alert_id, []))


def _alerts(got: list[dict[str, Any]], want: list[dict[str, Any]]) -> Iterator[str]:
    one = (got or want)[0]
    for revision in range(max(len(got), len(want))):
        name = f"alert {one['alert_id']} ({one['monitor']}), record {revision}"
        pair = [of[revision] if revision < len(of) else None for of in (got, want)]
        rounded = _ROUNDED if one["evidence"].get("metric") == "log_loss" else frozenset()
        yield from _compared(name, *pair, rounded)


def _compared(name: str, got: Any, want: Any, rounded: Iterable[str]) -> Iterator[str]:
    if got is None or want is None:
        yield f"{name}: want {_or_none(want)}, got {_or_none(got)}"
    else:
        yield from _different(name, got, want, rounded)


def _different(
    name: str, got: Mapping[str, Any], want: Mapping[str, Any], rounded: Iterable[str] = ()
) -> Iterator[str]:
    for field in sorted({*got, *want}):
        mine, right = got.get(field), want.get(field)
        if isinstance(mine, dict) and isinstance(right, dict):
            yield from _different(f"{name}, {field}", mine, right, rounded)
        elif not same(mine, right, rounding=ROUNDING if field in rounded else 0.0):
            yield f"{name}, {field}: want {right!r}, got {mine!r}"


def same(got: Any, want: Any, *, rounding: float = 0.0) -> bool:
    """Tell whether two values are the same to the bit, or floats that differ by a rounding only.

    Examples
    --------
    >>> same(1, 1.0), same(0.0, -0.0), same(0.1 + 0.2, 0.3), same(0.1 + 0.2, 0.3, rounding=1e-12)
    (False, False, False, True)
    """
    if rounding and isinstance(got, float) and isinstance(want, float):
        return math.isclose(got, want, rel_tol=rounding)
    return repr(got) == repr(want)


def _or_none(record: Any) -> str:
    return "none" if record is None else json.dumps(record, ensure_ascii=False)
