"""The second stage: evaluate outcomes per model into metrics and alerts.

Tallies commute, so window metrics are published at once. What needs order (detectors, rules)
waits until the clocks of *all* join partitions have passed. This module knows nothing of joining.

Publishing a window, counting rows, and taking them in order, cost about the same for one row of a
model as for hundreds. So that many models with few rows each cost no more than their rows do, a
step publishes a limited number of windows, those that wait longest first, and counts rows, and
takes them in order, once there are some of each model, or some time has passed. Panes are written
down when rows are taken in order: until then it is written down where the rows are, so that they
can be read and counted again.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np

from streams.alerts import Alert, resolve
from streams.cells.grid import BUCKET_BITS, World
from streams.cells.judging import Judges
from streams.cells.windows import KINDS as CELL_KINDS
from streams.cells.windows import WindowCells, Windowing
from streams.clock import joint_clock_ms, joint_passed_ms
from streams.costs import Costs
from streams.durations import format_duration, parse_duration_ms
from streams.errors import StateError
from streams.families import CATALOGUE
from streams.formats import Format
from streams.model_fates import ModelFates
from streams.model_keys import ModelCodes, Name
from streams.monitors import DEFAULTS, Drift, Monitors, Window
from streams.order import RuleCounter, Waiting, Watched
from streams.outcomes import ClockNotice, Outcomes, decode_outcomes
from streams.probabilities import Oddity, no_probabilities, note
from streams.quarantine import LARGEST_STATE_BYTES, Quarantined, deletions, is_part_of
from streams.released import losses, seen
from streams.rules import Rules
from streams.shown import Noticed, Shown
from streams.steps import NOT_QUIET, Batch, Effects, ModelKind, Record
from streams.tables import OutcomeColumns, Table, since, table_of, without
from streams.topics import Topics
from streams.watch import Watch, Watcher
from streams.watchers.drifts import Drifts, Found
from streams.windows import Pane

FORMAT = Format("a state of the monitor", 6)

# To publish a window costs about as much as to count 100 rows and take them in order. So that with
# many models or short windows publishing takes a tenth of that, steps of many rows, of which more
# come soon, publish few. To take rows of a model in order, and to write its panes and
# detectors down, costs about half a millisecond, however few they are.
_ROWS_PER_WINDOW = 1_000
_MANY_ROWS = 10_000
_STEPS_TO_PUBLISH = 32
_ROWS_PER_MODEL = 128
_PATIENCE_MS_PER_MODEL = 4
_LONGEST_PATIENCE_MS = 30_000
# To count rows of a model costs about as much as 20 of its rows do.
_COUNTED_ROWS_PER_MODEL = 32
_COUNTING_PATIENCE_MS_PER_MODEL = 1
_LONGEST_COUNTING_PATIENCE_MS = 5_000
# A step that takes longer keeps a worker from answering.
_ROWS_AT_ONCE = 20_000


class Model:
    """State of one model version."""

    def __init__(self, name: Name, watcher: Watcher, shown: Shown) -> None:
        self.name = name
        self.watched = Watched(watcher, Watch(), shown)


class MonitorState:
    """State of one partition; `fold` over its compacted topic rebuilds it.

    Attributes
    ----------
    frontier_ms
        Rows older than this were taken in order; what comes later than that is too late for it.
    models, codes, by_key
        By code; a model's code is its place in the order of appearance.
    fates
        How many records of a model were repeated, corrected, late, ...
    taken, counted
        Records before these offsets are counted, and are so in the panes that are written down.
    recalled
        By offset, records that the log says were not done with, and what the frontier was as they
        came; nothing goes on before they were read again.
    restored
        Likewise, with their rows, which were read again.
    drifts
        Drift monitors, and what they know of every input.
    untaken
        Offset and rows of the records that are not counted yet.
    noticed
        What the models have shown of themselves.
    world, judges, windows
        Names of what is counted, what kinds the models are of, and their windows.
    touched
        Models that have shown something that is not written down.
    advanced_at_ms, taken_at_ms, held
        When rows were last taken in order and counted, by the wall clock, and whether some wait
        to be more.
    behind
        Whether there were more rows than one step takes.
    swept_ms
        What `settled_ms` was when windows were last looked through.
    quarantined
        Models that are set aside, by their code.
    oddities
        What was said about models since the partition was opened; not written down.
    costs
        Likewise.
    """

    def __init__(self, partition: int, windowing: Windowing, drifts: Sequence[Drift]) -> None:
        self.partition = partition
        self.drifts = Drifts(drifts)
        self.next: dict[str, int] = {}
        self.notices: dict[int, ClockNotice] = {}
        self.sources = 0
        self.frontier_ms = -1
        self.models: list[Model] = []
        self.codes: dict[Name, int] = {}
        self.by_key = ModelCodes()
        self.fates = ModelFates()
        self.taken = self.counted = 0
        self.recalled: dict[int, int] = {}
        self.restored: dict[int, tuple[int, Outcomes]] = {}
        self.untaken: list[tuple[int, Outcomes]] = []
        self.noticed = Noticed()
        self.touched: set[int] = set()
        self.waiting: list[Waiting] = []
        self.advanced_at_ms = self.taken_at_ms = -1
        self.held = self.behind = False
        self.swept_ms = -1
        self.quarantined: dict[int, Quarantined] = {}
        self.oddities: dict[tuple[str, str, str], Oddity] = {}
        self.costs = Costs()
        self.names: list[Name] = []
        self.world = World()
        self.judges = Judges(self.world.class_names, self.noticed.shown)
        self.windows = WindowCells(
            windowing, CATALOGUE.families, self.world, names=self.names, judges=self.judges
        )

    @property
    def settled_ms(self) -> int:
        """How far windows are final: the frontier, and so long as nothing has come since."""
        if self.frontier_ms < 0:
            return -1
        return self.frontier_ms + joint_passed_ms(self.notices.values(), sources=self.sources)


class Monitor:
    """Evaluate outcomes.

    Parameters
    ----------
    window_ms
        Window whose metrics are published when `monitors` names none.

    Attributes
    ----------
    least_windows
        A step publishes that many windows, if so many have changed, or more; one of many rows an
        eighth of them.
    rows_at_once
        A step takes so many rows of a backlog, or the rest of a record more.
    in_order
        Whether anybody looks at rows in order.
    largest_bytes
        A model with a record of state that is larger is set aside, see `streams.quarantine`.
    """

    name = "monitor"

    def __init__(
        self,
        topics: Topics,
        *,
        window_ms: int,
        horizon_ms: int,
        monitors: Monitors | None = None,
    ) -> None:
        self.inputs = (topics.outcomes,)
        self.state_topic = topics.monitor_state
        self.metrics, self.alerts = topics.metrics, topics.alerts
        self.hold_metrics = False
        self.least_windows = 200
        self.rows_at_once = _ROWS_AT_ONCE
        self.largest_bytes = LARGEST_STATE_BYTES
        self.monitors = DEFAULTS if monitors is None else monitors
        self.in_order = bool(self.monitors.thresholds or self.monitors.drifts)
        windows = self.monitors.windows or (Window(window_ms, window_ms),)
        self.window_ms = windows[0].size_ms
        self.windowing = Windowing(windows, horizon_ms=horizon_ms)

    def new_state(self, partition: int) -> MonitorState:
        """Return the state before the first record."""
        return MonitorState(partition, self.windowing, self.monitors.drifts)

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
        """Evaluate the batches; see `streams.steps.Stage`.

        While `hold_metrics` is set, revisions wait for a later step: a run over a file needs
        only the last one. A worker must not set it, since what waits is not written down.
        """
        if state.recalled:
            raise StateError("rows that the monitor's state is about were not read again")
        work = _Work(self, state)
        for batch in batches:
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                if value is not None:
                    found = _outcomes(value, f"{batch.topic}/{state.partition}@{offset}")
                    if isinstance(found, ClockNotice):
                        state.notices[found.source] = found
                        state.sources = found.sources
                    else:
                        work.arrive(found, offset)
            state.next[batch.topic] = batch.next_offset
        spent = state.costs
        clock_ms = joint_clock_ms(state.notices.values(), sources=state.sources)
        with spent.on(spent.COUNTING):
            state.behind = not work.put_back()
        if not state.behind:
            state.held = not idle and not _worth_advancing(state, clock_ms, now_ms)
            with spent.on(spent.COUNTING):
                if not (state.held and self.in_order) or _worth_counting(state, now_ms):
                    state.taken_at_ms = now_ms
                    state.behind = not work.take()
            if not (state.held or state.behind):
                state.advanced_at_ms = now_ms
                with spent.on(spent.ORDERED):
                    state.behind = not work.advance(clock_ms)
            if not self.hold_metrics:
                with spent.on(spent.PUBLISHING):
                    work.publish()
        with spent.on(spent.WRITING):
            return work.effects(changed=bool(batches))

    def time_ms(self, batch: Batch, index: int) -> int:
        """Return the time of a record; there is no other input to compare it with."""
        return batch.times_ms[index]

    def unfinished(self, state: MonitorState) -> bool:
        """Whether windows wait to be published, or rows that could be taken in order."""
        settled_ms = state.settled_ms
        waiting = state.windows.wants_publishing(settled_ms) or state.swept_ms != settled_ms
        return state.held or state.behind or bool(state.restored) or waiting

    def costs(self, state: MonitorState) -> tuple[Costs, list[Name]]:
        """Return what the partition has cost, and the names of its models by code."""
        return state.costs, [model.name for model in state.models]

    def warnings(self, state: MonitorState) -> list[str]:
        """Name the models that are set aside, and what is odd about others."""
        oddities = [oddity.text for oddity in state.oddities.values()]
        return [*(str(why) for why in state.quarantined.values()), *oddities]

    def ahead(self, state: MonitorState) -> tuple[()]:  # noqa: ARG002
        """Return nothing: the clock comes from the join."""
        return ()

    def kinds(self, state: MonitorState) -> list[ModelKind]:
        """Return what kind of model each is, by the records so far."""
        shown = zip(state.models, state.noticed.shown, strict=True)
        return [ModelKind(*model.name, str(one.newest)) for model, one in shown]

    def gauges(self, state: MonitorState) -> Mapping[str, float]:
        """Return what the telemetry shows of the state."""
        entries = len(state.waiting) + state.windows.entries
        entries += sum(len(model.watched.watch.rules.panes) for model in state.models)
        return {
            "models": len(state.models),
            "quarantined_models": len(state.quarantined),
            "clock_ms": state.frontier_ms,
            "state_entries": entries,
        }

    # ------------------------------------------------------------------ state
    def fold(self, state: MonitorState, key: bytes | None, value: bytes | None) -> None:
        """Fold one upsert of the compacted state topic."""
        if key is None:
            raise StateError("the monitor's state topic has a record without a key")
        kind, *identity = _decode(key)
        if kind in CELL_KINDS:
            content = None if value is None else FORMAT.read(value)[0]
            state.windows.fold((kind, *identity), content, lambda name: self.code(state, name))
            return
        if value is None:
            self._delete(state, kind, identity)
            return
        (content,) = FORMAT.read(value)
        if kind == "clock":
            layout, state.next, state.sources, notices, state.frontier_ms, *offsets = content
            state.counted, state.taken = offsets
            self._check_layout(layout)
            state.notices = {notice[0]: ClockNotice(*notice) for notice in notices}
            return
        if kind == "rows":
            state.recalled[int(identity[0])] = int(content)
            return
        if kind == "fates":
            state.fates.restore(content, lambda name: self.code(state, name))
            return
        code = self.code(state, (identity[0], identity[1]))
        if kind == "quarantine":
            self.set_aside(state, code, Quarantined(identity[0], identity[1], *content))
        elif kind == "shown":
            state.noticed.shown[code].restore(content)
            state.noticed.settle(code)
            state.noticed.untold.add(code)
            state.judges.update(code)
        elif kind == "classes":
            state.world.classes.restore(code, content)
        else:
            self._restore(state, code, kind, identity, content)

    def recalls(self, state: MonitorState) -> Mapping[str, Sequence[int]]:
        """Return the records that wait to be counted, or to be taken in order."""
        return {self.inputs[0]: sorted(state.recalled)} if state.recalled else {}

    def recall(self, state: MonitorState, batch: Batch) -> None:
        """Put rows back that wait."""
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            where = f"{batch.topic}/{state.partition}@{offset}"
            rows = None if value is None else _outcomes(value, where)
            if not isinstance(rows, Outcomes):
                raise StateError(f"outcomes record {where} has no rows; the state says that it has")
            state.restored[offset] = state.recalled.pop(offset), rows

    def _restore(
        self, state: MonitorState, code: int, kind: str, identity: list[Any], content: Any
    ) -> None:
        """Put one part of a model's state back."""
        watcher, watch, _ = state.models[code].watched
        if kind == "rule":
            pane_ms, pane = content
            if pane_ms == watcher.rules.pane_ms:  # else the rules were changed meanwhile
                watch.rules.panes[identity[2], identity[3]] = Pane.unpack(pane)
        elif kind == "watch":
            watcher.restore(watch, content)
        elif kind == "lanes":
            state.drifts.restore(identity[2], (code, identity[3]), content)

    def layout(self) -> list[list[int]]:
        """Return size and hop of every window: what panes in the state depend on."""
        return [[window.size_ms, window.hop_ms] for window in self.windowing.windows]

    def _check_layout(self, layout: list[list[int]]) -> None:
        if layout != self.layout():
            before, now = (
                ", ".join(_window_text(size_ms, hop_ms) for size_ms, hop_ms in windows)
                for windows in (layout, self.layout())
            )
            raise StateError(
                f"the state was made with windows of {before}, the settings say {now}; windows "
                f"under way cannot be cut anew: keep those of {before}, or use another --prefix"
            )

    def _delete(self, state: MonitorState, kind: str, identity: list[Any]) -> None:
        if kind == "rows":
            state.recalled.pop(identity[0], None)
            return
        code = state.codes.get((identity[0], identity[1]))
        if code is None:
            return
        if kind == "rule":
            state.models[code].watched.watch.rules.panes.pop((identity[2], identity[3]), None)

    def code(self, state: MonitorState, name: Name) -> int:
        """Return the code of a model version, made with the configured monitors if it is new."""
        code = state.codes.get(name)
        if code is None:
            code = state.codes[name] = len(state.models)
            shown = Shown(self.monitors.task(name[0]), every_ms=self.monitors.evaluate_ms)
            watcher = self._watcher(name)
            state.models.append(Model(name, watcher, shown))
            state.drifts.watch(code, watcher.drifts)
            state.noticed.add(shown)
            state.by_key.add(name, code)
            state.names.append(name)
            state.world.add_model(code, bucket=_bucket(name))
            state.judges.update(code)
        return code

    def set_aside(self, state: MonitorState, code: int, why: Quarantined) -> Model:
        """Forget all of a model and count it no more; return what is forgotten."""
        model, name = state.models[code], state.models[code].name
        watcher = self._watcher(name, watched=False)
        state.models[code] = Model(name, watcher, model.watched.shown)
        state.quarantined[code] = why
        state.windows.drop_model(code)
        state.touched.discard(code)
        state.noticed.untold.discard(code)
        return model

    def _watcher(self, name: Name, *, watched: bool = True) -> Watcher:
        thresholds, drifts = self.monitors.for_model(*name) if watched else ([], [])
        lengths_ms = {
            t.name: parse_duration_ms(t.window) if t.window else self.window_ms for t in thresholds
        }
        rules = Rules(thresholds, self.monitors, lengths_ms=lengths_ms)
        return Watcher(*name, self.monitors, drifts=drifts, rules=rules)

    def table(self, state: MonitorState, records: Sequence[Outcomes]) -> Table:
        """Put records together."""

        def code(name: Name) -> int:
            return self.code(state, name)

        return table_of(records, lambda models: state.by_key.of(models, code))

    def columns(self, state: MonitorState, table: Table) -> OutcomeColumns:
        """Prepare outcome rows for counting."""
        models, task = state.models, self.monitors.task
        return OutcomeColumns(
            table.outcomes,
            table.strings,
            task_of=lambda code: task(models[code].name[0]),
            settled_ms=state.noticed.settled_ms,
        )


