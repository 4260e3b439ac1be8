"""Run both stages in memory: any batches, any partitions, and restarts from the written state.

Unlike `streams.dryrun`, which it shares no code with, it keeps what the steps want written as a
broker would: the join's log from the marks on that are needed, the monitor's compacted. `restart`
throws the states away and folds them from that. After every step it counts that no record is lost.
"""

import json
import random
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from streams.cells.schedule import Revising
from streams.held import EFFECTIVE, LABEL, PREDICTION, Hashes
from streams.join_state import JoinState
from streams.monitors import FORGET_MS, Monitors
from streams.outcomes import ClockNotice, decode_outcomes
from streams.partitioning import partition_of
from streams.specification import KEY
from streams.steps import MARK, Batch, DeadLetter, Effects
from streams.task import CAPS, Caps
from streams.topics import Topics
from streams.topology import build
from tests.builders import HOUR_MS, MINUTE_MS, Event

AT_ONCE = Revising(0, 0)
NOW_MS = 1_800_000_000_000
TOPICS = Topics()
BOTH = frozenset({TOPICS.predictions, TOPICS.labels})

Input = tuple[str, bytes | None, bytes | None]
"""Topic, key and value of a record."""


class How(NamedTuple):
    """In what way the same is run."""

    sizes: list[int]
    partitions: int = 1
    restarts: int = 0
    windows: int = 200
    rows: int = 50_000


