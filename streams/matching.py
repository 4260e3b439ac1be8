"""One step of the join: what becomes of every record of its batches.

Batches are worked on as columns: nearly all predictions are new, and nearly all labels are the
first of a prediction that is there. Whatever is not (repeated, corrected, retracted, late, early)
is taken record by record, in order; records of different ids do not touch each other, so that the
result is the same as if all were.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from streams.errors import RecordError
from streams.events import (
    Label,
    Prediction,
    Scalar,
    check_time,
    class_name,
    decode_label,
    decode_prediction,
)
from streams.hash_index import Slots
from streams.held import CLOSED, EFFECTIVE, FED, LABELLED, Hashes, hash_ids
from streams.join_state import Early, EarlyChange, JoinState
from streams.outcomes import (
    Identity,
    Ints,
    OutcomeChunk,
    PredictionChunk,
    RowCollector,
    code_scalars,
)
from streams.steps import Batch, DeadLetter

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


class Rules(Protocol):
    """What matching needs to know of the join."""

    labels: str
    horizon_ms: int
    grace_ms: int
    bucket_ms: int


class _Predictions(NamedTuple):
    """Decoded predictions, as columns that grow together."""

    ids: list[bytes]
    events: list[Prediction]
    times_ms: list[int]
    crcs: list[int]


class _Labels(NamedTuple):
    """Decoded labels, likewise; `indexes` are those in their batch."""

    ids: list[bytes]
    events: list[Label]
    indexes: list[int]


class Matching:
    """A step in progress: the state that it advances, and what it has found so far.

    Attributes
    ----------
    fates
        Changes of the fates.
    rows
        What the next stage must know.
    """

    def __init__(self, rules: Rules, state: JoinState, *, now_ms: int) -> None:
        self.fates: Counter[str] = Counter()
        self.dead_letters: list[DeadLetter] = []
        self.rows = RowCollector(state.strings.values, state.identities.values)
        self._rules = rules
        self._state = state
        self._now_ms = now_ms
        self._added: list[Slots] = []
        self._labelled: list[Slots] = []
        self._relabelled: dict[int, None] = {}
        self._touched_early: dict[bytes, int] = {}
        self._newest_ms = -1

    def changes(self) -> tuple[Slots, Slots, list[EarlyChange]]:
        """Return new predictions, those with a new label, and changes of early labels."""
        early: list[EarlyChange] = []
        for record_id, known in self._touched_early.items():
            waiting = self._state.early.get(record_id, ())
            early += [(record_id, item) for item in waiting[known:]] or [(record_id, None)]
        relabelled = np.array(list(self._relabelled), np.int64)
        labelled = np.unique(np.concatenate([relabelled, *self._labelled]))
        return np.concatenate([np.empty(0, np.int64), *self._added]), labelled, early

    def _each(self, batch: Batch, take: Callable[[Batch, int], None]) -> int:
        """Let `take` have each record; what it refuses is dead. Return the newest time."""
        self._newest_ms = -1
        for index in range(len(batch.offsets)):
            try:
                take(batch, index)
            except RecordError as error:
                self._dead(batch, index, error)
        return self._newest_ms

    def _dead(self, batch: Batch, index: int, error: RecordError) -> None:
        headers = batch.headers[index] if batch.headers else None
        record = batch.offsets[index], batch.keys[index], batch.values[index], headers
        self._bury(DeadLetter(batch.topic, *record, error.reason, error.detail))

    def _bury(self, letter: DeadLetter) -> None:
        self.fates["late_label" if letter.reason == "late_label" else "dead_letter"] += 1
        self.dead_letters.append(letter)

    # ------------------------------------------------------------------ predictions
    def predictions(self, batch: Batch) -> int:
        """Take a batch of predictions; return their newest event time, -1 if there is none."""
        found = _Predictions([], [], [], [])

        def take(batch: Batch, index: int) -> None:
            value, key = batch.values[index], batch.keys[index]
            event = decode_prediction(value)
            record_id = _checked_key(key, event.prediction_id)
            time_ms = event.timestamp_ms
            if time_ms is None:
                time_ms = batch.times_ms[index]
            found.times_ms.append(check_time(time_ms, now_ms=self._now_ms))
            found.ids.append(record_id)
            found.events.append(event)
            found.crcs.append(zlib.crc32(value))  # type: ignore[arg-type]

        self._each(batch, take)
        if not found.ids:
            return -1
        keys, times_ms = hash_ids(found.ids), np.array(found.times_ms, np.int64)
        crcs = np.array(found.crcs, np.uint32)
        self._remember(found, keys, times_ms, crcs)
        return int(times_ms.max())

    def _remember(self, found: _Predictions, keys: Hashes, times_ms: Ints, crcs: Any) -> None:
        """Add what is new, in order; of an id that comes more than once the first is."""
        todo = np.arange(len(found.ids))
        while len(todo):
            slots = self._state.held.find(Hashes(keys.high[todo], keys.low[todo]))
            known = slots >= 0
            self._count_known(self._state.held.crc[slots[known]] == crcs[todo[known]])
            todo = todo[~known]
            _, first = np.unique(keys.low[todo], return_index=True)
            new = todo[np.sort(first)]
            if len(new):
                self._add(_pick(found, new), keys, times_ms[new], crcs[new], new)
            todo = np.setdiff1d(todo, new, assume_unique=True)

    def _count_known(self, same: Any) -> None:
        count = int(np.count_nonzero(same))
        if count:
            self.fates["duplicate_prediction"] += count
        if len(same) > count:
            self.fates["conflicting_prediction"] += len(same) - count

    def _add(self, new: _Predictions, keys: Hashes, times_ms: Ints, crcs: Any, chosen: Any) -> None:
        state, events = self._state, new.events
        number, code = code_scalars([event.prediction for event in events], state.strings)
        code_of = state.identities.code
        identity = np.array([code_of(_identity(event)) for event in events], np.int32)
        score = np.array([event.score for event in events], np.float64)  # None becomes NaN
        low = keys.low[chosen]
        columns = {
            "high": keys.high[chosen],
            "low": low,
            "time_ms": times_ms,
            "identity": identity,
            "crc": crcs,
            "number": number,
            "code": code,
            "score": score,
        }
        slots = state.add(columns)
        self._added.append(slots)
        state.pending += len(slots)
        own_score = self._take_scores(events, slots, score)
        latency_ms = np.array([event.latency_ms for event in events], np.float64)
        features = [event.features for event in events]
        tie = low.view(np.int64)
        self.rows.predictions.append(
            PredictionChunk(identity, times_ms, tie, number, code, own_score, latency_ms, features)
        )
        if state.early:
            self._apply_early(new.ids, slots)

    def _take_scores(self, events: Sequence[Prediction], slots: Slots, score: Any) -> Any:
        """Keep scores by class; return the score of the predicted class where there is no other."""
        chosen = score
        for index, event in enumerate(events):
            if event.scores:
                self._state.held.scores[int(slots[index])] = _encode(event.scores)
                if event.score is None:
                    chosen = score.copy() if chosen is score else chosen
                    chosen[index] = event.scores.get(class_name(event.prediction), np.nan)
        return chosen

    def _apply_early(self, ids: Sequence[bytes], slots: Slots) -> None:
        early = self._state.early
        for index, record_id in enumerate(ids):
            if record_id not in early:
                continue
            waiting = self._state.take_early(record_id)
            self._touched_early[record_id] = 0
            for item in waiting:
                label = _label_or_tombstone(item.value, record_id, item.time_ms)
                try:
                    self._apply(int(slots[index]), label)
                except RecordError as error:
                    record = item.offset, record_id, item.value, None
                    reason = error.reason, error.detail
                    self._bury(DeadLetter(self._rules.labels, *record, *reason))

    # ------------------------------------------------------------------ labels
    def labels(self, batch: Batch) -> int:
        """Take a batch of labels; return their newest event time, -1 if there is none."""
        found = _Labels([], [], [])

        def take(batch: Batch, index: int) -> None:
            value, key = batch.values[index], batch.keys[index]
            event = _label_or_tombstone(value, key, batch.times_ms[index])
            record_id = _checked_key(key, event.prediction_id)
            label_ms = check_time(event.timestamp_ms, now_ms=self._now_ms)
            # Whatever becomes of it: its fate may depend on what was read first, time may not.
            self._newest_ms = max(self._newest_ms, label_ms)
            if event.prediction is not None and event.label is not None and not event.retract:
                self._joined(value, event, record_id)  # type: ignore[arg-type]
                return
            found.ids.append(record_id)
            found.events.append(event)
            found.indexes.append(index)

        newest_ms = self._each(batch, take)
        if found.ids:
            slots = self._state.held.find(hash_ids(found.ids))
            rest = self._label_plainly(found, slots)
            for position in rest.tolist():
                self._label_singly(batch, found, position, int(slots[position]))
        return newest_ms

    def _label_plainly(self, found: _Labels, slots: Slots) -> Any:
        """Apply first labels that are in time; return the positions of all others."""
        held = self._state.held
        label_ms = np.array([event.timestamp_ms for event in found.events], np.int64)
        retracts = np.array([event.retract for event in found.events], bool)
        delay_ms = label_ms - held.time_ms[slots]
        _, inverse, counts = np.unique(slots, return_inverse=True, return_counts=True)
        plain = (slots >= 0) & ~retracts & (counts[inverse] == 1) & (held.newest_ms[slots] == -1)
        plain &= np.abs(delay_ms) <= self._rules.horizon_ms
        positions = np.flatnonzero(plain)
        if len(positions):
            values = [found.events[position].label for position in positions.tolist()]
            self._take_effect(slots[positions], values, label_ms[positions])  # type: ignore[arg-type]
        return np.flatnonzero(~plain)

    def _take_effect(self, slots: Slots, values: Sequence[Scalar], label_ms: Ints) -> None:
        held = self._state.held
        number, code = code_scalars(values, self._state.strings)
        held.label_number[slots], held.label_code[slots] = number, code
        held.label_ms[slots] = held.newest_ms[slots] = label_ms
        closed = int(np.count_nonzero(held.flags[slots] & CLOSED))
        held.flags[slots] |= LABELLED | EFFECTIVE | FED
        self._labelled.append(slots)
        self.fates["joined"] += 2 * len(slots)
        self._state.pending -= len(slots) - closed
        if closed:
            self.fates["unlabelled"] -= closed
        one = np.ones(len(slots), np.int64)
        self._outcomes(slots, at_ms=label_ms, weight=one, first=one)

    def _label_singly(self, batch: Batch, found: _Labels, position: int, slot: int) -> None:
        index, event, state = found.indexes[position], found.events[position], self._state
        if slot < 0:
            record_id = found.ids[position]
            item = Early(
                batch.values[index],
                event.timestamp_ms,
                batch.times_ms[index],
                batch.offsets[index],
            )
            self._touched_early.setdefault(record_id, len(state.early.get(record_id, ())))
            state.wait(record_id, item)
            return
        try:
            self._apply(slot, event)
        except RecordError as error:
            self._dead(batch, index, error)

    def _apply(self, slot: int, label: Label) -> None:
        """Let a label or retraction take effect on a known prediction."""
        rules, label_ms = self._rules, label.timestamp_ms
        time_ms = int(self._state.held.time_ms[slot])
        if label_ms > time_ms + rules.horizon_ms:
            bucket_end_ms = (self._state.bucket(time_ms) + 1) * rules.bucket_ms
            if label_ms >= bucket_end_ms + rules.horizon_ms + rules.grace_ms:
                self.fates["orphan_label"] += 1
                return
            late_ms = label_ms - time_ms - rules.horizon_ms
            raise RecordError("late_label", f"{late_ms} ms after the horizon of its prediction")
        if time_ms - label_ms > rules.horizon_ms:
            self.fates["orphan_label"] += 1
            return
        self._relabelled[slot] = None
        if label.retract:
            self._retract(slot, label_ms)
        else:
            self._relabel(slot, label)

    def _retract(self, slot: int, label_ms: int) -> None:
        held = self._state.held
        self.fates["retraction"] += 1
        if label_ms < held.newest_ms[slot]:
            return
        held.newest_ms[slot] = label_ms
        if held.flags[slot] & EFFECTIVE:
            self._outcome(slot, at_ms=label_ms, weight=-1)
            held.flags[slot] &= ~np.uint8(EFFECTIVE)
            self._reopen(slot, -1)

    def _relabel(self, slot: int, label: Label) -> None:
        held, label_ms = self._state.held, label.timestamp_ms
        assert label.label is not None
        if held.flags[slot] & EFFECTIVE and self._label_class(slot) == class_name(label.label):
            self.fates["duplicate_label"] += 1
            held.newest_ms[slot] = max(int(held.newest_ms[slot]), label_ms)
            return
        self.fates["correction" if held.flags[slot] & LABELLED else "joined"] += 1
        held.flags[slot] |= LABELLED
        if label_ms < held.newest_ms[slot]:
            return
        if held.flags[slot] & EFFECTIVE:
            self._outcome(slot, at_ms=label_ms, weight=-1)
        else:
            self._reopen(slot, +1)
        number, code = code_scalars([label.label], self._state.strings)
        held.label_number[slot], held.label_code[slot] = number[0], code[0]
        held.label_ms[slot] = held.newest_ms[slot] = label_ms
        held.flags[slot] |= EFFECTIVE
        self._outcome(slot, at_ms=label_ms, weight=1)
        held.flags[slot] |= FED

    def _label_class(self, slot: int) -> str:
        """Name the class of the label that counts."""
        held, code = self._state.held, int(self._state.held.label_code[slot])
        if code >= 0:
            return self._state.strings.values[code]
        return class_name(float(held.label_number[slot]))

    def _reopen(self, slot: int, direction: int) -> None:
        """Move a prediction between having no label (-1) and having one (+1)."""
        self.fates["joined"] += direction
        if self._state.held.flags[slot] & CLOSED:
            self.fates["unlabelled"] -= direction
        else:
            self._state.pending -= direction

    def _outcome(self, slot: int, *, at_ms: int, weight: int) -> None:
        first = weight > 0 and not self._state.held.flags[slot] & FED
        self._outcomes(
            np.array([slot]),
            at_ms=np.array([at_ms]),
            weight=np.array([weight]),
            first=np.array([int(first)]),
        )

    def _outcomes(self, slots: Slots, *, at_ms: Ints, weight: Ints, first: Ints) -> None:
        held = self._state.held
        time_ms, code = held.time_ms[slots], held.label_code[slots]
        number = held.label_number[slots]
        chunk = OutcomeChunk(
            identity=held.identity[slots],
            time_ms=time_ms,
            label_ms=held.label_ms[slots],
            at_ms=np.maximum(at_ms, time_ms),  # a label from before its prediction waited for it
            weight=weight,
            first=first,
            delay=np.ones(len(slots), np.int64),
            tie=held.low[slots].view(np.int64),
            number=held.number[slots],
            code=held.code[slots],
            label_number=number,
            label_code=code,
            score=held.score[slots],
            label_score=self._label_scores(slots),
        )
        self.rows.outcomes.append(chunk)

    def _label_scores(self, slots: Slots) -> Any:
        found, scores = np.full(len(slots), np.nan), self._state.held.scores
        if scores:
            for index, slot in enumerate(slots.tolist()):
                if slot in scores:
                    known = _decode_scores(scores[slot])
                    found[index] = known.get(self._label_class(slot), np.nan)
        return found

    def _joined(self, value: bytes, label: Label, record_id: bytes) -> None:
        """Count a label that carries its own prediction; nothing needs to be remembered."""
        event, state = decode_prediction(value), self._state
        assert label.label is not None
        number, code = code_scalars([event.prediction], state.strings)
        label_number, label_code = code_scalars([label.label], state.strings)
        identity = np.array([state.identities.code(_identity(event))], np.int32)
        scores = event.scores or {}
        own = event.score
        label_score = scores.get(class_name(label.label))
        shown = scores.get(class_name(event.prediction)) if own is None else own
        time_ms, one = np.array([label.timestamp_ms]), np.array([1])
        tie = hash_ids([record_id]).low.view(np.int64)
        latency_ms = np.array([event.latency_ms], np.float64)
        score = np.array([shown], np.float64)
        self.rows.predictions.append(
            PredictionChunk(
                *(identity, time_ms, tie, number, code, score, latency_ms), [event.features]
            )
        )
        self.rows.outcomes.append(
            OutcomeChunk(
                *(identity, time_ms, time_ms, time_ms, one, one, 0 * one, tie),
                *(number, code, label_number, label_code),
                np.array([own], np.float64),
                np.array([label_score], np.float64),
            )
        )
        self.fates["joined"] += 1


_encode = msgspec.msgpack.Encoder().encode
_decode_scores = msgspec.msgpack.Decoder(dict[str, float]).decode


def _pick(found: _Predictions, chosen: Any) -> _Predictions:
    if len(chosen) == len(found.ids):
        return found
    return _Predictions(*([column[index] for index in chosen.tolist()] for column in found))


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
