"""The first stage: match labels to predictions, by prediction id, each record in exactly one fate.

What decides a fate is the records' own times, never the moment at which they are read:

* a label up to `horizon_ms` after its prediction counts, a later one is late, one that is later
  still (by over `grace_ms`) is an orphan, as is one over `horizon_ms` *before* its prediction;
* a label that is read before its prediction waits, and then counts as if it had come after it;
* of two labels the one with the newer timestamp counts, of equal ones the one read later.

The clock only decides when something may be forgotten. This module knows nothing of metrics.
"""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streams.clock import InputClock, partition_clock_ms
from streams.errors import RecordError, StateError
from streams.events import (
    Label,
    Prediction,
    Scalar,
    check_time,
    class_name,
    decode_label,
    decode_prediction,
    peek_time_ms,
)
from streams.outcomes import ClockNotice, RowBuilder, encode_clock
from streams.steps import LARGEST_VALUE_BYTES, Batch, DeadLetter, Effects, Record
from streams.topics import Topics

SCHEMA = 1
MAX_INTERNED = 10_000

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

Identity = tuple[str, str, tuple[str, ...]]
"""Model, version and segments (`name=value`, sorted) of a prediction."""


class Held(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of a prediction until its horizon and grace have passed.

    Attributes
    ----------
    crc
        CRC-32 of the record, to tell a repeated prediction from a conflicting one.
    label_ms, newest_ms
        Time of the label that counts; newest time of any label or retraction.
    labelled
        Whether some label record has come, effective or not.
    fed
        Whether a label took effect once, so that detectors have seen this prediction.
    closed
        Whether the horizon has passed, so that without a label it is `unlabelled`.
    """

    identity: Any
    time_ms: int
    value: Scalar
    score: float | None
    scores: dict[str, float] | None
    crc: int
    label: Scalar | None = None
    label_ms: int = -1
    newest_ms: int = -1
    labelled: bool = False
    fed: bool = False
    closed: bool = False


class Early(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A label record that waits for its prediction."""

    value: bytes | None
    label_ms: int
    time_ms: int
    offset: int


class JoinState:
    """State of one partition; `fold` over its log rebuilds it."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.seq = 0
        self.next: dict[str, int] = {}
        self.inputs: dict[str, InputClock] = {}
        self.clock_ms = -1
        self.pending = 0
        self.fates: Counter[str] = Counter()
        self.held: dict[bytes, Held] = {}
        self.early: dict[bytes, list[Early]] = {}
        self.buckets: dict[int, list[bytes]] = {}
        self.early_buckets: dict[int, list[bytes]] = {}
        self.closed: set[int] = set()
        self.identities: dict[Identity, Identity] = {}
        self.announced: ClockNotice | None = None

    def intern(self, identity: Identity) -> Identity:
        """Return the one object that stands for an identity; most predictions share a few."""
        if len(self.identities) > MAX_INTERNED:
            self.identities.clear()
        return self.identities.setdefault(identity, identity)

    @property
    def early_labels(self) -> int:
        """How many label records wait for their prediction."""
        return sum(map(len, self.early.values()))


class Join:
    """Join predictions and labels into outcomes.

    Parameters
    ----------
    partitions
        Partition count of the inputs and of the outcomes topic.
    grace_ms
        How long past the horizon a label is still recognised as late; `None` for the horizon.
    """

    name = "join"

    def __init__(
        self,
        topics: Topics,
        *,
        partitions: int,
        horizon_ms: int,
        disorder_ms: int,
        grace_ms: int | None = None,
    ) -> None:
        self.predictions, self.labels = topics.predictions, topics.labels
        self.inputs = (topics.predictions, topics.labels)
        self.state_topic = topics.join_state
        self.outcomes = topics.outcomes
        self.partitions = partitions
        self.horizon_ms = horizon_ms
        self.disorder_ms = disorder_ms
        self.grace_ms = horizon_ms if grace_ms is None else grace_ms
        self.bucket_ms = max(horizon_ms // 60, 1_000)

    def new_state(self, partition: int) -> JoinState:
        """Return the state before the first record."""
        state = JoinState(partition)
        state.inputs = {topic: InputClock() for topic in self.inputs}
        return state

    def step(
        self,
        state: JoinState,
        batches: Sequence[Batch],
        *,
        now_ms: int,
        idle: frozenset[str] = frozenset(),
        announce: bool = True,
    ) -> Effects:
        """Match the records of the batches, in their order; see `streams.steps.Stage`."""
        work = _Work(self, state, now_ms)
        for batch in batches:
            handle = work.predict if batch.topic == self.predictions else work.label
            for index in range(len(batch.offsets)):
                try:
                    handle(batch, index)
                except RecordError as error:
                    work.dead(batch, index, error)
            state.next[batch.topic] = batch.next_offset
            work.see_time(batch.topic)
        for topic, clock in state.inputs.items():
            clock.idle = topic in idle
        changed = work.changed_entries()  # before the clock moves: `fold` moves it afterwards, too
        clock_ms = partition_clock_ms(state.inputs.values(), disorder_ms=self.disorder_ms)
        work.count(self._advance(state, max(clock_ms, state.clock_ms)))
        return work.effects(changed, announce=announce)

    def time_ms(self, batch: Batch, index: int) -> int:
        """Return the event time of a record; see `streams.steps.Stage`."""
        time_ms = peek_time_ms(batch.values[index])
        return batch.times_ms[index] if time_ms is None else time_ms

    def final_fates(self, state: JoinState) -> dict[str, int]:
        """Return the fates if nothing more ever comes: no record is left pending."""
        fates = {fate: state.fates[fate] for fate in FATES}
        fates["unlabelled"] += state.pending
        fates["orphan_label"] += state.early_labels
        return fates

    def gauges(self, state: JoinState) -> Mapping[str, float]:
        """Return what the telemetry shows of the state."""
        early_labels = state.early_labels
        return {
            "pending_predictions": state.pending,
            "early_labels": early_labels,
            "clock_ms": state.clock_ms,
            "state_entries": len(state.held) + early_labels,
        }

    def fold(self, state: JoinState, key: bytes | None, value: bytes | None) -> None:  # noqa: ARG002
        """Fold one delta of the state log; its key means nothing."""
        if value is None:
            raise StateError("the join's state log has a record without a value")
        delta = _decode(value)
        if delta[0] != SCHEMA:
            raise StateError(f"join state of schema {delta[0]}, this build reads {SCHEMA}")
        _, seq, state.next, inputs, clock_ms, fates, pending, held, early = delta
        if seq != state.seq + 1:
            raise StateError(f"the join's state log jumps from {state.seq} to {seq}")
        state.seq = seq
        state.inputs = {topic: InputClock(*clock) for topic, clock in inputs.items()}
        for record_id, ((model, version, segments), *fields) in held:
            identity = state.intern((model, version, tuple(segments)))
            self._remember(state, record_id, Held(identity, *fields))
        for record_id, item in early:
            if item is None:
                state.early.pop(record_id, None)
            else:
                self._wait(state, record_id, Early(*item))
        if clock_ms is not None:
            self._advance(state, clock_ms)
        state.fates, state.pending = Counter(fates), pending

    def _bucket(self, time_ms: int) -> int:
        return time_ms // self.bucket_ms

    def _remember(self, state: JoinState, record_id: bytes, held: Held) -> None:
        if record_id not in state.held:
            bucket = self._bucket(held.time_ms)
            state.buckets.setdefault(bucket, []).append(record_id)
            state.closed.discard(bucket)
        state.held[record_id] = held

    def _wait(self, state: JoinState, record_id: bytes, item: Early) -> None:
        state.early.setdefault(record_id, []).append(item)
        bucket = self._bucket(item.label_ms)
        state.early_buckets.setdefault(bucket, []).append(record_id)

    def _advance(self, state: JoinState, clock_ms: int) -> Counter[str]:
        """Close and forget what the clock has passed; return the fates that this decides."""
        fates: Counter[str] = Counter()
        state.clock_ms = clock_ms
        closing = self._bucket(clock_ms - self.horizon_ms) - 1
        for bucket in [b for b in state.buckets if b <= closing]:
            if bucket not in state.closed:
                fates["unlabelled"] += self._close(state, bucket)
            if bucket <= self._bucket(clock_ms - self.horizon_ms - self.grace_ms) - 1:
                state.closed.discard(bucket)
                for record_id in state.buckets.pop(bucket):
                    state.held.pop(record_id, None)
        for bucket in [b for b in state.early_buckets if b <= closing]:
            for record_id in state.early_buckets.pop(bucket):
                fates["orphan_label"] += self._orphan(state, record_id, bucket)
        return fates

    def _close(self, state: JoinState, bucket: int) -> int:
        unlabelled = 0
        state.closed.add(bucket)
        for record_id in state.buckets[bucket]:
            held = state.held[record_id]
            if not held.closed:
                held.closed = True
                unlabelled += held.label is None
        state.pending -= unlabelled
        return unlabelled

    def _orphan(self, state: JoinState, record_id: bytes, bucket: int) -> int:
        waiting = state.early.get(record_id, [])
        kept = [item for item in waiting if self._bucket(item.label_ms) != bucket]
        if kept:
            state.early[record_id] = kept
        else:
            state.early.pop(record_id, None)
        return len(waiting) - len(kept)


class _Work:
    """One step in progress: the state it advances and what it has found so far."""

    def __init__(self, join: Join, state: JoinState, now_ms: int) -> None:
        self.join = join
        self.state = state
        self.now_ms = now_ms
        self.newest_ms = -1
        self.fates: Counter[str] = Counter()
        self.touched: dict[bytes, None] = {}
        self.touched_early: dict[bytes, int] = {}
        self.builders: dict[tuple[str, str], RowBuilder] = {}
        self.dead_letters: list[DeadLetter] = []

    def count(self, fates: Mapping[str, int]) -> None:
        self.fates.update(fates)

    def see_time(self, topic: str) -> None:
        clock = self.state.inputs[topic]
        clock.newest_ms = max(clock.newest_ms, self.newest_ms)
        self.newest_ms = -1

    def dead(self, batch: Batch, index: int, error: RecordError) -> None:
        self.fates["late_label" if error.reason == "late_label" else "dead_letter"] += 1
        headers = batch.headers[index] if batch.headers else None
        key, value, offset = batch.keys[index], batch.values[index], batch.offsets[index]
        self.dead_letters.append(
            DeadLetter(batch.topic, offset, key, value, headers, error.reason, error.detail)
        )

    # ------------------------------------------------------------------ predictions
    def predict(self, batch: Batch, index: int) -> None:
        value, key = batch.values[index], batch.keys[index]
        prediction = decode_prediction(value)
        record_id = _checked_key(key, prediction.prediction_id)
        time_ms = prediction.timestamp_ms
        time_ms = check_time(
            batch.times_ms[index] if time_ms is None else time_ms, now_ms=self.now_ms
        )
        self.newest_ms = max(self.newest_ms, time_ms)
        crc = zlib.crc32(value)  # type: ignore[arg-type]
        known = self.state.held.get(record_id)
        if known is not None:
            same = known.crc == crc
            self.fates["duplicate_prediction" if same else "conflicting_prediction"] += 1
            return
        held = Held(
            self.state.intern(_identity(prediction)),
            time_ms,
            prediction.prediction,
            prediction.score,
            prediction.scores,
            crc,
        )
        self.join._remember(self.state, record_id, held)
        self.touched[record_id] = None
        self.state.pending += 1
        self._prediction_row(held, prediction, zlib.crc32(record_id))
        waiting = self.state.early.pop(record_id, None)
        if waiting:
            self.touched_early[record_id] = 0
            for item in waiting:
                self._apply_early(held, record_id, item)

    def _prediction_row(self, held: Held, prediction: Prediction, tie: int) -> None:
        score = held.score
        if score is None and held.scores:
            score = held.scores.get(class_name(held.value))
        builder = self._builder(held.identity)
        builder.predictions.append(
            (held.time_ms, tie, held.value, score, prediction.latency_ms, held.identity[2])
        )
        builder.features.append(prediction.features)

    def _builder(self, identity: Identity) -> RowBuilder:
        name = identity[:2]
        builder = self.builders.get(name)
        if builder is None:
            builder = self.builders[name] = RowBuilder(*name)
        return builder

    # ------------------------------------------------------------------ labels
    def label(self, batch: Batch, index: int) -> None:
        value, key, time_ms = batch.values[index], batch.keys[index], batch.times_ms[index]
        label = _label_or_tombstone(value, key, time_ms)
        record_id = _checked_key(key, label.prediction_id)
        label_ms = check_time(label.timestamp_ms, now_ms=self.now_ms)
        # Whatever becomes of it: its fate may depend on which input was read first, time may not.
        self.newest_ms = max(self.newest_ms, label_ms)
        if label.prediction is not None and label.label is not None and not label.retract:
            self._joined(value, label, record_id)  # type: ignore[arg-type]
            return
        held = self.state.held.get(record_id)
        if held is not None:
            self._apply(held, record_id, label)
        else:
            item = Early(value, label_ms, time_ms, batch.offsets[index])
            self.touched_early.setdefault(record_id, len(self.state.early.get(record_id, ())))
            self.join._wait(self.state, record_id, item)

    def _apply_early(self, held: Held, record_id: bytes, item: Early) -> None:
        label = _label_or_tombstone(item.value, record_id, item.time_ms)
        try:
            self._apply(held, record_id, label)
        except RecordError as error:
            batch = Batch(
                topic=self.join.labels,
                offsets=[item.offset],
                keys=[record_id],
                values=[item.value],
                times_ms=[item.time_ms],
                next_offset=0,
            )
            self.dead(batch, 0, error)

    def _apply(self, held: Held, record_id: bytes, label: Label) -> None:
        """Let a label or retraction take effect on a known prediction."""
        label_ms, join = label.timestamp_ms, self.join
        if label_ms > held.time_ms + join.horizon_ms:
            bucket_end_ms = (join._bucket(held.time_ms) + 1) * join.bucket_ms
            if label_ms >= bucket_end_ms + join.horizon_ms + join.grace_ms:
                self.fates["orphan_label"] += 1
                return
            late_ms = label_ms - held.time_ms - join.horizon_ms
            raise RecordError("late_label", f"{late_ms} ms after the horizon of its prediction")
        if held.time_ms - label_ms > join.horizon_ms:
            self.fates["orphan_label"] += 1
            return
        self.touched[record_id] = None
        if label.retract:
            self._retract(held, label_ms, zlib.crc32(record_id))
        else:
            self._relabel(held, label, zlib.crc32(record_id))

    def _retract(self, held: Held, label_ms: int, tie: int) -> None:
        self.fates["retraction"] += 1
        if label_ms < held.newest_ms:
            return
        held.newest_ms = label_ms
        if held.label is not None:
            self._outcome_row(held, at_ms=label_ms, weight=-1, tie=tie)
            held.label = None
            self._reopen(held, -1)

    def _relabel(self, held: Held, label: Label, tie: int) -> None:
        value, label_ms = label.label, label.timestamp_ms
        assert value is not None
        if held.label is not None and class_name(held.label) == class_name(value):
            self.fates["duplicate_label"] += 1
            held.newest_ms = max(held.newest_ms, label_ms)
            return
        self.fates["correction" if held.labelled else "joined"] += 1
        held.labelled = True
        if label_ms < held.newest_ms:
            return
        if held.label is not None:
            self._outcome_row(held, at_ms=label_ms, weight=-1, tie=tie)
        else:
            self._reopen(held, +1)
        held.label, held.label_ms, held.newest_ms = value, label_ms, label_ms
        self._outcome_row(held, at_ms=label_ms, weight=1, tie=tie)
        held.fed = True

    def _reopen(self, held: Held, direction: int) -> None:
        """Move a prediction between having no label (-1) and having one (+1)."""
        self.fates["joined"] += direction
        if held.closed:
            self.fates["unlabelled"] -= direction
        else:
            self.state.pending -= direction

    def _outcome_row(self, held: Held, *, at_ms: int, weight: int, tie: int) -> None:
        first = int(weight > 0 and not held.fed)
        at_ms = max(at_ms, held.time_ms)  # a label from before its prediction had to wait for it
        self._builder(held.identity).outcomes.append(
            (
                *(held.time_ms, held.label_ms, at_ms, weight, first, 1, tie),
                *(held.value, held.label, held.score, _label_score(held)),
                held.identity[2],
            )
        )

    def _joined(self, value: bytes, label: Label, record_id: bytes) -> None:
        """Count a label that carries its own prediction; nothing needs to be remembered."""
        prediction = decode_prediction(value)
        time_ms = label.timestamp_ms
        held = Held(
            _identity(prediction),
            time_ms,
            prediction.prediction,
            prediction.score,
            prediction.scores,
            0,
            label=label.label,
            label_ms=time_ms,
        )
        tie = zlib.crc32(record_id)
        self._prediction_row(held, prediction, tie)
        self._builder(held.identity).outcomes.append(
            (
                *(time_ms, time_ms, time_ms, 1, 1, 0, tie),
                *(held.value, held.label, held.score, _label_score(held)),
                held.identity[2],
            )
        )
        self.fates["joined"] += 1

    # ------------------------------------------------------------------ results
    def effects(self, changed: tuple[Any, ...], *, announce: bool) -> Effects:
        state, join = self.state, self.join
        for fate, change in self.fates.items():
            state.fates[fate] += change
        records = [
            Record(join.outcomes, model.encode(), value)
            for (model, _), builder in self.builders.items()
            for value in builder.encode()
        ]
        if announce:
            records += self._notices()
        return Effects(
            state=[(None, delta) for delta in self._deltas(*changed, last=True)],
            records=records,
            dead_letters=self.dead_letters,
            fates=dict(self.fates),
        )

    def _notices(self) -> list[Record]:
        state, join = self.state, self.join
        notice = ClockNotice(
            source=state.partition,
            sources=join.partitions,
            clock_ms=state.clock_ms,
            newest_ms=max(clock.newest_ms for clock in state.inputs.values()),
            idle=all(clock.idle for clock in state.inputs.values()),
        )
        if notice == state.announced:
            return []
        state.announced = notice
        value = encode_clock(notice)
        return [Record(join.outcomes, None, value, p) for p in range(join.partitions)]

    def changed_entries(self) -> tuple[list[Any], list[Any]]:
        """Return predictions and early labels as this step leaves them."""
        rows = []
        for record_id in self.touched:
            held = self.state.held[record_id]
            # Encoded here, since the clock goes on to close entries; that also spares a tuple.
            rows.append((record_id, msgspec.Raw(_encode(held))))
        early: list[Any] = []
        for record_id, known in self.touched_early.items():
            waiting = self.state.early.get(record_id, ())
            early += [(record_id, item) for item in waiting[known:]] or [(record_id, None)]
        return rows, early

    def _deltas(self, rows: list[Any], early: list[Any], *, last: bool) -> list[bytes]:
        """Write the step down, in as many records as its size needs; only the last moves time."""
        state = self.state
        clock_ms = state.clock_ms if last else None
        counts = state.fates, state.pending
        delta = _encode(
            (
                *(SCHEMA, state.seq + 1, state.next, state.inputs, clock_ms, *counts),
                *(rows, early),
            )
        )
        if len(delta) <= LARGEST_VALUE_BYTES or len(rows) + len(early) <= 2:
            state.seq += 1
            return [delta]
        half, middle = len(rows) // 2, len(early) // 2
        first = self._deltas(rows[:half], early[:middle], last=False)
        return first + self._deltas(rows[half:], early[middle:], last=last)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def _checked_key(key: bytes | None, prediction_id: str) -> bytes:
    if key != prediction_id.encode():
        raise RecordError("key_mismatch", "the record's key must be its prediction_id")
    return key


def _label_or_tombstone(value: bytes | None, key: bytes | None, time_ms: int) -> Label:
    if value is not None:
        return decode_label(value)
    if not key:
        raise RecordError("key_mismatch", "a record without a value needs the prediction id as key")
    try:
        return Label(prediction_id=key.decode(), timestamp_ms=time_ms, retract=True)
    except UnicodeDecodeError as error:
        raise RecordError("invalid_utf8", str(error)) from None


def _identity(prediction: Prediction) -> Identity:
    segments = prediction.segments
    pairs = tuple(sorted(f"{k}={v}" for k, v in segments.items())) if segments else ()
    return prediction.model, prediction.version, pairs


def _label_score(held: Held) -> float | None:
    if not held.scores or held.label is None:
        return None
    return held.scores.get(class_name(held.label))
