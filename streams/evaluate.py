"""The second stage: evaluate outcomes per model into metrics and alerts.

Tallies commute, so window metrics are published at once. What needs order (detectors, rules)
waits until the clocks of *all* join partitions have passed. This module knows nothing of joining.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streams.alerts import Alert
from streams.clock import joint_clock_ms
from streams.durations import format_duration, parse_duration_ms
from streams.errors import StateError
from streams.metrics import WindowKey
from streams.monitors import DEFAULTS, Monitors, Window
from streams.order import RuleCounter, Waiting, Watched, sequences
from streams.outcomes import ClockNotice, Outcomes, decode_outcomes
from streams.rules import Rules
from streams.steps import Batch, Effects, Record
from streams.tables import OutcomeColumns, Table, since, table_of
from streams.topics import Topics
from streams.watch import Watch, Watcher
from streams.windows import Pane, Published, Windowing, Windows

SCHEMA = 2

Name = tuple[str, str]
"""Model and version."""


class Model:
    """State of one model version."""

    def __init__(self, name: Name, watcher: Watcher) -> None:
        self.name = name
        self.windows = Windows(*name)
        self.watched = Watched(watcher, Watch())


class MonitorState:
    """State of one partition; `fold` over its compacted topic rebuilds it.

    Attributes
    ----------
    frontier_ms
        Rows older than this were taken in order; what comes later than that is too late for it.
    models, codes
        By code; a model's code is its place in the order of appearance.
    number
        How many records had rows that had to wait; every such record has its number.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.next: dict[str, int] = {}
        self.notices: dict[int, ClockNotice] = {}
        self.sources = 0
        self.frontier_ms = -1
        self.models: list[Model] = []
        self.codes: dict[Name, int] = {}
        self.number = 0
        self.waiting: list[Waiting] = []
        self.unpublished: set[int] = set()


