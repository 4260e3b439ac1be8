"""Other monitors while workers run: specifications come, wait for their time, and take effect."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from streams.cells.grid import Observed
from streams.cells.levels import begins
from streams.cells.store import PANE_BITS, Cells
from streams.errors import RecordError
from streams.forget_record import is_forget, read_forget
from streams.metric_ranges import of_hosts
from streams.model_keys import Name
from streams.moments import time_text
from streams.monitor import orders
from streams.monitor.hourly import Hourly
from streams.monitor.replacement import Replacement
from streams.monitor.specifications import MOST_WAITING, Change
from streams.monitor.state import MonitorState
from streams.monitors import Monitor, Monitors
from streams.outcomes import Ints
from streams.rules.paced import Changed
from streams.shown import NEVER_MS
from streams.specification import monitors_of, read_specification
from streams.steps import Batch, DeadLetter
from streams.tables import OutcomeColumns, Table, made_between, since
from streams.task import Task

_GONE = "the monitor has changed, or is gone"


class Part(NamedTuple):
    """Rows whose models are told to be the same, and what is asked of them."""

    table: Table
    columns: OutcomeColumns


class Changing(Hourly):
    """What a step does about specifications."""

    # ------------------------------------------------------------------ coming
    def specify(self, batch: Batch) -> None:
        """Take records of the topic of specifications.

        All partitions do, and find the same: only the first writes a dead letter.
        """
        known = self.state.specifications
        rows = zip(batch.offsets, batch.keys, batch.values, batch.times_ms, strict=True)
        for offset, key, value, time_ms in rows:
            try:
                if is_forget(key):
                    self._take_order(offset, key, value)
                    continue
                given = read_specification(key, value, time_ms=time_ms)
                if given.content is not None:
                    monitors_of(given.content, known.own)
                if not known.add(offset, given):
                    said = f"{MOST_WAITING} others wait for their time already"
                    raise RecordError("invalid_monitors", said)
            except RecordError as error:
                if self.state.partition == 0:
                    self.refused.append(
                        DeadLetter(
                            batch.topic, offset, key, value, None, error.reason, error.detail
                        )
                    )
                self._say(f"{batch.topic}@{offset} is refused, what held before holds on: {error}")

    def _take_order(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take an order to forget a model; a tombstone says nothing."""
        if value is None:
            return
        if not self.state.forgets.add(offset, read_forget(value, key=key)):
            said = f"{orders.MOST_WAITING:,} others wait for their time already"
            raise RecordError("invalid_monitors", said)

    def schedule(self) -> None:
        """Fix from when on specifications hold that have just come."""
        state, known = self.state, self.state.specifications
        pane_ms = state.windows.windowing.pane_ms
        for change in known.unscheduled:
            come_ms = max(state.watermark_ms, self._counted_ms(known.of(change)), 0)
            from_ms = -(-max(change.effective_ms, come_ms) // pane_ms) * pane_ms
            known.schedule(change, from_ms=from_ms)
            if from_ms >= change.effective_ms + pane_ms:
                self.remarks.append(
                    f"{self.topics.monitors}@{change.offset} has come later than the records of its"
                    f" time: for partition {state.partition} it takes effect at"
                    f" {time_text(from_ms)}, not at {time_text(change.effective_ms)}"
                )

    def _counted_ms(self, monitors: Monitors) -> int:
        """Return the end of the newest pane in which rows were counted otherwise, or are gone.

        Rows of models that nobody looks at do not wait; of models that are told to be something
        else, they are counted otherwise.
        """
        state = self.state
        latest = state.specifications.tasks()[-1][1]
        pane_ms = state.windows.windowing.pane_ms
        asked = any(of_hosts(one.metric) for one in monitors.thresholds)
        hosts_ms = (_newest_unheard(state) + 1) * pane_ms if asked else -1
        models = [
            code
            for code, (name, _) in enumerate(state.names)
            if code not in state.quarantined
            and (not state.looking[code] or _task(latest, name) != _task(monitors.models, name))
        ]
        if not models:
            return hosts_ms
        owners, panes = counted_places(state)
        own = panes[np.isin(owners, models)]
        return max(hosts_ms, (int(own.max(initial=-2)) + 1) * pane_ms)

    # ------------------------------------------------------------------ taking effect
    def take_effect(self, change: Change) -> None:
        """Let a specification hold: all before its time was taken in order."""
        state, at_ms = self.state, change.from_ms
        known, way = state.specifications, state.windows.windowing
        monitors = known.of(change)
        self.grow_baselines(whole=True)
        keep_ms, needed_ms = way.keep_ms + way.widest_ms, state.windows.unpublished_ms
        retold = known.begin(change, keep_ms=keep_ms, needed_ms=needed_ms)
        keys = {one.name: f"{one.name}\n{at_ms}" for one in monitors.drifts}
        replaced = state.use(monitors, keys=keys, retold=retold)
        known.keys = state.drifts.keys
        self._forget_lanes(replaced)
        self._end_alerts(replaced, at_ms)
        self.combine(changed_ms=at_ms)
        self._replan(replaced, at_ms)
        state.windows.baselines.collect(replaced.compared)
        for code in {*replaced.judged, *replaced.compared}:
            state.windows.revise(code, clock_ms=at_ms)
        state.noticed.untold.update(replaced.judged)
        state.facts.due.update(replaced.compared)
        self._look_again(at_ms)
        self._say(self._text(change))

    def combine(self, *, changed_ms: int = -1) -> None:
        """Judge composites by what has begun to fire, or is over; all, where they changed."""
        state = self.state
        for found in state.rule_states.composites.advance(state.alerts.take_turns()):
            state.alerts.combined(found)
        for found in state.rule_states.composites.look(changed_ms) if changed_ms >= 0 else ():
            state.alerts.combined(found)

    def tell_holding(self) -> None:
        """Say, once, which specification holds after a restart."""
        known = self.state.specifications
        if known.restored:
            known.restored = False
            if known.holding is not None:
                self._say(self._text(known.holding))

    def _say(self, text: str) -> None:
        """Say something once, whichever partition finds it."""
        said = self.state.specifications.said
        if text not in said:
            said.add(text)
            self.remarks.append(text)

    def _text(self, change: Change) -> str:
        what = f"{self.topics.monitors}@{change.offset}"
        if change.content is None:
            return (
                f"{what}: from {time_text(change.from_ms)} on no specification holds any more, but"
                " what the worker was started with"
            )
        return (
            f"{what} holds from {time_text(change.from_ms)} on, whatever monitors file the worker"
            " was started with"
        )

    def _forget_lanes(self, replaced: Replacement) -> None:
        for key, (code, bucket) in replaced.lanes:
            self._write("lanes", (*self.state.names[code], key, bucket), None)

    def _end_alerts(self, replaced: Replacement, at_ms: int) -> None:
        state = self.state
        for code, monitor in state.alerts.firing():
            if self._has_changed(replaced, code, monitor):
                state.alerts.end_monitor(code, monitor, at_ms=at_ms, message=_GONE)
        for known in (state.rule_states.lives, state.rule_states.judge.usuals):
            for code, rule in known.remembered():
                if self._has_changed(replaced, code, rule):
                    known.end(code, rule)
        state.alerts.resolve_after(state.monitors.resolve_ms, at_ms=at_ms)
        state.alerts.silence_anew(at_ms)

    def _has_changed(self, replaced: Replacement, code: int, monitor: str) -> bool:
        before, now = (
            _definition(monitors, monitor, self.state.names[code])
            for monitors in (replaced.before, self.state.monitors)
        )
        return now is None or before != now

    def _replan(self, replaced: Replacement, at_ms: int) -> None:
        state = self.state
        owners, panes = counted_places(state)
        seen = set(np.unique(owners[panes * state.windows.windowing.pane_ms < at_ms]).tolist())
        every = [
            Changed(code, old, new, code in seen)
            for code, (old, new) in enumerate(replaced.plans)
            if code not in state.quarantined
        ]
        if replaced.before.reference != state.monitors.reference:
            for (table, *key), content in state.rules.drop_references():
                self._write(table, tuple(key), content)
        state.rules.replan(every, at_ms=at_ms, enough=state.monitors.reference)

    def _look_again(self, at_ms: int) -> None:
        """Let rules and judgements see what waits as if it had come just now."""
        state = self.state
        retold = any(from_ms == at_ms for from_ms, _ in state.specifications.tasks())
        for one in state.waiting:
            one.observed = self._for_rules(state.windows.grid.observe(one.table, one.columns))
            if retold:
                for part in self._parts(since(one.table, at_ms)[0]):
                    self._notice(part.columns, clock_ms=at_ms)

    def _notice(self, columns: OutcomeColumns, *, clock_ms: int) -> None:
        """Let models show what they are."""
        state = self.state
        for code in state.noticed.take(columns):
            state.judges.update(code)
            state.windows.revise(code, clock_ms=clock_ms)

    def _for_rules(self, observed: Observed) -> Observed:
        """Return what of it rules count later: else it would be kept for nothing."""
        plans = list(self.state.plans.every())
        if any(plan.needs_predictions for plan in plans):
            return observed
        return Observed({}, [], observed.outcomes if plans else {})

    # ------------------------------------------------------------------ rows and tasks
    def _parts(self, table: Table) -> list[Part]:
        """Cut rows by what their models were told to be when their predictions were made.

        What takes a label back must be counted as the label was: both go by the prediction.
        """
        noticed, known = self.state.noticed, self.state.specifications
        spans = list(_spans(known.tasks(), table)) if known.changing else ()
        if not spans:
            settled_ms = self.settled_ms(table)
            return [_part(table, lambda code: noticed.shown[code].task, settled_ms)]
        if len(spans) == 1:
            return [self._told_part(table, spans[0][2])]
        parts = [self._told_part(made_between(table, *span), tasks) for *span, tasks in spans]
        first = parts[0]
        return [first._replace(table=first.table._replace(fates=table.fates)), *parts[1:]]

    def settled_ms(self, table: Table) -> Ints:  # noqa: ARG002 - see `forgetting`
        """Return by code from when on rows show nothing new; see `streams.shown`."""
        return self.state.noticed.settled_ms

    def _told_part(self, rows: Table, tasks: Mapping[str, Task]) -> Part:
        state = self.state
        shown, settled_ms = state.noticed.shown, self.settled_ms(rows)
        told = {
            code: _task(tasks, state.names[code][0])
            for code in np.unique(rows.outcomes.model).tolist()
        }
        others = [code for code, task in told.items() if task != shown[code].task]
        if others:
            settled_ms = settled_ms.copy()
            settled_ms[others] = NEVER_MS
        return _part(rows, told.__getitem__, settled_ms)


def _part(table: Table, task_of: Callable[[int], Task], settled_ms: Ints) -> Part:
    rows = table.outcomes
    return Part(table, OutcomeColumns(rows, table.strings, task_of=task_of, settled_ms=settled_ms))


def _spans(
    every: Sequence[tuple[int, dict[str, Task]]], table: Table
) -> Iterator[tuple[int, int, dict[str, Task]]]:
    """Yield the spans of time in which predictions of rows were made, and what models were then."""
    times_ms = [rows.time_ms for rows in (table.predictions, table.outcomes) if len(rows.time_ms)]
    if len(every) < 2 or not times_ms:
        return
    first_ms, last_ms = min(t.min() for t in times_ms), max(t.max() for t in times_ms)
    for (from_ms, tasks), end in zip(every, [*every[1:], None], strict=True):
        until_ms = NEVER_MS if end is None else end[0]
        if from_ms <= last_ms and first_ms < until_ms:
            yield from_ms, until_ms, tasks


def _task(tasks: Mapping[str, Task], model: str) -> Task:
    return tasks.get(model, Task())


def _newest_unheard(state: MonitorState) -> int:
    """Return the newest pane with readings that no rule had asked for: they do not wait."""
    owners, panes = counted_places(state, [state.windows.grid.resources])
    codes = np.unique(owners).tolist()
    unheard = [code for code in codes if not state.plans.needs_readings(code)]
    return int(panes[np.isin(owners, unheard)].max(initial=-2))


def counted_places(state: MonitorState, sides: Sequence[Cells] | None = None) -> tuple[Ints, Ints]:
    """Return the model of every cell of windows, and the fine pane with which it begins.

    Parameters
    ----------
    sides
        Of which rows; `None` for all.
    """
    sides = state.windows.grid.sides if sides is None else sides
    keys = [side.table.key[side.every_row()] for side in sides]
    cells = np.concatenate(keys)
    models: Ints = state.world.subjects.models[cells >> PANE_BITS]
    pane_ms = state.windows.windowing.pane_ms
    panes = begins(cells & ((1 << PANE_BITS) - 1), pane_ms=pane_ms)
    return models[panes >= 0], panes[panes >= 0]


def _definition(monitors: Monitors, name: str, model: Name) -> Monitor | None:
    """Return what a monitor of that name says of a model, whichever others it is for."""
    found = monitors.named(name, *model)
    return found and msgspec.structs.replace(found, model="*", version="*")
