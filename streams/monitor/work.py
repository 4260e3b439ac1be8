"""One step of the monitor in progress: rows are restored, counted, released in order, published."""

from operator import attrgetter

import numpy as np

from streams import families
from streams.cells.windowing import said
from streams.monitor.adopting import Adopting
from streams.monitor.adoptions import Waiting as Adoption
from streams.monitor.counting import rows_of
from streams.monitor.forgets import Order
from streams.monitor.pace import Budget, Load, budget_of
from streams.monitor.specifications import Change
from streams.monitor.state import MonitorState
from streams.monitors import SCAN, Threshold, Window
from streams.outcomes import Outcomes
from streams.places import Filled
from streams.released import losses, seen
from streams.scan.watch import Alarm
from streams.steps import ModelKind, Record
from streams.topics import Topics

_FROM_MS = attrgetter("from_ms")

# A step that forgets for long keeps a worker from answering.
_MOST_STOPS = 8


class Work(Adopting):
    """One step in progress; `writing` has what it writes, `changing` what specifications do.

    Attributes
    ----------
    rows
        How many have come with it.
    """

    def __init__(self, state: MonitorState, topics: Topics, *, largest_bytes: int) -> None:
        super().__init__(state, topics, largest_bytes=largest_bytes)
        self.rows = 0

    def arrive(self, rows: Outcomes, offset: int) -> None:
        """Let a record wait; until it was released, it is written down that it does."""
        self.state.backlog.append((offset, rows))
        self.rows += rows_of(rows)
        self.arrived[offset] = self.state.watermark_ms

    def budget(self, now_ms: int, *, rows_at_once: int, least_windows: int, idle: bool) -> Budget:
        """Say what the step does."""
        state = self.state
        clock_ms, from_ms = state.clock_ms, state.watermark_ms
        load = Load(
            models=len(state.codes),
            arrived=self.rows,
            backlog=sum(rows_of(rows) for _, rows in state.backlog),
            due=state.only_counted.rows + sum(one.due(from_ms, clock_ms) for one in state.waiting),
            windows=state.windows.waiting,
            counted_ms=now_ms - state.counted_at_ms,
            released_ms=now_ms - state.released_at_ms,
            idle=idle,
        )
        return budget_of(
            load, rows_at_once=rows_at_once, least_windows=least_windows, ordered=state.ordered
        )

    def begin(self) -> None:
        """Say, after a restart, what holds; what has claimed no detector by now never will."""
        state = self.state
        state.unclaimed.clear()
        state.alerts.end_unknown(state.scan.open(), at_ms=state.watermark_ms)
        state.alerts.silence_anew(state.watermark_ms)
        self.tell_holding()

    def change_windows(self) -> None:
        """Go over to the windows of the settings, once, where the state has others."""
        state, windows = self.state, self.state.windows
        if windows.before is None:
            return
        before = [Window(*key) for key in windows.before.since_ms]
        for deletions, keys in windows.change_windows(state.watermark_ms):
            for (table, *key), content in deletions:
                self._write(table, tuple(key), content)
            self.published += ((code, Record(self.topics.metrics, key, None)) for code, key in keys)
        if before != list(windows.windowing.windows):
            self.remarks.append(
                f"the state of partition {state.partition} has windows of {said(before)}: it goes"
                f" on with {said(windows.windowing.windows)}, from the panes that are kept"
            )

    # ------------------------------------------------------------------ in order
    def release(self, most: int) -> bool:
        """Take what the clock has passed, in order; tell if that is all."""
        state = self.state
        for _ in range(_MOST_STOPS):
            clock_ms, from_ms = state.clock_ms, state.watermark_ms
            stop_ms = max(state.silence.next_ms, from_ms)
            if clock_ms <= from_ms < stop_ms:
                return True
            until_ms = _passed_ms(state, clock_ms, most) if clock_ms > from_ms else from_ms
            until_ms = state.scan.reach_ms(from_ms, until_ms)
            end_ms = min(until_ms, stop_ms)
            while (change := self._next_change(end_ms)) is not None:
                self._release(change.from_ms)
                if isinstance(change, Order):
                    self.forget_ordered(change)
                elif isinstance(change, Filled):
                    self.fill(change)
                elif isinstance(change, Adoption):
                    self.adopt(change)
                else:
                    self.take_effect(change)
            self._release(end_ms)
            if stop_ms <= until_ms:
                self.forget_silent(stop_ms)
            elif until_ms < clock_ms:
                return False
        return False

    def _next_change(self, until_ms: int) -> Change | Order | Filled | Adoption | None:
        """Return what takes effect next, until then; of one moment, in this order."""
        state = self.state
        every = (
            next(state.specifications.due(until_ms), None),
            state.forgets.next(until_ms),
            *(places.next(until_ms) for places in state.places.values()),
            state.adoptions.next(until_ms),
        )
        return min((one for one in every if one is not None), key=_FROM_MS, default=None)

    def _release(self, until_ms: int) -> None:
        """Take all until then; where a rule compares, baselines grow meanwhile as time passes.

        A batch may hold many days: without that, a rule would go by the baselines that there were
        when it began.
        """
        state, baselines = self.state, self.state.windows.baselines
        every_ms = baselines.step_ms
        compares = baselines.growing and any(map(_compares, state.monitors.thresholds))
        while compares and state.watermark_ms < until_ms:
            self.grow_baselines(whole=True)
            due_ms = [one.first_ms for one in state.waiting if one.first_ms >= 0]
            next_ms = (state.watermark_ms // every_ms + 1) * every_ms
            next_ms = max(next_ms, min(due_ms, default=until_ms) // every_ms * every_ms)
            if next_ms >= until_ms:
                break
            self._release_part(next_ms)
        self._release_part(until_ms)

    def _release_part(self, until_ms: int) -> None:
        state = self.state
        from_ms = state.watermark_ms
        if until_ms <= from_ms:
            return
        span = {"from_ms": from_ms, "until_ms": until_ms}
        due = [one for one in state.waiting if one.first_ms < until_ms]
        lost = []
        if state.drifts.covers("loss") or state.scan.covers("loss"):
            lost = losses(due, state.noticed, **span)
            for one in lost if state.drifts.covers("loss") else ():
                for found in state.drifts.advance([one], state.costs):
                    state.alerts.drifted(found)
        started_s = state.costs.now_s()
        for alarm in state.scan.advance(due, lost, state.noticed, **span):
            self._alarm(alarm)
        if state.scan.active:
            rows = sum(one.due(from_ms, until_ms) for one in due)
            state.costs.fed(SCAN, started_s=started_s, values=rows)
        for found in state.drifts.advance(seen(due, state.drifts.covers, **span), state.costs):
            state.alerts.drifted(found)
        for finding in state.rules.advance(due, state.hosts.due(until_ms), **span):
            state.alerts.judged(finding)
        for absent in state.rule_states.absences.advance(due, **span):
            state.alerts.absent(absent)
        state.alerts.settle(until_ms)
        self.combine()
        self.done([n for one in state.waiting if one.last_ms < until_ms for n in one.offsets])
        state.waiting = [one for one in state.waiting if one.last_ms >= until_ms]
        state.hosts.release(until_ms)
        state.watermark_ms = until_ms
        self._forget_rule_panes(until_ms)
        state.forgets.settle(until_ms, keep_ms=state.windows.windowing.keep_ms)
        self._tell()

    def _alarm(self, alarm: Alarm) -> None:
        """Take what the scan has found of a model, which may be forgotten meanwhile."""
        code = self.state.codes.get((alarm.found.model, alarm.found.version))
        if code is not None:
            self.state.alerts.scanned(code, alarm)

    def look_at_silence(self) -> None:
        """Where nothing comes at all, see who is silent by the time that ticks say has passed."""
        state = self.state
        if state.quiet and state.settled_ms > state.watermark_ms >= 0:
            span = {"from_ms": state.watermark_ms, "settled_ms": state.settled_ms}
            for absent in state.rule_states.absences.tick(state.waiting, **span):
                state.alerts.absent(absent)
            state.alerts.speak(state.settled_ms, ticked=True)
            self.combine()

    def _tell(self) -> None:
        """Say what models are judged to be, once a boundary has passed."""
        state = self.state
        for code in sorted(state.noticed.untold):
            shown = state.noticed.shown[code]
            judged = shown.decided(state.watermark_ms)
            if judged is None:
                continue
            if judged.name != shown.told:
                shown.told, shown.dirty = judged.name, True
                state.touched.add(code)
                self.judge(code, shown.decided_ms(state.watermark_ms))
                self.remarks.append(str(ModelKind(*state.names[code], str(judged))))
            if judged is shown.newest:
                state.noticed.untold.discard(code)

    # ------------------------------------------------------------------ publishing
    def publish(self, most: int, *, now_ms: int, refresh_ms: int) -> None:
        """Publish the metrics of windows that have changed or became final."""
        state, windows = self.state, self.state.windows
        settled_ms = state.settled_ms
        swept_ms, state.swept_ms = state.swept_ms, settled_ms
        self.take_published(
            windows.publish(limit=most, clock_ms=settled_ms, now_ms=now_ms, refresh_ms=refresh_ms)
        )
        pane_ms = windows.windowing.pane_ms
        if swept_ms // pane_ms != settled_ms // pane_ms:
            self.forget_windows()
        if not state.held:
            self.merge_panes()


def _compares(rule: Threshold) -> bool:
    """Tell whether the metric of a rule is compared with a baseline."""
    about = families.CATALOGUE.metric(rule.metric)
    return about is not None and about.compares


def _passed_ms(state: MonitorState, clock_ms: int, most: int) -> int:
    """Return until when so many rows are due; rows of one moment are not parted."""
    waiting = [one for one in state.waiting if one.first_ms < clock_ms]
    if sum(one.due(state.watermark_ms, clock_ms) for one in waiting) <= most:
        return clock_ms
    every = np.concatenate([one.due_ms(state.watermark_ms, clock_ms) for one in waiting])
    return max(int(np.partition(every, most)[most]), int(every.min()) + 1)
