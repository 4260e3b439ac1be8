"""Windows: which there are, what of each was published last, and which are to be published.

Window metrics are published soon and revised as often as their content changes. Nothing here
depends on what is counted in a window: only on which of its panes have changed.
"""

import heapq
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.metric_sets import COUNTS, OF_ROWS, Hashes, Kinds
from streams.cells.names import grown
from streams.cells.publication import Numbers
from streams.cells.revisions import Chosen, Revisions
from streams.cells.schedule import Schedule
from streams.cells.spending import Spending
from streams.cells.store import PANE_BITS, Cells, World
from streams.grouping import distinct_pairs
from streams.monitors import Window

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]

_BEFORE_EPOCH = 1 << 30
"""Windows may begin so many panes before 1970: the first of those that hop."""

_LOW = (1 << PANE_BITS) - 1


class Due(NamedTuple):
    """Windows of one size that are to be published."""

    pages: "Pages"
    rows: Rows

    @property
    def subject(self) -> Ints:
        """The subject of every window."""
        found: Ints = self.pages.cells.table.key[self.rows] >> PANE_BITS
        return found

    @property
    def first(self) -> Ints:
        """The number of every window's first pane."""
        return (self.pages.cells.table.key[self.rows] & _LOW) - _BEFORE_EPOCH


