"""Events that happen now, at a given rate: what a running worker needs, and how soon it answers.

Probes measure latency: a few models get a prediction, and later a label, only now and then. The
time from writing a model's n-th until a read_committed reader sees a metric that counts n is its
latency, whatever the order of everything else. They have a producer of their own: a burst that
waits in the other's queue says nothing about workers. All other events are made before the first
is written: the broker has that core to share, and who makes them would slow it down.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from benchmarks.measure import Site

_TICK_S = 0.01
_MAKING_S = 4e-6  # an event, with some reserve
_FEATURES = 8
_POOL = 4_096
_PROBE_MODELS = 4
_LINGER_MS = 10


@dataclass(frozen=True)
class Traffic:
    """What is written.

    Attributes
    ----------
    rate
        Events a second, half of them labels.
    warm_s
        For so long it does not matter how late events are: clients and broker do not know each
        other yet.
    label_after_s
        From a prediction to its label.
    probes_per_s
        Predictions of models of their own, few enough that their counts are due with every linger.
    drift_at
        After this share of the time all features shift, for alerts; 1.0: never.
    linger_ms
        How long an event waits for others. A request goes to one partition: with many of them and
        few events, a short wait is a request for nearly every event, and the broker is busy with
        those alone.
    """

    rate: float
    seconds: float
    warm_s: float = 0.0
    models: int = 10
    label_after_s: float = 1.0
    probes_per_s: float = 10.0
    drift_at: float = 1.0
    linger_ms: int = _LINGER_MS


Probe = tuple[str, int]
"""A probe model, and the how manyeth of its events it is, from 1."""


@dataclass
class Sent:
    """What was written, and when, by the clock of `time.time`.

    Attributes
    ----------
    behind_s
        How late what is due at a time was written, at worst, once `Traffic.warm_s` have passed.
    most_queued
        The most events that the broker had not taken yet, likewise.
    """

    events: int = 0
    behind_s: float = 0.0
    most_queued: int = 0
    predictions_s: dict[Probe, float] = field(default_factory=dict)
    labels_s: dict[Probe, float] = field(default_factory=dict)


Records = list[dict[str, str]]


class Generator:
    """Write events on schedule, in a thread of its own.

    An event has the time at which it is due, whenever it is written.
    """

    def __init__(self, site: Site, traffic: Traffic) -> None:
        self.sent = Sent()
        self._site, self._traffic = site, traffic
        config: dict[str, str | int] = {
            "bootstrap.servers": site.servers,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 2,
        }
        self._producer = Producer({**config, "linger.ms": traffic.linger_ms})
        self._probes = Producer({**config, "linger.ms": _LINGER_MS})
        self._tails = {drifted: _tails(drifted) for drifted in (False, True)}
        self._ticks: deque[tuple[Records, Records]] = deque()
        self._start_s = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Make the events, and begin to write them."""
        traffic = self._traffic
        self._start_s = time.time() + 0.1 + _MAKING_S * traffic.rate * traffic.seconds
        until_s = [number * _TICK_S for number in range(int(traffic.seconds / _TICK_S))]
        made = [int(at_s * traffic.rate / 2) for at_s in until_s]
        told = [int(max(at_s - traffic.label_after_s, 0.0) * traffic.rate / 2) for at_s in until_s]
        for at_s, *ends in zip(until_s, made, [0, *made], told, [0, *told], strict=False):
            predictions, labels = range(ends[1], ends[0]), range(ends[3], ends[2])
            self._ticks.append((self._predictions(predictions, at_s), self._labels(labels, at_s)))
        self.sent.events = made[-1] + told[-1]
        time.sleep(max(0.0, self._start_s - time.time()))
        self._thread.start()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _run(self) -> None:
        traffic, sent = self._traffic, self.sent
        predictions, labels = (f"{self._site.prefix}.{name}" for name in ("predictions", "labels"))
        probes = labelled = 0
        due_s = 0.0
        while self._ticks:
            late_s = time.time() - self._start_s - due_s
            if due_s >= traffic.warm_s:
                sent.behind_s = max(sent.behind_s, late_s)
                sent.most_queued = max(sent.most_queued, len(self._producer))
            time.sleep(max(0.0, -late_s))
            for topic, records in zip((predictions, labels), self._ticks.popleft(), strict=True):
                if records:
                    self._producer.produce_batch(topic, records)
            for number in range(probes, int(due_s * traffic.probes_per_s)):
                self._probe(number)
                probes = number + 1
            until_s = due_s - traffic.label_after_s
            for number in range(labelled, max(int(until_s * traffic.probes_per_s), 0)):
                self._label_probe(number)
                labelled = number + 1
            self._producer.poll(0)
            self._probes.poll(0)
            due_s += _TICK_S
        sent.events += probes + labelled
        self._producer.flush(30)
        self._probes.flush(30)

    def _predictions(self, numbers: range, at_s: float) -> Records:
        drifted = at_s > self._traffic.drift_at * self._traffic.seconds
        tails, models = self._tails[drifted], self._traffic.models
        at_ms = int((self._start_s + at_s) * 1_000)
        return [
            {
                "key": f"p-{n:010}",
                "value": f'{{"prediction_id":"p-{n:010}","model":"m{n % models}",'
                f'"timestamp_ms":{at_ms},{tails[n % _POOL]}',
            }
            for n in numbers
        ]

    def _labels(self, numbers: range, at_s: float) -> Records:
        at_ms = int((self._start_s + at_s) * 1_000)
        return [
            {
                "key": f"p-{n:010}",
                "value": f'{{"prediction_id":"p-{n:010}","timestamp_ms":{at_ms},'
                f'"label":{n * 7919 % 3 // 2}}}',
            }
            for n in numbers
        ]

    def _probe(self, number: int) -> None:
        now_s, probe = time.time(), _probe(number)
        name, model = f"probe-{number}", probe[0]
        value = (
            f'{{"prediction_id":"{name}","model":"{model}","timestamp_ms":{int(now_s * 1_000)},'
            f'"prediction":1,"score":0.9}}'
        )
        self.sent.predictions_s[probe] = now_s
        self._probes.produce(f"{self._site.prefix}.predictions", key=name, value=value)

    def _label_probe(self, number: int) -> None:
        now_s, name = time.time(), f"probe-{number}"
        value = f'{{"prediction_id":"{name}","timestamp_ms":{int(now_s * 1_000)},"label":1}}'
        self.sent.labels_s[_probe(number)] = now_s
        self._probes.produce(f"{self._site.prefix}.labels", key=name, value=value)


