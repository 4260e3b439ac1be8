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
from streams.outcomes import ClockNotice, Outcomes, decode_outcomes
from streams.rules import Rules
from streams.steps import Batch, Effects, Record
from streams.tallies import OutcomeColumns
from streams.topics import Topics
from streams.watch import Waiting, Watch, Watcher, keep_from
from streams.windows import Pane, Published, Windowing, Windows

SCHEMA = 1

Name = tuple[str, str]
"""Model and version."""


class Model:
    """State of one model version."""

    def __init__(self, name: Name, watcher: Watcher) -> None:
        self.windows = Windows(*name)
        self.watch = Watch()
        self.watcher = watcher


class MonitorState:
    """State of one partition; `fold` over its compacted topic rebuilds it.

    Attributes
    ----------
    frontier_ms
        Rows older than this were taken in order; what comes later than that is too late for it.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.next: dict[str, int] = {}
        self.notices: dict[int, ClockNotice] = {}
        self.sources = 0
        self.frontier_ms = -1
        self.models: dict[Name, Model] = {}
        self.unpublished: set[Name] = set()


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
        for batch in batches:
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                if value is not None:
                    work.take(_outcomes(value, f"{batch.topic}/{state.partition}@{offset}"), value)
            state.next[batch.topic] = batch.next_offset
        work.advance(joint_clock_ms(state.notices.values(), sources=state.sources))
        if not self.hold_metrics:
            work.publish()
        return work.effects()

    def time_ms(self, batch: Batch, index: int) -> int:
        """Return the time of a record; there is no other input to compare it with."""
        return batch.times_ms[index]

    def gauges(self, state: MonitorState) -> Mapping[str, float]:
        """Return what the telemetry shows of the state."""
        entries = sum(
            len(model.windows.panes) + len(model.watch.rules.panes) + len(model.watch.waiting)
            for model in state.models.values()
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
            layout, state.next, state.sources, notices, state.frontier_ms = content
            self._check_layout(layout)
            state.notices = {notice[0]: ClockNotice(*notice) for notice in notices}
            return
        self._restore(self.model(state, (identity[0], identity[1])), kind, identity, content)

    def _restore(self, model: Model, kind: str, identity: list[Any], content: Any) -> None:
        """Put one part of a model's state back."""
        if kind == "pane":
            model.windows.panes[identity[2], identity[3]] = Pane.unpack(content)
        elif kind == "window":
            window = WindowKey(*identity)
            model.windows.remember(window, Published(content[0], content[1], tuple(content[2])))
        elif kind == "rule":
            pane_ms, pane = content
            if pane_ms == model.watcher.rules.pane_ms:  # else the rules were changed meanwhile
                model.watch.rules.panes[identity[2], identity[3]] = Pane.unpack(pane)
        elif kind == "watch":
            model.watcher.restore(model.watch, content)
        elif kind == "detector":
            model.watcher.restore_detector(model.watch, identity[2], identity[3], content)
        elif kind == "rows":
            clock_ms, raw = content
            rows = decode_outcomes(raw)
            assert isinstance(rows, Outcomes)
            kept, _ = keep_from(rows, clock_ms)
            model.watch.waiting[identity[2]] = Waiting(kept, self.columns(kept))

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
        model = state.models.get((identity[0], identity[1]))
        if model is None:
            return
        if kind == "pane":
            model.windows.panes.pop((identity[2], identity[3]), None)
        elif kind == "window":
            model.windows.published.pop(WindowKey(*identity), None)
        elif kind == "rule":
            model.watch.rules.panes.pop((identity[2], identity[3]), None)
        elif kind == "rows":
            model.watch.waiting.pop(identity[2], None)

    def model(self, state: MonitorState, name: Name) -> Model:
        """Return the state of a model version, made with the configured monitors if it is new."""
        known = state.models.get(name)
        if known is None:
            known = state.models[name] = Model(name, self._watcher(name))
        return known

    def _watcher(self, name: Name) -> Watcher:
        thresholds, drifts = self.monitors.for_model(*name)
        lengths_ms = {
            t.name: parse_duration_ms(t.window) if t.window else self.window_ms for t in thresholds
        }
        task = self.monitors.task(name[0])
        rules = Rules(thresholds, self.monitors, lengths_ms=lengths_ms, task=task)
        return Watcher(*name, self.monitors, drifts=drifts, rules=rules)

    def columns(self, rows: Outcomes) -> OutcomeColumns:
        """Prepare the outcome rows of a batch for counting."""
        task = self.monitors.task(rows.model)
        return OutcomeColumns(rows.outcomes, rows.strings, positives=task.positives, kind=task.kind)


