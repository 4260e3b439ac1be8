"""What the join remembers of predictions: one row each, in columns, found by a hash of the id.

A million predictions as Python objects take over 300 MB and make every garbage collection slow;
as columns they take under 110 MB, and a batch is looked up, changed or written down at once. An
id is known by its 128-bit hash alone: among ten million ids, two that share one are less likely
(1e-25) than a memory error. It is no protection from somebody who makes ids collide on purpose:
whoever may write predictions can as well write one under the same id.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from streams.hash_index import HashIndex, Keys, Slots, scattered

PREDICTION = {
    "high": "<u8",
    "low": "<u8",
    "time_ms": "<i8",
    "identity": "<i4",
    "checksum": "<u4",
    "number": "<f8",
    "code": "<i4",
    "score": "<f8",
}
LABEL = {
    "label_number": "<f8",
    "label_code": "<i4",
    "label_ms": "<i8",
    "newest_ms": "<i8",
    "flags": "<u1",
}
_NEVER_MS = np.iinfo(np.int64).max

LABELLED, EFFECTIVE, FED, CLOSED = 1, 2, 4, 8
"""Some label record has come; one counts now; one took effect once, so that detectors have seen
the prediction; the horizon has passed, so that without a label it is `unlabelled`."""

_SMALLEST = 256
_SHRINK = 4


class Hashes(NamedTuple):
    """Both halves of the hashes of ids."""

    high: Keys
    low: Keys


def hash_ids(ids: Sequence[bytes]) -> Hashes:
    """Return the XXH3 hashes (128 bits) of prediction ids."""
    halves = np.frombuffer(b"".join(map(xxh3_128_digest, ids)), ">u8").reshape(-1, 2)
    return Hashes(halves[:, 0].astype("<u8"), halves[:, 1].astype("<u8"))


class HeldTable:
    """The predictions of one partition.

    Every column of `PREDICTION` and `LABEL` is an attribute, an array indexed by slot. `number`
    and `code` are the prediction, see `outcomes.PredictionRows`; `identity` is the code of model,
    version and segments; `checksum` is of the record, to tell a repeated prediction from a
    conflicting one; `label_ms` is the time of the label that counts, `newest_ms` of the newest
    label or retraction, -1 if there was none.

    Parameters
    ----------
    seed
        See `HashIndex`.

    Attributes
    ----------
    scores
        By slot: the scores of all classes, in MessagePack; only where a prediction has them.
    """

    high: Keys
    low: Keys
    time_ms: NDArray[np.int64]
    identity: NDArray[np.int32]
    checksum: NDArray[np.uint32]
    number: NDArray[np.float64]
    code: NDArray[np.int32]
    score: NDArray[np.float64]
    label_number: NDArray[np.float64]
    label_code: NDArray[np.int32]
    label_ms: NDArray[np.int64]
    newest_ms: NDArray[np.int64]
    flags: NDArray[np.uint8]

    def __init__(self, seed: bytes | None = None) -> None:
        self.scores: dict[int, bytes] = {}
        self._seed = seed
        self._clear(_SMALLEST)

    def _clear(self, capacity: int) -> None:
        for name, kind in (PREDICTION | LABEL).items():
            setattr(self, name, np.zeros(capacity, kind))
        self.time_ms.fill(_NEVER_MS)  # so that no question about old rows finds an unused slot
        self._index = HashIndex(self._seed)
        self._free: list[Slots] = []
        self._top = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Memory that rows and index take."""
        columns: int = sum(getattr(self, name).nbytes for name in PREDICTION | LABEL)
        return columns + self._index.size_bytes + sum(map(len, self.scores.values()))

    @property
    def slots(self) -> Slots:
        """Every slot that is in use."""
        return np.flatnonzero(self.time_ms[: self._top] != _NEVER_MS)

    def scattered(self, keys: Hashes) -> Keys:
        """Return numbers that are equal for equal ids, and else as good as never."""
        return scattered(keys, self._index.seed)

    def find(self, keys: Hashes) -> Slots:
        """Return the slot of every id, -1 where it is not known."""
        return self._index.find(keys.high, keys.low, rows=(self.high, self.low))

    def insert(self, columns: Mapping[str, NDArray[Any]]) -> Slots:
        """Add rows without labels; their ids must be new and different from each other.

        Parameters
        ----------
        columns
            Those of `PREDICTION`.
        """
        slots = self._take_slots(len(columns["low"]))
        for name in PREDICTION:
            getattr(self, name)[slots] = columns[name]
        self.label_ms[slots] = self.newest_ms[slots] = -1
        self.label_number[slots] = np.nan
        self.label_code[slots] = -1
        self.flags[slots] = 0
        self._count += len(slots)
        self._index.insert(slots, rows=(self.high, self.low), count=self._count)
        return slots

    def remove(self, slots: Slots) -> None:
        """Forget rows; slots that were known before mean nothing afterwards."""
        if not len(slots):
            return
        self._index.delete(slots, rows=(self.high, self.low))
        if self.scores:
            for slot in slots.tolist():
                self.scores.pop(slot, None)
        self.time_ms[slots] = _NEVER_MS
        self._free.append(slots)
        self._count -= len(slots)
        if self._top > _SHRINK * max(self._count, _SMALLEST):
            self._shrink()

    def older_than(self, time_ms: int, *, since_ms: int | None = None) -> Slots:
        """Return the rows whose prediction is older, but not older than `since_ms`."""
        times_ms = self.time_ms[: self._top]
        older = times_ms < time_ms
        return np.flatnonzero(older if since_ms is None else older & (times_ms >= since_ms))

    def between(self, first: int, last: int) -> Slots:
        """Return the rows in a range of the high halves of their hashes, both ends inclusive."""
        high = self.high[: self._top]
        slots = np.flatnonzero((high >= np.uint64(first)) & (high <= np.uint64(last)))
        used: Slots = slots[self.time_ms[slots] != _NEVER_MS]
        return used

    def _take_slots(self, count: int) -> Slots:
        taken: list[Slots] = []
        while count and self._free:
            slots = self._free.pop()
            if len(slots) > count:
                self._free.append(slots[count:])
                slots = slots[:count]
            taken.append(slots)
            count -= len(slots)
        if count:
            self._reserve(self._top + count)
            taken.append(np.arange(self._top, self._top + count))
            self._top += count
        return np.concatenate(taken) if taken else np.empty(0, np.int64)

    def _reserve(self, wanted: int) -> None:
        capacity = len(self.low)
        if wanted <= capacity:
            return
        capacity = max(wanted, capacity + capacity // 2)
        for name, kind in (PREDICTION | LABEL).items():
            column = np.zeros(capacity, kind)  # takes no memory before it is used
            column[: self._top] = getattr(self, name)[: self._top]
            setattr(self, name, column)
        self.time_ms[self._top :] = _NEVER_MS

    def _shrink(self) -> None:
        """Move the rows together, after most of them have gone."""
        slots = self.slots
        kept = {name: getattr(self, name)[slots] for name in PREDICTION | LABEL}
        scores = [(i, self.scores.get(slot)) for i, slot in enumerate(slots.tolist())]
        self._clear(max(_SMALLEST, len(slots)))
        moved = self.insert(kept)
        for name in LABEL:
            getattr(self, name)[moved] = kept[name]
        self.scores = {int(moved[i]): packed for i, packed in scores if packed is not None}
