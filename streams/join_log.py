"""How the state of the join is written down: deltas, and a sweep that keeps the log short.

Every step appends what it changed. Besides, the join sweeps over its state: it writes down again
everything in one range of the hashes of ids, then the next range, around the ring of 2**64 and
around again. Such a record is a *mark*: from any mark on, the log alone gives the state, once the
marks that follow have gone around the ring. So all that is older than the mark under which the
sweep has come full circle can be deleted.

A record of the log is ``[schema, version, partitions, seq, next, inputs, clock_ms, passed_ms,
fates, pending, range, predictions, labels, early]``, see `formats`. Counts, positions and clock are
absolute, so the last record alone has them right. Classes and identities are numbered anew in each
record: none needs another to be read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from streams.errors import StateError
from streams.formats import Format
from streams.hash_index import Slots
from streams.held import CLOSED, EFFECTIVE, LABEL, PREDICTION, Hashes
from streams.input_clock import InputClock
from streams.join_state import RING, Early, EarlyChange, JoinState
from streams.packing import pack, unpack
from streams.renumbering import renumber
from streams.steps import LARGEST_VALUE_BYTES, MARK

FORMAT = Format("a state of the join", 4)
LOG_BYTES = 16 << 20
"""The sweep goes around once while so much, and as much as the state itself takes, is appended."""

_ROW_BYTES = 48  # of a prediction and its label in the log, as long as no mark says better
_RANGE_ROWS = 16_384
_FEWEST_RANGES = 8
_RANGES_A_STEP = 4
_RANGE_BYTES = 800_000
_EARLY_BYTES = 200  # of an early label, likewise


def write(
    state: JoinState,
    changes: tuple[Slots, Slots, Sequence[EarlyChange]],
    *,
    clock_ms: int | None,
    swept: tuple[int, int] | tuple[()] | None = None,
) -> list[bytes]:
    """Write changes down, in as many records as their size needs; only the last moves the clock.

    Parameters
    ----------
    changes
        New predictions, predictions with a new label, changes of early labels.
    swept
        First and last hash of the range of which this is everything; empty: its continuation.
    """
    added, labelled, early = changes
    whole = swept is not None
    inputs = {topic: clock.pack(whole=whole) for topic, clock in state.inputs.items()}
    record = _encode(
        (
            *(*FORMAT.head, state.partitions, state.seq + 1, state.next, inputs, clock_ms),
            *(state.passed_ms, state.fates, state.pending, swept),
            *(_predictions(state, added), _labels(state, labelled), early),
        )
    )
    if len(record) <= LARGEST_VALUE_BYTES or len(added) + len(labelled) + len(early) <= 1:
        state.seq += 1
        return [record]
    first, rest = _halves(added, labelled, early)
    return [
        *write(state, first, clock_ms=None, swept=swept),
        *write(state, rest, clock_ms=clock_ms, swept=None if swept is None else ()),
    ]


def _halves(added: Slots, labelled: Slots, early: Sequence[EarlyChange]) -> tuple[Any, Any]:
    """Cut changes in two; predictions come before their labels.

    Down to single ones: two early labels may be of a megabyte each, and brokers that create topics
    themselves take no more than that.
    """
    of_added = half = (len(added) + len(labelled) + len(early)) // 2
    of_labelled = max(0, half - len(added))
    of_early = max(0, of_labelled - len(labelled))
    first = added[:of_added], labelled[:of_labelled], early[:of_early]
    return first, (added[of_added:], labelled[of_labelled:], early[of_early:])


def sweep(state: JoinState, *, log_bytes: int) -> Iterator[tuple[bytes | None, bytes]]:
    """Write down ranges of the state again, as many as are due; yield key and value."""
    size_bytes = _size_bytes(state)
    rows = len(state.held) + state.early_labels
    ranges = max(_FEWEST_RANGES, rows // _RANGE_ROWS, size_bytes // _RANGE_BYTES)
    due_bytes = (log_bytes + size_bytes) // ranges
    for _ in range(_RANGES_A_STEP):
        if state.unswept_bytes < due_bytes:
            return
        state.unswept_bytes -= due_bytes
        first = state.sweep_at
        last = min(first + RING // ranges, RING) - 1
        records = write(
            state, _within(state, first, last), clock_ms=state.clock_ms, swept=(first, last)
        )
        note_mark(state, first, last, size_bytes=sum(map(len, records)))
        yield from zip([MARK, *[None] * len(records)], records, strict=False)


def _size_bytes(state: JoinState) -> int:
    """Return about how much the whole state takes in the log, judged by the last marks."""
    if not state.marks:
        return len(state.held) * _ROW_BYTES + state.early_labels * _EARLY_BYTES
    return sum(size for _, size in state.marks) * RING // state.swept


def note_mark(state: JoinState, first: int, last: int, *, size_bytes: int) -> None:
    """Move the sweep on, and let go of marks from which on the log is not needed any more."""
    state.sweep_at = (last + 1) % RING
    state.marks.append((last + 1 - first, size_bytes))
    state.swept += last + 1 - first
    while state.swept - state.marks[0][0] >= RING:
        state.swept -= state.marks.popleft()[0]


def _within(state: JoinState, first: int, last: int) -> tuple[Slots, Slots, list[EarlyChange]]:
    held = state.held
    slots = held.between(first, last)
    early: list[EarlyChange] = [
        (i, item) for i in _early_within(state, first, last) for item in state.early[i]
    ]
    return slots, slots[held.newest_ms[slots] >= 0], early


def _early_within(state: JoinState, first: int, last: int) -> list[bytes]:
    if not state.early:
        return []
    ids = list(state.early_high)
    high = np.fromiter(state.early_high.values(), np.uint64, len(ids))
    inside = (high >= np.uint64(first)) & (high <= np.uint64(last))
    return [ids[index] for index in np.flatnonzero(inside).tolist()]


def _predictions(state: JoinState, slots: Slots) -> Any:
    if not len(slots):
        return None
    held = state.held
    (code,), strings = renumber([held.code[slots]])
    (identity,), identities = renumber([held.identity[slots]])
    columns = {name: getattr(held, name)[slots] for name in PREDICTION}
    columns |= {"code": code, "identity": identity}
    scores: list[Any] = []
    if held.scores:
        packed = [(index, held.scores.get(slot)) for index, slot in enumerate(slots.tolist())]
        scores = [pair for pair in packed if pair[1] is not None]
    return (
        len(slots),
        [state.strings.values[code] for code in strings],
        [state.identities.values[code] for code in identities],
        [pack(column) for column in columns.values()],
        scores,
    )


def _labels(state: JoinState, slots: Slots) -> Any:
    if not len(slots):
        return None
    held = state.held
    (code,), strings = renumber([held.label_code[slots]])
    newest_ms, flags = held.newest_ms[slots], held.flags[slots] & ~np.uint8(CLOSED)
    # Without a label that counts its time means nothing; mostly both are the same.
    label_ms = np.where(flags & EFFECTIVE, held.label_ms[slots], newest_ms)
    columns = (held.high[slots], held.low[slots], held.label_number[slots], code)
    return (
        len(slots),
        [state.strings.values[code] for code in strings],
        [pack(column) for column in (*columns, label_ms, newest_ms - label_ms, flags)],
    )


# --- reading


def read(state: JoinState, value: bytes | None) -> int | None:
    """Apply one record of the log; return the clock that it sets, if any.

    Raises
    ------
    StateError
        If this build did not write it, or it is not the next one.
    """
    if value is None:
        raise StateError("the join's state log has a record without a value")
    partitions, *record = FORMAT.read(value)
    if partitions != state.partitions:
        raise StateError(
            f"the number of partitions of the inputs was {partitions} when the state was made, now"
            f" it is {state.partitions}: predictions and their labels may be in different ones"
        )
    seq, state.next, inputs, clock_ms, state.passed_ms, fates, pending = record[:7]
    swept, added, labelled, early = record[7:]
    _check_sequence(state, seq, swept)
    _read_inputs(state, inputs, whole=swept is not None)
    if swept:
        _take_range_out(state, *swept, size_bytes=len(value))
        state.unswept_bytes = 0
    elif swept is not None:
        length, size_bytes = state.marks.pop()
        state.marks.append((length, size_bytes + len(value)))
    else:
        state.unswept_bytes += len(value)
    if added is not None:
        _read_predictions(state, added)
    if labelled is not None:
        _read_labels(state, labelled)
    for record_id, item in early:
        if item is None:
            state.take_early(record_id)
        else:
            state.wait(record_id, Early(*item))
    state.fates, state.pending = Counter(fates), pending
    return clock_ms  # type: ignore[no-any-return]


def _read_inputs(state: JoinState, inputs: Mapping[str, Any], *, whole: bool) -> None:
    for topic, packed in inputs.items():
        state.inputs.setdefault(topic, InputClock()).unpack(packed, whole=whole)


def _check_sequence(state: JoinState, seq: int, swept: Sequence[int] | None) -> None:
    if state.seq == 0 and seq > 1:
        if not swept:
            raise StateError(f"the join's state log begins at {seq}, in the middle")
        state.missing, state.sweep_at = RING, swept[0]
    elif seq != state.seq + 1:
        raise StateError(f"the join's state log jumps from {state.seq} to {seq}")
    state.seq = seq


def _take_range_out(state: JoinState, first: int, last: int, *, size_bytes: int) -> None:
    if first != state.sweep_at:
        raise StateError(f"the join's state log sweeps on at {first}, not at {state.sweep_at}")
    note_mark(state, first, last, size_bytes=size_bytes)
    state.missing = max(0, state.missing - (last + 1 - first))
    state.held.remove(state.held.between(first, last))
    for record_id in _early_within(state, first, last):
        state.take_early(record_id)


def _read_predictions(state: JoinState, added: Sequence[Any]) -> None:
    count, strings, identities, packed, scores = added
    columns = {
        name: unpack(column, count, kind)
        for (name, kind), column in zip(PREDICTION.items(), packed, strict=True)
    }
    columns["code"] = _recode(columns["code"], [state.strings.code(text) for text in strings])
    own = [state.identities.code((m, v, tuple(segments))) for m, v, segments in identities]
    columns["identity"] = _recode(columns["identity"], own)
    slots = state.add(columns)
    for index, text in scores:
        state.held.scores[int(slots[index])] = text


def _read_labels(state: JoinState, labelled: Sequence[Any]) -> None:
    count, strings, packed = labelled
    kinds = ("<u8", "<u8", *LABEL.values())
    found = [unpack(column, count, kind) for column, kind in zip(packed, kinds, strict=True)]
    high, low, number, code, label_ms, ahead_ms, flags = found
    slots = state.held.find(Hashes(high, low))
    known = slots >= 0
    if not known.all() and not state.missing:
        raise StateError("the join's state log has a label of a prediction that it does not have")
    code = _recode(code, [state.strings.code(text) for text in strings])
    held, slots = state.held, slots[known]
    held.label_number[slots], held.label_code[slots] = number[known], code[known]
    held.label_ms[slots] = label_ms[known]
    held.newest_ms[slots] = (label_ms + ahead_ms)[known]
    held.flags[slots] = (held.flags[slots] & CLOSED) | flags[known]


def _recode(codes: Any, own: list[int]) -> Any:
    """Turn codes of a record into the state's own; -1 stays."""
    return np.array([*own, -1], "<i4")[codes]


_encode = msgspec.msgpack.Encoder().encode
