"""What the join remembers of a partition: predictions and their labels, and labels that wait."""

from collections import Counter, deque
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from streams.fast_clocks import FastClocks
from streams.hash_index import Slots
from streams.held import HeldTable, hash_ids
from streams.identities import Identities
from streams.input_clock import InputClock
from streams.interning import Interner
from streams.outcomes import ClockNotice
from streams.probabilities import Oddity

RING = 2**64
"""How many hashes of ids there are."""

MOST_EARLY = 32
"""So many labels of one id wait for its prediction."""

EarlyChange = tuple[bytes, "Early | None"]
"""An id, and a label that began to wait for its prediction; `None`: none waits any more."""


class Early(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A label record that waits for its prediction."""

    value: bytes | None
    label_ms: int
    time_ms: int
    offset: int


_age = attrgetter("label_ms", "offset")


class JoinState:
    """State of one partition; `join_log.read` over its log rebuilds it.

    Parameters
    ----------
    partitions
        How many partitions the inputs have.
    bucket_ms
        What is this close in time is forgotten together.
    seed
        See `HashIndex`.

    Attributes
    ----------
    early, early_high, early_buckets
        Labels that wait for their prediction, by id; half of the hash of such an id; the ids by
        the time of such a label.
    early_labels
        How many labels wait.
    passed_ms
        How long nothing has come, by ticks.
    closed_ms
        Predictions that are older are closed, and no others.
    oldest_ms, oldest_open_ms
        No prediction is older, no prediction whose horizon is not known to have passed.
    sweep_at
        Where on the ring of hashes the sweep goes on.
    marks
        Of the marks that are needed, oldest first: length of the range, bytes that it took.
    swept
        How much of the ring these marks cover.
    missing
        How much of the ring is not known yet, while a log is folded that begins with a mark.
    unswept_bytes
        What was appended and no mark was written for; after a restart, since the last mark.
    oddities
        What was said about models since the partition was opened; not written down.
    """

    def __init__(
        self, partition: int, *, partitions: int, bucket_ms: int, seed: bytes | None = None
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.bucket_ms = bucket_ms
        self.seq = 0
        self.next: dict[str, int] = {}
        self.inputs: dict[str, InputClock] = {}
        self.clock_ms = -1
        self.passed_ms = 0
        self.closed_ms = -1
        self.pending = 0
        self.fates: Counter[str] = Counter()
        self.held = HeldTable(seed)
        self.strings = Interner[str]()
        self.identities = Identities(partitions)
        self.oldest_ms = self.oldest_open_ms = RING
        self.early: dict[bytes, list[Early]] = {}
        self.early_high: dict[bytes, int] = {}
        self.early_buckets: dict[int, dict[bytes, None]] = {}
        self.early_labels = 0
        self.announced: ClockNotice | None = None
        self.fast_clocks = FastClocks(partition)
        self.sweep_at = 0
        self.marks: deque[tuple[int, int]] = deque()
        self.swept = 0
        self.missing = 0
        self.oddities: dict[tuple[str, str, str], Oddity] = {}
        self.unswept_bytes = 0

    @property
    def log_is_cut(self) -> bool:
        """Whether everything before the marks that are needed can be deleted from the log."""
        return self.swept >= RING

    def add(self, columns: dict[str, Any]) -> Slots:
        """Remember predictions, see `HeldTable.insert`."""
        oldest_ms = int(columns["time_ms"].min())
        self.oldest_ms = min(self.oldest_ms, oldest_ms)
        self.oldest_open_ms = min(self.oldest_open_ms, oldest_ms)
        return self.held.insert(columns)

    def bucket(self, time_ms: int) -> int:
        """Return the number of the bucket of a time."""
        return time_ms // self.bucket_ms

    def wait(self, record_id: bytes, item: Early) -> int:
        """Let a label wait for its prediction; return how many it has crowded out (0 or 1).

        Of `MOST_EARLY` labels of one id and this one, the oldest goes, of equally old ones the one
        read first. So the newest are kept, in whatever order they come, and with them the one that
        counts in the end; and an id that many labels name by mistake ("None") costs what others do.
        """
        waiting = self.early.get(record_id)
        if waiting is None:
            waiting = self.early[record_id] = []
            self.early_high[record_id] = int(hash_ids([record_id]).high[0])
        waiting.append(item)
        self.early_buckets.setdefault(self.bucket(item.label_ms), {})[record_id] = None
        if len(waiting) > MOST_EARLY:
            waiting.remove(min(waiting, key=_age))
            return 1
        self.early_labels += 1
        return 0

    def take_early(self, record_id: bytes) -> list[Early]:
        """Stop waiting for a prediction; return the labels that have waited for it."""
        waiting = self.early.pop(record_id, None)
        if waiting is None:
            return []
        del self.early_high[record_id]
        self.early_labels -= len(waiting)
        return waiting

    def give_up(self, record_id: bytes, bucket: int) -> int:
        """Stop waiting for the prediction of labels of a bucket; return how many there were."""
        waiting = self.early.get(record_id, [])
        kept = [item for item in waiting if self.bucket(item.label_ms) != bucket]
        if not kept:
            return len(self.take_early(record_id))
        self.early[record_id] = kept
        self.early_labels -= len(waiting) - len(kept)
        return len(waiting) - len(kept)

    def forget_unused(self) -> None:
        """Drop classes and identities that no row has any more; codes stay what they are."""
        held = self.held
        if self.identities.crowded:
            self.identities.keep(np.unique(held.identity[held.slots]).tolist())
        if self.strings.crowded:
            slots = held.slots
            codes = (held.code[slots], held.label_code[slots])
            self.strings.keep(np.unique(np.concatenate(codes)).tolist())
