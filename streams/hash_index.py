"""Find rows of a table by a 128-bit key, many at once: open addressing over numpy arrays.

A Python dict of a million keys holds some 120 bytes each in its entries and in the objects they
point to; this holds 7 to 16. It knows rows by number only: the keys themselves are columns of the
table.

Keys come from a hash function whose every step is public, so that whoever may write predictions can
choose ids whose keys share any bits (200,000 ids with 20 equal low bits took three minutes where
these bits said where to look), or whole halves. Hence a secret of the process says where to look:
the same keys lie elsewhere in every process, and nothing but speed may depend on it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import native

Keys = NDArray[np.uint64]
Slots = NDArray[np.int64]

_EMPTY, _DELETED = 0, -1  # any other cell is the number of a row, plus one
_SMALLEST = 1_024
_SEED_WORDS = 5
SEED_BYTES = 8 * _SEED_WORDS
_NO_SECRET = bytes.fromhex(
    "d38c1e5f70a2b94713f6d0486b9ac25e81d7240fe95c3ba66230f4c89d1be785af4e9b62c10d7853"
)


def scattered(keys: tuple[Keys, Keys], seed: Keys) -> Keys:
    """Hash 128-bit keys to 64 bits with a secret, so that nobody can choose keys that meet.

    With words of 32 bits and random factors this is strongly universal: any two different keys
    agree in the upper half with a probability of 2**-32, whatever they are (Dietzfelbinger,
    "Universal hashing and k-wise independent random variables via integer arithmetic without
    primes", 1996). Exclusive or with a secret would not do: keys that differ in the top bit of
    their halves only, which a multiplication keeps, could meet under every secret.
    """
    (high, low), word, half = keys, np.uint64(0xFFFFFFFF), np.uint64(32)
    sums = seed[0] + seed[1] * (low & word) + seed[2] * (low >> half)
    sums += seed[3] * (high & word) + seed[4] * (high >> half)
    return sums  # type: ignore[no-any-return]


def odd_of(seed: bytes | None) -> int:
    """Return an odd number of 64 bits: multiplied by a secret one, hashes meet by chance only."""
    return int.from_bytes((seed or _NO_SECRET)[:8], "little") | 1


def _first_cells(keys: tuple[Keys, Keys], seed: Keys, mask: int) -> Slots:
    """Return where to look for keys first: as in `columns.c`.

    Sums of keys that follow each other do so, too: mixed, they leave no long runs of cells.
    """
    at = (scattered(keys, seed) >> np.uint64(32)).astype(np.uint32)
    at = (at ^ at >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    return (at ^ at >> np.uint32(13)).astype(np.int64) & mask


class HashIndex:
    """Cells that name rows; probing is linear.

    Parameters
    ----------
    seed
        `SEED_BYTES` that nobody else knows, or always the same for what nobody attacks.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        self.seed: Keys = np.frombuffer(seed or _NO_SECRET, "<u8").copy()
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
            return native.find(self._cells, self.seed, (high, low), rows)
        cells = self._cells
        found = np.full(len(low), -1, np.int64)
        todo: Any = slice(None)
        wanted_high, wanted_low = high, low
        at = _first_cells((high, low), self.seed, len(cells) - 1)
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
        self._place(slots, rows)

    def delete(self, slots: Slots, *, rows: tuple[Keys, Keys]) -> None:
        """Take rows out; their keys must still be in the table."""
        cells = self._cells
        at = _first_cells((rows[0][slots], rows[1][slots]), self.seed, len(cells) - 1)
        while len(at):
            hit = cells[at] == slots + 1
            cells[at[hit]] = _DELETED
            slots, at = slots[~hit], (at[~hit] + 1) & (len(cells) - 1)

    def _place(self, slots: Slots, rows: tuple[Keys, Keys]) -> None:
        cells, keys = self._cells, (rows[0][slots], rows[1][slots])
        if native.available:
            self._used += native.place(cells, self.seed, slots, keys)
            return
        at = _first_cells(keys, self.seed, len(cells) - 1)
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
        self._place(here, rows)
