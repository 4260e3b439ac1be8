"""Rows of records are counted into their windows, and wait to be taken in order."""

from collections.abc import Collection, Sequence
from itertools import groupby

import numpy as np

from streams.cells.grid import Observed
from streams.monitor.changing import Part
from streams.monitor.forgetting import Forgetting
from streams.monitor.waiting import Waiting
from streams.outcomes import Outcomes
from streams.tables import Table, since, table_of, without


class Counting(Forgetting):
    """A step, as far as it is about rows that have come."""

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
        some = offsets[: fitting(sizes, rows_at_once)]
        # Of many models, a record has few rows each: together they cost less.
        for (watermark_ms, counted), alike in groupby(
            some, lambda offset: (state.reread[offset][0], offset < state.counted)
        ):
            self._restore(list(alike), watermark_ms, counted=counted)
        if len(some) < len(offsets):
            return False
        state.backlog[:0] = [(offset, rows) for offset, (_, rows) in sorted(state.reread.items())]
        state.reread.clear()
        # Rows that were left out may be the only ones of their model.
        remains = state.silence.unseen() if offsets else []
        if remains:
            state.forget(remains)
        return True

    def _restore(self, offsets: list[int], watermark_ms: int, *, counted: bool) -> None:
        state = self.state
        records = [(offset, state.reread.pop(offset)[1]) for offset in offsets]
        table = self._table(self._sorted(records))
        if not state.silence.is_written:
            self.see(table)
        table, _ = without(table, state.quarantined)
        if not counted:
            self._notice_names(table)
        table, _ = self.strip(table)
        kept, _ = since(table, max(watermark_ms, state.watermark_ms))
        parts = self._observed(kept)
        if counted:
            self._let_wait(parts, offsets, always=True)
            return
        every = parts if kept is table else self._observed(table)
        codes, _ = self._count_into_windows(every)
        if self._are_looked_at(codes):
            self._let_wait(parts, offsets, always=True)
        else:
            self.state.only_counted.add(table, offsets)

    # ------------------------------------------------------------------ counting
    def count(self, most: int) -> bool:
        """Count rows into their windows, and let them wait; tell if that is all."""
        state = self.state
        size = fitting([rows_of(rows) for _, rows in state.backlog], most)
        records, state.backlog = state.backlog[:size], state.backlog[size:]
        if records:
            self._count(records)
        return not state.backlog

    def _count(self, records: Sequence[tuple[int, Outcomes]]) -> None:
        self.state.taken = records[-1][0] + 1
        self._take_in(records)

    def _take_in(self, records: Sequence[tuple[int, Outcomes]]) -> None:
        """Count rows of records, which may be parts of them, and let them wait."""
        state = self.state
        table = self._table(self._sorted(records))
        self.see(table)
        table, left_out = without(table, state.quarantined)
        self.left_out_rows += left_out
        self._notice_names(table)
        table, nameless = self.strip(table)
        self.left_out.update(nameless)
        other_rows = state.world.classes.other_rows
        parts = self._observed(table)
        self.other_rows += state.world.classes.other_rows - other_rows
        self.improper_scores += sum(part.columns.improper_scores for part, _ in parts)
        codes, too_late = self._count_into_windows(parts)
        self.late_rows += too_late
        kept, late = since(table, state.watermark_ms)
        self.late_rows += late
        offsets = [offset for offset, _ in records]
        if self._are_looked_at(codes):
            if late:
                for part, observed in parts:
                    every = Waiting(*part, observed, [])
                    state.rules.count_late(every, clock_ms=state.watermark_ms)
                parts = self._observed(kept)
            if self._let_wait(parts, offsets):
                return
        self.state.only_counted.add(table, offsets)

    def _are_looked_at(self, codes: Collection[int]) -> bool:
        """Tell whether anybody looks at rows of models in order, or may before these are due."""
        state = self.state
        return bool(state.specifications.waiting) or any(map(state.looking.__getitem__, codes))

    def _sorted(self, records: Sequence[tuple[int, Outcomes]]) -> list[Outcomes]:
        """Return the rows of records that count now; others are put off, or left out."""
        known, found = self.state.forgets, []
        for offset, rows in records:
            parts = known.sort(rows, self.state.codes)
            found.append(rows if parts is None else parts.now)
            if parts is not None:
                self.forgotten_rows += parts.gone
                if parts.later is not None:
                    known.put_off.append((offset, parts.later))
                    known.parts[offset] += 1
        return found

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


def rows_of(rows: Outcomes) -> int:
    """Return how many rows a record has."""
    return len(rows.predictions.time_ms) + len(rows.outcomes.time_ms)


def fitting(sizes: Sequence[int], most: int) -> int:
    """Return how many, from the first on, have so much together, or the last of them more."""
    return int(np.searchsorted(np.cumsum(sizes), most)) + 1
