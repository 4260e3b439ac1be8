"""The second stage: evaluate outcomes per model into metrics and alerts.

What is counted commutes, so window metrics are published at once. What needs order (detectors,
rules) waits until the clocks of *all* join partitions have passed. This stage knows nothing of
joining. Panes are written down when rows are taken in order: until then it is written down where
the rows are, so that they can be read and counted again.
"""

from collections.abc import Mapping, Sequence

import msgspec

from streams.cells.schedule import Revising
from streams.cells.windowing import Windowing
from streams.comparisons import check_comparisons
from streams.costs import Costs
from streams.errors import StateError
from streams.limits import LIMITS, RecordLimits
from streams.model_keys import Name
from streams.monitor import tables
from streams.monitor.host_readings import WAIT_MS
from streams.monitor.state import MonitorState
from streams.monitor.work import Work
from streams.monitors import DEFAULTS, FORGET_MS, Monitors, Window
from streams.outcomes import ClockNotice, Outcomes, decode_outcomes
from streams.quarantine import LARGEST_STATE_BYTES
from streams.steps import NOT_QUIET, Batch, Effects, ModelKind
from streams.task import CAPS, Caps
from streams.topics import Topics

# A step that takes longer keeps a worker from answering.
_ROWS_AT_ONCE = 20_000


