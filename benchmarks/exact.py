"""Is what a worker published exactly right? The answer comes from the load, by other means.

The numbers are worked out from the events' columns with whole numbers and numpy; of `streams`, only
the names of metrics are used. What the metrics topic says, read_committed, last revision by key,
must be that; metrics that exist but are not worked out here are left out, and named.
"""

import copy
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from numpy.typing import NDArray

from benchmarks.load import FEATURE_UNITS, SCORE_UNITS, START_MS, Chunk, Ints, Load
from streams import families
from streams.families.family import BINARY

SAME = (
    *("predictions", "labels", "coverage", "accuracy", "precision", "recall", "f1"),
    *("log_loss", "brier", "roc_auc"),
)
"""Of the job that other engines are given, too: join, confusion, Brier score, score histograms."""

_SHOWN = 5
_QUIET_S = 0.3
_FEW = 500
"""Labels below which the area under the curve, made of bins, is not judged."""
_TALLIES = ("predictions", "labels", "hits", "said", "real", "right", "brier")

Floats = NDArray[np.float64]
Message = Mapping[str, Any]


@dataclass(frozen=True)
class Right:
    """The right values of one metric, by group; NaN where there must be no record.

    Attributes
    ----------
    count
        What the record must rest on.
    relative, absolute
        How far a value may be off.
    """

    value: Floats
    count: Ints
    relative: float = 1e-9
    absolute: float = 1e-12


