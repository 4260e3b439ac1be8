"""Say what a replay must report, from the input lines alone, with pandas and scikit-learn.

Slow and plain on purpose: every line is decoded with `json`, every label of an id is looked at
together, every window is a data frame. It knows the product only by its command line and the
three files that a replay writes: `metrics.jsonl`, `alerts.jsonl`, `fates.json`.
"""

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from river import drift
from sklearn import metrics as reference

ROOT = Path(__file__).parents[1]
RAW = ROOT / "tests" / "raw.yaml"
END_OF_9999_MS = 253_402_300_800_000
LINE_LIMIT_BYTES = 4 << 20
#: How many differences a verdict spells out.
SHOWN = 25
FATES = (
    "joined",
    "pending",
    "unlabelled",
    "duplicate_prediction",
    "conflicting_prediction",
    "duplicate_label",
    "correction",
    "retraction",
    "orphan_label",
    "late_label",
    "dead_letter",
)
#: What only the oracle may bring into a result; other names are not judged.
QUALITY = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier")
TIMES = (
    *("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"),
    *("label_delay_p50_ms", "label_delay_p95_ms"),
)
JUDGED = {"predictions", "labels", "coverage", "mae", "rmse", "bias", *QUALITY, *TIMES}
JUDGED_PREFIXES = ("missing_rate:", "mean:", "precision:", "recall:", "f1:")

Event = dict[str, Any]


class Key(NamedTuple):
    """The identity of a metric record."""

    model: str
    version: str
    segment: str
    window_start_ms: int
    window_end_ms: int
    metric: str


