"""Both stages wired together in memory: the same steps as in the worker, without a broker.

`replay` and the tests drive this. Partitions are real: a record goes to the partition of its
key, every partition has a state of its own, and outcomes travel encoded, as they do on Kafka.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from streams.join import Join
from streams.matching import FATES
from streams.monitor import Monitor
from streams.partitioning import partition_of
from streams.steps import Batch, DeadLetter, Effects, ModelKind, Record
from streams.values import Dropped, add_dropped


class Arrival(NamedTuple):
    """One record that arrives on an input topic.

    Attributes
    ----------
    offset
        A number that its dead letter will have, too.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    time_ms: int
    offset: int


class DryRun:
    """Two stages over any number of partitions, in memory.

    Attributes
    ----------
    metrics
        Last value of every metric key that exists, as on the compacted topic.
    oddities
        What is odd about models, by what it is about.
    alerts
        Every alert revision, in the order of publication.
    others
        By topic, likewise as `metrics`: what is published beside these.
    dropped
        Values that were left out of predictions, an example and a count by field.
    """

    def __init__(self, join: Join, monitor: Monitor, *, partitions: int) -> None:
        self.join, self.monitor = join, monitor
        self.partitions = range(partitions)
        self.join_states = [join.new_state(p) for p in self.partitions]
        self.monitor_states = [monitor.new_state(p) for p in self.partitions]
        self.metrics: dict[bytes, bytes] = {}
        self.alerts: list[bytes] = []
        self.others: dict[str, dict[bytes, bytes]] = {}
        self.dead_letters: list[DeadLetter] = []
        self.dropped: dict[str, Dropped] = {}
        self.late_rows = self.improper_scores = 0
        self.oddities: dict[tuple[str, str, str], str] = {}

    def feed(
        self,
        arrivals: Iterable[Arrival],
        *,
        now_ms: int,
        idle: frozenset[str] = frozenset(),
    ) -> None:
        """Run one round: every partition takes its records, then the monitor takes the outcomes."""
        inputs: dict[int, dict[str, list[Arrival]]] = {p: {} for p in self.partitions}
        for arrival in arrivals:
            topics = inputs[zlib.crc32(arrival.key or b"") % len(self.partitions)]
            topics.setdefault(arrival.topic, []).append(arrival)
        outcomes: dict[int, list[bytes]] = {p: [] for p in self.partitions}
        for partition, topics in inputs.items():
            batches = [
                _batch(topic, topics[topic]) for topic in self.join.inputs if topic in topics
            ]
            effects = self.join.step(self.join_states[partition], batches, now_ms=now_ms, idle=idle)
            self.dead_letters += effects.dead_letters
            add_dropped(self.dropped, effects.dropped)
            self._remember(effects)
            self._route(effects, outcomes)
        for partition, values in outcomes.items():
            self._evaluate(partition, values, now_ms)

    def specify(self, arrivals: Sequence[Arrival], *, now_ms: int) -> None:
        """Give what all partitions of the monitor read: what to watch, and what was adopted."""
        every = [
            _batch(topic, own)
            for topic in self.monitor.global_inputs
            if (own := [one for one in arrivals if one.topic == topic])
        ]
        for state in self.monitor_states:
            self._take(self.monitor.step(state, every, now_ms=now_ms))

    def read(self, arrivals: Iterable[Arrival], *, now_ms: int) -> None:
        """Give readings of hosts to the partitions of their models."""
        found: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            number = partition_of((arrival.key or b"").decode(), len(self.partitions))
            found.setdefault(number, []).append(arrival)
        topic = self.monitor.topics.resources
        for number, own in found.items():
            state, batch = self.monitor_states[number], _batch(topic, own)
            self._take(self.monitor.step(state, [batch], now_ms=now_ms))

    def end(self, *, newest_ms: int) -> None:
        """Say that nothing more comes after the next round, and how far it has come by then."""
        for state in self.join_states:
            self.join.end(state, newest_ms=newest_ms)

    def publish(self, *, now_ms: int) -> None:
        """Publish what was held back while `Monitor.hold_metrics` was set."""
        self.monitor.hold_metrics = False
        for partition in self.partitions:
            self._evaluate(partition, [], now_ms)
        self.monitor.hold_metrics = True

    def take_dead_letters(self) -> list[DeadLetter]:
        """Return what was refused since the last time."""
        found, self.dead_letters = self.dead_letters, []
        return found

    def kinds(self) -> list[ModelKind]:
        """Return what kind of model each is."""
        found = [one for state in self.monitor_states for one in self.monitor.kinds(state)]
        return sorted(found, key=lambda one: (one.model, one.version))

    def fates(self) -> dict[str, int]:
        """Return in which fate how many records end, if nothing more comes."""
        total: Counter[str] = Counter(dict.fromkeys(FATES, 0))
        for state in self.join_states:
            total.update(self.join.final_fates(state))
        return dict(total)

    def _route(self, effects: Effects, outcomes: dict[int, list[bytes]]) -> None:
        for record in effects.records:
            partition = record.partition
            if partition is None:
                partition = zlib.crc32(record.key or b"") % len(self.partitions)
            if record.value is not None:
                outcomes[partition].append(record.value)

    def _evaluate(self, partition: int, values: Sequence[bytes], now_ms: int) -> None:
        topic = self.monitor.inputs[0]
        batch = Batch(
            topic=topic,
            offsets=range(len(values)),
            keys=[None] * len(values),
            values=values,
            times_ms=[now_ms] * len(values),
            next_offset=0,
        )
        state = self.monitor_states[partition]
        self._take(self.monitor.step(state, [batch], now_ms=now_ms))
        idle = frozenset(self.monitor.inputs)
        while not self.monitor.hold_metrics and self.monitor.unfinished(state):
            self._take(self.monitor.step(state, [], now_ms=now_ms, idle=idle))

    def _remember(self, effects: Effects) -> None:
        for oddity in effects.oddities:
            self.oddities.setdefault(oddity.about, oddity.text)

    def _take(self, effects: Effects) -> None:
        self.late_rows += effects.late_rows
        self.improper_scores += effects.improper_scores
        self.dead_letters += effects.dead_letters
        self._remember(effects)
        for record in effects.records:
            self._collect(record)

    def _collect(self, record: Record) -> None:
        if record.topic == self.monitor.alerts:
            assert record.value is not None
            self.alerts.append(record.value)
        elif record.key is not None:
            is_metric = record.topic == self.monitor.metrics
            known = self.metrics if is_metric else self.others.setdefault(record.topic, {})
            known.pop(record.key, None)
            if record.value is not None:
                known[record.key] = record.value


def _batch(topic: str, arrivals: Sequence[Arrival]) -> Batch:
    return Batch(
        topic=topic,
        offsets=[arrival.offset for arrival in arrivals],
        keys=[arrival.key for arrival in arrivals],
        values=[arrival.value for arrival in arrivals],
        times_ms=[arrival.time_ms for arrival in arrivals],
        next_offset=0,
    )
