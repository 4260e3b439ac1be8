"""Memory that grows where it is: rows of numbers, zero until something is written to them.

A table of millions of rows grows while events wait. Copying a gigabyte takes half a second; the
system can move its pages in a few milliseconds, and gives pages that are zero only when they are
touched, so that a row that is only reserved takes no memory.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALL = 1 << 18  # bytes that are copied as fast as pages are moved
_PRIVATE = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)


class Memory:
    """An array whose first dimension grows.

    Attributes
    ----------
    array
        Another one after `grow`: whoever keeps the old one keeps what was there, and makes the
        next growth a copy.

    Examples
    --------
    >>> memory = Memory(np.int32, 2)
    >>> memory.grow(3)
    >>> memory.array[1] = 7, 8
    >>> memory.grow(100_000)
    >>> memory.array[:3].tolist(), memory.array.shape
    ([[0, 0], [7, 8], [0, 0]], (100000, 2))
    """

    def __init__(self, kind: Any, width: int | None = None) -> None:
        self._kind = np.dtype(kind)
        self._tail = () if width is None else (width,)
        self._pages: mmap.mmap | None = None
        self.array: NDArray[Any] = np.zeros((0, *self._tail), self._kind)

    def __len__(self) -> int:
        return len(self.array)

    def grow(self, capacity: int) -> None:
        """Make room for so many rows; less than there are change nothing."""
        if capacity <= len(self.array):
            return
        size_bytes = capacity * self._kind.itemsize * (self._tail[0] if self._tail else 1)
        if self._moved(size_bytes):
            return
        old = self.array
        if size_bytes <= _SMALL or not _PRIVATE:
            self.array = np.zeros((capacity, *self._tail), self._kind)
        else:
            self._pages = mmap.mmap(-1, size_bytes, flags=_PRIVATE)
            self._look(self._pages)
        self.array[: len(old)] = old

    def hold(self, rows: int) -> None:
        """Make room for so many rows, and for half as many more if that is needed at all."""
        if rows > len(self.array):
            self.grow(larger(len(self.array), rows))

    def _look(self, pages: mmap.mmap) -> None:
        self.array = np.frombuffer(pages, self._kind).reshape(-1, *self._tail)

    def _moved(self, size_bytes: int) -> bool:
        """Let the system move the pages, where it can and nobody else looks at them."""
        if self._pages is None:
            return False
        self.array = self.array[:0].copy()  # else it were in the way itself
        try:
            self._pages.resize(size_bytes)
        except (BufferError, OSError, SystemError, ValueError):
            self._look(self._pages)
            return False
        self._look(self._pages)
        return True


def larger(rows: int, needed: int) -> int:
    """Return how many rows to make room for: half as many again.

    Examples
    --------
    >>> larger(1_000, 1_001), larger(0, 5)
    (1500, 64)
    """
    return max(rows + rows // 2, needed, 64)