class Driver:
    """Both stages over `partitions`, with everything that they have written so far.

    Attributes
    ----------
    metrics
        The compacted metrics topic: decoded records by decoded key.
    revising
        Windows under way are written again at once, unless something else is said.
    pace_ms
        How far the wall clock goes on between rounds.
    """

    def __init__(
        self,
        *,
        partitions: int = 1,
        disorder_ms: int = 0,
        window_ms: int = 10 * MINUTE_MS,
        horizon_ms: int = HOUR_MS,
        monitors: Monitors | None = None,
        grace_ms: int | None = None,
        log_bytes: int = 2_000,
        pace_ms: int = MINUTE_MS,
        seed: bytes | None = None,
        revising: Revising = AT_ONCE,
        forget_ms: int = FORGET_MS,
        caps: Caps = CAPS,
    ) -> None:
        self.join, self.monitor = build(
            TOPICS,
            window_ms=window_ms,
            horizon_ms=horizon_ms,
            disorder_ms=disorder_ms,
            partitions=partitions,
            monitors=monitors,
            grace_ms=grace_ms,
            seed=seed,
            forget_ms=forget_ms,
            caps=caps,
        )
        self.monitor.revising = revising
        self.pace_ms, self.now_ms = pace_ms, NOW_MS
        self.partitions = range(partitions)
        self.joins = [self.join.new_state(p) for p in self.partitions]
        self.monitors = [self.monitor.new_state(p) for p in self.partitions]
        self.join.log_bytes = log_bytes
        self.join_logs: list[list[Any]] = [[] for _ in self.partitions]
        self.monitor_logs: list[dict[bytes, bytes]] = [{} for _ in self.partitions]
        self.outcomes: list[list[bytes]] = [[] for _ in self.partitions]
        self.readings: list[list[Input]] = [[] for _ in self.partitions]
        self.specifications, self.specified_ms = list[Input](), list[int]()
        self.offsets, self.received = Counter[tuple[str, int]](), 0
        self.metrics: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.models, self.distributions = dict[Any, dict[str, Any]](), dict[Any, dict[str, Any]]()
        self.actions = list[dict[str, Any]]()
        self.alerts, self.incidents = list[dict[str, Any]](), list[dict[str, Any]]()
        self.dead, self.dropped = list[str](), Counter[str]()
        self.written: list[tuple[str, bytes | None, bytes | None]] = []
        self.late_rows = self.improper_scores = self.left_out_features = self.other_rows = 0
        self.left_out_segments = 0
        self.oddities, self.kinds, self.restarted = list[str](), list[str](), list[str]()
        self.refused: list[DeadLetter] = []

    # ------------------------------------------------------------------ driving
    def feed(
        self,
        records: Iterable[Input],
        *,
        idle: frozenset[str] = frozenset(),
        time_ms: int = 0,
        tick_ms: int = 0,
        quiet_ms: int = 0,
    ) -> None:
        """Run one step of every partition of the join, then of the monitor."""
        inputs: dict[int, dict[str, list[Input]]] = {p: {} for p in self.partitions}
        for record in records:
            if record[0] == TOPICS.resources:
                number = partition_of((record[1] or b"").decode(), len(self.partitions))
                self.readings[number].append(record)
                continue
            topics = inputs[zlib.crc32(record[1] or b"") % len(self.partitions)]
            topics.setdefault(record[0], []).append(record)
            self.received += 1
        outcomes: dict[int, list[bytes]] = {p: [] for p in self.partitions}
        for partition, topics in inputs.items():
            batches = [self._batch(t, partition, rows, time_ms) for t, rows in topics.items()]
            effects = self.join.step(
                self.joins[partition],
                batches,
                now_ms=self.now_ms,
                idle=idle,
                tick_ms=tick_ms,
                quiet_ms=dict.fromkeys(topics, quiet_ms),
            )
            self._append(self.join_logs[partition], effects)
            self.oddities += [oddity.text for oddity in effects.oddities]
            self._join_effects(effects, outcomes)
        self.check_conservation()
        for partition, values in outcomes.items():
            self._evaluate(partition, values)
        self.now_ms += self.pace_ms

    def specify(self, value: bytes | None, *, key: bytes | None = KEY, time_ms: int = 0) -> None:
        """Append a record to the topic of specifications; every partition reads it next."""
        self.specifications.append((TOPICS.monitors, key, value))
        self.specified_ms.append(time_ms)

    def finish(self) -> None:
        """Say that nothing more comes, not even to a record far ahead; let the monitor finish."""
        clocks = [clock for state in self.joins for clock in state.inputs.values()]
        for state in self.joins:
            self.join.end(state, newest_ms=max(clock.latest_ms() for clock in clocks))
        self.feed([], idle=BOTH)
        for partition in self.partitions:
            while self.monitor.unfinished(self.monitors[partition]):
                self._evaluate(partition, [])

    def come_to(self, time_ms: int) -> None:
        """Move the clock as records of many other ids would, and let all partitions see it."""
        for state in self.joins:
            self.join.end(state, newest_ms=time_ms)
        self.now_ms += MINUTE_MS  # else the monitor may wait for more
        self.feed([])

    def restart(self, shuffle: random.Random) -> None:
        """Forget every state and fold it from what was written, compacted in any order of keys."""
        for p in self.partitions:
            self.joins[p] = self.join.new_state(p)
            for key, value in self.join_logs[p]:
                self.join.fold(self.joins[p], key, value)
            self.monitors[p] = self.monitor.new_state(p)
            upserts = list(self.monitor_logs[p].items())
            shuffle.shuffle(upserts)
            for key, value in upserts:
                self.monitor.fold(self.monitors[p], key, value)
            for topic, offsets in self.monitor.recalls(self.monitors[p]).items():
                rows = [(topic, None, self.outcomes[p][offset]) for offset in offsets]
                self.monitor.recall(self.monitors[p], batch_of(topic, rows, offsets=offsets))

    def _batch(self, topic: str, partition: int, rows: Sequence[Input], time_ms: int) -> Batch:
        first = self.offsets[topic, partition]
        self.offsets[topic, partition] += len(rows)
        return batch_of(topic, rows, offsets=range(first, first + len(rows)), time_ms=time_ms)

    def _append(self, log: list[Any], effects: Effects) -> None:
        """Write state records down, and delete what the marks make superfluous."""
        log += effects.state
        if effects.marks is not None:
            marks = [index for index, (key, _) in enumerate(log) if key == MARK]
            del log[: marks[-effects.marks]]

    def _join_effects(self, effects: Effects, outcomes: dict[int, list[bytes]]) -> None:
        self.dead += [letter.reason for letter in effects.dead_letters]
        self.dropped.update({one.field: one.count for one in effects.dropped})
        for record in effects.records:
            assert record.value is not None
            partition = record.partition
            if partition is None:
                partition = zlib.crc32(record.key or b"") % len(self.partitions)
            outcomes[partition].append(record.value)
            if not isinstance(decode_outcomes(record.value), ClockNotice):
                self.written.append((record.topic, record.key, record.value))

    def _evaluate(self, partition: int, values: Sequence[bytes]) -> None:
        self.outcomes[partition] += values
        rows: list[Input] = [(TOPICS.outcomes, None, value) for value in values]
        batches = [self._batch(TOPICS.outcomes, partition, rows, 0)]
        readings, self.readings[partition] = self.readings[partition], []
        if readings:
            batches.insert(0, self._batch(TOPICS.resources, partition, readings, 0))
        idle = frozenset() if values else frozenset(self.monitor.inputs)
        state = self.monitors[partition]
        batches += self._specified(state.next.get(TOPICS.monitors, 0))
        effects = self.monitor.step(state, batches, now_ms=self.now_ms, idle=idle)
        self._take(partition, effects)

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass in which nothing comes, but nothing is idle yet."""
        self.now_ms += milliseconds
        for partition, state in enumerate(self.monitors):
            self._take(partition, self.monitor.step(state, [], now_ms=self.now_ms))

    def _take(self, partition: int, effects: Effects) -> None:
        self.refused += effects.dead_letters
        self.late_rows += effects.late_rows
        self.improper_scores += effects.improper_scores
        self.left_out_features += effects.left_out_features
        self.left_out_segments += effects.left_out_segments
        self.other_rows += effects.other_rows
        self.oddities += [oddity.text for oddity in effects.oddities]
        self.kinds += effects.remarks
        self.restarted += effects.restarted
        for key, value in effects.state:
            assert key is not None
            self.monitor_logs[partition].pop(key, None)
            if value is not None:
                self.monitor_logs[partition][key] = value
        for record in effects.records:
            self.written.append((record.topic, record.key, record.value))
            assert record.key is not None
            if record.topic == TOPICS.alerts:
                alert = json.loads(record.value or b"")
                (self.incidents if alert["kind"] == "incident" else self.alerts).append(alert)
                continue
            if record.topic == TOPICS.actions:
                self.actions.append(json.loads(record.value or b""))
                continue
            name = tuple(json.loads(record.key))
            others = {TOPICS.models: self.models, TOPICS.distributions: self.distributions}
            known = others.get(record.topic, self.metrics)
            known.pop(name, None)
            if record.value is not None:
                known[name] = json.loads(record.value)

    def _specified(self, first: int) -> list[Batch]:
        end = len(self.specifications)
        if first == end:
            return []
        offsets = range(first, end)
        batch = batch_of(TOPICS.monitors, self.specifications[first:], offsets=offsets)
        batch.times_ms = self.specified_ms[first:]
        return [batch]

    # ------------------------------------------------------------------ looking
    def check_conservation(self) -> None:
        """Every record that came in has one fate, or is pending, or waits as an early label."""
        counted = sum(sum(s.fates.values()) + s.pending + s.early_labels for s in self.joins)
        assert counted == self.received
        assert all(state.pending >= 0 for state in self.joins)

    @property
    def fates(self) -> dict[str, int]:
        """Fates if nothing more comes, without those that no record has."""
        total: Counter[str] = Counter()
        for state in self.joins:
            total.update(self.join.final_fates(state))
        return {fate: count for fate, count in total.items() if count}

    @property
    def model_fates(self) -> dict[tuple[str, str], dict[str, int]]:
        """What the monitor knows of the fates of every model's records, without zeros."""
        found = {}
        for state in self.monitors:
            for code, name in enumerate(state.names):
                counts = {fate: n for fate, n in state.fates.of(code).items() if n}
                if counts:
                    found[name] = counts
        return found

    def value(self, metric: str, **where: Any) -> float:
        """Return the value of the one metric record that fits."""
        found = [
            record["value"]
            for record in self.metrics.values()
            if record["metric"] == metric
            and record["segment"] == where.get("segment", "")
            and all(record[name] == value for name, value in where.items())
        ]
        assert len(found) == 1, f"{len(found)} records of {metric}"
        return found[0]

    def result(self) -> dict[str, Any]:
        """Return all that must not depend on batches, partitions and restarts."""
        metrics = {
            name: {k: v for k, v in record.items() if k != "revision"}
            for name, record in self.metrics.items()
        }
        order = ("at_ms", "model", "version", "monitor", "segment", "alert_id", "revision")
        alerts = sorted([*self.alerts, *self.incidents], key=lambda a: [a[n] for n in order])
        found = {"models": self.models, "distributions": self.distributions, "alerts": alerts}
        found["actions"] = sorted(self.actions, key=lambda one: (one["at_ms"], one["action_id"]))
        return {"metrics": metrics, **found, "fates": self.fates, "late": self.late_rows}