class Monitor:
    """Evaluate outcomes.

    Parameters
    ----------
    window_ms
        Window whose metrics are published when `monitors` names none.
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
        self.monitors = DEFAULTS if monitors is None else monitors
        windows = self.monitors.windows or (Window(window_ms, window_ms),)
        self.window_ms = windows[0].size_ms
        self.windowing = Windowing(windows, horizon_ms=horizon_ms)

    def new_state(self, partition: int) -> MonitorState:
        """Return the state before the first record."""
        return MonitorState(partition)

    def step(
        self,
        state: MonitorState,
        batches: Sequence[Batch],
        *,
        now_ms: int,  # noqa: ARG002 - every stage has this signature
        idle: frozenset[str] = frozenset(),  # noqa: ARG002
        announce: bool = True,  # noqa: ARG002
    ) -> Effects:
        """Evaluate the batches; see `streams.steps.Stage`.

        While `hold_metrics` is set, revisions wait for a later step: a run over a file needs
        only the last one. A worker must not set it, since what waits is not written down.
        """
        work = _Work(self, state)
        records: list[tuple[Outcomes, bytes]] = []
        for batch in batches:
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                if value is not None:
                    found = _outcomes(value, f"{batch.topic}/{state.partition}@{offset}")
                    if isinstance(found, ClockNotice):
                        state.notices[found.source] = found
                        state.sources = found.sources
                    else:
                        records.append((found, value))
            state.next[batch.topic] = batch.next_offset
        if records:
            work.take(records)
        work.advance(joint_clock_ms(state.notices.values(), sources=state.sources))
        if not self.hold_metrics:
            work.publish()
        return work.effects()

    def time_ms(self, batch: Batch, index: int) -> int:
        """Return the time of a record; there is no other input to compare it with."""
        return batch.times_ms[index]

    def gauges(self, state: MonitorState) -> Mapping[str, float]:
        """Return what the telemetry shows of the state."""
        entries = len(state.waiting) + sum(
            len(model.windows.panes) + len(model.watched.watch.rules.panes)
            for model in state.models
        )
        return {
            "models": len(state.models),
            "clock_ms": state.frontier_ms,
            "state_entries": entries,
        }

    # ------------------------------------------------------------------ state
    def fold(self, state: MonitorState, key: bytes | None, value: bytes | None) -> None:
        """Fold one upsert of the compacted state topic."""
        if key is None:
            raise StateError("the monitor's state topic has a record without a key")
        kind, *identity = _decode(key)
        if value is None:
            self._delete(state, kind, identity)
            return
        schema, content = _decode(value)
        if schema != SCHEMA:
            raise StateError(f"monitor state of schema {schema}, this build reads {SCHEMA}")
        if kind == "clock":
            layout, state.next, state.sources, notices, state.frontier_ms, state.number = content
            self._check_layout(layout)
            state.notices = {notice[0]: ClockNotice(*notice) for notice in notices}
            return
        if kind == "rows":
            self._restore_rows(state, identity[0], content)
            return
        code = self.code(state, (identity[0], identity[1]))
        self._restore(state.models[code], kind, identity, content)

    def _restore(self, model: Model, kind: str, identity: list[Any], content: Any) -> None:
        """Put one part of a model's state back."""
        watcher, watch = model.watched
        if kind == "pane":
            model.windows.panes[identity[2], identity[3]] = Pane.unpack(content)
        elif kind == "window":
            window = WindowKey(*identity)
            model.windows.remember(window, Published(content[0], content[1], tuple(content[2])))
        elif kind == "rule":
            pane_ms, pane = content
            if pane_ms == watcher.rules.pane_ms:  # else the rules were changed meanwhile
                watch.rules.panes[identity[2], identity[3]] = Pane.unpack(pane)
        elif kind == "watch":
            watcher.restore(watch, content)
        elif kind == "detector":
            watcher.restore_detector(watch, identity[2], identity[3], content)

    def _restore_rows(self, state: MonitorState, number: int, content: Any) -> None:
        clock_ms, raw = content
        rows = decode_outcomes(raw)
        assert isinstance(rows, Outcomes)
        kept, _ = since(self.table(state, [rows]), clock_ms)
        state.waiting.append(Waiting(kept, self.columns(state, kept), [number]))

    def layout(self) -> list[list[int]]:
        """Return size and hop of every window: what panes in the state depend on."""
        return [[window.size_ms, window.hop_ms] for window in self.windowing.windows]

    def _check_layout(self, layout: list[list[int]]) -> None:
        if layout != self.layout():
            before, now = (
                ", ".join(
                    f"{format_duration(size)} every {format_duration(hop)}" for size, hop in w
                )
                for w in (layout, self.layout())
            )
            raise StateError(
                f"the state was made with windows of {before}, the settings say {now}; windows "
                "under way cannot be cut anew: keep the old windows, or use another --prefix"
            )

    def _delete(self, state: MonitorState, kind: str, identity: list[Any]) -> None:
        if kind == "rows":
            state.waiting = [one for one in state.waiting if one.numbers != [identity[0]]]
            return
        code = state.codes.get((identity[0], identity[1]))
        if code is None:
            return
        model = state.models[code]
        if kind == "pane":
            model.windows.panes.pop((identity[2], identity[3]), None)
        elif kind == "window":
            model.windows.published.pop(WindowKey(*identity), None)
        elif kind == "rule":
            model.watched.watch.rules.panes.pop((identity[2], identity[3]), None)

    def code(self, state: MonitorState, name: Name) -> int:
        """Return the code of a model version, made with the configured monitors if it is new."""
        code = state.codes.get(name)
        if code is None:
            code = state.codes[name] = len(state.models)
            state.models.append(Model(name, self._watcher(name)))
        return code

    def _watcher(self, name: Name) -> Watcher:
        thresholds, drifts = self.monitors.for_model(*name)
        lengths_ms = {
            t.name: parse_duration_ms(t.window) if t.window else self.window_ms for t in thresholds
        }
        task = self.monitors.task(name[0])
        rules = Rules(thresholds, self.monitors, lengths_ms=lengths_ms, task=task)
        return Watcher(*name, self.monitors, drifts=drifts, rules=rules)

    def table(self, state: MonitorState, records: Sequence[Outcomes]) -> Table:
        """Put records together."""
        return table_of(records, lambda name: self.code(state, name))

    def columns(self, state: MonitorState, table: Table) -> OutcomeColumns:
        """Prepare outcome rows for counting."""
        models, task = state.models, self.monitors.task
        return OutcomeColumns(
            table.outcomes, table.strings, task_of=lambda code: task(models[code].name[0])
        )


