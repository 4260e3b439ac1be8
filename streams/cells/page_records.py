"""What was published of windows, as records: one for the start of windows and a bucket."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from streams.cells.book import Ints, Pages, Rows
from streams.cells.metric_sets import MetricSets
from streams.cells.numbering import Encoded, numbered
from streams.cells.records import Name, ints
from streams.cells.store import PANE_BITS
from streams.columns.joined import Joined, Texts, array_head
from streams.errors import StateError

_FINAL, _WAITING = 1, 2

Key = tuple[Any, ...]


class PageRecords:
    """Writes down what was published of windows of one size, and reads it back."""

    def __init__(self, pages: Pages, sets: MetricSets, names: Sequence[Name]) -> None:
        self.pages, self._sets = pages, sets
        segments = pages.cells.world.subjects.names.texts
        self._models, self._segments = Encoded(names), Encoded(segments)

    def _key(self, number: int, bucket: int) -> Key:
        window = self.pages.window
        return "page", window.size_ms, window.hop_ms, number, bucket

    def write(self) -> Iterator[tuple[Key, msgspec.Raw | None]]:
        """Yield a record for everything that has changed since."""
        cells = self.pages.cells
        places = sorted(cells.dirty)
        cells.dirty.clear()
        if not places:
            return
        rows, bounds = cells.rows_by(places)
        there = np.diff(bounds) > 0
        contents = iter(self._contents(rows, bounds[np.append(there, True)]))
        for place, has in zip(places, there.tolist(), strict=True):
            yield self._key(*place), msgspec.Raw(next(contents)) if has else None

    def _contents(self, rows: Rows, begins: Ints) -> list[bytes]:
        """Return what is written of the rows of every record."""
        pages, subjects = self.pages, self.pages.cells.world.subjects
        own = pages.cells.table.key[rows] >> PANE_BITS
        flags = pages.final[rows] * _FINAL + pages.waiting[rows] * _WAITING
        model = numbered(subjects.models[own], begins)
        segment = numbered(subjects.segments[own], begins)
        sets, of = np.unique(pages.published[rows], return_inverse=True)
        published = numbered(of, begins)
        named = [_encode(self._sets.names_of(one)) for one in sets.tolist()]
        records = Joined(len(begins) - 1)
        records.same(array_head(8))
        model.add_texts(records, self._models.texts())
        segment.add_texts(records, self._segments.texts())
        published.add_texts(records, Texts.of(named))
        for one in (model, segment, published):
            one.add_places(records)
        records.binary(pages.revision[rows].astype("<u4").view(np.uint8), 4 * begins)
        records.binary(flags.astype("<u1"), begins)
        return records.records()

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


_encode = msgspec.msgpack.Encoder().encode
