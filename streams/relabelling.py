"""Labels taken one after another: repeated, corrected, retracted, late, or early.

Each may depend on the one before, and a batch may hold thousands for one prediction. Their rows are
read from the columns at once, changed as Python's own numbers, and written back at once: to read or
write one cell of a column costs as much as all the rest of a label, and to make columns of one row
for every outcome cost 30 times that.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from streams.classes import same_class, score_of
from streams.errors import RecordError
from streams.failures import have_failed
from streams.hash_index import Slots
from streams.held import CLOSED, EFFECTIVE, FED, LABELLED
from streams.join_state import JoinState
from streams.outcomes import MODEL_FATES, Codes, Floats, Ints, Signs
from streams.row_chunks import OutcomeChunk
from streams.scalars import Scalars

Refuse = Callable[[int, RecordError], None]
"""Called with the position of a label that cannot be used, and why."""

_DUPLICATE, _CORRECTION, _RETRACTION, _LATE = map(
    MODEL_FATES.index, ("duplicate_label", "correction", "retraction", "late_label")
)
_KINDS = len(MODEL_FATES)


class Limits(Protocol):
    """What it needs to know of the join."""

    horizon_ms: int
    grace_ms: int
    bucket_ms: int


class _Row:
    """What may change of a prediction, see `HeldTable`, and what that depends on."""

    __slots__ = ("code", "flags", "label_ms", "newest_ms", "number", "slot", "time_ms")

    def __init__(self, slot: int, *columns: Any) -> None:
        self.slot = slot
        self.time_ms, self.flags, self.newest_ms, self.label_ms, self.number, self.code = columns


class Relabelling:
    """Apply labels in their order.

    Parameters
    ----------
    fates
        Changed in place.

    Attributes
    ----------
    slots
        Rows that some label has changed.
    """

    def __init__(self, limits: Limits, state: JoinState, fates: Counter[str]) -> None:
        self.slots: dict[int, None] = {}
        self._limits, self._state, self._fates = limits, state, fates
        self._same: dict[tuple[int, int], bool] = {}
        self._fated: list[int] = []  # slot and fate of a label in one number
        self._outcomes: list[tuple[int, int, int, int, bool, float, int]] = []

    def apply(
        self,
        slots: Slots,
        label_ms: Ints,
        values: Scalars,
        *,
        retract: Sequence[bool],
        refuse: Refuse,
    ) -> tuple[OutcomeChunk | None, tuple[Codes, Ints, Ints] | None]:
        """Let labels and retractions of known predictions take effect.

        Returns
        -------
        tuple
            What took effect and what no longer does, in order; and identity, fate and time of what
            models can be asked for, see `MODEL_FATES`. `None` if nothing.
        """
        rows = self._read(slots)
        number, code = values.coded(self._state.strings)
        labels = zip(label_ms.tolist(), retract, number.tolist(), code.tolist(), strict=True)
        for position, (slot, label) in enumerate(zip(slots.tolist(), labels, strict=True)):
            try:
                self._apply(rows[slot], *label)
            except RecordError as error:
                refuse(position, error)
        self._write(rows)
        return self._chunk(), self._of_models()

    def _read(self, slots: Slots) -> dict[int, _Row]:
        held, slots = self._state.held, np.unique(slots)
        columns = (
            *(held.time_ms, held.flags, held.newest_ms),
            *(held.label_ms, held.label_number, held.label_code),
        )
        rows = zip(slots.tolist(), *(column[slots].tolist() for column in columns), strict=True)
        return {row[0]: _Row(*row) for row in rows}

    def _write(self, rows: dict[int, _Row]) -> None:
        held, slots = self._state.held, np.fromiter(rows, np.int64, len(rows))
        for name, column in (
            ("flags", held.flags),
            ("newest_ms", held.newest_ms),
            ("label_ms", held.label_ms),
            ("number", held.label_number),
            ("code", held.label_code),
        ):
            column[slots] = [getattr(row, name) for row in rows.values()]

    def _apply(self, row: _Row, label_ms: int, retract: bool, number: float, code: int) -> None:
        limits = self._limits
        if label_ms > row.time_ms + limits.horizon_ms:
            bucket_end_ms = (self._state.bucket(row.time_ms) + 1) * limits.bucket_ms
            if label_ms >= bucket_end_ms + limits.horizon_ms + limits.grace_ms:
                self._fates["orphan_label"] += 1
                return
            self._fated.append(row.slot * _KINDS + _LATE)
            late_ms = label_ms - row.time_ms - limits.horizon_ms
            raise RecordError("late_label", f"{late_ms} ms after the horizon of its prediction")
        if row.time_ms - label_ms > limits.horizon_ms:
            self._fates["orphan_label"] += 1
            return
        self.slots[row.slot] = None
        if retract:
            self._retract(row, label_ms)
        else:
            self._relabel(row, label_ms, number, code)

    def _retract(self, row: _Row, label_ms: int) -> None:
        self._fated.append(row.slot * _KINDS + _RETRACTION)
        if label_ms < row.newest_ms:
            return
        row.newest_ms = label_ms
        if row.flags & EFFECTIVE:
            self._note(row, at_ms=label_ms, weight=-1)
            row.flags &= ~EFFECTIVE
            self._reopen(row, -1)

    def _relabel(self, row: _Row, label_ms: int, number: float, code: int) -> None:
        if row.flags & EFFECTIVE and self._is_same(row, number, code):
            self._fated.append(row.slot * _KINDS + _DUPLICATE)
            row.newest_ms = max(row.newest_ms, label_ms)
            return
        if row.flags & LABELLED:
            self._fated.append(row.slot * _KINDS + _CORRECTION)
        else:
            self._fates["joined"] += 1
        row.flags |= LABELLED
        if label_ms < row.newest_ms:
            return
        if row.flags & EFFECTIVE:
            self._note(row, at_ms=label_ms, weight=-1)
        else:
            self._reopen(row, +1)
        row.number, row.code = number, code
        row.label_ms = row.newest_ms = label_ms
        self._note(row, at_ms=label_ms, weight=1)
        row.flags |= EFFECTIVE | FED

    def _is_same(self, row: _Row, number: float, code: int) -> bool:
        """Tell whether a label is of the class of the one that counts."""
        if row.code < 0 and code < 0:
            return row.number == number  # type: ignore[no-any-return]  # two floats
        if row.code < 0 or code < 0:
            return same_class(self._value(row.number, row.code), self._value(number, code))
        pair = (row.code, code)
        if pair not in self._same:
            texts = self._value(row.number, row.code), self._value(number, code)
            self._same[pair] = same_class(*texts)
        return self._same[pair]

    def _value(self, number: float, code: int) -> str | float:
        return self._state.strings.values[code] if code >= 0 else number

    def _reopen(self, row: _Row, direction: int) -> None:
        """Move a prediction between having no label (-1) and having one (+1)."""
        self._fates["joined"] += direction
        if row.flags & CLOSED:
            self._fates["unlabelled"] -= direction
        else:
            self._state.pending -= direction

    def _note(self, row: _Row, *, at_ms: int, weight: int) -> None:
        first = weight > 0 and not row.flags & FED
        label = row.label_ms, at_ms, weight, first, row.number, row.code
        self._outcomes.append((row.slot, *label))

    def _chunk(self) -> OutcomeChunk | None:
        if not self._outcomes:
            return None
        slots, label_ms, at_ms, weight, first, number, code = zip(*self._outcomes, strict=True)
        self._outcomes.clear()
        return outcomes_of(
            self._state,
            np.array(slots),
            at_ms=np.array(at_ms),
            signs=(np.array(weight, np.int8), np.array(first, np.int8)),
            label=(np.array(label_ms), np.array(number, np.float64), np.array(code, np.int32)),
        )

    def _of_models(self) -> tuple[Codes, Ints, Ints] | None:
        """Return identity, fate and time of what models can be asked for; count these fates."""
        if not self._fated:
            return None
        slots, kinds = np.divmod(np.array(self._fated), _KINDS)
        self._fated.clear()
        for kind, count in enumerate(np.bincount(kinds).tolist()):
            if count and kind != _LATE:  # whoever buries the label counts that
                self._fates[MODEL_FATES[kind]] += count
        return self._state.held.identity[slots], kinds, self._state.held.time_ms[slots]


def outcomes_of(
    state: JoinState,
    slots: Slots,
    *,
    at_ms: Ints,
    signs: tuple[Signs, Signs],
    label: tuple[Ints, Floats, Codes],
) -> OutcomeChunk:
    """Return what labels of predictions mean for the next stage.

    Parameters
    ----------
    signs, label
        Weight and `first`; time, number and code of the label: see `OutcomeRows`.
    """
    held, (weight, first), (label_ms, number, code) = state.held, signs, label
    time_ms = held.time_ms[slots]
    found = OutcomeChunk(
        identity=held.identity[slots],
        time_ms=time_ms,
        label_ms=label_ms,
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
        label_score=_label_scores(state, slots, number, code),
    )
    failed = have_failed(found.number)  # nothing can be right or wrong about these
    return found.where(~failed) if failed.any() else found


def _label_scores(state: JoinState, slots: Slots, number: Floats, code: Codes) -> Floats:
    """Return the score of the class of every label, NaN where its prediction has none."""
    found, scores = np.full(len(slots), np.nan), state.held.scores
    if not scores:
        return found
    known: dict[int, dict[str, float]] = {}
    rows = zip(slots.tolist(), number.tolist(), code.tolist(), strict=True)
    for index, (slot, value, text) in enumerate(rows):
        if slot in scores:
            if slot not in known:
                known[slot] = _decode_scores(scores[slot])
            label = state.strings.values[text] if text >= 0 else value
            found[index] = score_of(known[slot], label)
    return found


_decode_scores = msgspec.msgpack.Decoder(dict[str, float]).decode