class _Work:
    """One step in progress."""

    def __init__(self, monitor: Monitor, state: MonitorState) -> None:
        self.monitor, self.state = monitor, state
        self.records: list[Record] = []
        self.upserts: list[tuple[bytes | None, bytes | None]] = []
        self.watched: set[int] = set()
        self.arrived: dict[int, tuple[int, bytes]] = {}
        self.taken: list[int] = []
        self.late_rows = 0
        self.rules = RuleCounter(self._watched)

    def _watched(self, code: int) -> Watched:
        return self.state.models[code].watched

    def take(self, records: Sequence[tuple[Outcomes, bytes]]) -> None:
        """Count rows into their windows, and let them wait for the clock."""
        state, monitor = self.state, self.monitor
        clock_ms = state.frontier_ms
        table = monitor.table(state, [rows for rows, _ in records])
        columns = monitor.columns(state, table)
        self.late_rows += monitor.windowing.count(
            lambda code: state.models[code].windows, table, columns, clock_ms=clock_ms
        )
        codes = {
            code
            for rows in (table.predictions, table.outcomes)
            for code in set(rows.model.tolist())
        }
        state.unpublished |= codes
        kept, late = since(table, clock_ms)
        self.late_rows += late
        if not any(self._watched(code).watcher.looks for code in codes):
            return
        if late:
            self.rules.count_late(Waiting(table, columns, []), clock_ms=clock_ms)
            self.watched |= codes
            columns = monitor.columns(state, kept)
        numbers = list(range(state.number, state.number + len(records)))
        waiting = Waiting(kept, columns, numbers)
        if waiting.last_ms >= 0:
            state.waiting.append(waiting)
            state.number += len(records)
            raw = [(clock_ms, content) for _, content in records]
            self.arrived = dict(zip(numbers, raw, strict=True))

    def advance(self, clock_ms: int) -> None:
        """Take what the clock has passed, in order."""
        state = self.state
        if clock_ms <= state.frontier_ms:
            return
        alerts: dict[int, list[Alert]] = {}
        span = {"from_ms": state.frontier_ms, "until_ms": clock_ms}
        for model, source, times_ms, values in sequences(state.waiting, self._watched, **span):
            watcher, watch = self._watched(model)
            self.watched.add(model)
            alerts.setdefault(model, []).extend(watcher.detect(watch, source, times_ms, values))
        for model, found in self.rules.advance(state.waiting, **span):
            self.watched.add(model)
            alerts.setdefault(model, []).extend(found)
        for code in range(len(state.models)):
            self._close(code, alerts.get(code, []), clock_ms)
        self.taken = [n for one in state.waiting if one.last_ms < clock_ms for n in one.numbers]
        state.waiting = [one for one in state.waiting if one.last_ms >= clock_ms]
        state.frontier_ms = clock_ms

    def _close(self, code: int, alerts: list[Alert], clock_ms: int) -> None:
        """Judge what the clock alone decides, and publish a model's alerts."""
        watcher, watch = self._watched(code)
        if watch.rules.panes:
            before = watch.rules.boundary_ms
            alerts += watcher.rules.evaluate(watch.rules, until_ms=clock_ms, **watcher.identity)
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
        state, monitor = self.state, self.monitor
        for code, model in enumerate(state.models):
            windows, name = model.windows, model.name
            if code not in state.unpublished and not windows.due:
                continue
            task = monitor.monitors.task(name[0])
            dirty = set(windows.dirty)
            for key, value in monitor.windowing.publish(windows, task, clock_ms=state.frontier_ms):
                self.records.append(Record(monitor.metrics, key, value))
            self._write_windows(name, windows, dirty)
        state.unpublished.clear()

    def _write_windows(self, name: Name, windows: Windows, dirty: set[tuple[str, int]]) -> None:
        for key in sorted(dirty):
            self._upsert(("pane", *name, *key), windows.panes[key].pack())
        for window in sorted(windows.changed):
            self._upsert(("window", *window), windows.published[window])
        windows.changed.clear()
        panes, gone = self.monitor.windowing.forget(windows, clock_ms=self.state.frontier_ms)
        self.upserts += [(_encode(("pane", *name, *key)), None) for key in panes]
        self.upserts += [(_encode(("window", *window)), None) for window in gone]

    def _upsert(self, key: tuple[Any, ...], content: Any) -> None:
        self.upserts.append((_encode(key), _encode((SCHEMA, content))))

    def effects(self) -> Effects:
        """Write down what the step has changed."""
        state = self.state
        for code in sorted(self.watched):
            self._write_watch(state.models[code])
        gone = set(self.taken)
        for number, content in self.arrived.items():
            if number not in gone:
                self._upsert(("rows", number), content)
        for number in self.taken:
            if number not in self.arrived:
                self.upserts.append((_encode(("rows", number)), None))
        notices = [msgspec.structs.astuple(notice) for notice in state.notices.values()]
        place = [state.next, state.sources, notices, state.frontier_ms, state.number]
        self._upsert(("clock",), [self.monitor.layout(), *place])
        return Effects(state=self.upserts, records=self.records, late_rows=self.late_rows)

    def _write_watch(self, model: Model) -> None:
        name, (watcher, watch) = model.name, model.watched
        self._upsert(("watch", *name), watch.pack())
        for source in sorted(watch.fed):
            self._upsert(("detector", *name, *source), watch.detectors[source].pack())
        watch.fed.clear()
        for key in sorted(watch.rules.dirty):
            pane = watch.rules.panes.get(key)
            if pane is None:
                self.upserts.append((_encode(("rule", *name, *key)), None))
            else:
                self._upsert(("rule", *name, *key), [watcher.rules.pane_ms, pane.pack()])
        watch.rules.dirty.clear()


def _outcomes(value: bytes, where: str) -> Outcomes | ClockNotice:
    """Decode what only a join writes: to skip a damaged record would be to miscount."""
    try:
        return decode_outcomes(value)
    except Exception as error:
        raise StateError(
            f"outcomes record {where} cannot be used: {type(error).__name__}: {error}; only workers"
            " may write to this topic"
        ) from error


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_encode_alert = msgspec.json.Encoder().encode


def _alert_record(topic: str, alert: Alert) -> Record:
    return Record(topic, alert.alert_id.encode(), _encode_alert(alert))
