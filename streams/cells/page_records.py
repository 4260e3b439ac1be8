"""What was published of windows, as records: one for the start of windows and a bucket."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from streams.cells.book import Pages
from streams.cells.metric_sets import MetricSets
from streams.cells.records import Name, ints, numbered
from streams.cells.store import PANE_BITS
from streams.errors import StateError

_FINAL, _WAITING = 1, 2

Key = tuple[Any, ...]


class PageRecords:
    """Writes down what was published of windows of one size, and reads it back."""

    def __init__(self, pages: Pages, sets: MetricSets, names: Callable[[int], Name]) -> None:
        self.pages, self._sets, self._names = pages, sets, names

    def _key(self, number: int, bucket: int) -> Key:
        window = self.pages.window
        return "page", window.size_ms, window.hop_ms, number, bucket

    def write(self) -> Iterator[tuple[Key, list[Any] | None]]:
        """Yield a record for everything that has changed since."""
        pages, cells = self.pages, self.pages.cells
        places = sorted(cells.dirty)
        cells.dirty.clear()
        found = [cells.rows_of(*place) for place in places]
        if not found:
            return
        rows, subjects = np.concatenate(found), cells.world.subjects
        own = cells.table.key[rows] >> PANE_BITS
        flags = pages.final[rows] * _FINAL + pages.waiting[rows] * _WAITING
        columns = [
            subjects.models[own].tolist(),
            subjects.segments[own].tolist(),
            pages.published[rows].tolist(),
        ]
        numbers = pages.revision[rows].astype("<u4").tobytes(), flags.astype("<u1").tobytes()
        end = 0
        for place, mine in zip(places, found, strict=True):
            start, end = end, end + len(mine)
            if end == start:
                yield self._key(*place), None
            else:
                named = self._named(*(column[start:end] for column in columns))
                span = numbers[0][4 * start : 4 * end], numbers[1][start:end]
                yield self._key(*place), [*named, *span]

    def _named(self, models: list[int], segments: list[int], sets: list[int]) -> list[Any]:
        """Return names of models, segments and metrics, and the place of each row's among them."""
        texts = self.pages.cells.world.subjects.names.texts
        model, own = numbered(models)
        segment, name = numbered(segments)
        known, published = numbered(sets)
        return [
            [self._names(code) for code in model],
            [texts[code] for code in segment],
            [self._sets.names_of(one) for one in known],
            *(own, name, published),
        ]

    def deletions(self, number: int, bucket: int) -> Iterator[tuple[Key, None]]:
        """Yield what deletes a record."""
        yield self._key(number, bucket), None

    def restore(
        self, place: tuple[int, int], content: Sequence[Any] | None, code_of: Callable[[Name], int]
    ) -> None:
        """Fold a record."""
        pages, (number, bucket) = self.pages, place
        if content is None:
            pages.drop(number, bucket)
            return
        models, segments, sets, *columns, revision, flags = content
        world = pages.cells.world
        codes = np.array([code_of((name, version)) for name, version in models], np.int64)
        names = world.subjects.names.codes(segments)
        hashes = np.array([self._sets.add(one) for one in sets], np.uint64)
        model, segment, published = (
            ints(column, "<u2", len(known))
            for column, known in zip(columns, (codes, names, hashes), strict=True)
        )
        revisions, signs = ints(revision, "<u4", 1 << 32), ints(flags, "<u1", 4)
        if len({len(c) for c in (model, segment, published, revisions, signs)}) != 1:
            raise StateError("a record of windows is damaged")
        subjects = world.subjects.of(codes[model], names[segment])
        pages.restore(
            (subjects, number),
            revision=revisions,
            final=signs & _FINAL != 0,
            waiting=signs & _WAITING != 0,
            published=hashes[published],
        )
