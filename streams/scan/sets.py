"""Which categories lanes have seen: of each, one bit for every hash of a text.

A set only grows, and does not care for order or repetition.
"""

import numpy as np
from numpy.typing import NDArray

from streams.categories import CATEGORIES

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_BYTES = CATEGORIES // 8


class Sets:
    """Sets of hashes of texts, by lane.

    Examples
    --------
    >>> sets = Sets()
    >>> sets.add(np.array([7, 7]), np.array([2155, 9])).tolist()
    [True, True]
    >>> sets.add(np.array([7]), np.array([9])).tolist()
    [False]
    >>> sets.have(np.array([7, 7, 8]), np.array([9, 10, 9])).tolist()
    [True, False, False]
    """

    def __init__(self) -> None:
        self._bits = np.zeros((0, _BYTES), np.uint8)
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []

    def add(self, lanes: Ints, codes: Ints) -> Mask:
        """Put hashes into the sets of their lanes; return which are new."""
        rows = np.array([self._row(lane) for lane in lanes.tolist()], np.int64)
        new = ~self._known(rows, codes)
        np.bitwise_or.at(self._bits, (rows[new], codes[new] >> 3), _bit(codes[new]))
        return new

    def have(self, lanes: Ints, codes: Ints) -> Mask:
        """Tell which hashes are in the sets of their lanes."""
        rows = np.array([self._row_of.get(lane, -1) for lane in lanes.tolist()], np.int64)
        found = np.zeros(len(lanes), bool)
        some = rows >= 0
        found[some] = self._known(rows[some], codes[some])
        return found

    def _known(self, rows: Ints, codes: Ints) -> Mask:
        found: Mask = self._bits[rows, codes >> 3] & _bit(codes) != 0
        return found

    def _row(self, lane: int) -> int:
        row = self._row_of.get(lane)
        if row is None:
            if not self._free:
                size = len(self._bits)
                more = max(16, size // 4)
                self._bits = np.concatenate([self._bits, np.zeros((more, _BYTES), np.uint8)])
                self._free += range(size + more - 1, size - 1, -1)
            row = self._row_of[lane] = self._free.pop()
        return row

    def forget(self, lane: int) -> None:
        """Forget the set of a lane."""
        row = self._row_of.pop(lane, None)
        if row is not None:
            self._bits[row] = 0
            self._free.append(row)

    def pack(self, lane: int) -> bytes:
        """Return the set of a lane; nothing where it is empty."""
        row = self._row_of.get(lane)
        if row is None:
            return b""
        codes = np.flatnonzero(np.unpackbits(self._bits[row], bitorder="little"))
        return codes.astype("<u2").tobytes()

    def restore(self, lane: int, packed: bytes) -> None:
        """Put back what `pack` returned."""
        self.forget(lane)
        if packed:
            codes = np.frombuffer(packed, "<u2").astype(np.int64)
            self.add(np.full(len(codes), lane), codes)


def _bit(codes: Ints) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = (np.uint8(1) << (codes & 7).astype(np.uint8)).astype(np.uint8)
    return found