class Monitor:
    """Evaluate outcomes.

    Parameters
    ----------
    window_ms
        Window whose metrics are published when `monitors` names none.
    forget_ms
        Models that are silent for so long in event time are forgotten.
    caps
        How much of a model is watched.
    partitions, limits
        How many there are, and what a reading of a host may hold.

    Attributes
    ----------
    hold_metrics
        While it is set, revisions wait for a later step: a run over a file needs only the last
        one. A worker must not set it, since what waits is not written down.
    revising
        How soon windows under way are written again; at once, and all of it, where the join
        has nothing to read.
    least_windows, rows_at_once
        See `streams.monitor.pace.budget_of`.
    readings_wait_ms
        See `HostReadings`: a run over a file, which reads them first, waits for ever.
    categories
        See `streams.categories.category_names`.
    largest_bytes
        A model with a record of state that is larger is set aside, see `streams.quarantine`.
    """

    name = "monitor"
    ticks = False

    def __init__(
        self,
        topics: Topics,
        *,
        window_ms: int,
        horizon_ms: int,
        monitors: Monitors | None = None,
        forget_ms: int = FORGET_MS,
        caps: Caps = CAPS,
        partitions: int = 1,
        limits: RecordLimits = LIMITS,
    ) -> None:
        self.partitions, self.limits = partitions, limits
        self.topics, self.forget_ms = topics, forget_ms
        self.caps = caps
        self.inputs = (topics.outcomes, topics.resources)
        self.global_inputs = topics.read_in_full
        self._said: set[str] = set()
        self.state_topic = topics.monitor_state
        self.metrics, self.alerts = topics.metrics, topics.alerts
        self.hold_metrics = False
        self.revising = Revising()
        self.least_windows = 200
        self.rows_at_once = _ROWS_AT_ONCE
        self.largest_bytes = LARGEST_STATE_BYTES
        self.readings_wait_ms = WAIT_MS
        self.categories = Work.categories
        self.monitors = DEFAULTS if monitors is None else monitors
        windows = self.monitors.windows or (Window(window_ms, window_ms),)
        self.window_ms = windows[0].size_ms
        self.windowing = Windowing(
            windows,
            horizon_ms=horizon_ms,
            coarse=self.monitors.coarse,
            baseline_ms=self.monitors.baseline,
            baseline_rows=self.monitors.baseline_rows,
        )
        check_comparisons(
            self.monitors.compared,
            spans_ms=self.monitors.baseline,
            pane_ms=self.windowing.pane_ms,
        )

    def new_state(self, partition: int) -> MonitorState:
        """Return the state before the first record."""
        way = self.windowing
        own = msgspec.structs.replace(self.monitors, windows=way.windows)
        state = MonitorState(
            partition,
            own,
            windowing=way,
            forget_ms=self.forget_ms,
            caps=self.caps,
            said=self._said,
        )
        state.hosts.wait_ms = self.readings_wait_ms
        return state

    def step(
        self,
        state: MonitorState,
        batches: Sequence[Batch],
        *,
        now_ms: int,
        idle: frozenset[str] = frozenset(),
        announce: bool = True,  # noqa: ARG002 - every stage has this signature
        tick_ms: int = 0,  # noqa: ARG002
        quiet_ms: Mapping[str, int] = NOT_QUIET,  # noqa: ARG002
    ) -> Effects:
        """Evaluate the batches; see `streams.steps.Stage`."""
        if state.to_reread:
            raise StateError("rows that the monitor's state is about were not read again")
        work = Work(state, self.topics, largest_bytes=self.largest_bytes)
        work.categories = self.categories
        work.begin()
        work.settle_silence()
        self._take(work, batches, now_ms=now_ms)
        costs, least = state.costs, self.least_windows
        nothing_comes = state.quiet or self.topics.outcomes in idle
        revising = Revising(0, 0) if nothing_comes else self.revising
        with costs.on(costs.COUNTING):
            state.behind = not work.restore(self.rows_at_once)
        if not state.reread:
            work.schedule()
            work.schedule_forgets()
            work.schedule_adoptions()
        if not state.behind:
            work.change_windows()
            with costs.on(costs.COUNTING):
                work.count_readings()
            state.windows.wake(now_ms, revising)
            budget = work.budget(
                now_ms, rows_at_once=self.rows_at_once, least_windows=least, idle=nothing_comes
            )
            state.held = not budget.releases
            if budget.counts:
                state.counted_at_ms = now_ms
                with costs.on(costs.COUNTING):
                    state.behind = not work.count(budget.most_counted)
            if budget.releases and not state.behind:
                state.released_at_ms = now_ms
                with costs.on(costs.ORDERED):
                    state.behind = not work.release(budget.most_released)
                    if not state.behind:
                        work.look_at_silence()
            if not state.behind:
                work.grow_baselines()
                with costs.on(costs.PUBLISHING):
                    work.pass_hours()
            state.windows.wake(now_ms, revising)
            if not self.hold_metrics:
                with costs.on(costs.PUBLISHING):
                    work.publish(budget.windows, now_ms=now_ms, refresh_ms=revising.refresh_ms)
        with costs.on(costs.WRITING):
            return work.effects(changed=bool(batches), hold_metrics=self.hold_metrics)

    def _take(self, work: Work, batches: Sequence[Batch], *, now_ms: int) -> None:
        state = work.state
        for batch in batches:
            if batch.topic == self.topics.resources:
                work.read(batch, now_ms=now_ms, limits=self.limits, partitions=self.partitions)
                state.next[batch.topic] = batch.next_offset
                continue
            if batch.topic == self.topics.monitors:
                work.specify(batch)
                state.next[batch.topic] = batch.next_offset
                continue
            if batch.topic == self.topics.feedback:
                work.take_feedback(batch, partitions=self.partitions)
                state.next[batch.topic] = batch.next_offset
                continue
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                if value is None:
                    continue
                found = _outcomes(value, f"{batch.topic}/{state.partition}@{offset}")
                if isinstance(found, ClockNotice):
                    state.notices[found.source] = found
                    state.sources = found.sources
                else:
                    work.arrive(found, offset)
            state.next[batch.topic] = batch.next_offset

    # ------------------------------------------------------------------ state
    def fold(self, state: MonitorState, key: bytes | None, value: bytes | None) -> None:
        """Fold one upsert of the compacted state topic."""
        if key is None:
            raise StateError("the monitor's state topic has a record without a key")
        tables.fold(state, key, value)

    def recalls(self, state: MonitorState) -> Mapping[str, Sequence[int]]:
        """Return the records that wait to be counted, or to be taken in order."""
        return {self.inputs[0]: sorted(state.to_reread)} if state.to_reread else {}

    def recall(self, state: MonitorState, batch: Batch) -> None:
        """Take records again that wait."""
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            where = f"{batch.topic}/{state.partition}@{offset}"
            rows = None if value is None else _outcomes(value, where)
            if not isinstance(rows, Outcomes):
                raise StateError(f"outcomes record {where} has no rows; the state says that it has")
            state.reread[offset] = state.to_reread.pop(offset), rows

    # ------------------------------------------------------------------ looking
    def time_ms(self, batch: Batch, index: int) -> int:
        """Return the time at which a record was written, which is about that of its rows or later.

        Outcomes that were written by then know of nothing that a host had read later.
        """
        return batch.times_ms[index]

    def unfinished(self, state: MonitorState) -> bool:
        """Whether windows wait to be published, or rows that could be taken in order."""
        settled_ms = state.settled_ms
        growing = state.windows.baselines.behind or state.windows.hours.behind
        waiting = state.windows.wants_publishing(settled_ms) or state.swept_ms != settled_ms
        restored = bool(state.reread) or state.hosts.behind
        return state.held or state.behind or restored or waiting or growing

    def costs(self, state: MonitorState) -> tuple[Costs, list[Name]]:
        """Return what the partition has cost, and the names of its models by code."""
        return state.costs, state.names

    def warnings(self, state: MonitorState) -> list[str]:
        """Name the models that are set aside, and what is odd about others."""
        oddities = [oddity.text for oddity in state.oddities.values()]
        return [*(str(why) for why in state.quarantined.values()), *oddities]

    def ahead(self, state: MonitorState) -> tuple[()]:  # noqa: ARG002
        """Return nothing: the clock comes from the join."""
        return ()

    def kinds(self, state: MonitorState) -> list[ModelKind]:
        """Return what kind of model each is, by the records so far."""
        shown = state.noticed.shown
        return [ModelKind(*name, str(shown[code].newest)) for name, code in state.codes.items()]

    def gauges(self, state: MonitorState) -> Mapping[str, float]:
        """Return what the telemetry shows of the state."""
        return {
            "models": len(state.codes),
            "text_models": len(state.noticed.text),
            "quarantined_models": len(state.quarantined),
            "clock_ms": state.watermark_ms,
            "state_entries": len(state.waiting) + state.windows.entries + state.rules.entries,
        }


def _outcomes(value: bytes, where: str) -> Outcomes | ClockNotice:
    """Decode what only a join writes: to skip a damaged record would be to miscount."""
    try:
        return decode_outcomes(value)
    except StateError as error:
        raise StateError(f"outcomes record {where} cannot be used: {error}") from error
    except Exception as error:
        # Not what else an error says: that may be a part of the record.
        raise StateError(
            f"outcomes record {where} cannot be used: it is damaged ({type(error).__name__}), or"
            " something else than a worker wrote it"
        ) from error
