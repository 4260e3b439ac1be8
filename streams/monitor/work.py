"""One step of the monitor in progress: rows are restored, counted, released in order, published."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from streams.cells.grid import Observed
from streams.cells.windowing import said
from streams.monitor.changing import Part
from streams.monitor.forgetting import Forgetting
from streams.monitor.pace import Budget, Load, budget_of
from streams.monitor.state import MonitorState, Waiting
from streams.monitors import Window
from streams.outcomes import Outcomes
from streams.released import losses, seen
from streams.steps import ModelKind, Record
from streams.tables import Table, since, table_of, without
from streams.topics import Topics

# A step that forgets for long keeps a worker from answering.
_MOST_STOPS = 8


class Work(Forgetting):
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
            due=sum(one.due(from_ms, clock_ms) for one in state.waiting),
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
        self.state.unclaimed.clear()
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

    # ------------------------------------------------------------------ restoring
    def restore(self, rows_at_once: int) -> bool:
        """Go on, after a restart, with the rows that wait; count those that no pane has.

        Returns
        -------
        bool
            Whether that is all. Until it is, nothing else may go on: what is not restored is
            missing in panes, and may be due.
        """
        state = self.state
        offsets = sorted(offset for offset in state.reread if offset < state.taken)
        sizes = [rows_of(state.reread[offset][1]) for offset in offsets]
        some = offsets[: _fitting(sizes, rows_at_once)]
        # Of many models, a record has few rows each: together they cost less.
        for (watermark_ms, counted), alike in groupby(
            some, lambda offset: (state.reread[offset][0], offset < state.counted)
        ):
            self._restore(list(alike), watermark_ms, counted=counted)
        if len(some) < len(offsets):
            return False
        state.backlog[:0] = [(offset, rows) for offset, (_, rows) in sorted(state.reread.items())]
        state.reread.clear()
        return True

    def _restore(self, offsets: list[int], watermark_ms: int, *, counted: bool) -> None:
        state = self.state
        records = [state.reread.pop(offset)[1] for offset in offsets]
        table = self._table(records)
        self.see(table)
        table, _ = without(table, state.quarantined)
        kept, _ = since(table, watermark_ms)
        parts = self._observed(kept)
        self._let_wait(parts, offsets, always=True)
        if not counted:
            self._count_into_windows(parts if kept is table else self._observed(table))

    # ------------------------------------------------------------------ counting
    def count(self, most: int) -> bool:
        """Count rows into their windows, and let them wait; tell if that is all."""
        state = self.state
        size = _fitting([rows_of(rows) for _, rows in state.backlog], most)
        records, state.backlog = state.backlog[:size], state.backlog[size:]
        if records:
            self._count(records)
        return not state.backlog

    def _count(self, records: Sequence[tuple[int, Outcomes]]) -> None:
        state = self.state
        state.taken = records[-1][0] + 1
        table = self._table([rows for _, rows in records])
        self.see(table)
        table, left_out = without(table, state.quarantined)
        self.left_out_rows += left_out
        parts = self._observed(table)
        self.improper_scores += sum(part.columns.improper_scores for part, _ in parts)
        codes, too_late = self._count_into_windows(parts)
        self.late_rows += too_late
        self.unwritten = True
        kept, late = since(table, state.watermark_ms)
        self.late_rows += late
        offsets = [offset for offset, _ in records]
        if state.specifications.waiting or any(state.looking[code] for code in codes):
            if late:
                for part, observed in parts:
                    every = Waiting(*part, observed, [])
                    state.rules.count_late(every, clock_ms=state.watermark_ms)
                parts = self._observed(kept)
            if self._let_wait(parts, offsets):
                self.unwritten = False
                return
        self.done_with += offsets

    def _observed(self, table: Table) -> list[tuple[Part, Observed]]:
        """Let families see rows."""
        grid = self.state.windows.grid
        return [(part, grid.observe(*part)) for part in self._parts(table)]

    def _let_wait(
        self, parts: Sequence[tuple[Part, Observed]], offsets: list[int], *, always: bool = False
    ) -> bool:
        """Let rows wait to be taken in order; tell whether there are any.

        Parameters
        ----------
        always
            Whether their records are not done with, either, if there are none.
        """
        waiting = [Waiting(*part, self._for_rules(observed), []) for part, observed in parts]
        # Their records are done with when the last of them is.
        last = max(waiting, key=lambda one: one.last_ms)
        last.offsets = offsets
        self.state.waiting += [
            one for one in waiting if one.last_ms >= 0 or (always and one is last)
        ]
        return last.last_ms >= 0

    def _count_into_windows(self, parts: Sequence[tuple[Part, Observed]]) -> tuple[set[int], int]:
        """Count rows; return their models, and how many are too late for any window."""
        state, late, codes = self.state, 0, set[int]()
        for (table, columns), observed in parts:
            state.fates.add(table.fates, state.names.__getitem__)
            late += state.windows.count(table, observed, clock_ms=state.watermark_ms)
            for rows in (table.predictions, table.outcomes):
                codes.update(state.costs.count_rows(rows.model))
            self._notice(columns, clock_ms=state.watermark_ms)
        state.touched |= codes
        return codes, late

    def _table(self, records: Sequence[Outcomes]) -> Table:
        state = self.state
        return table_of(records, lambda models: state.by_key.of(models, state.code))

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
            end_ms = min(until_ms, stop_ms)
            for change in state.specifications.due(end_ms):
                self._release(change.from_ms)
                self.take_effect(change)
            self._release(end_ms)
            if stop_ms <= until_ms:
                self.forget_silent(stop_ms)
            elif until_ms < clock_ms:
                return False
        return False

    def _release(self, until_ms: int) -> None:
        state = self.state
        from_ms = state.watermark_ms
        if until_ms <= from_ms:
            return
        span = {"from_ms": from_ms, "until_ms": until_ms}
        due = [one for one in state.waiting if one.first_ms < until_ms]
        if state.drifts.covers("loss"):
            for one in losses(due, state.noticed, **span):
                for found in state.drifts.advance([one], state.costs):
                    state.alerts.drifted(found)
        for found in state.drifts.advance(seen(due, state.drifts.covers, **span), state.costs):
            state.alerts.drifted(found)
        for finding in state.rules.advance(due, **span):
            state.alerts.judged(finding)
        state.alerts.settle(until_ms)
        self.done_with += [
            n for one in state.waiting if one.last_ms < until_ms for n in one.offsets
        ]
        state.waiting = [one for one in state.waiting if one.last_ms >= until_ms]
        state.watermark_ms = until_ms
        self._forget_rule_panes(until_ms)
        self._tell()

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


def rows_of(rows: Outcomes) -> int:
    """Return how many rows a record has."""
    return len(rows.predictions.time_ms) + len(rows.outcomes.time_ms)


def _fitting(sizes: Sequence[int], most: int) -> int:
    """Return how many, from the first on, have so much together, or the last of them more."""
    return int(np.searchsorted(np.cumsum(sizes), most)) + 1


def _passed_ms(state: MonitorState, clock_ms: int, most: int) -> int:
    """Return until when so many rows are due; rows of one moment are not parted."""
    waiting = [one for one in state.waiting if one.first_ms < clock_ms]
    if sum(one.due(state.watermark_ms, clock_ms) for one in waiting) <= most:
        return clock_ms
    every = np.concatenate([one.due_ms(state.watermark_ms, clock_ms) for one in waiting])
    return max(int(np.partition(every, most)[most]), int(every.min()) + 1)
