"""What the job must give, recomputed from the input topics by the plainest means.

A `Result` holds numbers by model and start of the minute. `compare` says what is wrong with one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

HORIZON_MS = 3_600_000
WINDOW_MS = 60_000
BINS = 100
COUNTS = ("count", "tp", "fp", "tn", "fn")
TALLIES = (*COUNTS, "brier_sum")
RATES = ("labels", "accuracy", "precision", "recall", "brier")
"""What driftline publishes of the same tallies."""

_TOLERANCE = 1e-9
_SHOWN = 3

Key = tuple[str, int]
"""Model and start of the window."""

Numbers = dict[str, Any]
Result = dict[Key, Numbers]


class Truth(NamedTuple):
    """What is on the input topics, and what must come of it."""

    events: int
    labelled: int
    result: Result


def read_topic(
    servers: str, topic: str, *, committed: bool = False, idle_s: float = 1.0
) -> Iterator[bytes]:
    """Yield every value of a topic, up to where nothing more comes for `idle_s`."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "peers-harness",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.queue.backoff.ms": 5,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    ended: set[int] = set()
    try:
        while len(ended) < len(partitions):
            for message in consumer.consume(10_000, idle_s):
                value, partition = message.value(), message.partition()
                if message.error() and partition is not None:
                    ended.add(partition)
                elif value is not None:
                    yield value
    finally:
        consumer.close()


def recompute(servers: str, prefix: str) -> Truth:
    """Join and count what is on the input topics."""
    predictions = read_topic(servers, f"{prefix}.predictions")
    return join_and_count(predictions, read_topic(servers, f"{prefix}.labels"))


def join_and_count(predictions: Iterable[bytes], labels: Iterable[bytes]) -> Truth:
    """Join and count, all predictions first; every prediction has at most one label."""
    said: dict[str, tuple[str, int, int, float]] = {}
    for value in predictions:
        p = json.loads(value)
        said[p["prediction_id"]] = (p["model"], p["timestamp_ms"], p["prediction"], p["score"])
    events, labelled = len(said), 0
    result: Result = {}
    for value in labels:
        label = json.loads(value)
        model, time_ms, prediction, score = said[label["prediction_id"]]
        events += 1
        if 0 <= label["timestamp_ms"] - time_ms <= HORIZON_MS:
            key = (model, time_ms - time_ms % WINDOW_MS)
            _add(result.setdefault(key, _zero()), prediction, label=label["label"], score=score)
            labelled += 1
    for numbers in result.values():
        numbers.update(_rates(numbers))
    return Truth(events, labelled, result)


def _zero() -> Numbers:
    counts = dict.fromkeys(COUNTS, 0)
    return {**counts, "brier_sum": 0.0, "histogram": [[0] * BINS, [0] * BINS]}


def _add(numbers: Numbers, prediction: int, *, label: int, score: float) -> None:
    cell = {(1, 1): "tp", (1, 0): "fp", (0, 0): "tn", (0, 1): "fn"}[prediction, label]
    numbers["count"] += 1
    numbers[cell] += 1
    numbers["brier_sum"] += (score - label) ** 2
    numbers["histogram"][label][min(int(score * BINS), BINS - 1)] += 1


def _rates(numbers: Numbers) -> Numbers:
    count, tp = numbers["count"], numbers["tp"]
    return {
        "labels": count,
        "accuracy": (tp + numbers["tn"]) / count,
        "precision": tp / said if (said := tp + numbers["fp"]) else None,
        "recall": tp / real if (real := tp + numbers["fn"]) else None,
        "brier": numbers["brier_sum"] / count,
    }


def read_tallies(servers: str, topic: str) -> Result:
    """Read result records: the last one of a key and partition counts, partitions add up."""
    parts: dict[tuple[str, int, int], Numbers] = {}
    for value in read_topic(servers, topic, committed=True):
        record = json.loads(value)
        if record.get("diff", 1) < 0:  # Pathway: an older state is taken back
            continue
        key = (record["model"], record["window_start_ms"], record.get("partition", 0))
        # Pathway's writer spreads the states of one key over partitions; `time` orders them.
        if record.get("time", 0) >= parts.get(key, {}).get("time", 0):
            parts[key] = record
    result: Result = {}
    for (model, start_ms, _), record in parts.items():
        _merge(result.setdefault((model, start_ms), _zero()), record)
    return result


def _merge(numbers: Numbers, record: Numbers) -> None:
    for name in TALLIES:
        numbers[name] += record[name]
    for mine, other in zip(numbers["histogram"], record.get("histogram", ()), strict=False):
        mine[:] = map(sum, zip(mine, other, strict=True))


def read_rates(servers: str, topic: str) -> Result:
    """Read driftline's metrics; the last revision counts."""
    result: Result = {}
    for value in read_topic(servers, topic, committed=True):
        record = json.loads(value)
        if record["metric"] in RATES and not record["segment"]:
            key = (record["model"], record["window_start_ms"])
            result.setdefault(key, {})[record["metric"]] = record["value"]
    return result


def compare(found: Result, truth: Result, names: tuple[str, ...]) -> str:
    """Say what is wrong with a result, in one line; nothing if it is right."""
    wrong = [
        f"{model} {start_ms}: {problem}"
        for model, start_ms in sorted(found.keys() | truth.keys())
        if (problem := _problem(found.get((model, start_ms)), truth.get((model, start_ms)), names))
    ]
    if not wrong:
        return ""
    windows = f"{len(wrong)} of {len(truth)} windows are wrong, such as "
    return windows + "; ".join(wrong[:_SHOWN])


def _problem(
    found: Mapping[str, Any] | None, truth: Mapping[str, Any] | None, names: tuple[str, ...]
) -> str:
    if found is None:
        return "missing"
    if truth is None:
        return "should not exist"
    for name in names:
        value = found.get(name)
        if isinstance(truth[name], list):
            if value != truth[name]:
                return f"{name} differs"
        elif value is None or truth[name] is None:
            if value is not truth[name]:
                return f"{name} is {value}, should be {truth[name]}"
        elif abs(value - truth[name]) > _TOLERANCE * max(1, abs(truth[name])):
            return f"{name} is {value}, should be {truth[name]}"
    return ""
