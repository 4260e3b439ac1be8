"""The first stage: match labels to predictions, by prediction id, each record in exactly one fate.

What decides a fate is the records' own times, never the moment at which they are read:

* a label up to `horizon_ms` after its prediction counts, a later one is late, one that is later
  still (by over `grace_ms`) is an orphan, as is one over `horizon_ms` *before* its prediction;
* a label that is read before its prediction waits, and then counts as if it had come after it;
  of one id at most `join_state.MOST_EARLY` wait, the newest: an older one is an orphan;
* of two labels the one with the newer timestamp counts, of equal ones the one read later.

The clock only decides when something may be forgotten. `matching` decides fates, `join_state`
holds what is remembered, `join_log` writes it down; nothing here knows of metrics.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from streams import join_log
from streams.clock import partition_clock_ms, settled_ms
from streams.clock_limits import SHARE, Limits
from streams.decoding import Decoder
from streams.errors import StateError
from streams.fast_clocks import WORTH_SAYING_MS, Ahead
from streams.heads import peek_time_ms
from streams.held import CLOSED, EFFECTIVE
from streams.input_clock import InputClock
from streams.join_log import LOG_BYTES
from streams.join_state import JoinState
from streams.limits import LIMITS, RecordLimits
from streams.matching import FATES, Matching
from streams.outcomes import ClockNotice, encode_clock
from streams.steps import NOT_QUIET, Batch, Effects, Record, in_one
from streams.topics import Topics


class Join:
    """Join predictions and labels into outcomes.

    Parameters
    ----------
    partitions
        Partition count of the inputs and of the outcomes topic.
    grace_ms
        How long past the horizon a label is still recognised as late; `None` for the horizon.
    features
        Whether features of predictions are looked at.
    limits
        What a record may hold.
    seed
        A secret of the process, see `HashIndex`; no result depends on it.
    share
        Share of the last records that the clock follows, see `streams.input_clock`.
    log_bytes
        The state log is kept to twice the size of the state and about so much.
    """

    name = "join"
    ticks = True

    def __init__(
        self,
        topics: Topics,
        *,
        partitions: int,
        horizon_ms: int,
        disorder_ms: int,
        grace_ms: int | None = None,
        log_bytes: int = LOG_BYTES,
        features: bool = True,
        limits: RecordLimits = LIMITS,
        seed: bytes | None = None,
        share: float = SHARE,
    ) -> None:
        self.predictions, self.labels = topics.predictions, topics.labels
        self.global_inputs: tuple[str, ...] = ()
        self.inputs = (topics.predictions, topics.labels)
        self.state_topic = topics.join_state
        self.outcomes = topics.outcomes
        self.partitions = partitions
        self.horizon_ms = horizon_ms
        self.limits = Limits(disorder_ms=disorder_ms, horizon_ms=horizon_ms, share=share)
        self.grace_ms = horizon_ms if grace_ms is None else grace_ms
        self.log_bytes = log_bytes
        self.seed = seed
        self.decoder = Decoder(features=features, limits=limits, seed=seed)
        self.bucket_ms = max(horizon_ms // 60, 1_000)

    def new_state(self, partition: int) -> JoinState:
        """Return the state before the first record."""
        state = JoinState(
            partition, partitions=self.partitions, bucket_ms=self.bucket_ms, seed=self.seed
        )
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
        tick_ms: int = 0,
        quiet_ms: Mapping[str, int] = NOT_QUIET,
    ) -> Effects:
        """Match the records of the batches; see `streams.steps.Stage`."""
        if state.missing:
            raise StateError("the join's state log ends before it has told the whole state")
        work = Matching(self, state, now_ms=now_ms)
        remarks: list[str] = []
        for clock in state.inputs.values():
            clock.fresh.clear()
        # Predictions first, since the order of reading is no matter, and labels need not wait then.
        for topic, take in ((self.predictions, work.predictions), (self.labels, work.labels)):
            own = [batch for batch in batches if batch.topic == topic]
            if own:
                batch = in_one(own)
                if (seen := take(batch)) is not None:
                    clock = state.inputs[topic]
                    pause_ms = quiet_ms.get(topic, 0)
                    clock.follow(seen.times_ms, seen.ids, limits=self.limits, pause_ms=pause_ms)
                    remarks += state.fast_clocks.look(topic, clock, seen)
                state.next[topic] = batch.next_offset
        for topic, clock in state.inputs.items():
            clock.idle = topic in idle
        if batches:
            state.passed_ms = 0
        elif all(clock.idle for clock in state.inputs.values()):
            state.passed_ms += tick_ms
        clock_ms = partition_clock_ms(state.inputs.values(), self.limits)
        clock_ms = max(clock_ms, state.clock_ms)
        changes = work.changes()
        work.fates.update(self._close(state, clock_ms))
        state.fates.update(work.fates)
        deltas = join_log.write(state, changes, clock_ms=clock_ms)
        self._forget(state)
        state.unswept_bytes += sum(map(len, deltas))
        marks = join_log.sweep(state, log_bytes=self.log_bytes)
        effects = Effects(
            state=[*((None, delta) for delta in deltas), *marks],
            records=[Record(self.outcomes, None, rows, p) for p, rows in work.rows.encode()],
            dead_letters=work.dead_letters,
            fates=dict(work.fates),
            remarks=remarks,
            dropped=list(work.dropped.values()),
            oddities=work.oddities,
            marks=len(state.marks) if state.log_is_cut else None,
        )
        state.forget_unused()
        if announce:
            effects.records += self._notices(state)
        return effects

    def fold(self, state: JoinState, key: bytes | None, value: bytes | None) -> None:  # noqa: ARG002
        """Fold one record of the state log; its key means nothing here."""
        clock_ms = join_log.read(state, value)
        if clock_ms is not None:
            fates, pending = state.fates.copy(), state.pending  # as they were after it had passed
            self._close(state, clock_ms)
            state.fates, state.pending = fates, pending
            self._forget(state)
        state.forget_unused()

    def recalls(self, state: JoinState) -> Mapping[str, Sequence[int]]:  # noqa: ARG002
        """Return nothing: the log has all of the state."""
        return {}

    def recall(self, state: JoinState, batch: Batch) -> None:
        """Take nothing, since nothing was asked for."""

    def unfinished(self, state: JoinState) -> bool:  # noqa: ARG002
        """Whether there is more to write; whatever a step finds, it writes."""
        return False

    def end(self, state: JoinState, *, newest_ms: int) -> None:
        """Say that nothing more will come at all, and how far it has come, before the last step."""
        for clock in state.inputs.values():
            clock.end(newest_ms)

    def costs(self, state: JoinState) -> None:  # noqa: ARG002
        """Return nothing: the join does not know models, and records cost about the same."""
        return

    def warnings(self, state: JoinState) -> list[str]:
        """Say which inputs have records far ahead of the clock, and which models odd events."""
        ahead = [str(one) for one in self.ahead(state) if one.ahead_ms >= WORTH_SAYING_MS]
        return ahead + [oddity.text for oddity in state.oddities.values()]

    def kinds(self, state: JoinState) -> tuple[()]:  # noqa: ARG002
        """Return nothing, as above."""
        return ()

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
            "state_bytes": state.held.size_bytes,
        }

    def ahead(self, state: JoinState) -> list[Ahead]:
        """Return, of every input, what the clock does not follow."""
        return [state.fast_clocks.ahead(topic, one) for topic, one in state.inputs.items()]

    def _close(self, state: JoinState, clock_ms: int) -> Counter[str]:
        """Let the clock pass, which decides fates; what it passed long ago is still there.

        Predictions are closed as far as the soft clock says, and opened again when it is dropped.
        """
        state.clock_ms = clock_ms
        limit_ms = state.bucket(clock_ms - self.horizon_ms) * self.bucket_ms
        soft_ms = state.bucket(clock_ms + state.passed_ms - self.horizon_ms) * self.bucket_ms
        fates: Counter[str] = Counter()
        if soft_ms < state.closed_ms:
            fates["unlabelled"] -= self._open_predictions(state, soft_ms)
        if state.oldest_open_ms < soft_ms:
            fates["unlabelled"] += self._close_predictions(state, soft_ms)
        state.closed_ms = soft_ms
        closing = state.bucket(limit_ms) - 1
        for bucket in [b for b in state.early_buckets if b <= closing]:
            for record_id in state.early_buckets.pop(bucket):
                fates["orphan_label"] += state.give_up(record_id, bucket)
        return fates

    def _close_predictions(self, state: JoinState, limit_ms: int) -> int:
        held = state.held
        slots = held.older_than(limit_ms, since_ms=state.oldest_open_ms)
        slots = slots[(held.flags[slots] & CLOSED) == 0]
        unlabelled = int(np.count_nonzero((held.flags[slots] & EFFECTIVE) == 0))
        held.flags[slots] |= CLOSED
        state.pending -= unlabelled
        state.oldest_open_ms = limit_ms
        return unlabelled

    def _open_predictions(self, state: JoinState, limit_ms: int) -> int:
        held = state.held
        slots = held.older_than(state.closed_ms, since_ms=limit_ms)
        slots = slots[(held.flags[slots] & CLOSED) != 0]
        held.flags[slots] &= ~np.uint8(CLOSED)
        reopened = int(np.count_nonzero((held.flags[slots] & EFFECTIVE) == 0))
        state.pending += reopened
        state.oldest_open_ms = min(state.oldest_open_ms, limit_ms)
        return reopened

    def _forget(self, state: JoinState) -> None:
        """Forget predictions that no label can be late for any more."""
        limit_ms = state.bucket(state.clock_ms - self.horizon_ms - self.grace_ms) * self.bucket_ms
        if state.oldest_ms < limit_ms:
            slots = state.held.older_than(limit_ms)
            state.held.remove(slots)
            state.oldest_ms = limit_ms

    def _notices(self, state: JoinState) -> list[Record]:
        clocks = state.inputs.values()
        idle = all(clock.idle for clock in clocks)
        notice = ClockNotice(
            source=state.partition,
            sources=self.partitions,
            clock_ms=state.clock_ms,
            newest_ms=settled_ms(clocks, self.limits) if idle else max(c.newest_ms for c in clocks),
            idle=idle,
            near_ms=max(self.limits.reach_ms(clock.step_ms) for clock in clocks),
            passed_ms=state.passed_ms,
        )
        if notice == state.announced:
            return []
        state.announced = notice
        value = encode_clock(notice)
        return [Record(self.outcomes, None, value, p) for p in range(self.partitions)]