class Expected:
    """What must be on the metrics topic; a group is a window of a model."""

    def __init__(self, load: Load, *, window_ms: int = 300_000) -> None:
        self.load, self.window_ms = load, window_ms
        self._first = START_MS // window_ms
        self._groups = (load.span_ms // window_ms + 2) * load.models
        tallies = _Tallies(self._groups, load.features)
        for chunk in load.chunks():
            group = (chunk.time_ms // window_ms - self._first) * load.models + chunk.model
            tallies.add(chunk, group)
        self.predictions, self.labels = tallies.counts["predictions"], tallies.counts["labels"]
        self.metrics = dict(_metrics(tallies, delay_ms=load.delay_ms))
        judged = {_base(name) for name in self.metrics}
        known = families.CATALOGUE.metrics.values()
        self._unjudged = {one.name for one in known if BINARY in one.tasks} - judged

    def without_features(self) -> "Expected":
        """Return the same for workers that do not look at features."""
        other = copy.copy(self)
        names = [name for name in self.metrics if ":f" not in name]
        other.metrics = {name: self.metrics[name] for name in names}
        return other

    def only(self, metrics: Collection[str]) -> "Expected":
        """Return the same for workers that publish some metrics alone."""
        other = copy.copy(self)
        other.metrics = {n: right for n, right in self.metrics.items() if _base(n) in metrics}
        other._unjudged = self._unjudged & set(metrics)
        return other

    @property
    def records(self) -> int:
        """How many metric records there must be, one a key; uncertain areas aside."""
        return sum(int((~np.isnan(right.value)).sum()) for right in self.metrics.values())

    def unjudged(self, records: Iterable[Message]) -> list[str]:
        """Return the names of metrics that nothing here works out: a new family, mostly."""
        return sorted({_base(record["metric"]) for record in records} & self._unjudged)

    def group(self, record: Message) -> int:
        """Return the group that a record is about, -1 if there is none."""
        model, start = record["model"], record["window_start_ms"]
        length = record["window_end_ms"] - start
        known = model.startswith("m") and model[1:].isdigit()
        if (
            not known
            or length != self.window_ms
            or (record["version"], record["segment"])
            != (
                "",
                "",
            )
        ):
            return -1
        group = (start // self.window_ms - self._first) * self.load.models + int(model[1:])
        return group if 0 <= group < self._groups and int(model[1:]) < self.load.models else -1

    def differences(self, records: Iterable[Message]) -> list[str]:
        """Say, a line each, what is wrong with the last revisions; no lines: nothing is."""
        found: list[str] = []
        judged = 0
        for record in records:
            if _base(record["metric"]) in self._unjudged:
                continue
            problem = self._problem(record)
            if problem is None:
                judged += 1
            else:
                where = (record["model"], record["window_start_ms"], record["metric"])
                found.append(f"{where}: {problem}")
        if judged != self.records and not found:
            found.append(f"{judged} metrics, should be {self.records}")
        return shortened(found)

    def _problem(self, record: Message) -> str | None:
        group, right = self.group(record), self.metrics.get(record["metric"])
        if group < 0 or right is None or np.isnan(right.value[group]):
            return "should not exist"
        value, want = record["value"], float(right.value[group])
        judged = np.isfinite(want)
        if judged and abs(value - want) > max(right.absolute, right.relative * abs(want)):
            return f"value {value!r}, should be {want!r}"
        if record["count"] != right.count[group]:
            return f"count {record['count']}, should be {right.count[group]}"
        coverage = self.labels[group] / self.predictions[group]
        if abs(record["coverage"] - coverage) > 1e-9:
            return f"coverage {record['coverage']!r}, should be {coverage!r}"
        return None


def _base(metric: str) -> str:
    return metric.partition(":")[0]


class _Tallies:
    """Whole numbers by group."""

    def __init__(self, groups: int, features: int) -> None:
        self.groups = groups
        self.counts = {name: np.zeros(groups, np.int64) for name in _TALLIES}
        self.log_loss = np.zeros(groups)
        self.features = np.zeros((features, groups), np.int64)
        self.labelled: list[tuple[Ints, Ints, Ints]] = []

    def add(self, chunk: Chunk, group: Ints) -> None:
        self._count("predictions", group)
        for number in range(len(self.features)):
            np.add.at(self.features[number], group, chunk.features[:, number])
        told = chunk.labelled
        group, score, label = group[told], chunk.score[told], chunk.label[told]
        said = (2 * score >= SCORE_UNITS).astype(np.int64)
        self._count("labels", group)
        self._count("hits", group[(said == 1) & (label == 1)])
        self._count("said", group[said == 1])
        self._count("real", group[label == 1])
        self._count("right", group[said == label])
        np.add.at(self.counts["brier"], group, (score - SCORE_UNITS * label) ** 2)
        likely = np.where(label == 1, score, SCORE_UNITS - score) / SCORE_UNITS
        np.add.at(self.log_loss, group, -np.log(likely))
        self.labelled.append((group, score, label))

    def _count(self, name: str, group: Ints) -> None:
        self.counts[name] += np.bincount(group, minlength=self.groups)


def _metrics(tallies: _Tallies, *, delay_ms: int) -> Iterator[tuple[str, Right]]:
    c = tallies.counts
    some, told = c["predictions"], c["labels"]
    yield "predictions", Right(_where(some, some), some)
    yield "labels", Right(_where(some, told), told)
    yield "coverage", Right(_ratio(told, some), some)
    for percent in (50, 95, 99):  # the load says nothing of latency
        yield f"latency_p{percent}_ms", Right(np.full(len(some), np.nan), some)
    for percent in (50, 95):
        delay = Right(_where(told, np.full_like(told, delay_ms)), told, 0.01)
        yield f"label_delay_p{percent}_ms", delay
    for number, total in enumerate(tallies.features):
        yield f"mean:f{number}", Right(_ratio(total / FEATURE_UNITS, some), some)
        yield f"missing_rate:f{number}", Right(_where(some, np.zeros_like(some)), some)
    yield "accuracy", Right(_ratio(c["right"], told), told)
    either = c["said"] + c["real"] - c["hits"]
    yield "precision", Right(_ratio(c["hits"], c["said"]), c["said"])
    yield "recall", Right(_ratio(c["hits"], c["real"]), c["real"])
    yield "f1", Right(_where(either, 2 * c["hits"] / np.maximum(either + c["hits"], 1)), either)
    yield "brier", Right(_ratio(c["brier"] / SCORE_UNITS**2, told), told)
    yield "log_loss", Right(_ratio(tallies.log_loss, told), told)
    yield "roc_auc", Right(_areas(tallies), told, 0.0, 0.005)


def _where(there: Ints, values: Any) -> Floats:
    return np.where(there > 0, values, np.nan)


def _ratio(part: Any, whole: Ints) -> Floats:
    return _where(whole, part / np.maximum(whole, 1))


def _areas(tallies: _Tallies) -> Floats:
    """Return the area under the ROC curve, infinite where it exists but is not judged."""
    told, real = tallies.counts["labels"], tallies.counts["real"]
    both = (real > 0) & (real < told)
    areas = np.where(both, np.inf, np.nan)
    group, score, label = (np.concatenate(c) for c in zip(*tallies.labelled, strict=True))
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(tallies.groups + 1))
    for number in np.flatnonzero(both & (told >= _FEW)).tolist():
        rows = order[bounds[number] : bounds[number + 1]]
        areas[number] = _area(score[rows], label[rows])
    return areas


def _area(score: Ints, label: Ints) -> float:
    positive, negative = (
        np.bincount(score[label == kind], minlength=SCORE_UNITS + 1) for kind in (1, 0)
    )
    below = np.cumsum(negative) - negative
    won = (positive * (2 * below + negative)).sum()
    return float(won / (2 * positive.sum() * negative.sum()))


class Revisions:
    """The last revision of every key.

    Attributes
    ----------
    problems
        Revisions that did not rise.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._last: dict[bytes | None, Message] = {}

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take the next record of the topic."""
        if value is None:
            self._last.pop(key, None)
            return
        record = json.loads(value)
        before = self._last.get(key)
        if before is not None and record["revision"] <= before["revision"]:
            self.problems.append(f"{key!r}: {record['revision']} after {before['revision']}")
        self._last[key] = record

    def records(self) -> list[Message]:
        """Return the last record of every key."""
        return list(self._last.values())


class Published:
    """The metrics topic, followed from its beginning, committed records only."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.revisions = Revisions()
        config = {"group.id": f"{prefix}-check", "isolation.level": "read_committed"}
        self._consumer = Consumer({"bootstrap.servers": servers, "log_level": 2, **config})
        topic = f"{prefix}.metrics"
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])

    def differences(self, expected: Expected) -> list[str]:
        """Read what is there by now; say what is wrong with it."""
        while messages := self._consumer.consume(10_000, _QUIET_S):
            for message in messages:
                if (error := message.error()) is not None:
                    raise RuntimeError(error.str())
                self.revisions.take(message.key(), message.value())
        found = expected.differences(self.revisions.records())
        return [*found, *shortened(self.revisions.problems)]

    def notes(self, expected: Expected) -> list[str]:
        """Say what of that was not judged."""
        names = expected.unjudged(self.revisions.records())
        return [f"not judged, since nothing works it out: {name}" for name in names]

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()


def fates_differences(said: Mapping[str, float], load: Load, *, labels: int) -> list[str]:
    """Say what is wrong with the fates that workers count, the pending ones included."""
    missing = load.predictions - labels
    right = {"joined": 2.0 * labels, "open": float(missing)}
    totals = {
        "joined": said.get("joined", 0.0),
        "open": said.get("pending", 0.0) + said.get("unlabelled", 0.0),
    }
    others = {
        name: n for name, n in said.items() if name not in ("joined", "pending", "unlabelled")
    }
    found = [
        f"{n}: {totals[n]:.0f}, should be {right[n]:.0f}" for n in right if totals[n] != right[n]
    ]
    return found + [f"{name}: {n:.0f}, should be 0" for name, n in others.items() if n]


def shortened(found: list[str]) -> list[str]:
    """Return the first lines and how many more there are."""
    more = len(found) - _SHOWN
    return found if more <= 0 else [*found[:_SHOWN], f"and {more} more"]
