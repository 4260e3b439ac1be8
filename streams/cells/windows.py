"""Windows of all models of a partition: counted into, published, forgotten, written down.

A pane is the greatest common divisor of all window sizes and hops; a window is a merge of panes.
A metric that no longer exists (its last label was retracted) is deleted from the compacted topic.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.baselines import Baselines
from streams.cells.book import Due, Pages
from streams.cells.coarse import CoarsePanes, deletions
from streams.cells.grid import Grid, Observed
from streams.cells.hours import Hours
from streams.cells.judging import Judges
from streams.cells.levels import HOUR_MS, begins, merged_ms, pane_end_ms
from streams.cells.metric_sets import MetricSets
from streams.cells.page_records import PageRecords
from streams.cells.publication import Publication, Publisher, coverage_of, improper
from streams.cells.records import CellRecords, Name
from streams.cells.retired import Ended, Retired
from streams.cells.schedule import Revising
from streams.cells.store import PANE_BITS, World
from streams.cells.view import Windows
from streams.cells.windowing import Layout, Since, Windowing, key_of, level_ms
from streams.chosen import Chosen
from streams.families.family import Family
from streams.grouping import distinct_pairs
from streams.monitors import Window
from streams.outcomes import Ints
from streams.shown import SEGMENTS
from streams.tables import Table

KINDS = ("predictions", "outcomes", "resources")
PAGES = "page"
"""First part of the key of every record."""


class WindowCells:
    """Windows of a partition.

    Parameters
    ----------
    names
        Of models and versions, by code; the list grows.
    chosen
        What is published of which model.
    """

    def __init__(
        self,
        windowing: Windowing,
        families: Sequence[Family],
        world: World,
        *,
        names: Sequence[Name],
        judges: Judges,
        chosen: Chosen,
    ) -> None:
        self.windowing, self.families, self._chosen = windowing, families, chosen
        self.grid = Grid(families, world)
        self.pages = [Pages(w, world, pane_ms=windowing.pane_ms) for w in windowing.windows]
        own = windowing.of_baselines
        self.baselines = Baselines(self.grid.predictions, names, **own, pane_ms=windowing.pane_ms)
        self.hours = Hours()
        self.sets = MetricSets(families)
        self.judges = judges
        self._merged_hour = -1
        self.publisher = Publisher(self.sets, names)
        self._cell_records = [CellRecords(side, names) for side in self.grid.sides]
        self._settings = windowing
        self._page_records = [PageRecords(p, self.sets, names) for p in self.pages]
        self._retired = Retired(self.sets, world, names)
        self.before: Layout | None = None
        self.coarse = CoarsePanes(self.grid, list(zip(KINDS, self._cell_records, strict=True)))

    # ------------------------------------------------------------------ counting
    def count(self, table: Table, observed: Observed, *, clock_ms: int) -> int:
        """Count rows into their panes; return how many came after their pane was dropped."""
        way = self.windowing
        oldest = (clock_ms - way.keep_ms) // way.pane_ms if clock_ms >= 0 else -1
        late, changed = 0, list[tuple[Ints, Ints]]()
        for rows in (table.predictions, table.outcomes):
            if not len(rows.time_ms):
                continue
            numbers = rows.time_ms // way.pane_ms
            chosen = numbers >= oldest
            missed = int(np.count_nonzero(~chosen))
            late += missed
            mask = chosen if missed else None
            if rows is table.predictions:
                changed += self.grid.count_predictions(table, observed, numbers, chosen=mask)
            else:
                changed += self.grid.count_outcomes(table, observed, numbers, chosen=mask)
        if len(table.fates.model):
            numbers = table.fates.time_ms // way.pane_ms
            changed += self.grid.count_fates(table, numbers, numbers >= max(oldest, 0))
        if changed:
            self.changed(np.concatenate([s << PANE_BITS | n for s, n in changed]), reread=True)
        return late

    def changed(
        self, keys: Ints, *, reread: bool = False, pages: Sequence[Pages] | None = None
    ) -> None:
        """Let windows wait in which cells have changed, unless panes of them are gone.

        Parameters
        ----------
        reread
            Whether rows are counted again after a restart until their cells are written down.
        """
        places = distinct_pairs(keys >> PANE_BITS, keys & ((1 << PANE_BITS) - 1))
        merged = merged_ms(self.coarse.numbers)
        for one in self.pages if pages is None else pages:
            since_ms = self.windowing.since_ms.get(key_of(one.window), -1)
            from_ms = max(since_ms, merged.get(level_ms(one.window), -1))
            one.change(*places, from_ms=from_ms, reread=reread)

    def revise(self, model: int, *, clock_ms: int) -> None:
        """Publish all windows of a model again that are not final: it is of another kind now."""
        limit_ms = clock_ms - self.windowing.horizon_ms
        for pages in self.pages:
            pages.revise(model, limit_ms=limit_ms)

    # ------------------------------------------------------------------ publishing
    @property
    def waiting(self) -> int:
        """How many windows are to be looked at now."""
        return sum(pages.schedule.count for pages in self.pages)

    def wake(self, now_ms: int, revising: Revising) -> None:
        """Let windows be looked at that have lingered since they changed."""
        for pages in self.pages:
            pages.schedule.wake(now_ms, revising)

    def wants_publishing(self, clock_ms: int) -> bool:
        """Whether a window has changed or become final since it was published."""
        until_ms = clock_ms - self.windowing.horizon_ms
        return any(not pages.schedule.empty or pages.has_final(until_ms) for pages in self.pages)

    def publish(
        self, *, limit: int, clock_ms: int, now_ms: int = 0, refresh_ms: int = 0
    ) -> Publication:
        """Publish windows, about `limit` of them at most; those that become final first.

        Parameters
        ----------
        now_ms, refresh_ms
            What has changed by next to nothing since it was written is written after so long.
        """
        until_ms = clock_ms - self.windowing.horizon_ms
        if self.baselines.behind:  # what is final is compared with whole baselines
            until_ms = min(until_ms, self.baselines.needed_ms())
        found = Publication([], np.empty(0, np.int64), [])
        for pages in self.pages:
            final = pages.take_final(limit, until_ms=until_ms)
            limit -= len(final)
            rows: NDArray[np.int32] = np.unique(np.concatenate([final, pages.take_waiting(limit)]))
            limit -= len(rows) - len(final)
            if len(rows):
                due = Due(pages, rows)
                found = self._publish(due, found, until_ms, now_ms=now_ms, refresh_ms=refresh_ms)
        return found

    def publish_rest(self, models: Collection[int], *, clock_ms: int) -> Publication:
        """Publish windows of models that are final by a time and were not published as such."""
        until_ms = clock_ms - self.windowing.horizon_ms
        found = Publication([], np.empty(0, np.int64), [])
        for pages in self.pages:
            rows = pages.unsettled(models, until_ms=until_ms)
            if len(rows):
                found = self._publish(Due(pages, rows), found, until_ms, now_ms=0, refresh_ms=0)
        return found

    def _publish(
        self, due: Due, found: Publication, until_ms: int, *, now_ms: int, refresh_ms: int
    ) -> Publication:
        pages, rows = due
        subject, first, world = due.subject, due.first, self.grid.world
        models = world.subjects.models[subject]
        order = np.lexsort((first, subject, models))
        rows, subject, first, models = rows[order], subject[order], first[order], models[order]
        ends_ms = pages.end_ms(first)
        final = ends_ms <= until_ms
        windows = Windows(
            self.grid,
            subject,
            first,
            panes=pages.panes,
            judged=self.judges.of_windows(models, ends_ms + self.windowing.horizon_ms, final),
            places=self.coarse.places(first * pages.pane_ms, ends_ms, pane_ms=pages.pane_ms),
            compared=self.baselines.of(subject, first * pages.pane_ms),
        )
        numbers = self.publisher.compute(windows, self.families, self._chosen.wanted(models))
        if world.only[SEGMENTS]:
            segments = world.subjects.segments[subject]
            numbers = numbers.where(world.have_a_place(SEGMENTS, models, segments)[numbers.window])
        before = pages.published[rows]
        published = self.sets.hashes(numbers.window, numbers.metric, len(rows))
        published = self.publisher.kept(windows, self.families, (before, published))
        coverage = coverage_of(windows)
        chosen = pages.choose(
            rows,
            numbers,
            coverage,
            counted=windows.predictions + windows.labels,
            kinds=self.sets.kinds(numbers.metric),
            final=final,
            now_ms=now_ms,
            refresh_ms=refresh_ms,
        )
        gone = (before != published) & (before != 0)
        chosen = chosen._replace(revised=chosen.revised | gone)
        pages.publish(rows, final=final, published=published, chosen=chosen, now_ms=now_ms)
        places, keys, values = self.publisher.records(
            windows,
            numbers.where(chosen.numbers),
            pane_ms=pages.pane_ms,
            revision=pages.revision[rows],
            final=final,
            coverage=coverage,
        )
        codes = models.tolist()
        found.records.extend(zip(models[places].tolist(), keys, values, strict=True))
        for place in np.flatnonzero(gone).tolist():
            for name in self.sets.gone(int(before[place]), int(published[place])):
                key = self.publisher.key(windows, place, name, pane_ms=pages.pane_ms)
                found.records.append((codes[place], key, None))
        found.improper.extend(improper(windows, self.families, codes))
        return found._replace(windows=np.concatenate([found.windows, models]))

    # ------------------------------------------------------------------ forgetting
    def forget(self, clock_ms: int) -> Iterator[tuple[tuple[Any, ...], None]]:
        """Drop panes and windows that are final for long; yield what deletes their records.

        A pane that takes no more rows is still needed for the windows that it shares with
        panes that do.
        """
        way = self.windowing
        for known, pages in zip(self._page_records, self.pages, strict=True):
            for place in pages.forget(clock_ms - way.keep_ms):
                yield from known.deletions(*place)
        unpublished_ms = self.unpublished_ms
        oldest_ms = min(clock_ms - way.keep_ms - 2 * way.widest_ms, unpublished_ms)
        for number in self.baselines.comparing.outlived(oldest_ms):
            yield from deletions(KINDS[0], self._cell_records[0].drop(number))
        if way.coarse is not None:
            return
        needed = [self.baselines.needed_ms()] if self.grid.predictions.members else []
        finished_ms = way.finished_ms(clock_ms)
        limit_ms = min(finished_ms, unpublished_ms, self.hours.needed_ms(), *needed)
        for kind, records in zip(KINDS, self._cell_records, strict=True):
            for number in list(records.side.members):
                if pane_end_ms(number, pane_ms=way.pane_ms) <= limit_ms:
                    yield from deletions(kind, records.drop(number))

    def merge(self, clock_ms: int, *, most: int) -> Iterator[tuple[tuple[Any, ...], None]]:
        """Merge finished panes into coarser ones; yield what deletes their records.

        What they are merged into must be written down in the same transaction.

        Parameters
        ----------
        most
            See `CoarsePanes.merge`.
        """
        way = self.windowing
        if way.coarse is None:
            return
        hour = way.finished_ms(clock_ms) // HOUR_MS
        if hour == self._merged_hour and not self.coarse.behind:
            return
        self._merged_hour = hour
        unpublished_ms: dict[int, int] = {}
        for pages in self.pages:
            level, first_ms = level_ms(pages.window), pages.first_unpublished_ms()
            unpublished_ms[level] = min(unpublished_ms.get(level, first_ms), first_ms)
        finished = way.finished(clock_ms, unpublished_ms)
        needed_ms = min(self.baselines.needed_ms(), self.hours.needed_ms())
        finished = finished._replace(panes_ms=min(finished.panes_ms, needed_ms))
        yield from self.coarse.merge(finished, pane_ms=way.pane_ms, most=most)
        self.coarse.behind |= finished.panes_ms // HOUR_MS < hour

    @property
    def unpublished_ms(self) -> int:
        """When the first window begins that is to be published, or final and was not."""
        return min(pages.first_unpublished_ms() for pages in self.pages)

    def drop_models(self, models: Collection[int]) -> None:
        """Forget all of some models."""
        for side in self.grid.sides:
            side.drop_models(models)
        for pages in self.pages:
            pages.drop_models(models)

    @property
    def entries(self) -> int:
        """How many cells there are."""
        return sum(side.table.live for side in self.grid.sides)

    # ------------------------------------------------------------------ other windows
    @property
    def layout(self) -> Layout:
        """How windows are cut; until `change_windows`, how they were."""
        return self.windowing.layout if self.before is None else self.before

    def open(self, packed: Sequence[Any]) -> None:
        """Go by the panes of a state that is read back, see `Windowing.on`."""
        layout = self._settings.read(packed)
        self.windowing = self._settings.on(layout)
        for pages in (*self.pages, *self._retired.pages):
            pages.cut(layout.pane_ms)
        self.baselines.cut(layout.pane_ms)
        self.before = None if layout == self.windowing.layout else layout

    def change_windows(self, clock_ms: int) -> Iterator[Ended]:
        """Begin windows that the state does not know, and end those that only it knows.

        New ones are published from the panes that are kept; what is not final of old ones is
        deleted, since nobody revises it any more.
        """
        assert self.before is not None
        before, self.before = self.before, None
        since = Since(before, clock_ms, self.coarse.numbers)
        for pages in self.pages:
            key = key_of(pages.window)
            self.windowing.since_ms[key] = since.of(pages.window)
            if key not in before.since_ms:
                self._begin(pages)
        yield from self._retired.end(self.grid, self.publisher, self.judges)

    def _begin(self, pages: Pages) -> None:
        """Let all windows wait that are merged from panes that are there."""
        every = [side.table.key[side.every_row()] for side in self.grid.sides]
        keys = np.unique(np.concatenate(every))
        numbers = begins(keys & ((1 << PANE_BITS) - 1), pane_ms=pages.pane_ms)
        there = numbers >= 0
        keys = np.unique((keys >> PANE_BITS << PANE_BITS | numbers)[there])
        if len(keys):
            self.changed(keys, pages=[pages])

    # ------------------------------------------------------------------ written down
    def write(
        self, *, limit_bytes: int, kinds: Sequence[str] = KINDS
    ) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Yield key and content of everything that has changed since.

        Parameters
        ----------
        limit_bytes
            What a record takes, see `take_too_large`.
        """
        for kind in kinds:
            cells = self._cell_records[KINDS.index(kind)]
            for one in cells.write(limit_bytes=limit_bytes):
                yield (kind, *one[:3]), one.content

    def take_too_large(self) -> dict[int, tuple[str, int]]:
        """Return models with a cell that did not fit into a record: what it counts, its size."""
        found: dict[int, tuple[str, int]] = {}
        for kind, cells in zip(KINDS, self._cell_records, strict=True):
            for model, size in cells.too_large.items():
                found.setdefault(model, (kind, size))
            cells.too_large.clear()
        return found

    def write_pages(self, *, whole: bool = True) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Yield what has changed of windows; of all, also which wait for rows read again so far."""
        for known in self._page_records:
            if whole:
                known.pages.touch_waiting()
            yield from known.write()

    def fold(self, key: Sequence[Any], content: Any, code_of: Callable[[Name], int]) -> set[str]:
        """Fold a record; return the families in it of a version that is not known."""
        kind, *place = key
        if kind == PAGES:
            size_ms, hop_ms, *place = place
            for known in self._page_records:
                if key_of(known.pages.window) == (size_ms, hop_ms):
                    known.restore(tuple(place), content, code_of)
                    return set()
            pane_ms = self.windowing.pane_ms
            retired = self._retired.records(Window(size_ms, hop_ms), pane_ms=pane_ms)
            retired.restore(tuple(place), content, code_of)
            return set()
        records = self._cell_records[KINDS.index(kind)]
        if content is None:
            records.delete(*place)
            return set()
        return records.restore(tuple(place), content, code_of)

    def lose(self, key: Sequence[Any]) -> None:
        """Note that a record of cells cannot be read."""
        kind, *place = key
        self._cell_records[KINDS.index(kind)].lose((place[0], place[1], place[2]))
