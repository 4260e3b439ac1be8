"""Cells as records of the state topic: one for a pane and a bucket of models, by families.

A record names its models, segments and layouts, so that it can be read alone. What each family
counted is a part of its own with the family's version: a build that does not know it, or another
version of it, leaves that part out, and reads the rest. What is lacking since is a part of the
record, too (`lacking`). A record that would be larger than a topic takes is cut into several.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.cells.lacking import EVERYTHING
from streams.cells.numbering import Encoded, numbered
from streams.cells.packed import Packed, PackedUnits, Part
from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import PANE_BITS, ROWS, Cells
from streams.columns.joined import Joined, array_head, bounds_of
from streams.columns.packing import Reader
from streams.errors import StateError
from streams.families.family import Family

LARGEST_BYTES = 500_000

_ROWS_VERSION = 1

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]
Place = tuple[int, int]
"""A pane, and a bucket of models."""
Name = tuple[str, str]


class Written(NamedTuple):
    """One record: of the pane, the bucket, and the how-manieth of these; `None` to delete it."""

    number: int
    bucket: int
    part: int
    content: Any


class _Cut(NamedTuple):
    """Rows as they are cut into records.

    Attributes
    ----------
    parts
        Of every place, how many records it has.
    begins, of
        Of every record, its first row, and its place.
    """

    parts: list[int]
    begins: list[int]
    of: list[Place]


def parts_of(families: Sequence[Family], *, rows: bool) -> list[Part]:
    """Return which columns of a table are written together."""
    own = [Part(EVERYTHING, _ROWS_VERSION, [ROWS])] if rows else []
    return own + [
        Part(f.name, f.version, [(f.name, name) for name in f.columns])
        for f in families
        if f.columns
    ]


class CellRecords:
    """Writes cells of one kind down, and reads them back.

    Parameters
    ----------
    names
        Of models and versions, by code; the list grows.
    """

    def __init__(self, side: Cells, names: Sequence[Name]) -> None:
        self.side = side
        self._parts = parts_of(side.families, rows=True)
        self._unit_parts: list[Part] = []
        if isinstance(side, PredictionCells):
            self._unit_parts = parts_of(side.unit_families, rows=False)
        subjects = side.world.subjects
        self._models, self._segments = Encoded(names), Encoded(subjects.names.texts)
        self._several: dict[Place, int] = {}
        self.too_large: dict[int, int] = {}

    def write(self, *, limit_bytes: int) -> Iterator[Written]:
        """Yield a record for everything that has changed since.

        Models with a cell that does not fit into a record are noted in `too_large`, with the size
        of the first.
        """
        side = self.side
        places = sorted(side.dirty)
        side.dirty.clear()
        if not places:
            return
        rows, bounds = side.rows_by(places)
        packed = Packed(side.table, rows, self._parts)
        units = None
        if self._unit_parts:
            units = PackedUnits(side, rows, self._unit_parts)
        sizes = packed.sizes if units is None else packed.sizes + units.sizes
        models = side.world.subjects.models[side.table.key[rows] >> PANE_BITS]
        for large in np.flatnonzero(sizes > limit_bytes).tolist():
            self.too_large.setdefault(int(models[large]), int(sizes[large]))
        cut = self._cut(places, bounds, sizes)
        contents = iter(self._contents(rows, cut, packed, units))
        for place, parts in zip(places, cut.parts, strict=True):
            for part in range(parts):
                yield Written(*place, part, msgspec.Raw(next(contents)))
            if parts != 1 or self._several:
                yield from self._surplus(place, parts)

    def _cut(self, places: Sequence[Place], bounds: Ints, sizes: Ints) -> _Cut:
        """Cut rows into records; a place without rows has one if it lacks anything."""
        lacking = self.side.lacking
        total = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        large = np.diff(total[bounds]) > LARGEST_BYTES
        cut, starts = _Cut([], [], []), bounds.tolist()
        for index, place in enumerate(places):
            start, end = starts[index], starts[index + 1]
            begins = [start]
            if start == end and not (lacking and lacking.of(place)):
                begins = []
            elif large[index]:
                begins = [start + first for first in _cuts(sizes[start:end])[:-1]]
            cut.parts.append(len(begins))
            cut.begins.extend(begins)
            cut.of.extend([place] * len(begins))
        return cut

    def _contents(
        self, rows: Rows, cut: _Cut, packed: Packed, units: PackedUnits | None
    ) -> list[bytes]:
        """Return what is written of the rows of every record."""
        side, subjects = self.side, self.side.world.subjects
        begins = np.array([*cut.begins, len(rows)], np.int64)
        own = side.table.key[rows] >> PANE_BITS
        model = numbered(subjects.models[own], begins)
        segment = numbered(subjects.segments[own], begins)
        records = Joined(len(cut.begins))
        records.same(array_head(7))
        model.add_texts(records, self._models.texts())
        segment.add_texts(records, self._segments.texts())
        model.add_places(records)
        segment.add_places(records)
        packed.add(records, begins)
        if units is None:
            records.same(array_head(0))
        else:
            units.add(records, begins)
        if side.lacking:
            lacking = [_encode(side.lacking.of(place)) for place in cut.of]
            records.span(b"".join(lacking), bounds_of(lacking))
        else:
            records.same(array_head(0))
        return records.records()

    def _surplus(self, place: tuple[int, int], parts: int) -> Iterator[Written]:
        """Delete what a record was cut into and is no longer; remember what it is cut into."""
        for part in range(parts, self._several.pop(place, 1)):
            yield Written(*place, part, None)
        if parts > 1:
            self._several[place] = parts

    def drop(self, number: int) -> Iterator[Written]:
        """Forget a pane; yield what deletes its records."""
        return self.drop_places([(number, b) for b in self.side.members.get(number, {})])

    def drop_places(self, places: Sequence[tuple[int, int]]) -> Iterator[Written]:
        """Forget panes and buckets; yield what deletes their records."""
        self.side.drop_places(places)
        for number, bucket in places:
            for part in range(max(self._several.pop((number, bucket), 1), 1)):
                yield Written(number, bucket, part, None)

    # ------------------------------------------------------------------ reading back
    def delete(self, number: int, bucket: int, part: int) -> None:
        """Fold a deletion."""
        if part == 0:
            self.side.drop_bucket(number, bucket)
            self._several.pop((number, bucket), None)

    def restore(
        self, place: tuple[int, int, int], content: Sequence[Any], code_of: Callable[[Name], int]
    ) -> set[str]:
        """Put a record back; return the families that it has not, or in another version."""
        number, bucket, _ = place
        models, segments, model, segment, parts, units, lacking = content
        side, subjects = self.side, self.side.world.subjects
        self._expect(place)
        codes = np.array([code_of((name, version)) for name, version in models], np.int64)
        own = codes[ints(model, "<u2", len(codes))]
        names = subjects.names.codes(segments)[ints(segment, "<u2", len(segments))]
        if len(own) != len(names):
            raise StateError("a record of cells is damaged")
        found = side.find(subjects.of(own, names), np.full(len(own), number), add=True)
        other = _unpack(side.table, found, parts, self._parts)
        if isinstance(side, PredictionCells):
            layouts, cell, layout, parts = units or ([], b"", b"", {})
            codes = np.array([side.layout(tuple(names)) for names in layouts], np.int64)
            cells = found[ints(cell, "<u4", len(found))]
            rows = [np.empty(0, np.int32)]
            kinds = codes[ints(layout, "<u2", len(codes))]
            for one, kind in zip(cells.tolist(), kinds.tolist(), strict=True):
                [first] = side.find_units(np.array([one], np.int32), kind)
                rows.append(first + np.arange(len(side.layouts[kind]), dtype=np.int32))
            other |= _unpack(side.units, np.concatenate(rows), parts, self._unit_parts)
        known = {part.name for part in (*self._parts, *self._unit_parts)}
        side.lack(number, bucket, (other & known).union(lacking))
        return other

    def lose(self, place: tuple[int, int, int]) -> None:
        """Note that there was a record that cannot be read."""
        number, bucket, _ = place
        self._expect(place)
        self.side.lack(number, bucket, {EVERYTHING})

    def _expect(self, place: tuple[int, int, int]) -> None:
        """Note of how many records a pane and bucket is one."""
        number, bucket, part = place
        if part:
            known = self._several.get((number, bucket), 0)
            self._several[number, bucket] = max(known, part + 1)


def _cuts(sizes: NDArray[np.int64]) -> list[int]:
    """Return where to cut so that no part is larger than it may be, unless a row alone is."""
    total = np.cumsum(sizes)
    if not len(total) or total[-1] <= LARGEST_BYTES:
        return [0, len(sizes)]
    cuts, before = [0], 0
    while cuts[-1] < len(sizes):
        end = int(np.searchsorted(total, before + LARGEST_BYTES, side="right"))
        cuts.append(max(end, cuts[-1] + 1))
        before = int(total[cuts[-1] - 1])
    return cuts


def ints(data: bytes, kind: str, below: int) -> NDArray[np.int64]:
    """Read numbers, all of which must be below something."""
    if len(data) % int(kind[2:]):
        raise StateError("a record of cells is damaged")
    numbers = np.frombuffer(data, kind).astype(np.int64)
    if len(numbers) and int(numbers.max()) >= below:
        raise StateError("a record of cells is damaged")
    return numbers


def rows_of(content: Sequence[Any]) -> dict[Name, int]:
    """Return how many rows a record of cells has of models, all segments in one."""
    models, segments, model, segment, parts, *_ = content
    version, _, data = parts.get(EVERYTHING, (None, b"", b""))
    if version != _ROWS_VERSION:
        return {}
    own, names = (np.frombuffer(column, "<u2").tolist() for column in (model, segment))
    source = Reader(data, 0)
    counts = [source.signed() for _ in own]
    return {
        (models[code][0], models[code][1]): count
        for code, name, count in zip(own, names, counts, strict=True)
        if not segments[name]
    }


def _unpack(table: Any, rows: Rows, content: dict[str, list[Any]], parts: list[Part]) -> set[str]:
    """Read parts of a record; return those that are not there, not known, or of another version."""
    other = set(content).union(part.name for part in parts)
    for part in parts:
        version, lengths, data = content.get(part.name, (None, b"", b""))
        if version != part.version:
            continue
        other.discard(part.name)
        sizes = np.frombuffer(lengths, "<u4").astype(np.int64)
        if len(sizes) != len(rows) or int(sizes.sum()) != len(data):
            raise StateError("a record of cells is damaged")
        starts = np.cumsum(sizes) - sizes
        table.unpack(rows, np.frombuffer(data, np.uint8), starts, part.columns)
    return other


_encode = msgspec.msgpack.Encoder().encode
