"""A recording of a million events, kept as what makes it; too long for `make test`.

60 versions of 50 models of every kind with eight features and segments, over four hours, with
labels that are late, corrected, taken back and repeated. Of what comes of it, a digest is kept for
every model version, and a sample in full so that a difference can be read. Metrics with logarithms
are all kept in full, since a digest knows no rounding.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.monitors_file import parse_monitors
from tests.builders import HOUR_MS, MINUTE_MS, START_MS
from tests.driver import TOPICS, Driver, Input
from tests.golden import results
from tests.golden.results import SHOWN, Results
from tests.golden.watching import PLAIN

NAME = "million"
PREDICTIONS = 520_000
MODELS = 50
SPAN_MS = 4 * HOUR_MS
BATCH = 20_000
PARTITIONS = 4
FEATURES = 8
#: One in so many metrics, by a digest of its key, is kept in full.
SAMPLED = 100
ALERTS = 100
AGAIN_MS = 20 * MINUTE_MS
_LOGARITHMIC = "log_loss"
_REGIONS = ("eu", "us", "apac")
_WORDS = ('"legit"', '"fraud"')
_CLASSES = ('"cat"', '"dog"', '"owl"')
_ODD_FEATURES = ("null", '"word"', "true", "999999999", "-0.0", "1e-5")

Ints = NDArray[np.int64]


class Recorded(NamedTuple):
    """What is kept: digests by model and version, and what is kept in full."""

    digests: dict[str, str]
    full: Results


class _Columns(NamedTuple):
    """Predictions as columns; chances are whole numbers of ten thousandths."""

    time_ms: Ints
    model: Ints
    version: Ints
    region: Ints
    score: Ints
    truth: Ints
    latency: Ints
    delay_ms: Ints
    lot: Ints
    features: Ints


def _columns() -> _Columns:
    """Draw everything from one sequence of `Generator.random`, which is the same everywhere."""
    luck = np.random.Generator(np.random.PCG64(20_240_601))

    def below(limit: int, *shape: int) -> Ints:
        return (luck.random((PREDICTIONS, *shape)) * limit).astype(np.int64)

    time_ms = START_MS + np.sort(below(SPAN_MS))
    model = below(MODELS)
    score = below(10_001)
    wrong = np.where(time_ms > START_MS + SPAN_MS // 2, 3_000 - 50 * (model % 20), 1_000)
    truth = (score > 5_000) ^ (below(10_000) < wrong)
    return _Columns(
        time_ms=time_ms,
        model=model,
        version=np.where(model < 10, below(2), 0),
        region=below(4),
        score=score,
        truth=truth.astype(np.int64),
        latency=below(1_000) * below(1_000),
        delay_ms=below(1_000) * below(1_000) * 4,
        lot=below(1_000),
        features=below(100_000, FEATURES),
    )


# --- records


def inputs() -> Iterator[list[Input]]:
    """Yield a million records in their order of arrival, in batches."""
    c = _columns()
    made = np.arange(PREDICTIONS)
    said_ms = c.time_ms + c.delay_ms
    told, again, repeated = made[c.lot >= 80], made[c.lot >= 980], made[c.lot % 500 == 90]
    times_ms = c.time_ms, said_ms[told], said_ms[again] + AGAIN_MS, c.time_ms[repeated] + 1_000
    at_ms, row = np.concatenate(times_ms), np.concatenate([made, told, again, repeated])
    turn = np.repeat(np.arange(4), [len(times) for times in times_ms])
    order = np.argsort(at_ms, kind="stable")
    for start in range(0, len(order), BATCH):
        here = order[start : start + BATCH]
        predicted = turn[here] % 3 == 0
        predictions = _predictions(c, row[here[predicted]])
        labels = _labels(c, row[here[~predicted]], at_ms[here[~predicted]], turn[here[~predicted]])
        yield [next(predictions if one else labels) for one in predicted.tolist()]


def _predictions(c: _Columns, rows: Ints) -> Iterator[Input]:
    numbers = ",".join(f'"f{n}":%d.%03d' for n in range(FEATURES - 1))
    text = (
        '{"prediction_id":"%s","model":"m%02d","version":"%d","timestamp_ms":%d,"prediction":%s,'
        '"latency_ms":%d.%02d%s,"features":{' + numbers + ',"f7":%s}}'
    )
    for row, *values in zip(rows.tolist(), *(column[rows].tolist() for column in c), strict=True):
        time_ms, model, version, region, score, _, latency, _, lot, features = values
        name = f"p{row:06}"
        segments = f',"segments":{{"region":"{_REGIONS[region]}"}}' if region < 3 else ""
        parts = [part for feature in features[:-1] for part in divmod(feature, 1_000)]
        own = name, model, version, time_ms, _answer(model % 5, score, lot)
        more = *divmod(latency, 100), segments, *parts, _ODD_FEATURES[features[-1] % 6]
        yield TOPICS.predictions, name.encode(), (text % (*own, *more)).encode()


def _answer(kind: int, score: int, lot: int) -> str:
    """Return what a model says, and its score or scores where it has any."""
    share = f"{score // 10_000}.{score % 10_000:04}"
    match kind:
        case 0:
            return f'{int(score > 5_000)},"score":{share}'
        case 1:
            return share
        case 2:
            place = score * 3 // 10_001
            given = (f"{name}:0.{6 if n == place else 2}" for n, name in enumerate(_CLASSES))
            return f'{_CLASSES[place]},"scores":{{{",".join(given)}}}'
        case 3:
            return f"{score}.{lot:03}"
        case _:
            return _WORDS[score > 5_000]


def _truth(kind: int, score: int, truth: int, lot: int) -> str:
    match kind:
        case 0:
            return str(truth)
        case 1:
            return ("false", "true")[truth]
        case 2:
            wrong = truth != int(score > 5_000)
            return _CLASSES[(score * 3 // 10_001 + wrong) % 3]
        case 3:
            return f"{score + (truth - (score > 5_000)) * 40 + lot // 100}.5"
        case _:
            return _WORDS[truth]


def _labels(c: _Columns, rows: Ints, at_ms: Ints, turns: Ints) -> Iterator[Input]:
    columns = (c.model, c.score, c.truth, c.lot)
    values = zip(*(column[rows].tolist() for column in columns), strict=True)
    told = zip(rows.tolist(), at_ms.tolist(), turns.tolist(), values, strict=True)
    for row, time_ms, turn, (model, score, truth, lot) in told:
        name, again = f"p{row:06}", turn == 2
        corrected, taken_back = again and lot < 990, again and 990 <= lot < 996
        right = 1 - truth if corrected else truth
        said = f'"label":{_truth(model % 5, score, right, lot)}'
        said = '"retract":true' if taken_back else said
        value = f'{{"prediction_id":"{name}","timestamp_ms":{time_ms},{said}}}'
        yield TOPICS.labels, name.encode(), value.encode()


# --- results


def run() -> Results:
    """Run the recording to its end, with the usual monitors."""
    monitors = parse_monitors(PLAIN)
    driver = Driver(partitions=PARTITIONS, disorder_ms=5_000, monitors=monitors, log_bytes=10**6)
    driver.monitor.hold_metrics = True
    digest = hashlib.sha256()
    for batch in inputs():
        for _, _, value in batch:
            digest.update(value or b"")
        driver.feed(batch)
        driver.written.clear()
    driver.monitor.hold_metrics = False
    driver.finish()
    return results.results_of(driver, digest.hexdigest())


def kept_of(found: Results) -> Recorded:
    """Return what of results is kept."""
    digests: dict[str, str] = {}
    models = sorted({key[:2] for key in found.metrics})
    for model, version in models:
        digest, count = hashlib.sha256(), 0
        for key in sorted(key for key in found.metrics if key[:2] == (model, version)):
            digest.update(repr((key, _exact_fields(key, found.metrics[key]))).encode())
            count += 1
        of_model = {
            alert_id: records
            for alert_id, records in found.alerts.items()
            if (records[0]["model"], records[0]["version"]) == (model, version)
        }
        for alert_id in sorted(of_model):
            digest.update(json.dumps(of_model[alert_id], sort_keys=True).encode())
        alerts = sum(map(len, of_model.values()))
        said = f"{count} metrics, {alerts} alert records: {digest.hexdigest()[:16]}"
        digests[f"{model} {version}"] = said
    full = {key: record for key, record in found.metrics.items() if _is_kept(key)}
    few = {name: found.alerts[name] for name in sorted(found.alerts)[:ALERTS]}
    return Recorded(digests, found._replace(metrics=full, alerts=few))


def _exact_fields(key: results.Key, record: dict[str, Any]) -> list[Any]:
    rounded = {"value", "low", "high"} if key[-1] == _LOGARITHMIC else set()
    return [value for name, value in sorted(record.items()) if name not in rounded]


def _is_kept(key: results.Key) -> bool:
    return key[-1] == _LOGARITHMIC or zlib.crc32(repr(key).encode()) % SAMPLED == 0


def write(path: Path, found: Results) -> None:
    """Write what is kept of results: a line of digests before those of other golden files."""
    kept = kept_of(found)
    first = json.dumps(kept.digests, sort_keys=True)
    lines = [first, *results.lines_of(kept.full)]
    path.write_bytes(results.compressed(lines))


def read(path: Path) -> Recorded:
    """Read what `write` wrote."""
    first, *lines = results.decompressed(path)
    return Recorded(json.loads(first), results.parsed(lines))


def check(found: Results, want: Recorded) -> None:
    """Fail, naming what differs, unless results are those that were kept."""
    got = kept_of(found._replace(metrics=results.known(found.metrics)))
    results.check(NAME, got.full, want.full)
    differing = [
        f"\n  {name}: want {want.digests.get(name)}, got {got.digests.get(name)}"
        for name in sorted({*got.digests, *want.digests})
        if got.digests.get(name) != want.digests.get(name)
    ]
    assert not differing, f"stream {NAME!r}: of these models, something differs that is not in" + (
        f" the sample; compare `metrics` of both versions:{''.join(differing[:SHOWN])}"
        f"\n  {len(differing)} models in all"
    )
