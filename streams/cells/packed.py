"""What cells hold, packed: a part of every record for what each family counted."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.cells.numbering import numbered
from streams.cells.prediction_cells import PredictionCells
from streams.cells.store import Cells
from streams.columns import Table
from streams.columns.joined import Bytes, Joined, Texts, array_head, map_head

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]

LENGTH_BYTES = 4


class Part(NamedTuple):
    """What some columns of a table hold, rows behind each other."""

    name: str
    version: int
    columns: list[tuple[str, str]]


class Packed:
    """Rows of a table, by part: their bytes, and the lengths of these.

    Attributes
    ----------
    sizes
        Bytes of every row.
    """

    def __init__(self, table: Table, rows: Rows, parts: Sequence[Part]) -> None:
        self._parts: list[tuple[Part, Bytes, Ints, Bytes]] = []
        self.sizes = np.zeros(len(rows), np.int64)
        for part in parts:
            data, ends = table.pack(rows, part.columns)
            bounds = np.concatenate([np.zeros(1, np.int64), ends])
            lengths = np.diff(bounds)
            self.sizes += lengths
            self._parts.append((part, data, bounds, lengths.astype("<u4").view(np.uint8)))

    def add(self, records: Joined, rows: Ints) -> None:
        """Add the rows of every record, which begin where it is said, as a part of it."""
        records.same(map_head(len(self._parts)))
        for part, data, bounds, lengths in self._parts:
            records.same(_encode(part.name) + array_head(3) + _encode(part.version))
            records.binary(lengths, rows * LENGTH_BYTES)
            records.binary(data, bounds[rows])


class PackedUnits:
    """The units of cells, packed, in the order of the cells.

    Attributes
    ----------
    sizes
        Bytes of the units of every cell.
    """

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
        self._packed = Packed(side.units, rows.astype(np.int32), parts)
        self._starts = np.append(starts, len(rows))
        self._bounds = np.searchsorted(self._owner, np.arange(len(cells) + 1))
        packed = np.concatenate([[0], np.cumsum(self._packed.sizes)])
        named = np.array([side.name_bytes(layout) for layout in range(len(widths))], np.int64)
        sizes = np.diff(packed[self._starts]) + named[self._kind]
        self.sizes = np.diff(np.concatenate([[0], np.cumsum(sizes)])[self._bounds])

    def add(self, records: Joined, cells: Ints) -> None:
        """Add the units of every record, whose cells begin where it is said, as a part of it."""
        units = self._bounds[cells]
        kinds = numbered(self._kind, units)
        owner = self._owner - np.repeat(cells[:-1], np.diff(units))
        records.same(array_head(4))
        kinds.add_texts(records, self._names())
        records.binary(owner.astype("<u4").view(np.uint8), units * LENGTH_BYTES)
        kinds.add_places(records)
        self._packed.add(records, self._starts[units])

    def _names(self) -> Texts:
        """Return the names of the features of every layout."""
        texts = self._side.world.features.texts
        layouts = [[texts[code] for code in codes.tolist()] for codes in self._side.layouts]
        return Texts.of(list(map(_encode, layouts)))


_encode = msgspec.msgpack.Encoder().encode