class _Work:
    """One step in progress."""

    def __init__(self, monitor: Monitor, state: MonitorState) -> None:
        self.monitor, self.state = monitor, state
        self.records: list[Record] = []
        self.upserts: list[tuple[bytes | None, bytes | None]] = []
        self.watched: set[Name] = set()
        self.arrived: dict[tuple[Name, int], tuple[int, bytes]] = {}
        self.taken: list[tuple[Name, int]] = []
        self.late_rows = 0

    def take(self, rows: Outcomes | ClockNotice, raw: bytes) -> None:
        state = self.state
        if isinstance(rows, ClockNotice):
            state.notices[rows.source] = rows
            state.sources = rows.sources
            return
        name = (rows.model, rows.version)
        model = self.monitor.model(state, name)
        columns = self.monitor.columns(rows)
        self.late_rows += self.monitor.windowing.count(
            model.windows, rows, columns, clock_ms=state.frontier_ms
        )
        state.unpublished.add(name)
        self._wait(name, model, rows, columns, raw)

    def _wait(
        self, name: Name, model: Model, rows: Outcomes, columns: OutcomeColumns, raw: bytes
    ) -> None:
        clock_ms = self.state.frontier_ms
        kept, late = keep_from(rows, clock_ms)
        self.late_rows += late
        if late:
            model.watcher.count_late(model.watch, Waiting(rows, columns), clock_ms=clock_ms)
            self.watched.add(name)
            columns = self.monitor.columns(kept)
        waiting = Waiting(kept, columns)
        if waiting.last_ms >= 0:
            watch = model.watch
            watch.waiting[watch.number] = waiting
            self.arrived[name, watch.number] = (clock_ms, raw)
            watch.number += 1
            self.watched.add(name)

    def advance(self, clock_ms: int) -> None:
        state = self.state
        if clock_ms <= state.frontier_ms:
            return
        for name, model in state.models.items():
            watch = model.watch
            before = watch.rules.boundary_ms, len(watch.waiting)
            numbers = list(watch.waiting)
            alerts = model.watcher.advance(watch, from_ms=state.frontier_ms, until_ms=clock_ms)
            if alerts or before != (watch.rules.boundary_ms, 0):
                self.watched.add(name)
            self.taken += [(name, n) for n in numbers if n not in watch.waiting]
            self.records += [_alert_record(self.monitor.alerts, alert) for alert in alerts]
        state.frontier_ms = clock_ms

    def publish(self) -> None:
        state, monitor = self.state, self.monitor
        for name, model in state.models.items():
            windows = model.windows
            if name not in state.unpublished and not windows.due:
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
        state = self.state
        for name in sorted(self.watched):
            self._write_watch(name, state.models[name].watch)
        for (name, number), content in self.arrived.items():
            if number in state.models[name].watch.waiting:
                self._upsert(("rows", *name, number), content)
        for name, number in self.taken:
            if (name, number) not in self.arrived:
                self.upserts.append((_encode(("rows", *name, number)), None))
        notices = [msgspec.structs.astuple(notice) for notice in state.notices.values()]
        layout = self.monitor.layout()
        self._upsert(("clock",), [layout, state.next, state.sources, notices, state.frontier_ms])
        return Effects(state=self.upserts, records=self.records, late_rows=self.late_rows)

    def _write_watch(self, name: Name, watch: Watch) -> None:
        self._upsert(("watch", *name), watch.pack())
        for source in sorted(watch.fed):
            self._upsert(("detector", *name, *source), watch.detectors[source].pack())
        watch.fed.clear()
        for key in sorted(watch.rules.dirty):
            pane = watch.rules.panes.get(key)
            if pane is None:
                self.upserts.append((_encode(("rule", *name, *key)), None))
            else:
                pane_ms = self.state.models[name].watcher.rules.pane_ms
                self._upsert(("rule", *name, *key), [pane_ms, pane.pack()])
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
