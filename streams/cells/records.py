"""Cells as records of the state topic: one for a pane and a bucket of models, by families.

A record names its models, segments and layouts, so that it can be read alone. What each family
counted is a part of its own with the family's version: a build that does not know it, or another
version of it, leaves that part out, and reads the rest. What is lacking since is a part of the
record, too (`lacking`). A record that would be larger than a topic takes is cut into several.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.lacking import EVERYTHING
from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import PANE_BITS, ROWS, Cells
from streams.columns import Table
from streams.columns.packing import Reader
from streams.errors import StateError
from streams.families.family import Family

LARGEST_BYTES = 500_000

_ROWS_VERSION = 1
_LENGTH_BYTES = 4

Rows = NDArray[np.int32]
Name = tuple[str, str]


class Written(NamedTuple):
    """One record: of the pane, the bucket, and the how-manieth of these; `None` to delete it."""

    number: int
    bucket: int
    part: int
    content: list[Any] | None


class Part(NamedTuple):
    """What some columns of a table hold, rows behind each other."""

    name: str
    version: int
    columns: list[tuple[str, str]]


class _Packed:
    """Rows of a table, by part: their bytes, and the lengths of these."""

    def __init__(self, table: Table, rows: Rows, parts: Sequence[Part]) -> None:
        self._parts: list[tuple[Part, bytes, list[int], bytes]] = []
        self.sizes = np.zeros(len(rows), np.int64)
        for part in parts:
            data, ends = table.pack(rows, part.columns)
            lengths = np.diff(ends, prepend=0)
            self.sizes += lengths
            bounds = [0, *ends.tolist()]
            self._parts.append((part, data.tobytes(), bounds, lengths.astype("<u4").tobytes()))

    def content(self, start: int, end: int) -> dict[str, tuple[int, bytes, bytes]]:
        """Return the rows of a span as a part of a record."""
        return {
            part.name: (
                part.version,
                lengths[_LENGTH_BYTES * start : _LENGTH_BYTES * end],
                data[bounds[start] : bounds[end]],
            )
            for part, data, bounds, lengths in self._parts
        }


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
        Returns the name of a model by its code.
    """

    def __init__(self, side: Cells, names: Callable[[int], Name]) -> None:
        self.side, self._names = side, names
        self._parts = parts_of(side.families, rows=True)
        self._unit_parts: list[Part] = []
        if isinstance(side, PredictionCells):
            self._unit_parts = parts_of(side.unit_families, rows=False)
        self._several: dict[tuple[int, int], int] = {}
        self.too_large: dict[int, int] = {}

    def write(self, *, limit_bytes: int) -> Iterator[Written]:
        """Yield a record for everything that has changed since.

        Models with a cell that does not fit into a record are noted in `too_large`, with the size
        of the first.
        """
        side = self.side
        places = sorted(side.dirty)
        side.dirty.clear()
        found = [side.rows_of(*place) for place in places]
        if not found:
            return
        rows = np.concatenate(found)
        packed = _Packed(side.table, rows, self._parts)
        units = _Units(side, rows, self._unit_parts) if self._unit_parts else None
        sizes = packed.sizes if units is None else packed.sizes + units.sizes
        subjects = side.world.subjects
        own = side.table.key[rows] >> PANE_BITS
        models, segments = subjects.models[own].tolist(), subjects.segments[own].tolist()
        for large in np.flatnonzero(sizes > limit_bytes).tolist():
            self.too_large.setdefault(models[large], int(sizes[large]))
        end = 0
        for place, own in zip(places, found, strict=True):
            start, end = end, end + len(own)
            lacking = side.lacking.of(place)
            cuts = _cuts(sizes[start:end]) if len(own) or lacking else [0]
            for part, (first, last) in enumerate(pairwise(cuts)):
                span = start + first, start + last
                whose = models[slice(*span)], segments[slice(*span)]
                content = [
                    *self._named(*whose),
                    packed.content(*span),
                    [] if units is None else units.content(*span),
                    lacking,
                ]
                yield Written(*place, part, content)
            yield from self._surplus(place, len(cuts) - 1)

    def _surplus(self, place: tuple[int, int], parts: int) -> Iterator[Written]:
        """Delete what a record was cut into and is no longer; remember what it is cut into."""
        for part in range(parts, self._several.pop(place, 1)):
            yield Written(*place, part, None)
        if parts > 1:
            self._several[place] = parts

    def _named(self, models: list[int], segments: list[int]) -> list[Any]:
        """Return names of models and segments, and the place of each row's among them."""
        texts = self.side.world.subjects.names.texts
        model, own = numbered(models)
        segment, name = numbered(segments)
        return [[self._names(code) for code in model], [texts[code] for code in segment], own, name]

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


class _Units:
    """The units of cells, packed, in the order of the cells."""

    def __init__(self, side: Cells, cells: Rows, parts: list[Part]) -> None:
        assert isinstance(side, PredictionCells)
        self._side = side
        found = [
            np.stack([places, np.full(len(places), layout), first])
            for layout, places, first in side.units_of(cells)
        ]
        owner, kind, first = np.concatenate(found, axis=1) if found else np.empty((3, 0), np.int64)
        order = np.lexsort((kind, owner))
        self._owner, self._kind = owner[order], kind[order]
        widths = np.array([len(names) for names in side.layouts], np.int64)
        width = widths[self._kind]
        starts = np.cumsum(width) - width
        rows = np.repeat(first[order] - starts, width) + np.arange(int(width.sum()))
        self._packed = _Packed(side.units, rows.astype(np.int32), parts)
        self._ends = [*starts.tolist(), len(rows)]
        bounds = np.searchsorted(self._owner, np.arange(len(cells) + 1))
        packed = np.concatenate([[0], np.cumsum(self._packed.sizes)])
        named = np.array([side.name_bytes(layout) for layout in range(len(widths))], np.int64)
        sizes = np.diff(packed[self._ends]) + named[self._kind]
        self.sizes = np.diff(np.concatenate([[0], np.cumsum(sizes)])[bounds])
        self._bounds, self._kinds = bounds.tolist(), self._kind.tolist()

    def content(self, start: int, end: int) -> list[Any]:
        """Return the units of a span of cells as a part of a record."""
        first, last = self._bounds[start], self._bounds[end]
        kinds, kind = numbered(self._kinds[first:last])
        texts = self._side.world.features.texts
        return [
            [[texts[code] for code in self._side.layouts[one].tolist()] for one in kinds],
            (self._owner[first:last] - start).astype("<u4").tobytes(),
            kind,
            self._packed.content(self._ends[first], self._ends[last]),
        ]


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


def numbered(column: Sequence[int]) -> tuple[list[int], bytes]:
    r"""Return what is different in a column, as it appears, and the place of each among it.

    Examples
    --------
    >>> numbered([70, 71, 70])
    ([70, 71], b'\x00\x00\x01\x00\x00\x00')
    """
    known = dict[int, int]()
    places = [known.setdefault(one, len(known)) for one in column]
    return list(known), np.array(places, "<u2").tobytes()


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
