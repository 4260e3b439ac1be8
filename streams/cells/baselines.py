"""Baselines: what the first days of a model were like, so that later windows can be compared.

A baseline is one more pane, of a number above all others, to which the finished panes of a
model's first days are added; so it is counted, written down, read back and forgotten as any other.
A model may have several, such as of its first 3 days and of its first 14: each begins with the
model's first step and is complete, and never changes again, once the watermark has passed its
span. A window is compared with the longest baseline that was complete when it began. Because steps
are added as the watermark passes them, a baseline does not depend on batches or workers.

A version whose own baseline is not complete goes by that of another version of its model: the one
with a baseline that had most predictions in its first step, or that began last.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.cells.levels import BASELINES, DAY_MS, FIRST_COARSE, HOUR_MS
from streams.cells.names import grown
from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import PANE_BITS
from streams.cells.view import Compared

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]
Name = tuple[str, str]

NEVER_MS = 1 << 62
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

    Attributes
    ----------
    changed
        Buckets with a model that is not written down as it is.
    """

    def __init__(
        self, side: PredictionCells, names: Sequence[Name], *, spans_ms: Sequence[int], pane_ms: int
    ) -> None:
        self._side, self._names, self._world = side, names, side.world
        self.spans_ms = tuple(spans_ms)
        self.cut(pane_ms)
        self._begun_ms, self._source = np.empty(0, np.int64), np.empty(0, np.int64)
        self._open: set[int] = set()
        self._passed_ms = -1
        self.changed: set[int] = set()

    def cut(self, pane_ms: int) -> None:
        """Go by panes of another length."""
        self._pane_ms = pane_ms
        hours = min(self.spans_ms, default=0) >= DAY_MS and HOUR_MS % pane_ms == 0
        self.step_ms = HOUR_MS if hours else pane_ms

    # ------------------------------------------------------------------ models
    def add(self, code: int) -> None:
        """Let the baselines of a model begin with its next rows."""
        if not self.spans_ms:
            return
        self._begun_ms = grown(self._begun_ms, code + 1, fill=NEVER_MS)
        self._source = grown(self._source, code + 1, fill=_NOBODY)
        self._begun_ms[code], self._source[code] = NEVER_MS, _NOBODY
        self._open.add(code)

    def drop(self, codes: Collection[int]) -> None:
        """Forget models, whose cells are gone, and let nobody go by them."""
        if not self.spans_ms:
            return
        own = np.array(list(codes), np.int64)
        self._open.difference_update(codes)
        orphans = np.flatnonzero(np.isin(self._source, own))
        self._source[orphans] = _NOBODY
        begun = own[self._begun_ms[own] != NEVER_MS]
        self._begun_ms[own], self._source[own] = NEVER_MS, _NOBODY
        self._touch(np.concatenate([orphans, begun]))

    def _touch(self, codes: Ints) -> None:
        self.changed.update(self._world.bucket_of[codes].tolist())

    # ------------------------------------------------------------------ growing
    def needed_ms(self, clock_ms: int) -> int:
        """Return from when on panes have not been added yet."""
        return clock_ms // self.step_ms * self.step_ms if self._open else NEVER_MS

    def reach(self, clock_ms: int) -> None:
        """Note how far the watermark was when the state was written."""
        self._passed_ms = clock_ms // self.step_ms * self.step_ms

    def grow(self, clock_ms: int) -> list[int]:
        """Add the panes of all steps that the watermark has passed.

        Returns
        -------
        list of int
            Models with a baseline that they did not have before.
        """
        from_ms, until_ms = self._passed_ms, clock_ms // self.step_ms * self.step_ms
        if until_ms <= from_ms:
            return []
        self._passed_ms = until_ms
        if not self._open:
            return []
        steps: dict[int, list[int]] = {}
        for number in self._side.members:
            start_ms = number * self._pane_ms
            if number < FIRST_COARSE and from_ms <= start_ms < until_ms:
                steps.setdefault(start_ms // self.step_ms, []).append(number)
        for step in sorted(steps):
            self._pass(step * self.step_ms, steps[step])
        codes = np.array(sorted(self._open), np.int64)
        begun_ms = self._begun_ms[codes]
        found = (begun_ms >= from_ms) & (self._source[codes] >= 0)
        for span_ms in self.spans_ms:
            found |= (begun_ms > from_ms - span_ms) & (begun_ms <= until_ms - span_ms)
        complete = codes[begun_ms <= until_ms - self.spans_ms[-1]]
        self._open.difference_update(complete.tolist())
        return [int(code) for code in codes[found]]

    def _pass(self, start_ms: int, numbers: Sequence[int]) -> None:
        """Add the panes of a step to the baselines that it belongs to."""
        side, codes = self._side, np.array(sorted(self._open), np.int64)
        buckets = np.unique(self._world.bucket_of[codes]).tolist()
        rows = side.rows_at([(number, bucket) for number in numbers for bucket in buckets])
        if not len(rows):
            return
        subjects = side.table.key[rows] >> PANE_BITS
        models = self._world.subjects.models[subjects]
        fresh = np.unique(models[self._begun_ms[models] == NEVER_MS])
        if len(fresh):
            self._begin(fresh, start_ms, (rows, models))
        for number, span_ms in enumerate(self.spans_ms):
            own = np.flatnonzero(start_ms < self._begun_ms[models] + span_ms)
            if len(own):
                self._add(rows[own], subjects[own], models[own], BASELINES.first + number)

    def _add(self, rows: Rows, subjects: Ints, models: Ints, number: int) -> None:
        side = self._side
        target = side.find(subjects, np.full(len(rows), number), add=True)
        side.merge(target, side, rows)
        side.touch(models, np.full(len(rows), number))

    def _begin(self, codes: Ints, start_ms: int, step: tuple[Rows, Ints]) -> None:
        """Let the baselines of models begin with a step, of which these are rows and models."""
        self._begun_ms[codes] = start_ms
        self._touch(codes)
        others: dict[str, list[int]] = {}
        for other in np.flatnonzero(self._begun_ms <= start_ms - self.spans_ms[0]).tolist():
            others.setdefault(self._names[other][0], []).append(other)
        for code in codes.tolist() if others else ():
            known = others.get(self._names[code][0])
            if known:
                self._source[code] = self._first_of(known, step)

    def _first_of(self, codes: Sequence[int], step: tuple[Rows, Ints]) -> int:
        rows, models = step
        counts = [int(self._side.counted(rows[models == code]).sum()) for code in codes]
        ranks = [
            (count, int(self._begun_ms[code]), self._names[code])
            for code, count in zip(codes, counts, strict=True)
        ]
        return codes[ranks.index(max(ranks))]

    # ------------------------------------------------------------------ reading
    def of(self, subjects: Ints, starts_ms: Ints) -> Compared | None:
        """Return what windows are compared with; `None` if nothing is.

        Parameters
        ----------
        subjects, starts_ms
            Of every window, the model in a segment, and when it begins.
        """
        if not self.spans_ms:
            return None
        world = self._world.subjects
        models = world.models[subjects]
        own = self._number(models, starts_ms)
        source = self._source[models]
        others = self._number(np.maximum(source, 0), starts_ms)
        if not ((own >= 0) | (others >= 0)).any():
            return None
        inherits = (own < 0) & (source >= 0) & (others >= 0)
        whose = subjects.copy()
        whose[inherits] = world.of(source[inherits], world.segments[subjects[inherits]])
        return Compared(self._side, whose, np.where(inherits, others, own))

    def _number(self, models: Ints, starts_ms: Ints) -> Ints:
        """Return the number of the longest baseline that was complete as windows began."""
        found, until_ms = np.full(len(models), _NOBODY), np.minimum(starts_ms, self._passed_ms)
        for number, span_ms in enumerate(self.spans_ms):
            found[self._begun_ms[models] <= until_ms - span_ms] = BASELINES.first + number
        return found

    # ------------------------------------------------------------------ state
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield what is to be written down, by bucket."""
        for bucket in sorted(self.changed):
            begun = np.flatnonzero(self._begun_ms != NEVER_MS)
            own = begun[self._world.bucket_of[begun] == bucket]
            yield bucket, [self._packed(code) for code in own.tolist()] or None
        self.changed.clear()

    def _packed(self, code: int) -> list[Any]:
        source = int(self._source[code])
        known = None if source < 0 else self._names[source]
        return [*self._names[code], int(self._begun_ms[code]), known]

    def restore(self, code: int, begun_ms: int, source: int | None) -> None:
        """Put back what is known of a model."""
        if self.spans_ms:
            self._begun_ms[code] = begun_ms
            self._source[code] = _NOBODY if source is None else source
