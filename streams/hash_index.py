"""Find rows of a table by a 128-bit key, many at once: open addressing over numpy arrays.

A Python dict of a million keys holds some 120 bytes each in its entries and in the objects they
point to; this holds 7 to 16. Keys come from a hash function already, so their own low bits say
where to look. It knows rows by number only: the keys themselves are columns of the table.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import native

Keys = NDArray[np.uint64]
Slots = NDArray[np.int64]

_EMPTY, _DELETED = 0, -1  # any other cell is the number of a row, plus one
_SMALLEST = 1_024


class HashIndex:
    """Cells that name rows; probing is linear."""

    def __init__(self) -> None:
        self._cells: NDArray[np.int32] = np.zeros(_SMALLEST, np.int32)
        self._used = 0  # cells that are not empty

    @property
    def size_bytes(self) -> int:
        """Memory that the cells take."""
        return self._cells.nbytes

    def find(self, high: Keys, low: Keys, *, rows: tuple[Keys, Keys]) -> Slots:
        """Return the row number of every key, -1 where there is none.

        Parameters
        ----------
        rows
            High and low halves of the keys of all rows of the table.
        """
        if native.available:
            return native.find(self._cells, (high, low), rows)
        cells, mask = self._cells, np.uint64(len(self._cells) - 1)
        found = np.full(len(low), -1, np.int64)
        todo: Any = slice(None)
        wanted_high, wanted_low = high, low
        at = (low & mask).astype(np.int64)
        while len(at):
            cell = cells[at]
            row = cell - 1
            hit = (cell > 0) & (rows[1][row] == wanted_low) & (rows[0][row] == wanted_high)
            go_on = ~hit & (cell != _EMPTY)
            if isinstance(todo, slice):
                todo = np.arange(len(low))
            found[todo[hit]] = row[hit]
            todo, wanted_high, wanted_low = todo[go_on], wanted_high[go_on], wanted_low[go_on]
            at = (at[go_on] + 1) & (len(cells) - 1)
        return found

    def insert(self, slots: Slots, *, rows: tuple[Keys, Keys], count: int) -> None:
        """Add rows whose keys are different from each other and from all that are there.

        Parameters
        ----------
        count
            How many rows there are with these.
        """
        if (self._used + len(slots)) * 5 > len(self._cells) * 3:
            self._rebuild(rows, count)
        self._place(slots, rows[1][slots])

    def delete(self, slots: Slots, *, rows: tuple[Keys, Keys]) -> None:
        """Take rows out; their keys must still be in the table."""
        cells = self._cells
        at = (rows[1][slots] & np.uint64(len(cells) - 1)).astype(np.int64)
        while len(at):
            hit = cells[at] == slots + 1
            cells[at[hit]] = _DELETED
            slots, at = slots[~hit], (at[~hit] + 1) & (len(cells) - 1)

    def _place(self, slots: Slots, low: Keys) -> None:
        cells = self._cells
        if native.available:
            self._used += native.place(cells, slots, low)
            return
        at = (low & np.uint64(len(cells) - 1)).astype(np.int64)
        while len(at):
            before = cells[at]
            free = before <= 0
            cells[at[free]] = slots[free] + 1  # of several rows for one cell the last has it
            won = cells[at] == slots + 1
            self._used += int(np.count_nonzero(won & (before == _EMPTY)))
            slots, at = slots[~won], (at[~won] + 1) & (len(cells) - 1)

    def _rebuild(self, rows: tuple[Keys, Keys], count: int) -> None:
        """Make room, and drop the marks of deleted rows."""
        here = self._cells[self._cells > 0].astype(np.int64) - 1
        size = _SMALLEST
        while size < 2 * count:
            size *= 2
        self._cells = np.zeros(size, np.int32)
        self._used = 0
        self._place(here, rows[1][here])