class _Work:
    """One step in progress."""

    def __init__(self, monitor: Monitor, state: MonitorState) -> None:
        self.monitor, self.state = monitor, state
        self.records: list[Record] = []
        self.remarks: list[str] = []
        self.upserts: list[tuple[bytes | None, bytes | None]] = []
        self.watched: set[int] = set()
        self.arrived: dict[int, int] = {}  # by offset: frontier
        self.gone: list[int] = []
        self.rows = self.late_rows = 0
        self.unwritten = False
        self.published: list[tuple[int, Record]] = []
        self.left_out_rows = 0
        self.set_aside: list[Quarantined] = []
        self.oddities: list[Oddity] = []
        self.improper_scores = 0
        self.too_large: dict[int, tuple[str, int]] = {}  # kind and size of the first part
        # Not `self._watched`: that would be a cycle, and keep all that the step has made.
        self.rules = RuleCounter(lambda code: state.models[code].watched)

    def _watched(self, code: int) -> Watched:
        return self.state.models[code].watched

    def arrive(self, rows: Outcomes, offset: int) -> None:
        """Let a record wait; until it was taken in order, it is written down that it does."""
        self.state.untaken.append((offset, rows))
        self.rows += _rows(rows)
        self.arrived[offset] = self.state.frontier_ms

    def put_back(self) -> bool:
        """Go on, after a restart, with the rows that wait; count those that no pane has.

        Returns
        -------
        bool
            Whether that is all. Until it is, nothing else may go on: what is not put back is
            missing in panes, and may be due.
        """
        state = self.state
        offsets = sorted(offset for offset in state.restored if offset < state.taken)
        sizes = [_rows(state.restored[offset][1]) for offset in offsets]
        some = offsets[: _fitting(sizes, self.monitor.rows_at_once)]
        # Of many models, a record has few rows each: together they cost less.
        for (clock_ms, counted), alike in groupby(
            some, lambda offset: (state.restored[offset][0], offset < state.counted)
        ):
            self._put_back(list(alike), clock_ms, counted=counted)
        if len(some) < len(offsets):
            return False
        untaken = [(offset, rows) for offset, (_, rows) in sorted(state.restored.items())]
        state.restored.clear()
        state.untaken[:0] = untaken
        return True

    def _put_back(self, offsets: list[int], clock_ms: int, *, counted: bool) -> None:
        state, monitor = self.state, self.monitor
        records = [state.restored.pop(offset)[1] for offset in offsets]
        table, _ = without(monitor.table(state, records), state.quarantined)
        kept, _ = since(table, clock_ms)
        columns = monitor.columns(state, kept)
        state.waiting.append(Waiting(kept, columns, offsets))
        if not counted:
            self._count(table, columns if kept is table else monitor.columns(state, table))

    def _count(self, table: Table, columns: OutcomeColumns) -> tuple[set[int], int]:
        """Count rows into their windows; return their models, and how many are too late for any."""
        state = self.state
        state.fates.add(table.fates, lambda code: state.models[code].name)
        clock_ms, windows = state.frontier_ms, state.windows
        observed = windows.grid.observe(table, columns)
        late = windows.count(table, observed, clock_ms=clock_ms)
        codes = {
            code
            for rows in (table.predictions, table.outcomes)
            for code in state.costs.count_rows(rows.model)
        }
        for code in state.noticed.take(columns):
            state.judges.update(code)
            windows.revise(code, clock_ms=clock_ms)
        state.touched |= codes
        return codes, late

    def _most(self, rows_per_model: int) -> int:
        """Return how many rows the step takes: more than have come, so that no backlog grows."""
        return max(self.monitor.rows_at_once + self.rows, rows_per_model * len(self.state.models))

    def take(self) -> bool:
        """Count rows into their windows, and let them wait for the clock; tell if that is all."""
        state = self.state
        most = self._most(_COUNTED_ROWS_PER_MODEL)
        count = _fitting([_rows(rows) for _, rows in state.untaken], most)
        records, state.untaken = state.untaken[:count], state.untaken[count:]
        if records:
            self._take(records)
        return not state.untaken

    def _take(self, records: Sequence[tuple[int, Outcomes]]) -> None:
        state, monitor = self.state, self.monitor
        state.taken = records[-1][0] + 1
        clock_ms = state.frontier_ms
        table = monitor.table(state, [rows for _, rows in records])
        table, left_out = without(table, state.quarantined)
        self.left_out_rows += left_out
        columns = monitor.columns(state, table)
        self.improper_scores += columns.improper_scores
        codes, too_late = self._count(table, columns)
        self.late_rows += too_late
        self.unwritten = True
        kept, late = since(table, clock_ms)
        self.late_rows += late
        offsets = [offset for offset, _ in records]
        if any(self._watched(code).watcher.looks for code in codes):
            if late:
                self.rules.count_late(Waiting(table, columns, []), clock_ms=clock_ms)
                self.watched |= codes
                columns = monitor.columns(state, kept)
            waiting = Waiting(kept, columns, offsets)
            if waiting.last_ms >= 0:
                state.waiting.append(waiting)
                self.unwritten = False
                return
        self.gone += offsets

    def advance(self, clock_ms: int) -> bool:
        """Take what the clock has passed, in order; tell if that is all."""
        state = self.state
        if clock_ms <= state.frontier_ms:
            return True
        until_ms = _passed_ms(state, clock_ms, self._most(_ROWS_PER_MODEL))
        self._advance(until_ms)
        return until_ms == clock_ms

    def _advance(self, clock_ms: int) -> None:
        state = self.state
        alerts: dict[int, list[Alert]] = {}
        span = {"from_ms": state.frontier_ms, "until_ms": clock_ms}
        due = [one for one in state.waiting if one.first_ms < clock_ms]
        for found_one in self._drifted(due, **span):
            model = found_one.change.model
            watcher, watch, _ = self._watched(model)
            self.watched.add(model)
            alerts.setdefault(model, []).extend(watcher.found(watch, found_one))
        for model, found in self.rules.advance(due, **span):
            self.watched.add(model)
            alerts.setdefault(model, []).extend(found)
        for code in range(len(state.models)):
            self._close(code, alerts.get(code, []), clock_ms)
        self.gone += [n for one in state.waiting if one.last_ms < clock_ms for n in one.offsets]
        state.waiting = [one for one in state.waiting if one.last_ms >= clock_ms]
        state.frontier_ms = clock_ms
        self._tell()

    def _drifted(self, due: Sequence[Waiting], *, from_ms: int, until_ms: int) -> Iterator[Found]:
        """Let drift monitors see what is due."""
        state = self.state
        drifts, span = state.drifts, {"from_ms": from_ms, "until_ms": until_ms}
        if drifts.covers("loss"):
            for one in losses(due, state.noticed, **span):
                yield from drifts.advance([one], state.costs)
        yield from drifts.advance(seen(due, drifts.covers, **span), state.costs)

    def _tell(self) -> None:
        """Say what models are judged to be, once a boundary has passed."""
        state = self.state
        for code in sorted(state.noticed.untold):
            shown = state.noticed.shown[code]
            judged = shown.decided(state.frontier_ms)
            if judged is None:
                continue
            if judged.name != shown.told:
                shown.told, shown.dirty = judged.name, True
                state.touched.add(code)
                self.remarks.append(str(ModelKind(*state.models[code].name, str(judged))))
            if judged is shown.newest:
                state.noticed.untold.discard(code)

    def _close(self, code: int, alerts: list[Alert], clock_ms: int) -> None:
        """Judge what the clock alone decides, and publish a model's alerts."""
        watcher, watch, shown = self._watched(code)
        if watch.rules.panes:
            before = watch.rules.boundary_ms
            alerts += watcher.rules.evaluate(
                watch.rules, shown, until_ms=clock_ms, **watcher.identity
            )
            if before != watch.rules.boundary_ms:
                self.watched.add(code)
        if watch.firing:
            alerts += watcher.settle(watch, clock_ms)
        if alerts:
            self.watched.add(code)
            alerts.sort(key=lambda a: (a.at_ms, a.monitor, a.alert_id, a.revision))
            self.records += [_alert_record(self.monitor.alerts, alert) for alert in alerts]

    def publish(self) -> None:
        """Publish the metrics of windows that have changed or became final."""
        state, windows = self.state, self.state.windows
        settled_ms = state.settled_ms
        swept_ms, state.swept_ms = state.swept_ms, settled_ms
        least = self.monitor.least_windows // (1 if self.rows < _MANY_ROWS else 8)
        limit = max(least, self.rows // _ROWS_PER_WINDOW, windows.waiting // _STEPS_TO_PUBLISH)
        found = windows.publish(limit=limit, clock_ms=settled_ms)
        topic = self.monitor.metrics
        self.published += ((code, Record(topic, key, value)) for code, key, value in found.records)
        for code, outside, inside in found.improper:
            name = state.models[code].name
            self._oddity(no_probabilities(*name, outside=outside, inside=inside))
        for code in found.windows.tolist():
            state.costs.windows[code] += 1
        pane_ms = self.monitor.windowing.pane_ms
        if swept_ms // pane_ms != state.swept_ms // pane_ms:
            for key, content in windows.forget(state.frontier_ms):
                self.upserts.append((_encode(key), content))

    def _oddity(self, oddity: Oddity) -> None:
        if note(self.state.oddities, oddity):
            self.oddities.append(oddity)

    def _write_windows(self) -> None:
        """Write down what was published; and panes, unless rows in them are, or nobody reads."""
        state = self.state
        # A pane that is written before all its rows are put back would be taken for complete.
        if self.monitor.hold_metrics or state.restored:
            return
        for key, content in state.windows.write_pages():
            self._write(key, content)
        if state.held and not self.unwritten:
            return
        for key, content in state.windows.write(limit_bytes=self.monitor.largest_bytes):
            self._write(key, content)
        self.too_large |= state.windows.take_too_large()
        for code in sorted(state.world.classes.changed):
            self._upsert(("classes", *state.names[code]), state.world.classes.names_of(code))
        state.world.classes.changed.clear()
        for code in sorted(state.touched):
            shown = state.noticed.shown[code]
            if shown.dirty:
                shown.dirty = False
                self._upsert(("shown", *state.names[code]), shown.pack())
        for bucket, content in state.fates.changes():
            self._upsert(("fates", bucket), content)
        state.touched.clear()
        state.counted = state.taken

    def _write(self, key: tuple[Any, ...], content: Any) -> None:
        value = None if content is None else _encode((*FORMAT.head, content))
        self.upserts.append((_encode(key), value))

    def _upsert(self, key: tuple[Any, ...], content: Any) -> None:
        name, value = _encode(key), _encode((*FORMAT.head, content))
        self.upserts.append((name, value))
        size_bytes = len(name) + len(value)
        if size_bytes > self.monitor.largest_bytes and key[0] != "fates":
            self.too_large.setdefault(self.state.codes[key[1], key[2]], (key[0], size_bytes))

    def _set_aside(self, code: int, kind: str, size_bytes: int) -> None:
        """Write down, instead of a model's state, that it does not fit; end its alerts."""
        state, monitor, at_ms = self.state, self.monitor, self.state.frontier_ms
        name = state.models[code].name
        why = Quarantined(*name, kind, size_bytes, monitor.largest_bytes, at_ms)
        buckets = state.drifts.forget(code)
        model = monitor.set_aside(state, code, why)
        self.upserts = [
            (key, value)
            for key, value in self.upserts
            if key is None or value is None or not is_part_of(_decode(key), name)
        ]
        self.upserts += deletions(_keys(model))
        lanes = (("lanes", *name, drift, bucket) for drift, (_, bucket) in buckets)
        self.upserts += deletions(lanes)
        for key, content in (*state.windows.write(limit_bytes=monitor.largest_bytes),):
            self._write(key, content)
        for key, content in state.windows.write_pages():
            self._write(key, content)
        self._upsert(("quarantine", *name), msgspec.structs.astuple(why)[2:])
        self.published = [one for one in self.published if one[0] != code]
        self.set_aside.append(why)
        watch = model.watched.watch
        for alert in (*watch.rules.firing.values(), *(one for one, _ in watch.firing.values())):
            ended = resolve(alert, at_ms=max(at_ms, alert.at_ms), message="the model is set aside")
            self.records.append(_alert_record(monitor.alerts, ended))

    def effects(self, *, changed: bool) -> Effects:
        """Write down what the step has changed: positions and clocks, or not even these."""
        state = self.state
        self._write_windows()
        for code in sorted(self.watched - state.quarantined.keys()):
            self._write_watch(state.models[code])
        for name, (code, bucket), packed in state.drifts.changes():
            self._upsert(("lanes", *state.models[code].name, name, bucket), packed)
        for code, why in self.too_large.items():
            self._set_aside(code, *why)
        if self.too_large:  # what did not fit was written again, without the model
            self.upserts = list(dict(self.upserts).items())
        self.records += (record for _, record in self.published)
        gone = set(self.gone)
        for offset, frontier_ms in self.arrived.items():
            if offset not in gone:
                self._upsert(("rows", offset), frontier_ms)
        for offset in self.gone:
            if offset not in self.arrived:
                self.upserts.append((_encode(("rows", offset)), None))
        if not (changed or self.upserts or self.records):
            return Effects()
        notices = [msgspec.structs.astuple(notice) for notice in state.notices.values()]
        place = [state.next, state.sources, notices, state.frontier_ms]
        offsets = [state.counted, state.taken]
        self._upsert(("clock",), [self.monitor.layout(), *place, *offsets])
        return Effects(
            state=self.upserts,
            records=self.records,
            late_rows=self.late_rows,
            set_aside=self.set_aside,
            set_aside_rows=self.left_out_rows,
            oddities=self.oddities,
            improper_scores=self.improper_scores,
            remarks=self.remarks,
        )

    def _write_watch(self, model: Model) -> None:
        name, (watcher, watch, _) = model.name, model.watched
        self._upsert(("watch", *name), watch.pack())
        for key in sorted(watch.rules.dirty):
            pane = watch.rules.panes.get(key)
            if pane is None:
                self.upserts.append((_encode(("rule", *name, *key)), None))
            else:
                self._upsert(("rule", *name, *key), [watcher.rules.pane_ms, pane.pack()])
        watch.rules.dirty.clear()


def _worth_advancing(state: MonitorState, clock_ms: int, now_ms: int) -> bool:
    """Whether there is enough to be taken in order, or it has waited long enough."""
    models = len(state.models)
    patience_ms = min(_PATIENCE_MS_PER_MODEL * models, _LONGEST_PATIENCE_MS)
    if not 0 <= now_ms - state.advanced_at_ms < patience_ms:
        return True
    due = sum(waiting.count(state.frontier_ms, clock_ms) for waiting in state.waiting)
    return due + _untaken_rows(state) >= _ROWS_PER_MODEL * models


def _worth_counting(state: MonitorState, now_ms: int) -> bool:
    """Whether there is enough to be counted, or it has waited long enough."""
    models = len(state.models)
    patience_ms = min(_COUNTING_PATIENCE_MS_PER_MODEL * models, _LONGEST_COUNTING_PATIENCE_MS)
    if not 0 <= now_ms - state.taken_at_ms < patience_ms:
        return True
    return _untaken_rows(state) >= _COUNTED_ROWS_PER_MODEL * models


def _fitting(sizes: Sequence[int], most: int) -> int:
    """Return how many, from the first on, have so much together, or the last of them more."""
    return int(np.searchsorted(np.cumsum(sizes), most)) + 1


def _passed_ms(state: MonitorState, clock_ms: int, most: int) -> int:
    """Return until when so many rows are due; rows of one moment are not parted."""
    waiting = [one for one in state.waiting if one.first_ms < clock_ms]
    if sum(one.count(state.frontier_ms, clock_ms) for one in waiting) <= most:
        return clock_ms
    due = np.concatenate([one.due_ms(state.frontier_ms, clock_ms) for one in waiting])
    return max(int(np.partition(due, most)[most]), int(due.min()) + 1)


def _untaken_rows(state: MonitorState) -> int:
    return sum(_rows(rows) for _, rows in state.untaken)


def _rows(rows: Outcomes) -> int:
    return len(rows.predictions.time_ms) + len(rows.outcomes.time_ms)


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


def _keys(model: Model) -> Iterator[tuple[Any, ...]]:
    """Yield the keys of everything that may be written down of a model."""
    name, watch = model.name, model.watched.watch
    yield ("watch", *name)
    yield ("shown", *name)
    yield ("classes", *name)
    yield from (("rule", *name, *key) for key in {*watch.rules.panes, *watch.rules.dirty})


def _bucket(name: Name) -> int:
    """Return in which records of the state a model is: the same for ever."""
    return zlib.crc32(_encode(name)) & ((1 << BUCKET_BITS) - 1)


def _window_text(size_ms: int, hop_ms: int) -> str:
    size = format_duration(size_ms)
    return size if size_ms == hop_ms else f"{size} every {format_duration(hop_ms)}"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_encode_alert = msgspec.json.Encoder().encode


def _alert_record(topic: str, alert: Alert) -> Record:
    return Record(topic, alert.alert_id.encode(), _encode_alert(alert))