class Pages:
    """Windows of one size and hop.

    Attributes
    ----------
    revision, final, published
        By row: how often it was published, whether as final, and hash of its metrics.
    waiting
        By row, whether anything of it is to be published.
    schedule, written, spending
        When rows that wait are looked at; what was written of them last; how often that pays.
    """

    def __init__(self, window: Window, world: World, *, pane_ms: int) -> None:
        self.window = window
        self.cut(pane_ms)
        self.cells = Cells([], world)
        self.revision = np.empty(0, np.int32)
        self.final, self.waiting = np.empty(0, np.bool_), np.empty(0, np.bool_)
        self.published = np.empty(0, np.uint64)
        self.schedule, self.written, self.spending = Schedule(), Revisions(), Spending()
        self._reread: list[Rows] = []
        self._ends: list[int] = []
        self._ending: dict[int, list[Rows]] = {}

    def cut(self, pane_ms: int) -> None:
        """Go by panes of a length."""
        self.pane_ms = pane_ms
        self.panes, self.hop = self.window.size_ms // pane_ms, self.window.hop_ms // pane_ms

    def end_ms(self, first: Any) -> Any:
        """Return when windows end that begin with a pane."""
        return (first + self.panes) * self.pane_ms

    def rows(self, subjects: Ints, firsts: Ints) -> Rows:
        """Return the rows of windows, made where they are new; no window may come twice."""
        before = self.cells.table.live
        rows = self.cells.find(subjects, firsts + _BEFORE_EPOCH, add=True)
        size = len(self.cells.table.key)
        if size > len(self.revision):
            self.revision = grown(self.revision, size)
            self.final = grown(self.final, size)
            self.waiting = grown(self.waiting, size)
            self.published = grown(self.published, size)
            self.schedule.grow(size)
            self.spending.grow(size)
        if self.cells.table.live > before:
            new = (self.revision[rows] == 0) & ~self.waiting[rows]
            self._await_end(rows[new], firsts[new])
        return rows

    def _await_end(self, rows: Rows, firsts: Ints) -> None:
        for first in np.unique(firsts).tolist():
            own = self._ending.get(first)
            if own is None:
                own = self._ending[first] = []
                heapq.heappush(self._ends, first)
            own.append(rows[firsts == first])

    def change(
        self, subjects: Ints, numbers: Ints, *, from_ms: int = -1, reread: bool = False
    ) -> None:
        """Let the windows of panes wait to be published; no pane may come twice.

        Parameters
        ----------
        from_ms
            Windows that begin before have lost panes: they are not published; -1: none has.
        reread
            Whether windows wait again after a restart, see `touch_waiting`.
        """
        hops = self.panes // self.hop
        last = numbers - numbers % self.hop
        for back in range(hops):
            firsts = last - back * self.hop
            if from_ms >= 0:
                whole = firsts * self.pane_ms >= from_ms
                subjects, last, firsts = subjects[whole], last[whole], firsts[whole]
            rows = self.rows(*distinct_pairs(subjects, firsts))
            self._wait(rows, reread=reread)
            known = self.revision[rows] > 0
            self.schedule.at_once(rows[~known])
            self.schedule.linger(rows[known])

    def _wait(self, rows: Rows, *, reread: bool = False) -> None:
        fresh = rows[~self.waiting[rows]]
        if not len(fresh):
            return
        self.waiting[fresh] = True
        if reread:
            self._reread.append(fresh)
        else:
            self._touch(fresh)

    def touch_waiting(self) -> None:
        """Let it be written down, too, that windows wait for rows that were to be read again."""
        if self._reread:
            rows = np.concatenate(self._reread)
            self._touch(rows[self.waiting[rows]])
            self._reread.clear()

    def _touch(self, rows: Rows) -> None:
        keys = self.cells.table.key[rows]
        models = self.cells.world.subjects.models[keys >> PANE_BITS]
        self.cells.touch(models, keys & _LOW)

    def revise(self, model: int, *, limit_ms: int) -> None:
        """Let all windows of a model wait that end after some time."""
        for number in list(self.cells.members):
            if self.end_ms(number - _BEFORE_EPOCH) <= limit_ms:
                continue
            bucket = int(self.cells.world.bucket_of[model])
            rows = self.cells.rows_of(number, bucket)
            models = self.cells.world.subjects.models[self.cells.table.key[rows] >> PANE_BITS]
            self._wait(rows[models == model])
            self.schedule.at_once(rows[models == model])

    # ------------------------------------------------------------------ publishing
    def take_final(self, limit: int, *, until_ms: int) -> Rows:
        """Return windows that end by a time and were not published since; about `limit` of them."""
        found: list[Rows] = []
        while self._ends and self.end_ms(self._ends[0]) <= until_ms and limit > 0:
            first = heapq.heappop(self._ends)
            for rows in self._ending.pop(first):
                due = rows[(self.revision[rows] > 0) & ~self.final[rows]]
                found.append(due)
                limit -= len(due)
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int32)

    def has_final(self, until_ms: int) -> bool:
        """Whether there may be any."""
        return bool(self._ends) and self.end_ms(self._ends[0]) <= until_ms

    def take_waiting(self, limit: int) -> Rows:
        """Return windows that wait and are due, about `limit`, the first that came to it first."""
        rows = self.schedule.take(limit)
        found: Rows = rows[self.waiting[rows]]
        return found

    def choose(
        self,
        rows: Rows,
        numbers: Numbers,
        coverage: NDArray[np.float64],
        *,
        counted: Ints,
        kinds: Kinds,
        final: NDArray[np.bool_],
        now_ms: int,
        refresh_ms: int,
    ) -> Chosen:
        """Choose what is written of windows, see `Revisions.choose`; let them pause for it."""
        chosen = self.written.choose(
            rows,
            numbers,
            coverage,
            final=final,
            begun=self.revision[rows] > 0,
            paid=self.spending.paid(rows, counted),
            kinds=kinds,
            now_ms=now_ms,
            refresh_ms=refresh_ms,
        )
        written = [
            np.bincount(numbers.window[chosen.numbers & (kinds == kind)], minlength=len(rows))
            for kind in (COUNTS, OF_ROWS)
        ]
        revising = self.schedule.revising
        steps = self.spending.spend(rows, counted, *written, now_ms=now_ms, revising=revising)
        self.schedule.pause(rows, steps, now_ms)
        return chosen

    def publish(
        self,
        rows: Rows,
        *,
        final: NDArray[np.bool_],
        published: Hashes,
        chosen: Chosen,
        now_ms: int,
    ) -> None:
        """Note that windows are published.

        Parameters
        ----------
        chosen
            What is written of them; what is left is looked at once more.
        """
        again = self.final[rows] & ~final
        if again.any():  # a soft clock had said that they were final
            own = rows[again]
            self._await_end(own, (self.cells.table.key[own] & _LOW) - _BEFORE_EPOCH)
        self.revision[rows] += chosen.revised
        self.final[rows], self.published[rows] = final, published
        self.waiting[rows] = ~chosen.whole
        self.schedule.rest(rows[~chosen.whole], now_ms)
        self._touch(rows[chosen.revised | chosen.whole])

    def forget(self, until_ms: int) -> Iterator[tuple[int, int]]:
        """Forget windows that end by a time and do not wait; yield their panes and buckets."""
        first = self._ends[0] if self._ends else 1 << PANE_BITS
        for number in list(self.cells.members):
            begin = number - _BEFORE_EPOCH
            if self.end_ms(begin) > until_ms or begin >= first:
                continue
            for bucket in list(self.cells.members[number]):
                rows = self.cells.rows_of(number, bucket)
                if self.waiting[rows].any():
                    continue
                self._clear(rows)
                self.cells.drop_bucket(number, bucket)
                yield number, bucket

    def drop(self, number: int, bucket: int) -> None:
        """Forget windows by what their record is called."""
        self._clear(self.cells.rows_of(number, bucket))
        self.cells.drop_bucket(number, bucket)

    def drop_models(self, models: Collection[int]) -> None:
        """Forget all windows of models."""
        self._clear(self.cells.drop_models(models))

    def unsettled(self, models: Collection[int], *, until_ms: int) -> Rows:
        """Return the windows of models that end by a time and were not published as final."""
        codes = np.array(list(models), np.int64)
        rows = self.cells.rows_in(set(self.cells.world.bucket_of[codes].tolist()))
        rows = rows[self.waiting[rows] | ((self.revision[rows] > 0) & ~self.final[rows])]
        keys = self.cells.table.key[rows]
        ended = self.end_ms((keys & _LOW) - _BEFORE_EPOCH) <= until_ms
        own = np.isin(self.cells.world.subjects.models[keys >> PANE_BITS], codes)
        return np.unique(rows[ended & own])

    def published_rows(self, models: Collection[int], *, after_ms: int) -> Rows:
        """Return the windows of models that end after a time, if anything is published of them."""
        codes = np.array(list(models), np.int64)
        rows = self.cells.rows_in(set(self.cells.world.bucket_of[codes].tolist()))
        rows = rows[self.published[rows] != 0]
        keys = self.cells.table.key[rows]
        late = self.end_ms((keys & _LOW) - _BEFORE_EPOCH) > after_ms
        own = np.isin(self.cells.world.subjects.models[keys >> PANE_BITS], codes)
        return np.unique(rows[late & own])

    def _clear(self, rows: Rows) -> None:
        for column in (self.revision, self.final, self.published, self.waiting):
            column[rows] = 0
        self.written.forget(rows)
        self.spending.forget(rows)

    def restore(
        self,
        windows: tuple[Ints, int],
        *,
        revision: Ints,
        final: NDArray[np.bool_],
        waiting: NDArray[np.bool_],
        published: Hashes,
    ) -> None:
        """Put back what is known of windows: their subjects, and where their record is."""
        subjects, number = windows
        firsts = np.full(len(subjects), number - _BEFORE_EPOCH)
        rows = self.rows(subjects, firsts)
        self.revision[rows], self.final[rows] = revision, final
        self.published[rows] = published
        self.waiting[rows] = waiting
        self.schedule.at_once(rows[waiting])
        self.cells.dirty.clear()

    def first_unpublished_ms(self) -> int:
        """Return when the first window begins that is to be published, or final and was not.

        Its panes are still needed: a limit puts windows off, also those that only become final.
        """
        earliest = self._ends[0] * self.pane_ms if self._ends else 1 << 62
        for pending in self.schedule.pending():
            rows = pending[self.waiting[pending]]
            if len(rows):
                number = int((self.cells.table.key[rows] & _LOW).min()) - _BEFORE_EPOCH
                earliest = min(earliest, number * self.pane_ms)
        return earliest