@dataclass(frozen=True)
class Want:
    """What a metric record must say: any of `values`, within a tolerance."""

    values: tuple[float, ...]
    relative: float = 1e-9
    absolute: float = 1e-9
    count: int | None = None
    coverage: float | None = None
    required: bool = True

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is close enough to one of the right ones."""
        close = {"rel_tol": self.relative, "abs_tol": self.absolute}
        return any(math.isclose(value, right, **close) for right in self.values)


@dataclass
class Expected:
    """The right answer: fates, metrics and each model's outcomes in the order of their labels."""

    fates: Counter[str] = field(default_factory=Counter)
    metrics: dict[Key, Want] = field(default_factory=dict)
    losses: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    label_times: dict[tuple[str, str], list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a replay wrote, and what it said."""

    folder: Path
    stdout: str
    stderr: str

    @property
    def fates(self) -> dict[str, int]:
        """Return how many records ended in which fate."""
        return json.loads((self.folder / "fates.json").read_bytes())

    @property
    def metrics(self) -> list[Event]:
        """Return the metric records, in the order of the file."""
        return _json_lines(self.folder / "metrics.jsonl")

    @property
    def alerts(self) -> list[Event]:
        """Return the alert records, in the order of the file."""
        return _json_lines(self.folder / "alerts.jsonl")


def _json_lines(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# The product, seen from outside


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `driftline` with these arguments and wait for its end."""
    command = [sys.executable, "-m", "agents.cli", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def replay(
    *arguments: object, out: Path, window: str = "5m", partitions: int = 4, code: int = 0
) -> Result:
    """Replay with a horizon of one hour; fail with the product's own words if it does."""
    done = run(
        *("replay", *arguments, "--out", out, "--window", window),
        *("--horizon", "1h", "--partitions", partitions),
    )
    assert done.returncode == code, f"replay ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return Result(out, done.stdout, done.stderr)


# What a line is


def decode(line: bytes) -> Event | None:
    """Return the event on a line, or None if the line is poison."""
    if len(line) > LINE_LIMIT_BYTES:
        return None
    try:
        event = json.loads(line.decode())
        json.dumps(event, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError):
        return None
    return _unblemished(event) if isinstance(event, dict) and _is_valid(event) else None


def _unblemished(event: Event) -> Event:
    """Leave out the values that a prediction may do without, where they are bad."""
    kept = dict(event)
    for name, lowest in (("score", -1e150), ("latency_ms", 0)):
        value = kept.get(name)
        if not (_is_number(value) and lowest <= value <= 1e150):
            kept.pop(name, None)
    for name, is_good in (("features", _is_feature), ("segments", _is_segment)):
        values = kept.pop(name, None)
        if isinstance(values, dict):
            kept[name] = {key: value for key, value in values.items() if is_good(value)}
    return kept


def _is_feature(value: Any) -> bool:
    return value is None or isinstance(value, str) or (_is_class(value) and abs(value) <= 1e150)


def _is_segment(value: Any) -> bool:
    return isinstance(value, str) and len(value.encode()) <= 256


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_class(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _is_valid(event: Event) -> bool:
    name, time_ms = event.get("prediction_id"), event.get("timestamp_ms")
    checks = [
        isinstance(name, str) and name != "",
        type(time_ms) is int and 10**11 <= time_ms < END_OF_9999_MS,
        isinstance(event.get("retract", False), bool),
        isinstance(event.get("model", ""), str),
        isinstance(event.get("version", ""), str),
        all(_is_class(event[n]) for n in ("prediction", "label") if n in event),
    ]
    if "prediction" in event:
        checks.append("model" in event)
    else:
        checks.append("label" in event or event.get("retract") is True)
    return all(checks)


# What becomes of it


def expect(lines: Iterable[bytes], *, window_ms: int, horizon_ms: int = 3_600_000) -> Expected:
    """Work out the right answer for these lines, in their order of arrival.

    Parameters
    ----------
    lines
        Without line feeds; empty ones are not records.
    window_ms
        Size of the tumbling windows, which are aligned to the epoch.
    horizon_ms
        How much later than the prediction a label may be; inclusive.
    """
    expected = Expected()
    predictions: dict[str, Event] = {}
    labels: dict[str, list[Event]] = {}
    rows: list[Event] = []
    for line in filter(None, lines):
        event = decode(line)
        if event is None:
            expected.fates["dead_letter"] += 1
        elif "prediction" not in event:
            labels.setdefault(event["prediction_id"], []).append(event)
        elif "label" in event:
            expected.fates["joined"] += 1
            rows.append(_row(event, said=event, first=event, delay_ms=None))
        else:
            first = predictions.setdefault(event["prediction_id"], event)
            if first is not event:
                fate = "duplicate" if first == event else "conflicting"
                expected.fates[f"{fate}_prediction"] += 1
    for name, event in predictions.items():
        rows.append(_matched(event, labels.pop(name, []), horizon_ms, expected.fates))
    expected.fates["orphan_label"] += sum(map(len, labels.values()))
    _evaluate(rows, window_ms, expected)
    return expected


def _matched(event: Event, said: list[Event], horizon_ms: int, fates: Counter[str]) -> Event:
    """Settle all that was said about one prediction, in order of arrival."""
    newest: Event | None = None
    first: Event | None = None
    has_label = False
    for record in said:
        retracts = record.get("retract") is True
        if record["timestamp_ms"] > event["timestamp_ms"] + horizon_ms:
            fates["late_label"] += 1
            continue
        if retracts:
            fates["retraction"] += 1
        elif not has_label:
            fates["joined"] += 1
            has_label = True
        elif (
            newest
            and "label" in newest
            and _among_two(newest["label"]) == _among_two(record["label"])
        ):
            fates["duplicate_label"] += 1
        else:
            fates["correction"] += 1
        if newest is None or record["timestamp_ms"] >= newest["timestamp_ms"]:
            newest = record
            first = first or (None if retracts else record)
    if newest is None or newest.get("retract") is True:
        fates["unlabelled"] += 1
        return _row(event, said=None, first=first, delay_ms=None)
    fates["joined"] += 1
    delay_ms = newest["timestamp_ms"] - event["timestamp_ms"]
    return _row(event, said=newest, first=first, delay_ms=delay_ms)


MOST_NUMBERS = 20
TWO = {"true": "1", "yes": "1", "positive": "1", "false": "0", "no": "0", "negative": "0"}


def as_class(value: Any) -> str:
    """Return the name of a class, whatever other classes there are.

    >>> {as_class(value) for value in (1, 1.0, True, "1", "1.0")}
    {'1'}
    >>> as_class("Yes"), as_class("US"), as_class("01")
    ('yes', 'US', '01')
    """
    if isinstance(value, str):
        whole = value.removesuffix(".0")
        digits = whole.removeprefix("-")
        if digits.isascii() and digits.isdigit() and digits == str(int(digits)):
            return str(int(whole))
        return value.lower() if value.lower() in TWO else value
    return str(int(value)) if value == int(value) else repr(float(value))


def _among_two(value: Any) -> str:
    """Return the name of a class where there is no third."""
    return TWO.get(as_class(value), as_class(value))


def _naming(values: Iterable[Any]) -> Callable[[Any], str]:
    """Return what names classes that occur together: words are 1 and 0 unless there is a third."""
    two = len({_among_two(value) for value in values}) <= 2
    return _among_two if two else as_class


def _row(event: Event, *, said: Event | None, first: Event | None, delay_ms: int | None) -> Event:
    return {
        "model": event["model"],
        "version": event.get("version", ""),
        "segments": ["", *(f"{k}={v}" for k, v in event.get("segments", {}).items())],
        "time_ms": event["timestamp_ms"],
        "guess": event["prediction"],
        "truth": said["label"] if said else None,
        "is_labelled": said is not None,
        "score": event.get("score"),
        "features": event.get("features", {}),
        "latency_ms": event.get("latency_ms"),
        "delay_ms": delay_ms,
        "first_truth": first["label"] if first else None,
        "first_truth_ms": first["timestamp_ms"] if first else None,
    }


# What the windows say


def _evaluate(rows: list[Event], window_ms: int, expected: Expected) -> None:
    if not rows:
        return
    table = pd.DataFrame(rows).astype({"guess": object, "truth": object, "first_truth": object})
    for group, part in table.groupby(["model", "version"]):
        said = part[part["first_truth_ms"].notna()].sort_values(["first_truth_ms", "time_ms"])
        pairs = zip(said["guess"], said["first_truth"], strict=True)
        expected.losses[group] = [int(_among_two(g) != _among_two(t)) for g, t in pairs]
        expected.label_times[group] = said["first_truth_ms"].astype(int).tolist()
    kinds = {
        group: _kind(part[part["is_labelled"]])
        for group, part in table.groupby(["model", "version"])
    }
    table["start_ms"] = table["time_ms"] // window_ms * window_ms
    by_segment = table.explode("segments")
    for slice_of, part in by_segment.groupby(["model", "version", "segments", "start_ms"]):
        model, version, segment, start_ms = slice_of
        for metric, want in _window(part, *kinds[model, version]):
            key = Key(model, version, segment, int(start_ms), int(start_ms) + window_ms, metric)
            expected.metrics[key] = want


def _window(
    part: pd.DataFrame, kind: str, naming: Callable[[Any], str]
) -> Iterator[tuple[str, Want]]:
    outcomes = part[part["is_labelled"]]
    labels, coverage = len(outcomes), len(outcomes) / len(part)
    yield "predictions", Want((len(part),))
    yield "labels", Want((labels,))
    yield "coverage", Want((coverage,))
    yield from _inputs(part["features"].tolist())
    latencies = part["latency_ms"].dropna().to_numpy(float)
    if len(latencies):
        for percent in (50, 95, 99):
            yield f"latency_p{percent}_ms", _quantile(latencies, percent)
    if labels:
        if outcomes["delay_ms"].notna().all():
            delays = outcomes["delay_ms"].to_numpy(float)
            for percent in (50, 95):
                yield f"label_delay_p{percent}_ms", _quantile(delays, percent)
        for metric, want in _quality(outcomes, kind, naming):
            count = labels if want.count is None else want.count
            yield metric, Want(**(vars(want) | {"count": count, "coverage": coverage}))


def _quantile(values: np.ndarray, percent: int) -> Want:
    right = {
        float(np.percentile(values, percent, method=method))
        for method in ("inverted_cdf", "nearest")
    }
    return Want(tuple(right), relative=0.01)


def _inputs(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Want]]:
    for name in sorted({name for row in rows for name in row}):
        values = [row.get(name) for row in rows]
        numbers = [float(v) for v in values if v is not None and not isinstance(v, str)]
        yield f"missing_rate:{name}", Want((values.count(None) / len(values),))
        if numbers:
            yield f"mean:{name}", Want((math.fsum(numbers) / len(numbers),))


def _kind(outcomes: pd.DataFrame) -> tuple[str, Callable[[Any], str]]:
    """Say what kind of model it is by all its outcomes, and how its classes are named."""
    values = [*outcomes["guess"], *outcomes["truth"]]
    naming = _naming(values)
    has_scores = outcomes["score"].notna().any()
    whole = [{v for v in outcomes[side] if _is_number(v)} for side in ("guess", "truth")]
    is_continuous = any(_is_number(v) and v != int(v) for v in values)
    if (is_continuous or min(map(len, whole)) > MOST_NUMBERS) and not has_scores:
        return "regression", naming
    if {naming(value) for value in values} <= {"0", "1"}:
        return "binary", naming
    return "multiclass", naming


def _quality(
    outcomes: pd.DataFrame, kind: str, naming: Callable[[Any], str]
) -> Iterator[tuple[str, Want]]:
    """Judge predictions by their labels."""
    if kind == "binary":
        yield from _binary(outcomes)
    elif kind == "regression":
        yield from _regression(outcomes)
    else:
        classes = {naming(value) for value in [*outcomes["guess"], *outcomes["truth"]]}
        yield from _multiclass(outcomes, sorted(classes), naming)


def _binary(outcomes: pd.DataFrame) -> Iterator[tuple[str, Want]]:
    truth = outcomes["truth"].map(_among_two).astype(int).to_numpy()
    guess = outcomes["guess"].map(_among_two).astype(int).to_numpy()
    yield "accuracy", Want((reference.accuracy_score(truth, guess),))
    for metric, want in _per_class(truth, guess, labels=[0, 1]):
        yield metric, Want(want.values, count=want.count, required=False)
        name, _, judged = metric.partition(":")
        if judged == "1":
            yield name, want
    scored = outcomes["score"].notna().to_numpy()
    if scored.any():
        scores = outcomes["score"].to_numpy(float)[scored]
        for metric, want in _scores(truth[scored], scores):
            count = len(scores) if want.count is None else want.count
            yield metric, Want(**(vars(want) | {"count": count}))


def _scores(truth: np.ndarray, scores: np.ndarray) -> Iterator[tuple[str, Want]]:
    inside = (scores >= -1e-6) & (scores <= 1 + 1e-6)
    if (~inside).mean() <= 0.01:
        likely, true = np.clip(scores[inside], 0, 1), truth[inside]
        loss = float(reference.log_loss(true, likely, labels=[0, 1]))
        yield "log_loss", Want((loss,), count=len(true))
        yield "brier", Want((float(np.mean((likely - true) ** 2)),), count=len(true))
    if 0 < truth.sum() < len(truth):
        auc = float(reference.roc_auc_score(truth, scores))
        yield "roc_auc", Want((auc,), relative=0.0, absolute=0.005)


def _multiclass(
    outcomes: pd.DataFrame, classes: list[str], naming: Callable[[Any], str]
) -> Iterator[tuple[str, Want]]:
    truth, guess = outcomes["truth"].map(naming), outcomes["guess"].map(naming)
    yield "accuracy", Want((reference.accuracy_score(truth, guess),))
    macro = reference.precision_recall_fscore_support(
        truth, guess, labels=classes, average="macro", zero_division=0
    )
    for metric, value in zip(("precision", "recall", "f1"), macro[:3], strict=True):
        yield metric, Want((float(value),))
    yield from _per_class(truth, guess, labels=classes)


def _per_class(truth: Any, guess: Any, *, labels: list[Any]) -> Iterator[tuple[str, Want]]:
    """Judge each class; what is a fraction of nothing is absent."""
    scores = reference.precision_recall_fscore_support(
        truth, guess, labels=labels, average=None, zero_division=math.nan
    )
    said, real = (Counter(map(str, side)) for side in (guess, truth))
    hits = Counter(str(t) for t, g in zip(truth, guess, strict=True) if t == g)
    for metric, values in zip(("precision", "recall", "f1"), scores[:3], strict=True):
        for name, value in zip(map(str, labels), values.tolist(), strict=True):
            either = said[name] + real[name] - hits[name]
            count = {"precision": said[name], "recall": real[name], "f1": either}[metric]
            if count:
                yield f"{metric}:{name}", Want((value,), count=count)


def _regression(outcomes: pd.DataFrame) -> Iterator[tuple[str, Want]]:
    truth, guess = outcomes["truth"].to_numpy(float), outcomes["guess"].to_numpy(float)
    yield "mae", Want((float(reference.mean_absolute_error(truth, guess)),))
    yield "rmse", Want((float(reference.root_mean_squared_error(truth, guess)),))
    yield "bias", Want((math.fsum(guess - truth) / len(truth),))


# Drift


def adwin_indices(losses: Sequence[int]) -> list[int]:
    """Return where bare river, with its defaults, finds a drift."""
    detector = drift.ADWIN()
    fired = []
    for index, loss in enumerate(losses):
        detector.update(loss)
        if detector.drift_detected:
            fired.append(index)
    return fired


def loss_alerts(alerts: Iterable[Event], *, detector: str = "adwin") -> list[Event]:
    """Return the firings of a detector on the loss of all outcomes."""
    return [
        alert
        for alert in alerts
        if (alert["kind"], alert["detector"], alert["segment"]) == ("drift", detector, "")
        and alert["evidence"].get("input") == "loss"
        and alert["state"] == "firing"
    ]


# The verdict


def differences(expected: Expected, result: Result) -> list[str]:
    """Say, a line each, where fates and metrics differ from the right answer."""
    found = _fate_differences(expected.fates, result.fates)
    records: dict[Key, Event] = {}
    for record in result.metrics:
        key = Key(*(record[name] for name in Key._fields))
        if key in records:
            found.append(f"{key}: written twice")
        records[key] = record
    for key, want in expected.metrics.items():
        if key in records:
            found += [f"{key}: {problem}" for problem in _problems(want, records[key])]
        elif want.required:
            found.append(f"{key}: absent, should be {want.values[0]}")
    judged = (k for k in records if k.metric in JUDGED or k.metric.startswith(JUDGED_PREFIXES))
    found += [f"{key}: should not exist" for key in judged if key not in expected.metrics]
    return _shortened(found)


def changes(result: Result, other: Result) -> list[str]:
    """Say, a line each, where two replays wrote anything different but revisions.

    The order of the records counts.
    """
    found = [] if result.fates == other.fates else [f"fates {result.fates} / {other.fates}"]
    for name in ("metrics", "alerts"):
        records, others = ([_unrevised(r) for r in getattr(x, name)] for x in (result, other))
        if len(records) != len(others):
            found.append(f"{len(records)} / {len(others)} {name}")
        pairs = enumerate(zip(records, others, strict=False))
        found += [f"{name}[{i}]: {one} / {two}" for i, (one, two) in pairs if one != two]
    return _shortened(found)


def _unrevised(record: Event) -> Event:
    return {name: value for name, value in record.items() if name != "revision"}


def _shortened(found: list[str]) -> list[str]:
    more = len(found) - SHOWN
    return found if more <= 0 else [*found[:SHOWN], f"and {more} more"]


def _fate_differences(right: Counter[str], said: dict[str, int]) -> list[str]:
    found = [f"fates: the keys are {sorted(said)}"] if set(said) != set(FATES) else []
    pairs = ((name, right[name], said.get(name, 0)) for name in FATES)
    return found + [f"fate {n}: {got}, should be {want}" for n, want, got in pairs if want != got]


def _problems(want: Want, record: Event) -> Iterator[str]:
    value, low, high = record["value"], record["low"], record["high"]
    if not want.accepts(value):
        yield f"value {value!r}, should be {want.values}"
    if want.count is not None and record["count"] != want.count:
        yield f"count {record['count']!r}, should be {want.count}"
    if want.coverage is not None and not math.isclose(
        record["coverage"], want.coverage, abs_tol=1e-9
    ):
        yield f"coverage {record['coverage']!r}, should be {want.coverage}"
    if low is not None and high is not None and not low - 1e-9 <= value <= high + 1e-9:
        yield f"value {value!r} outside its own interval [{low!r}, {high!r}]"
