"""The shape that every stage has, and the values that go in and come out of its step.

A stage is pure: ``step(state, batches, …) -> Effects`` advances the state in memory and says
what must be written, in one transaction, so that ``fold`` over the written state records
gives the same state again. Whoever runs a stage (the worker, `replay`, a test) brings the
batches and writes the effects; no stage knows which of them it is.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from streams.costs import Costs
from streams.fast_clocks import Ahead
from streams.probabilities import Oddity
from streams.quarantine import Quarantined
from streams.texts import Texts
from streams.values import Dropped

NOT_QUIET: Mapping[str, int] = MappingProxyType({})

LARGEST_VALUE_BYTES = 1_000_000
"""A stage splits what it writes rather than write more in one record: brokers refuse that."""

MARK = b"mark"
"""Key of a state record with which a log may begin, see `Effects.marks`."""


class Batch(msgspec.Struct, kw_only=True):
    """Records of one input partition, in offset order, as parallel lists of equal length.

    Attributes
    ----------
    next_offset
        Where to go on reading: one past the last record here. Offsets may have gaps.
    times_ms
        The records' own timestamps, in milliseconds since the epoch, UTC.
    headers
        `None` when no record of the batch has any.
    """

    topic: str
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    times_ms: Sequence[int]
    next_offset: int
    headers: Sequence[Any] | None = None

    @property
    def text_bytes(self) -> int:
        """Bytes of all keys and values."""
        return _bytes_of(self.values) + _bytes_of(self.keys)


def _bytes_of(column: Sequence[bytes | None]) -> int:
    if isinstance(column, Texts):
        return column.size_bytes
    try:
        return sum(map(len, column))  # type: ignore[arg-type]  # mostly there is no None
    except TypeError:
        return sum(map(len, filter(None, column)))


class _Chained(Sequence[Any]):
    """Sequences behind each other, without copying them."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: Any) -> Any:
        part = bisect_right(self._ends, index)
        return self._parts[part][index - (self._ends[part - 1] if part else 0)]


def in_one(batches: Sequence[Batch]) -> Batch:
    """Put batches of one input partition, which follow each other, together.

    Examples
    --------
    >>> first, second = (
    ...     Batch(
    ...         topic="t", offsets=[n], keys=[b"k"], values=[b"v"], times_ms=[n], next_offset=n + 1
    ...     )
    ...     for n in (3, 5)
    ... )
    >>> both = in_one([first, second])
    >>> both.offsets[1], both.values, both.next_offset
    (5, [b'v', b'v'], 6)
    """
    if len(batches) == 1:
        return batches[0]
    headers = [b.headers if b.headers is not None else [None] * len(b.offsets) for b in batches]
    return Batch(
        topic=batches[0].topic,
        offsets=_Chained([batch.offsets for batch in batches]),
        keys=_together([batch.keys for batch in batches]),
        values=_together([batch.values for batch in batches]),
        times_ms=_Chained([batch.times_ms for batch in batches]),
        next_offset=batches[-1].next_offset,
        headers=_Chained(headers),
    )


def _together(parts: Sequence[Sequence[bytes | None]]) -> Sequence[bytes | None]:
    if all(isinstance(part, Texts) for part in parts):
        return Texts.joined(parts)  # type: ignore[arg-type]  # as just seen
    return list(chain.from_iterable(parts))


class Record(NamedTuple):
    """One record to be produced; `partition` `None` means by murmur2 of the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


class DeadLetter(NamedTuple):
    """One input record that could not be used, byte for byte, and why."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Any
    reason: str
    detail: str


class ModelKind(msgspec.Struct, frozen=True):
    """What kind of model a model version is judged to be, and why."""

    model: str
    version: str
    kind: str

    def __str__(self) -> str:
        version = f", version {self.version!r}," if self.version else ""
        return f"model {self.model!r}{version} is {self.kind}"


