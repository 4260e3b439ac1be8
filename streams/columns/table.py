"""Tables of columns: a row is a cell of whoever counts, found by its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.column import Column
from streams.columns.packed_rows import pack, unpack
from streams.columns.places import Keys, Rows, new_places


class Table:
    r"""Columns in step.

    Parameters
    ----------
    columns
        By any name; their order is that of packed rows. They belong to the table from now on.
    factor
        See `streams.columns.places.Places`: an odd secret if outsiders choose the keys.

    Attributes
    ----------
    key
        Of every row; the rows of a key have it in common, and those that were dropped have -1.

    Examples
    --------
    >>> from streams.columns import counts_column, sparse_column
    >>> table = Table({"labels": counts_column(), "scores": sparse_column()})
    >>> rows, new = table.find(np.array([70, 71, 70]), add=True)
    >>> table.columns["labels"].add(rows, 1, np.zeros(3, int))
    >>> table.columns["scores"].add(rows, 1, np.array([9, 9, 9]))
    >>> data, ends = table.pack(new)
    >>> bytes(data), ends.tolist()
    (b'\x04\x01\x13\x04\x02\x01\x12', [4, 7])
    >>> table.drop(np.array([70]))
    >>> table.find(np.array([70, 71]))[0].tolist(), table.live
    ([-1, 1], 1)
    """

    def __init__(self, columns: Mapping[Any, Column], factor: int = 1) -> None:
        self.columns = dict(columns)
        self._places = new_places(factor, least=0)
        self._compiled = kernels.available
        self._capacity = 0

    def __len__(self) -> int:
        """Return how many rows were handed out, with those that were dropped since."""
        return len(self._places)

    @property
    def live(self) -> int:
        """Rows that have a key."""
        live: int = self._places.live
        return live

    @property
    def key(self) -> Keys:
        """The key of every row; a view that must not be kept."""
        keys: Keys = self._places.keys
        return keys

    def find(self, keys: Keys, fan: int = 1, *, add: bool = False) -> tuple[Rows, Rows]:
        """Return the first row of every key, and the first rows of keys that are new.

        Parameters
        ----------
        keys
            int64; negative ones are none.
        fan
            How many rows a key has, which follow each other: always the same for one key.
        add
            Make empty rows for keys that have none; else their row is -1, and none is new.

        Raises
        ------
        ValueError
            A key has another number of rows.
        """
        rows, new = self._places.find(keys, fan, add=add)
        if self._places.capacity > self._capacity:
            self._capacity = self._places.capacity
            for column in self.columns.values():
                column.grow(self._capacity)
        return rows, rows[new]

    def drop(self, keys: Keys, fan: int = 1) -> None:
        """Forget keys with all that was counted; their rows are used for others of this fan."""
        rows = self._places.drop(keys, fan)
        if len(rows):
            for column in self.columns.values():
                column.clear(fanned(rows, fan))

    def merge(self, at: Rows, other: Table, rows: Rows, fan: int = 1) -> None:
        """Add rows of another table with the same columns to rows of this one.

        Parameters
        ----------
        at, rows
            First rows here and there, -1: none. The other table may be this one, if no row is in
            both.
        """
        at, rows = fanned(at, fan), fanned(rows, fan)
        for name, column in self.columns.items():
            column.merge(at, other.columns[name], rows)

    def pack(
        self, rows: Rows, names: Sequence[Any] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the bytes of rows, behind each other, and where each ends.

        The same content gives the same bytes, whatever the order in which it was counted.

        Parameters
        ----------
        names
            Of the columns that are packed; `None` for all.
        """
        return pack(
            self._ordered(names), np.ascontiguousarray(rows, np.int32), compiled=self._compiled
        )

    def unpack(
        self,
        rows: Rows,
        data: NDArray[np.uint8],
        starts: NDArray[np.int64],
        names: Sequence[Any] | None = None,
    ) -> NDArray[np.int64]:
        """Replace rows, which must be there, by what `pack` wrote; return where each ends.

        Raises
        ------
        StateError
            These are not bytes of rows with these columns.
        """
        rows, starts = np.ascontiguousarray(rows, np.int32), np.ascontiguousarray(starts, np.int64)
        if len(rows) != len(starts):
            raise ValueError(f"{len(rows)} rows, and {len(starts)} places where they start")
        return unpack(self._ordered(names), rows, data, starts, compiled=self._compiled)

    def _ordered(self, names: Sequence[Any] | None) -> list[Column]:
        if names is None:
            return list(self.columns.values())
        return [self.columns[name] for name in names]

    @property
    def nbytes(self) -> int:
        """Memory of rows that were handed out, without what is only reserved."""
        size: int = self._places.nbytes
        for column in self.columns.values():
            size += len(self) * column.nbytes_per_row + column.nbytes_beside
        return size


def fanned(rows: Rows, fan: int) -> Rows:
    """Return all rows of keys, -1 for those that have none.

    Examples
    --------
    >>> fanned(np.array([4, -1], np.int32), 3).tolist()
    [4, 5, 6, -1, -1, -1]
    """
    first = np.ascontiguousarray(rows, np.int32)
    if fan == 1:
        return first
    every = first[:, None] + np.arange(fan, dtype=np.int32)
    return np.where(first[:, None] < 0, np.int32(-1), every).ravel()
