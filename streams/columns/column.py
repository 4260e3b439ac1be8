"""What all columns have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
Groups = NDArray[np.int64]
Weights = NDArray[np.int8] | None


class Column(ABC):
    """A number, a histogram or a sum for every row of a table.

    Adding commutes: whatever the order, what was added and not taken back (weight -1) is there.
    Rows of a table that nobody has added to are empty.

    Attributes
    ----------
    kind
        How rows are packed; as in `kernels.c`.
    spilled
        Rows with numbers for which the kernels have no room. They are kept in Python.
    """

    kind: ClassVar[int]

    @abstractmethod
    def grow(self, capacity: int) -> None:
        """Make room for so many rows."""

    @abstractmethod
    def add(self, at: Rows, fan: int, values: Any, weights: Weights = None) -> None:
        """Count observations.

        Parameters
        ----------
        at
            The first row of every observation; -1: it is not counted.
        fan
            How many rows an observation has, which follow each other.
        values
            Of shape (n,), or (n, fan). Bins, where negative ones are not counted; a pair of bins
            and amounts (`Totals`); or floats, where those that are not finite are not (`Sums`).
        weights
            int8: 1, or -1 to take an observation back, or 0. `None`: all 1.
        """

    @abstractmethod
    def merged(self, rows: Rows, group: Groups, groups: int) -> Any:
        """Add rows up by group.

        Parameters
        ----------
        rows
            -1: there is no such row.
        group
            Of every row, below `groups`; it must not fall.
        """

    @abstractmethod
    def merge(self, at: Rows, other: Self, rows: Rows) -> None:
        """Add `rows` of another column to rows `at` of this one; nothing where either is -1."""

    @abstractmethod
    def clear(self, rows: Rows) -> None:
        """Make rows empty."""

    @abstractmethod
    def get(self, row: int) -> Any:
        """Return what is in a row, as `packing` writes it."""

    @abstractmethod
    def put(self, row: int, content: Any) -> None:
        """Replace what is in a row by what `get` gave."""

    @property
    @abstractmethod
    def nbytes_per_row(self) -> int:
        """Memory of a row but for what is in `nbytes_beside`."""

    @property
    def nbytes_beside(self) -> int:
        """Memory beside what every row takes."""
        return 0

    @property
    def spilled(self) -> frozenset[int]:
        """Rows of which a part is kept in Python."""
        return frozenset()


def prepared(at: Rows, weights: Weights) -> tuple[Rows, Weights]:
    """Return rows and weights as the kernels take them."""
    if weights is not None:
        if len(weights) != len(at):
            raise ValueError(f"{len(weights)} weights for {len(at)} observations")
        weights = np.ascontiguousarray(weights, np.int8)
    return np.ascontiguousarray(at, np.int32), weights


def shaped(values: Any, at: Rows, fan: int, kind: Any) -> NDArray[Any]:
    """Return values as the kernels take them: one for every row of every observation."""
    found = np.ascontiguousarray(values, kind)
    if found.size != len(at) * fan:
        raise ValueError(f"{found.size} values for {len(at)} observations of {fan} rows each")
    return found


def every(at: Rows, fan: int, weights: Weights) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and weight of every value; a row is -1 where nothing is counted.

    Examples
    --------
    >>> rows, weights = every(np.array([4, -1]), 2, np.array([-1, 1]))
    >>> rows.tolist(), weights.tolist()
    ([4, 5, -1, -1], [-1, -1, 1, 1])
    """
    first = np.repeat(np.asarray(at, np.int64), fan)
    rows = np.where(first < 0, -1, first + np.tile(np.arange(fan), len(at)))
    weight = np.ones(len(at), np.int64) if weights is None else np.asarray(weights, np.int64)
    return rows, np.repeat(weight, fan)


def pairs(at: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Return rows to merge as the kernels take them."""
    if len(at) != len(rows):
        raise ValueError(f"{len(rows)} rows to be merged into {len(at)}")
    return np.ascontiguousarray(at, np.int32), np.ascontiguousarray(rows, np.int32)