class Effects(msgspec.Struct):
    """What one step wants written, all in one transaction.

    Attributes
    ----------
    state
        `(key, value)` for the stage's state topic, same partition number as the inputs.
        A `None` value deletes a key of a compacted topic.
    records
        Outputs.
    fates
        How many records ended in which fate; a value may be negative when a fate is taken back.
    dropped
        Values that were left out of predictions, an example and a count for each field.
    late_rows
        Rows that came later than the allowed disorder, so that detectors could not use them.
    set_aside, set_aside_rows
        Models that were set aside in this step, see `streams.quarantine`; how many rows were left
        out, of these and of others before.
    remarks
        What those who run it should know, a line each.
    oddities
        What is odd about models, said for the first time since the state was opened.
    improper_scores
        Outcomes with a score that is no probability.
    left_out_features, left_out_segments
        Values and segments that were left out of predictions of models with too many of them.
    other_rows
        Outcomes with a class that is not counted by its name, but as one of the others.
    forgotten, forgotten_rows
        Models that were forgotten; rows that were left out, since an order to forget their model
        was given after their prediction.
    adopted, adoptions_left
        Orders to adopt a level that took effect; those of alerts that did not fire, or cannot be.
    restarted
        Parts of the state that began anew as it was opened, since they were of another version.
    marks
        How many of the marks in the state log are still needed, these included: once all this
        is committed, whatever is older than the first of them may be deleted. `None`: everything
        is needed.
    """

    state: list[tuple[bytes | None, bytes | None]] = []
    records: list[Record] = []
    dead_letters: list[DeadLetter] = []
    fates: dict[str, int] = {}
    dropped: list[Dropped] = []
    late_rows: int = 0
    set_aside: list[Quarantined] = []
    set_aside_rows: int = 0
    remarks: list[str] = []
    oddities: list[Oddity] = []
    improper_scores: int = 0
    left_out_features: int = 0
    left_out_segments: int = 0
    other_rows: int = 0
    forgotten: int = 0
    forgotten_rows: int = 0
    adopted: int = 0
    adoptions_left: int = 0
    restarted: list[str] = []
    marks: int | None = None


class Stage(Protocol):
    """What a runner needs of a stage; `join.Join` and `evaluate.Monitor` are the two."""

    name: str
    inputs: tuple[str, ...]
    global_inputs: tuple[str, ...]
    """Topics of one partition each, of which every partition of the stage takes all records."""
    state_topic: str
    ticks: bool
    """Whether it has a clock of its own, and is told how long nothing has come."""

    def new_state(self, partition: int) -> Any:
        """Return the state of a partition before its first record; `state.next` is `{}`."""

    def fold(self, state: Any, key: bytes | None, value: bytes | None) -> None:
        """Fold one state record, in log order, into the state."""

    def recalls(self, state: Any) -> Mapping[str, Sequence[int]]:
        """Return offsets of input records, by topic, that a folded state needs again.

        They are before `state.next` and rise.
        """

    def recall(self, state: Any, batch: Batch) -> None:
        """Take records that `recalls` asks for, in their order; all of them come before a step."""

    def step(
        self,
        state: Any,
        batches: Sequence[Batch],
        *,
        now_ms: int,
        idle: frozenset[str] = frozenset(),
        announce: bool = True,
        tick_ms: int = 0,
        quiet_ms: Mapping[str, int] = NOT_QUIET,
    ) -> Effects:
        """Advance the state, `state.next` (`{topic: next offset}`) included.

        Parameters
        ----------
        now_ms
            Wall clock of the runner: what it says is too far in the future to be an event time, and
            when to do what can wait to be more. Which values are published last, and which alerts,
            depends on records alone.
        idle
            Inputs that are read to their end and have been quiet for the idle timeout.
        announce
            Whether this step should tell the next stage how far the event-time clock is.
        tick_ms
            If nothing has come for long: the wall time since the last such step, or since then.
        quiet_ms
            Of inputs of which records come now, for how long there was known to be nothing; only
            of those that were idle. It lets the event-time clock go on sooner, and decides no fate.
        """

    def unfinished(self, state: Any) -> bool:
        """Whether a step without any batch would write something more."""

    def time_ms(self, batch: Batch, index: int) -> int:
        """Return the event time of a record that was not processed yet, without checking it.

        Whoever reads several inputs lets them advance together in this time.
        """

    def costs(self, state: Any) -> tuple[Costs, list[tuple[str, str]]] | None:
        """Return what a partition has cost and the models in it, where a stage knows."""

    def warnings(self, state: Any) -> list[str]:
        """Return what a person should know of a partition, a sentence each."""

    def ahead(self, state: Any) -> Sequence[Ahead]:
        """Return, of every input that has a clock of its own, what is ahead of it."""

    def kinds(self, state: Any) -> Sequence[ModelKind]:
        """Return what kind of model each of a partition is, where a stage knows models."""

    def gauges(self, state: Any) -> Mapping[str, float]:
        """Return what the worker's telemetry should show of a partition's state."""
