"""Cells of predictions, which have cells of features.

A unit is one layout of features in a cell: as many rows of the table of features as the layout has
names, behind each other.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import grown
from streams.cells.store import NONE, Cells, World, columns_of
from streams.columns import Table
from streams.families.family import Family, Scope
from streams.grouping import distinct

Ints = NDArray[np.int64]

_LAYOUT_BITS = 24


class PredictionCells(Cells):
    """Cells of predictions, with those of their features.

    Attributes
    ----------
    units
        The table of features; a row is one feature of a cell.
    feature_of
        By its row, the code of the feature.
    layouts
        Codes of the features of every layout.
    """

    def __init__(self, families: Sequence[Family], world: World) -> None:
        super().__init__([f for f in families if f.scope is Scope.WINDOW], world)
        self.unit_families = [f for f in families if f.scope is Scope.FEATURE]
        self.units = Table(columns_of(self.unit_families))
        self.feature_of = np.empty(0, np.int32)
        self.layouts: list[Ints] = []
        self._name_bytes: list[int] = []
        self._layout_of: dict[tuple[str, ...], int] = {}
        self._first = np.empty(0, np.int32)  # of a cell's units, which are a list
        self._next = np.empty(0, np.int32)

    def layout(self, names: tuple[str, ...]) -> int:
        """Return the code of a layout, a new one if need be."""
        code = self._layout_of.get(names)
        if code is None:
            code = self._layout_of[names] = len(self.layouts)
            self.layouts.append(self.world.features.codes(names))
            self._name_bytes.append(sum(len(name.encode()) + 1 for name in names))
        return code

    def name_bytes(self, layout: int) -> int:
        """Return how much the names of a layout take."""
        return self._name_bytes[layout]

    def find_units(self, cells: NDArray[np.int32], layout: int) -> NDArray[np.int32]:
        """Return the first row of the unit of every cell (-1: none), made where it is new."""
        codes = self.layouts[layout]
        keys = np.where(cells >= 0, cells.astype(np.int64) << _LAYOUT_BITS | layout, NONE)
        rows = np.full(len(cells), NONE, np.int32)
        inside = np.flatnonzero(cells >= 0)
        every = len(inside) == len(cells)
        found, fresh = self.units.find(keys if every else keys[inside], len(codes), add=True)
        rows[inside] = found
        if len(fresh):
            size = len(self.units.key)
            self._next = grown(self._next, size, fill=NONE)
            self.feature_of = grown(self.feature_of, size)
            self._first = grown(self._first, len(self.table.key), fill=NONE)
            owners = self.units.key[fresh] >> _LAYOUT_BITS
            self._next[fresh] = self._first[owners]
            self._first[owners] = fresh
            self.feature_of[fresh[:, None] + np.arange(len(codes))] = codes
        return rows

    def units_of(
        self, cells: NDArray[np.int32]
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int32]]]:
        """Yield the units of cells: a layout, places among the cells, first rows."""
        here = np.flatnonzero((cells >= 0) & (cells < len(self._first)))
        units = self._first[cells[here]]
        while len(here):
            inside = units >= 0
            here, units = here[inside], units[inside]
            layouts = self.units.key[units] & ((1 << _LAYOUT_BITS) - 1)
            for layout in distinct(layouts)[0].tolist():
                mine = layouts == layout
                yield layout, here[mine], units[mine]
            units = self._next[units]

    def merge(self, rows: NDArray[np.int32], other: Cells, others: NDArray[np.int32]) -> None:
        """Add cells of another table to cells of this, with their features."""
        super().merge(rows, other, others)
        assert isinstance(other, PredictionCells)
        for layout, places, first in list(other.units_of(others)):
            names = other.layouts[layout]
            texts = tuple(self.world.features.texts[code] for code in names.tolist())
            own = self.find_units(rows[places], self.layout(texts))
            span = np.arange(len(names), dtype=np.int32)
            self.units.merge(
                (own[:, None] + span).ravel(), other.units, (first[:, None] + span).ravel()
            )

    def before_drop(self, rows: NDArray[np.int32]) -> None:
        """Forget the units of cells."""
        for layout, _, units in list(self.units_of(rows)):
            self.units.drop(self.units.key[units], len(self.layouts[layout]))
            self._next[units] = NONE
        inside = rows[rows < len(self._first)]
        self._first[inside] = NONE
