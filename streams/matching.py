"""One step of the join: what becomes of every record of its batches.

Batches are worked on as columns: nearly all predictions are new, and nearly all labels are the
first of a prediction that is there. Whatever is not (repeated, corrected, retracted, late, early)
is taken record by record, in order; records of different ids do not touch each other, so that the
result is the same as if all were.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from streams.carried import rows_of, segment_names
from streams.classes import score_of, scores_by_class
from streams.decoded import Labels, Predictions
from streams.decoding import Decoder
from streams.errors import RecordError
from streams.events import Label, Prediction
from streams.grouping import all_different
from streams.hash_index import Slots
from streams.held import CLOSED, EFFECTIVE, FED, LABELLED, Hashes
from streams.input_clock import Seen
from streams.join_state import Early, EarlyChange, JoinState
from streams.outcomes import MODEL_FATES, Ints
from streams.probabilities import Oddity, adds_up, note, odd_sum
from streams.relabelling import Relabelling, outcomes_of
from streams.row_chunks import PredictionChunk
from streams.row_collector import RowCollector
from streams.scalars import Scalars, scalars
from streams.steps import Batch, DeadLetter
from streams.values import Dropped, add_dropped

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

_DUPLICATE = MODEL_FATES.index("duplicate_prediction")
_CONFLICTING = MODEL_FATES.index("conflicting_prediction")


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
    dropped
        Values that were left out, by field.
    rows
        What the next stage must know.
    """

    def __init__(self, rules: Rules, state: JoinState, *, now_ms: int) -> None:
        self.fates: Counter[str] = Counter()
        self.dead_letters: list[DeadLetter] = []
        self.dropped: dict[str, Dropped] = {}
        self.oddities: list[Oddity] = []
        self.rows = RowCollector(state.strings.values, state.identities)
        self._rules = rules
        self._state = state
        self._now_ms = now_ms
        self._added: list[Slots] = []
        self._labelled: list[Slots] = []
        self._relabelling = Relabelling(rules, state, self.fates)
        self._touched_early: dict[bytes, int] = {}  # offset of the first label that is new

    def changes(self) -> tuple[Slots, Slots, list[EarlyChange]]:
        """Return new predictions, those with a new label, and changes of early labels."""
        early: list[EarlyChange] = []
        for record_id, first in self._touched_early.items():
            waiting = self._state.early.get(record_id)
            if waiting is None:
                early.append((record_id, None))
            else:
                early += [(record_id, item) for item in waiting if item.offset >= first]
        relabelled = np.array(
            list(self._relabelling.slots), np.int64
        )  # none of them is in the others
        labelled = np.concatenate([relabelled, *self._labelled])
        return np.concatenate([np.empty(0, np.int64), *self._added]), labelled, early

    def _dead(self, batch: Batch, index: int, error: RecordError) -> None:
        headers = batch.headers[index] if batch.headers else None
        record = batch.offsets[index], batch.keys[index], batch.values[index], headers
        self._bury(DeadLetter(batch.topic, *record, error.reason, error.detail))

    def _bury(self, letter: DeadLetter) -> None:
        self.fates["late_label" if letter.reason == "late_label" else "dead_letter"] += 1
        self.dead_letters.append(letter)

    def _drop(self, values: Sequence[Dropped]) -> None:
        add_dropped(self.dropped, values)

    # ------------------------------------------------------------------ predictions
    def predictions(self, batch: Batch) -> Seen | None:
        """Take a batch of predictions; return what the clock must know, `None` if none is good."""
        found = self._rules.decoder.predictions(
            batch,
            now_ms=self._now_ms,
            refuse=lambda index, why: self._dead(batch, index, why),
            drop=self._drop,
        )
        if found is None:
            return None
        todo = np.arange(len(found.ids))
        while len(todo):
            todo = self._remember(found, todo)
        return Seen(found.times_ms, found.keys.low, lambda index: found.names[found.name[index]][0])

    def _remember(self, found: Predictions, todo: Ints) -> Ints:
        """Add what is new; return what is left: of an id that comes more than once, the first."""
        held, keys = self._state.held, found.keys
        slots = held.find(Hashes(keys.high[todo], keys.low[todo]))
        known = slots >= 0
        if known.any():
            self._count_known(slots[known], found.checksum[todo[known]])
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
            self._add(found if len(new) == len(found.ids) else found.chosen(new))
        return rest

    def _count_known(self, slots: Slots, checksums: Any) -> None:
        held = self._state.held
        fates = np.where(held.checksum[slots] == checksums, _DUPLICATE, _CONFLICTING)
        self.rows.count(held.identity[slots], fates, held.time_ms[slots])
        for fate, count in enumerate(np.bincount(fates).tolist()):
            if count:
                self.fates[MODEL_FATES[fate]] += count

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
        return np.array(
            [code_of((*new.names[n], segment_names(pairs))) for n, pairs in rows], np.int32
        )

    def _take_scores(self, new: Predictions, slots: Slots) -> Any:
        """Keep scores by class; return the score of the predicted class where there is no other."""
        assert new.scores is not None
        self._check_sums(new.scores, lambda index: new.names[new.name[index]])
        chosen = new.score.copy()
        for index, scores in enumerate(new.scores):
            if scores:
                known = scores_by_class(scores)
                self._state.held.scores[int(slots[index])] = _encode(known)
                if np.isnan(chosen[index]):
                    value = new.values.value(index)
                    assert value is not None
                    chosen[index] = score_of(known, value)
        return chosen

    def _check_sums(
        self,
        rows: Sequence[Mapping[str, float] | None],
        name_of: Callable[[int], tuple[str, str]],
    ) -> None:
        """Note, once a model, that scores by class do not add up to 1."""
        known = self._state.oddities
        for index, scores in enumerate(rows):
            if scores and not adds_up(scores):
                oddity = odd_sum(*name_of(index), scores)
                if note(known, oddity):
                    self.oddities.append(oddity)

    def _apply_early(self, ids: Sequence[bytes], slots: Slots) -> None:
        """Let the labels take effect that have waited for new predictions."""
        waited: list[tuple[int, bytes, Early]] = []
        labels: list[Label] = []
        for index, record_id in enumerate(ids):
            if record_id not in self._state.early:
                continue
            self._touched_early[record_id] = 0
            for item in self._state.take_early(record_id):
                if label := self._early_label(record_id, item):
                    waited.append((index, record_id, item))
                    labels.append(label)
        if not waited:
            return
        self._relabel(
            slots[[index for index, *_ in waited]],
            np.array([label.timestamp_ms for label in labels], np.int64),
            scalars([label.label for label in labels]),
            retract=[label.retract for label in labels],
            refuse=lambda position, why: self._bury_early(*waited[position][1:], why),
        )

    def _early_label(self, record_id: bytes, item: Early) -> Label | None:
        try:
            return self._rules.decoder.label(item.value, key=record_id, time_ms=item.time_ms)
        except RecordError as error:  # limits have become narrower since it came
            self._bury_early(record_id, item, error)
            return None

    def _bury_early(self, record_id: bytes, item: Early, error: RecordError) -> None:
        record = item.offset, record_id, item.value, None
        self._bury(DeadLetter(self._rules.labels, *record, error.reason, error.detail))

    # ------------------------------------------------------------------ labels
    def labels(self, batch: Batch) -> Seen | None:
        """Take a batch of labels; return what the clock must know, `None` if none is good."""
        found = self._rules.decoder.labels(
            batch, now_ms=self._now_ms, refuse=lambda index, why: self._dead(batch, index, why)
        )
        if found.joined:
            self._joined(batch, found.joined)
        if found.ids:
            slots = self._state.held.find(found.keys)
            rest = self._label_plainly(found, slots)
            if len(rest):
                self._label_singly(batch, found, rest, slots[rest])
        if not len(found.every_ms):
            return None
        return Seen(found.every_ms, found.every_key, lambda i: self._labelled_model(found, i))

    def _labelled_model(self, found: Labels, index: int) -> str | None:
        """Name the model that a label is about, if its prediction is known."""
        at = np.flatnonzero(found.keys.low == found.every_key[index])[:1]
        keys = Hashes(found.keys.high[at], found.keys.low[at])
        slots = self._state.held.find(keys) if len(at) else at
        if not len(slots) or slots[0] < 0:
            return None
        return self._state.identities.values[int(self._state.held.identity[slots[0]])][0]

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
        label = label_ms, number, code
        self.rows.outcomes.append(
            outcomes_of(self._state, slots, at_ms=label_ms, signs=(one, one), label=label)
        )

    def _label_singly(self, batch: Batch, found: Labels, positions: Ints, slots: Slots) -> None:
        """Apply labels in their order; those without prediction wait."""
        state = self._state
        for position in positions[slots < 0].tolist():
            index, record_id = found.indexes[position], found.ids[position]
            label_ms, offset = int(found.times_ms[position]), batch.offsets[index]
            self._touched_early.setdefault(record_id, offset)
            early = Early(self._in_short(batch, index), label_ms, batch.times_ms[index], offset)
            self.fates["orphan_label"] += state.wait(record_id, early)
        positions, slots = positions[slots >= 0], slots[slots >= 0]
        if len(positions):
            self._relabel(
                slots,
                found.times_ms[positions],
                found.values.chosen(positions),
                retract=found.retract[positions].tolist(),
                refuse=lambda i, why: self._dead(batch, found.indexes[int(positions[i])], why),
            )

    def _in_short(self, batch: Batch, index: int) -> bytes | None:
        """Return a label that is to wait, if it is long, as what counts of it.

        A thousand labels of a megabyte, without predictions, would fill a worker's memory, and
        again after every restart. To send them costs little: what repeats is compressed.
        """
        value = batch.values[index]
        if value is None or len(value) <= _LONG_BYTES:
            return value
        return _encode_json(self._rules.decoder.label(value, key=None, time_ms=0))

    def _relabel(self, slots: Slots, label_ms: Ints, values: Scalars, **how: Any) -> None:
        chunk, of_models = self._relabelling.apply(slots, label_ms, values, **how)
        if of_models is not None:
            self.rows.count(*of_models)
        if chunk is not None:
            self.rows.outcomes.append(chunk)

    def _joined(self, batch: Batch, labels: Sequence[tuple[int, Label]]) -> None:
        """Count labels that carry their own prediction; nothing needs to be remembered."""
        decoder = self._rules.decoder
        events: list[tuple[Label, Prediction]] = []
        for index, label in labels:
            try:
                events.append((label, decoder.prediction(batch.values[index], drop=self._drop)))
            except RecordError as error:
                self._dead(batch, index, error)
        if events:
            self._check_sums(
                [event.scores for _, event in events],
                lambda i: (events[i][1].model, events[i][1].version),
            )
            predictions, outcomes = rows_of(self._state, events, features=decoder.features)
            self.rows.predictions.append(predictions)
            self.rows.outcomes.append(outcomes)
            self.fates["joined"] += len(events)


_encode = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode
_LONG_BYTES = 4_096