def batch_of(
    topic: str, rows: Sequence[Input], *, offsets: Sequence[int], time_ms: int = 0
) -> Batch:
    return Batch(
        topic=topic,
        offsets=offsets,
        keys=[row[1] for row in rows],
        values=[row[2] for row in rows],
        times_ms=[time_ms] * len(rows),
        next_offset=offsets.stop if isinstance(offsets, range) else offsets[-1] + 1,
    )


def contents(state: JoinState) -> dict[str, Any]:
    """Return all that a join state says, whatever its slots and codes are."""
    held, strings = state.held, [*state.strings.values, None]
    rows = {}
    for slot in held.slots.tolist():
        row = {name: getattr(held, name)[slot].item() for name in PREDICTION | LABEL}
        row["identity"] = state.identities.values[row["identity"]]
        row["code"], row["label_code"] = strings[row["code"]], strings[row["label_code"]]
        row["scores"] = held.scores.get(slot)
        if not row["flags"] & EFFECTIVE:  # the label that does not count means nothing
            row |= {"label_number": None, "label_code": None, "label_ms": None}
        rows[row.pop("high"), row.pop("low")] = repr(row)
    assert len(rows) == len(held)
    assert rows.keys() == {key for key in rows if held.find(_hashes(key))[0] >= 0}
    names = (
        "seq",
        "next",
        "inputs",
        "clock_ms",
        "passed_ms",
        "closed_ms",
        "pending",
        "sweep_at",
        "marks",
        "missing",
    )
    early = {record_id: waiting for record_id, waiting in state.early.items() if waiting}
    fates = {fate: count for fate, count in state.fates.items() if count}
    return {name: getattr(state, name) for name in names} | {
        "rows": rows,
        "early": early,
        "fates": fates,
    }


def _hashes(key: tuple[int, int]) -> Hashes:
    return Hashes(*(np.array([half], np.uint64) for half in key))


def as_inputs(events: Iterable[Event]) -> list[Input]:
    """Encode events as the records that a producer would have sent."""
    return [
        (
            TOPICS.labels if "label" in event or "retract" in event else TOPICS.predictions,
            event["prediction_id"].encode(),
            json.dumps(event).encode(),
        )
        for event in events
    ]


def disorder_of(events: Iterable[Event]) -> int:
    """Return how far the latest event is behind the slower of the two topics when it arrives."""
    newest: dict[bool, int] = {}
    disorder_ms = 0
    for event in events:
        is_label, time_ms = "label" in event or "retract" in event, event["timestamp_ms"]
        newest[is_label] = max(newest.get(is_label, -1), time_ms)
        disorder_ms = max(disorder_ms, min(newest.values()) - time_ms)
    return disorder_ms


def cut(records: Sequence[Input], sizes: Sequence[int]) -> Iterable[list[Input]]:
    """Cut records into batches whose sizes repeat."""
    start = turn = 0
    while start < len(records):
        size = sizes[turn % len(sizes)]
        yield list(records[start : start + size])
        start, turn = start + size, turn + 1
