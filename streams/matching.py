"""One step of the join: what becomes of every record of its batches.

Batches are worked on as columns: nearly all predictions are new, and nearly all labels are the
first of a prediction that is there. Whatever is not (repeated, corrected, retracted, late, early)
is taken record by record, in order; records of different ids do not touch each other, so that the
result is the same as if all were.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from streams.decoding import (
    Decoder,
    Labels,
    Predictions,
    label_or_tombstone,
)
from streams.errors import RecordError
from streams.events import Label, Prediction, class_name, decode_label, decode_prediction
from streams.features import blocks_of, choose
from streams.grouping import all_different
from streams.hash_index import Slots
from streams.held import CLOSED, EFFECTIVE, FED, LABELLED, Hashes, hash_ids
from streams.join_state import Early, EarlyChange, JoinState
from streams.outcomes import (
    Identity,
    Ints,
    OutcomeChunk,
    PredictionChunk,
    RowCollector,
    Signs,
)
from streams.scalars import Scalars, scalars
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
    partitions: int
    horizon_ms: int
    grace_ms: int
    bucket_ms: int
    decoder: Decoder


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
        self.rows = RowCollector(state.strings.values, state.identities)
        self._rules = rules
        self._state = state
        self._now_ms = now_ms
        self._added: list[Slots] = []
        self._labelled: list[Slots] = []
        self._relabelled: dict[int, None] = {}
        self._touched_early: dict[bytes, int] = {}

    def changes(self) -> tuple[Slots, Slots, list[EarlyChange]]:
        """Return new predictions, those with a new label, and changes of early labels."""
        early: list[EarlyChange] = []
        for record_id, known in self._touched_early.items():
            waiting = self._state.early.get(record_id, ())
            early += [(record_id, item) for item in waiting[known:]] or [(record_id, None)]
        relabelled = np.array(list(self._relabelled), np.int64)  # none of them is in the others
        labelled = np.concatenate([relabelled, *self._labelled])
        return np.concatenate([np.empty(0, np.int64), *self._added]), labelled, early

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
        found = self._rules.decoder.predictions(
            batch, now_ms=self._now_ms, refuse=lambda index, why: self._dead(batch, index, why)
        )
        if found is None:
            return -1
        todo = np.arange(len(found.ids))
        while len(todo):
            todo = self._remember(found, todo)
        return int(found.times_ms.max())

    def _remember(self, found: Predictions, todo: Ints) -> Ints:
        """Add what is new; return what is left: of an id that comes more than once, the first."""
        held, keys = self._state.held, found.keys
        slots = held.find(Hashes(keys.high[todo], keys.low[todo]))
        known = slots >= 0
        if known.any():
            self._count_known(held.checksum[slots[known]] == found.checksum[todo[known]])
            todo = todo[~known]
        # By all of the key: of 20,000 ids with one low half it would take one each time.
        mixed = held.scattered(Hashes(keys.high[todo], keys.low[todo]))
        if all_different(mixed):
            new, rest = todo, todo[:0]
        else:
            _, first = np.unique(mixed, return_index=True)
            new = todo[np.sort(first)]
            rest = np.setdiff1d(todo, new, assume_unique=True)
        if len(new):
            self._add(found if len(new) == len(found.ids) else _pick(found, new))
        return rest

    def _count_known(self, same: Any) -> None:
        count = int(np.count_nonzero(same))
        if count:
            self.fates["duplicate_prediction"] += count
        if len(same) > count:
            self.fates["conflicting_prediction"] += len(same) - count

    def _add(self, new: Predictions) -> None:
        """Remember predictions."""
        state = self._state
        number, code = new.values.coded(state.strings)
        identity = self._identities(new)
        low = new.keys.low
        columns = {
            "high": new.keys.high,
            "low": low,
            "time_ms": new.times_ms,
            "identity": identity,
            "checksum": new.checksum,
            "number": number,
            "code": code,
            "score": new.score,
        }
        slots = state.add(columns)
        self._added.append(slots)
        state.pending += len(slots)
        score = new.score if new.scores is None else self._take_scores(new, slots)
        tie = low.view(np.int64)
        self.rows.predictions.append(
            PredictionChunk(
                *(identity, new.times_ms, tie, number, code, score, new.latency_ms, new.features)
            )
        )
        if state.early:
            self._apply_early(new.ids, slots)

    def _identities(self, new: Predictions) -> Any:
        code_of = self._state.identities.code
        if new.segments is None:
            codes = [code_of((model, version, ())) for model, version in new.names]
            return np.array(codes, np.int32)[new.name]
        rows = zip(new.name.tolist(), new.segments, strict=True)
        return np.array([code_of((*new.names[n], _pairs(pairs))) for n, pairs in rows], np.int32)

    def _take_scores(self, new: Predictions, slots: Slots) -> Any:
        """Keep scores by class; return the score of the predicted class where there is no other."""
        assert new.scores is not None
        chosen = new.score.copy()
        for index, scores in enumerate(new.scores):
            if scores:
                self._state.held.scores[int(slots[index])] = _encode(scores)
                if np.isnan(chosen[index]):
                    name = class_name(new.values.value(index))  # type: ignore[arg-type]  # it has one
                    chosen[index] = scores.get(name, np.nan)
        return chosen

    def _apply_early(self, ids: Sequence[bytes], slots: Slots) -> None:
        early = self._state.early
        for index, record_id in enumerate(ids):
            if record_id not in early:
                continue
            waiting = self._state.take_early(record_id)
            self._touched_early[record_id] = 0
            for item in waiting:
                label = label_or_tombstone(item.value, record_id, item.time_ms)
                try:
                    self._apply(int(slots[index]), label)
                except RecordError as error:
                    record = item.offset, record_id, item.value, None
                    reason = error.reason, error.detail
                    self._bury(DeadLetter(self._rules.labels, *record, *reason))

    # ------------------------------------------------------------------ labels
    def labels(self, batch: Batch) -> int:
        """Take a batch of labels; return their newest event time, -1 if there is none."""
        found = self._rules.decoder.labels(
            batch, now_ms=self._now_ms, refuse=lambda index, why: self._dead(batch, index, why)
        )
        for index in found.joined:
            try:
                self._joined(batch.values[index])  # type: ignore[arg-type]
            except RecordError as error:
                self._dead(batch, index, error)
        if found.ids:
            slots = self._state.held.find(found.keys)
            rest = self._label_plainly(found, slots)
            for position in rest.tolist():
                self._label_singly(batch, found, position, int(slots[position]))
        return found.newest_ms

    def _label_plainly(self, found: Labels, slots: Slots) -> Any:
        """Apply first labels that are in time; return the positions of all others."""
        held, label_ms = self._state.held, found.times_ms
        delay_ms = label_ms - held.time_ms[slots]
        plain = (slots >= 0) & ~found.retract & (held.newest_ms[slots] == -1)
        plain &= np.abs(delay_ms) <= self._rules.horizon_ms
        if not all_different(slots):
            _, inverse, counts = np.unique(slots, return_inverse=True, return_counts=True)
            plain &= counts[inverse] == 1
        if plain.all():
            self._take_effect(slots, found.values, label_ms)
            return np.empty(0, np.int64)
        positions = np.flatnonzero(plain)
        if len(positions):
            values = found.values.chosen(positions)
            self._take_effect(slots[positions], values, label_ms[positions])
        return np.flatnonzero(~plain)

    def _take_effect(self, slots: Slots, values: Scalars, label_ms: Ints) -> None:
        held = self._state.held
        number, code = values.coded(self._state.strings)
        held.label_number[slots], held.label_code[slots] = number, code
        held.label_ms[slots] = held.newest_ms[slots] = label_ms
        closed = int(np.count_nonzero(held.flags[slots] & CLOSED))
        held.flags[slots] |= LABELLED | EFFECTIVE | FED
        self._labelled.append(slots)
        self.fates["joined"] += 2 * len(slots)
        self._state.pending -= len(slots) - closed
        if closed:
            self.fates["unlabelled"] -= closed
        one = np.ones(len(slots), np.int8)
        self._outcomes(slots, at_ms=label_ms, weight=one, first=one)

    def _label_singly(self, batch: Batch, found: Labels, position: int, slot: int) -> None:
        index, record_id, state = found.indexes[position], found.ids[position], self._state
        label_ms = int(found.times_ms[position])
        if slot < 0:
            item = Early(batch.values[index], label_ms, batch.times_ms[index], batch.offsets[index])
            self._touched_early.setdefault(record_id, len(state.early.get(record_id, ())))
            state.wait(record_id, item)
            return
        value, retract = found.values.value(position), bool(found.retract[position])
        label = Label(
            prediction_id=record_id.decode(), label=value, timestamp_ms=label_ms, retract=retract
        )
        try:
            self._apply(slot, label)
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
        number, code = scalars([label.label]).coded(self._state.strings)
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
            weight=np.array([weight], np.int8),
            first=np.array([first], np.int8),
        )

    def _outcomes(self, slots: Slots, *, at_ms: Ints, weight: Signs, first: Signs) -> None:
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
            delay=np.ones(len(slots), np.int8),
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

    def _joined(self, value: bytes) -> None:
        """Count a label that carries its own prediction; nothing needs to be remembered."""
        looked_at = self._rules.decoder.features
        label, event = decode_label(value), decode_prediction(value, features=looked_at)
        state = self._state
        assert label.label is not None
        number, code = scalars([event.prediction]).coded(state.strings)
        label_number, label_code = scalars([label.label]).coded(state.strings)
        identity = np.array([state.identities.code(_identity(event))], np.int32)
        scores = event.scores or {}
        own = event.score
        label_score = scores.get(class_name(label.label))
        shown = scores.get(class_name(event.prediction)) if own is None else own
        time_ms, one = np.array([label.timestamp_ms]), np.array([1], np.int8)
        tie = hash_ids([label.prediction_id.encode()]).low.view(np.int64)
        latency_ms = np.array([event.latency_ms], np.float64)
        score = np.array([shown], np.float64)
        features = blocks_of([event.features]) if looked_at else []
        self.rows.predictions.append(
            PredictionChunk(identity, time_ms, tie, number, code, score, latency_ms, features)
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


def _pick(found: Predictions, chosen: Ints) -> Predictions:
    """Return some of the predictions."""
    indexes = chosen.tolist()

    def of(column: Any) -> Any:
        if column is None or isinstance(column, np.ndarray):
            return None if column is None else column[chosen]
        return [column[index] for index in indexes]

    picked = {name: of(column) for name, column in found._asdict().items() if name not in _NESTED}
    return Predictions(
        **picked,
        names=found.names,
        keys=Hashes(found.keys.high[chosen], found.keys.low[chosen]),
        values=found.values.chosen(chosen),
        features=choose(found.features, chosen, count=len(found.ids)),
    )


_NESTED = ("names", "keys", "values", "features")


def _identity(prediction: Prediction) -> Identity:
    return prediction.model, prediction.version, _pairs(prediction.segments)


def _pairs(segments: dict[str, str] | None) -> tuple[str, ...]:
    return tuple(sorted(f"{k}={v}" for k, v in segments.items())) if segments else ()
