"""Baselines: what the first days of a model were like, so that later windows can be compared.

A baseline is one more pane, of a number above all others, to which the finished panes of a
model's first days are added; so it is counted, written down, read back and forgotten as any other.
A model may have several, such as of its first 3 days and of its first 14: each begins with the
model's first step and is complete, and never changes again, once the watermark has passed its
span. A window is compared with the longest baseline that was complete when it began. Because steps
are added as the watermark passes them, a baseline does not depend on batches or workers.

Where a number of rows is said, there is one more, which is complete at the first boundary of panes
at which it has so many, and counts until the first of the others is.

A version whose own baseline is not complete goes by that of another version of its model: the one
with a baseline that had most predictions in its first step, or that began last.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.comparing import NEVER_MS, Comparing, Grown, Panes
from streams.cells.inheriting import busiest
from streams.cells.levels import BASELINES, DAY_MS, FIRST_COARSE, HOUR_MS
from streams.cells.names import grown
from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import BUCKET_BITS, PANE_BITS
from streams.cells.view import Compared
from streams.monitors import MOST_BASELINES

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]
Name = tuple[str, str]

EARLY = BASELINES.first + MOST_BASELINES
"""Number of the baseline that is complete once it has enough rows."""

_NOBODY = -1


class Baselines:
    """The baselines of all models of a partition.

    Parameters
    ----------
    side
        Cells of predictions, of which baselines are some.
    names
        Of models and versions, by code; the list grows.
    spans_ms
        How much of a model's beginning each baseline is, rising.
    rows
        So many are a baseline before that; 0 for none.

    Attributes
    ----------
    changed
        Buckets that are not written down as they are.
    behind
        Whether `grow` left something to be added.
    comparing
        What is said of models that are compared with something else.
    """

    def __init__(
        self,
        side: PredictionCells,
        names: Sequence[Name],
        *,
        spans_ms: Sequence[int],
        pane_ms: int,
        rows: int = 0,
    ) -> None:
        self._side, self._names, self._world = side, names, side.world
        self.comparing = Comparing(side, names, Grown(self._number, self.passed_ms))
        self.spans_ms, self._rows = tuple(spans_ms), rows
        self.cut(pane_ms)
        self._begun_ms, self._source = np.empty(0, np.int64), np.empty(0, np.int64)
        self._early_ms = np.empty(0, np.int64)
        self._open: dict[int, set[int]] = {}
        self._passed_ms = np.full(1 << BUCKET_BITS, -1)
        self._until_ms = -1
        self.changed: set[int] = set()
        self.behind = False

    def cut(self, pane_ms: int) -> None:
        """Go by panes of another length."""
        self._pane_ms = pane_ms
        hours = min(self.spans_ms, default=0) >= DAY_MS and HOUR_MS % pane_ms == 0
        self.step_ms = HOUR_MS if hours and not self._rows else pane_ms

    # ------------------------------------------------------------------ models
    def add(self, code: int) -> None:
        """Let the baselines of a model begin with its next rows."""
        self.comparing.add(code)
        if not self.spans_ms:
            return
        self._begun_ms = grown(self._begun_ms, code + 1, fill=NEVER_MS)
        self._source = grown(self._source, code + 1, fill=_NOBODY)
        self._early_ms = grown(self._early_ms, code + 1, fill=NEVER_MS)
        self._begun_ms[code], self._source[code] = NEVER_MS, _NOBODY
        self._early_ms[code] = NEVER_MS
        self._open.setdefault(int(self._world.bucket_of[code]), set()).add(code)
        self._until_ms = -1

    def drop(self, codes: Collection[int]) -> None:
        """Forget models, whose cells are gone, and let nobody go by them."""
        self.comparing.forget(codes)
        if not self.spans_ms:
            return
        own = np.array(list(codes), np.int64)
        for code in codes:
            self._close(code)
        orphans = np.flatnonzero(np.isin(self._source, own))
        self._source[orphans] = _NOBODY
        begun = own[self._begun_ms[own] != NEVER_MS]
        self._begun_ms[own], self._source[own] = NEVER_MS, _NOBODY
        self._early_ms[own] = NEVER_MS
        self._touch(np.concatenate([orphans, begun]))

    def followers(self, codes: Collection[int]) -> list[int]:
        """Return other models that go by the baselines of these, or what else is kept of them."""
        if not self.spans_ms:
            return []
        found: list[int] = np.flatnonzero(np.isin(self._source, list(codes))).tolist()
        more = self.comparing.followers(codes)
        return [code for code in sorted({*found, *more}) if code not in codes]

    def begin_anew(self, code: int) -> None:
        """Let the baselines of a model begin with its next rows, which are of another life."""
        if self.spans_ms:
            self._side.drop_models([code], first=BASELINES.first)
            self.drop([code])
            self.add(code)

    def _touch(self, codes: Ints) -> None:
        self.changed.update(self._world.bucket_of[codes].tolist())

    def _close(self, code: int) -> None:
        bucket = int(self._world.bucket_of[code])
        known = self._open.get(bucket, set())
        known.discard(code)
        if not known:
            self._open.pop(bucket, None)

    # ------------------------------------------------------------------ growing
    @property
    def growing(self) -> bool:
        """Whether anything is added to any of them as time passes."""
        return bool(self._open)

    def needed_ms(self) -> int:
        """Return from when on panes have not been added yet."""
        passed = [int(self._passed_ms[bucket]) for bucket in self._open]
        return min(passed, default=NEVER_MS)

    def grow(self, clock_ms: int, *, most: int) -> list[int]:
        """Add the panes of steps that the watermark has passed, one step after another.

        Of a step, all models are done before the next: whom a version goes by depends on what has
        begun before, in whichever bucket that is.

        Parameters
        ----------
        most
            No more than about so many cells are added; `behind` tells if that is not all.

        Returns
        -------
        list of int
            Models with a baseline that they did not have before.
        """
        until_ms = clock_ms // self.step_ms * self.step_ms
        if until_ms <= self._until_ms:
            return []
        found: list[int] = []
        self.behind = False
        for start_ms, bucket, numbers in self._due(until_ms):
            if most <= 0:
                self.behind = True
                return found
            most -= self._pass(start_ms, [(number, bucket) for number in numbers])
            found += self._arrive(bucket, start_ms + self.step_ms)
        for bucket in sorted(self._open):
            if self._passed_ms[bucket] < until_ms:
                found += self._arrive(bucket, until_ms)
        self._until_ms = until_ms
        return sorted(set(found))

    def _due(self, until_ms: int) -> list[tuple[int, int, list[int]]]:
        """Return when a step begins, a bucket and its panes, of all that were not added; rising."""
        steps: dict[tuple[int, int], list[int]] = {}
        for number, buckets in self._side.members.items():
            start_ms = number * self._pane_ms
            if number >= FIRST_COARSE or start_ms >= until_ms:
                continue
            for bucket in buckets.keys() & self._open.keys():
                if start_ms >= self._passed_ms[bucket]:
                    step_ms = start_ms // self.step_ms * self.step_ms
                    steps.setdefault((step_ms, bucket), []).append(number)
        return [(*place, sorted(steps[place])) for place in sorted(steps)]

    def _arrive(self, bucket: int, until_ms: int) -> list[int]:
        """Note until when panes of a bucket were added; return models with a new baseline."""
        if bucket not in self._open:
            return []
        from_ms = int(self._passed_ms[bucket])
        codes = np.array(sorted(self._open[bucket]), np.int64)
        collected = [bool(self.comparing) and self.comparing.collects(c) for c in codes.tolist()]
        self._passed_ms[bucket] = until_ms
        self.changed.add(bucket)
        begun_ms = self._begun_ms[codes]
        found = (begun_ms >= from_ms) & (self._source[codes] >= 0)
        early_ms = self._early_ms[codes]
        found |= (early_ms > from_ms) & (early_ms <= until_ms)
        for span_ms in self.spans_ms:
            found |= (begun_ms > from_ms - span_ms) & (begun_ms <= until_ms - span_ms)
        for code in codes[begun_ms <= until_ms - self.spans_ms[-1]].tolist():
            if not self.comparing.collects(code):
                self._close(code)
        if from_ms // DAY_MS < until_ms // DAY_MS:
            found |= np.array(collected)
        return [int(code) for code in codes[found]]

    def _pass(self, start_ms: int, places: Sequence[tuple[int, int]]) -> int:
        """Add the panes of a step to the baselines that it belongs to; return how many cells."""
        side = self._side
        rows = side.rows_at(places)
        if not len(rows):
            return 0
        subjects = side.table.key[rows] >> PANE_BITS
        models = self._world.subjects.models[subjects]
        fresh = np.unique(models[self._begun_ms[models] == NEVER_MS])
        if len(fresh):
            self._begin(fresh, start_ms, [number for number, _ in places])
        added = 0
        for number, span_ms in enumerate(self.spans_ms):
            own = np.flatnonzero(start_ms < self._begun_ms[models] + span_ms)
            if len(own):
                self._add(rows[own], subjects[own], models[own], BASELINES.first + number)
                added += len(own)
        if self._rows:
            added += self._add_early(rows, subjects, models, start_ms)
        return added + (self._add_days(rows, subjects, models) if self.comparing else 0)

    def _add_early(self, rows: Rows, subjects: Ints, models: Ints, start_ms: int) -> int:
        """Add a step to baselines that wait for a number of rows; return how many cells."""
        wanted = (self._early_ms[models] == NEVER_MS) & (
            start_ms < self._begun_ms[models] + self.spans_ms[0]
        )
        own = np.flatnonzero(wanted)
        if not len(own):
            return 0
        self._add(rows[own], subjects[own], models[own], EARLY)
        codes = np.unique(models[own])
        world, side = self._world.subjects, self._side
        cells = side.find(world.of(codes, world.names.code("")), np.full(len(codes), EARLY))
        there = cells >= 0
        enough = codes[there][side.counted(cells[there]) >= self._rows]
        self._early_ms[enough] = start_ms + self.step_ms
        return len(own)

    def _add_days(self, rows: Rows, subjects: Ints, models: Ints) -> int:
        """Add panes to the hours or days that they are of; return how many cells."""
        starts_ms = (self._side.table.key[rows] & ((1 << PANE_BITS) - 1)) * self._pane_ms
        added = 0
        for start_ms in np.unique(starts_ms).tolist():
            now = starts_ms == start_ms
            for number, codes in self.comparing.collected(models[now], start_ms):
                own = np.flatnonzero(now & np.isin(models, codes))
                self._add(rows[own], subjects[own], models[own], number)
                added += len(own)
        return added

    def collect(self, codes: Collection[int]) -> None:
        """Note of which models something else is said, and of which days are added up."""
        if not self.spans_ms:
            return
        until_ms = max(self._until_ms, -1)
        self._touch(np.array(list(codes), np.int64))
        for code in codes:
            if self.comparing.collects(code):
                bucket = int(self._world.bucket_of[code])
                if bucket not in self._open:  # nothing was added of it since it was closed
                    self._passed_ms[bucket] = max(until_ms, int(self._passed_ms[bucket]))
                    self.changed.add(bucket)
                self._open.setdefault(bucket, set()).add(code)

    def _add(self, rows: Rows, subjects: Ints, models: Ints, number: int) -> None:
        side = self._side
        target = side.find(subjects, np.full(len(rows), number), add=True)
        side.merge(target, side, rows)
        side.touch(models, np.full(len(rows), number))

    def _begin(self, codes: Ints, start_ms: int, numbers: Sequence[int]) -> None:
        """Let the baselines of models begin with a step, which has these panes."""
        self._begun_ms[codes] = start_ms
        self._touch(codes)
        others: dict[str, list[int]] = {}
        complete = self._begun_ms <= start_ms - self.spans_ms[0]
        for other in np.flatnonzero(complete | (self._early_ms <= start_ms)).tolist():
            others.setdefault(self._names[other][0], []).append(other)
        for code in codes.tolist() if others else ():
            known = others.get(self._names[code][0])
            if known:
                self._source[code] = busiest(
                    self._side, known, numbers=numbers, begun_ms=self._begun_ms, names=self._names
                )

    # ------------------------------------------------------------------ reading
    def of(self, subjects: Ints, starts_ms: Ints) -> Compared | None:
        """Return what windows are compared with; `None` if nothing is.

        Parameters
        ----------
        subjects, starts_ms
            Of every window, the model in a segment, and when it begins.
        """
        every = np.arange(len(subjects))
        panes = Panes(subjects.copy(), np.full(len(subjects), _NOBODY), every)
        if self.spans_ms:
            panes = self._beginnings(subjects, starts_ms)
        if self.comparing:
            panes = self.comparing.put(panes, subjects, starts_ms)
        if not (panes.numbers >= 0).any():
            return None
        return Compared(self._side, *panes)

    def _beginnings(self, subjects: Ints, starts_ms: Ints) -> Panes:
        """Return the baselines of windows, their own or that of another version."""
        world = self._world.subjects
        models = world.models[subjects]
        own = self._number(models, starts_ms)
        source = self._source[models]
        others = self._number(np.maximum(source, 0), starts_ms)
        whose = subjects.copy()
        inherits = (own < 0) & (source >= 0) & (others >= 0)
        if inherits.any():
            whose[inherits] = world.of(source[inherits], world.segments[subjects[inherits]])
        return Panes(whose, np.where(inherits, others, own), np.arange(len(subjects)))

    def passed_ms(self, models: Ints) -> Ints:
        """Return until when panes of models were added."""
        return self._passed_ms[self._world.bucket_of[models]]

    def _number(self, models: Ints, starts_ms: Ints) -> Ints:
        """Return the number of the longest baseline that was complete as windows began."""
        found = np.full(len(models), _NOBODY)
        until_ms = np.minimum(starts_ms, self._passed_ms[self._world.bucket_of[models]])
        found[self._early_ms[models] <= until_ms] = EARLY
        for number, span_ms in enumerate(self.spans_ms):
            found[self._begun_ms[models] <= until_ms - span_ms] = BASELINES.first + number
        return found

    def complete_ms(self, code: int, span_ms: int) -> int:
        """Return when a baseline of a model was complete; 0: the one with enough rows."""
        return int(self._begun_ms[code] + span_ms if span_ms else self._early_ms[code])

    # ------------------------------------------------------------------ state
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield what is to be written down, by bucket."""
        for bucket in sorted(self.changed):
            begun = np.flatnonzero(self._begun_ms != NEVER_MS)
            own = begun[self._world.bucket_of[begun] == bucket]
            packed = [self._packed(code) for code in own.tolist()]
            content = [int(self._passed_ms[bucket]), packed, self.spans_ms, self._said(own)]
            yield bucket, content if packed or bucket in self._open else None
        self.changed.clear()

    def _packed(self, code: int) -> list[Any]:
        source = int(self._source[code])
        known = None if source < 0 else self._names[source]
        found = [*self._names[code], int(self._begun_ms[code]), known]
        early_ms = int(self._early_ms[code])
        return found if early_ms == NEVER_MS else [*found, early_ms]

    def _said(self, codes: Ints) -> dict[str, str]:
        """Return what models are compared with now, if not with how they began."""
        found = ((self._names[code][0], self.comparing.now(code)) for code in codes.tolist())
        return {model: str(said) for model, said in found if said is not None}

    def restore_passed(self, bucket: int, passed_ms: int) -> None:
        """Put back how far the baselines of a bucket are."""
        self._passed_ms[bucket] = passed_ms

    def restore(
        self,
        code: int,
        begun_ms: int,
        source: int | None,
        early_ms: int = NEVER_MS,
    ) -> None:
        """Put back what is known of a model."""
        if self.spans_ms:
            self._begun_ms[code] = begun_ms
            self._source[code] = _NOBODY if source is None else source
            self._early_ms[code] = early_ms if self._rows else NEVER_MS