def _probe(number: int) -> Probe:
    turn, model = divmod(number, _PROBE_MODELS)
    return f"probe-{model}", turn + 1


def _tails(drifted: bool) -> list[str]:
    random = np.random.default_rng(1)
    shift = 3.0 if drifted else 0.0
    rows = (random.standard_normal((_POOL, _FEATURES)) + shift).tolist()
    scores = random.random(_POOL).round(4).tolist()
    tails = []
    for score, row in zip(scores, rows, strict=True):
        features = ",".join(f'"f{n}":{value:.3f}' for n, value in enumerate(row))
        tails.append(f'"prediction":{int(score > 0.5)},"score":{score},"features":{{{features}}}}}')
    return tails


class Reader:
    """Read what is published from now on, committed records only, in a thread of its own.

    Attributes
    ----------
    predictions_s, labels_s
        When a metric first counted a probe's prediction, and its label.
    alerts_s
        Seconds from an alert's event time until it was seen.
    metric_records
        How many there were.
    """

    def __init__(self, site: Site) -> None:
        self.predictions_s: dict[Probe, float] = {}
        self.labels_s: dict[Probe, float] = {}
        self._counts: dict[tuple[str, str], dict[int, int]] = {}
        self.alerts_s: list[float] = []
        self.metric_records = 0
        config = {"group.id": f"{site.prefix}-live", "isolation.level": "read_committed"}
        self._consumer = Consumer(
            {
                "bootstrap.servers": site.servers,
                "fetch.wait.max.ms": 20,
                "log_level": 2,
                **config,
            }
        )
        self._alerts = f"{site.prefix}.alerts"
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_END)
                for topic in (f"{site.prefix}.metrics", self._alerts)
                for partition in range(site.partitions)
            ]
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End reading."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            messages = [first, *self._consumer.consume(5_000, 0)]
            now_s = time.time()
            for message in messages:
                value = message.value()
                self.metric_records += not message.error() and message.topic() != self._alerts
                if message.error() or value is None:
                    continue
                if message.topic() == self._alerts:
                    self._alert(json.loads(value), now_s)
                elif b'"model":"probe-' in value:
                    self._metric(json.loads(value), now_s)

    def _alert(self, alert: dict[str, Any], now_s: float) -> None:
        if alert["state"] == "firing" and alert["kind"] == "drift":
            self.alerts_s.append(now_s - alert["at_ms"] / 1_000)

    def _metric(self, record: dict[str, Any], now_s: float) -> None:
        metric, model = record["metric"], record["model"]
        seen = {"predictions": self.predictions_s, "labels": self.labels_s}.get(metric)
        if seen is not None:
            windows = self._counts.setdefault((metric, model), {})
            windows[record["window_start_ms"]] = round(record["value"])
            count = sum(windows.values())
            while count and (model, count) not in seen:
                seen[model, count] = now_s
                count -= 1


def latencies(sent: Sent, seen: Reader, *, after_s: float) -> dict[str, float]:
    """Return quantiles in milliseconds, of what was sent from `after_s` (a `time.time`) on.

    What never came is counted in `never_seen`, and in no quantile.
    """
    predictions = _differences(sent.predictions_s, seen.predictions_s, after_s)
    labels = _differences(sent.labels_s, seen.labels_s, after_s)
    kinds: dict[str, Sequence[float | None]] = {
        "prediction_to_metric": predictions,
        "label_to_metric": labels,
        "drift_to_alert": seen.alerts_s,
    }
    figures = {"never_seen": float(sum(value is None for value in predictions + labels))}
    for name, values in kinds.items():
        known = [value for value in values if value is not None]
        figures[f"{name}_seen"] = float(len(known))
        if known:
            p50, p99 = (1_000 * float(np.percentile(known, q)) for q in (50, 99))
            figures |= {f"{name}_p50_ms": p50, f"{name}_p99_ms": p99}
    return figures


def _differences(
    sent_s: dict[Probe, float], seen_s: dict[Probe, float], after_s: float
) -> list[float | None]:
    """Return how long each probe took, None for one that was never seen."""
    return [
        seen_s[probe] - at_s if probe in seen_s else None
        for probe, at_s in sent_s.items()
        if at_s >= after_s
    ]
