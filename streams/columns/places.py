"""Where keys are: from int64 keys to rows, which are handed out in order and used again.

`Places` keeps a hash index of open addressing in C; `PlainPlaces` is its twin with a dict. Both
hand out the same rows. A key has `fan` rows that follow each other; what was dropped goes to keys
of the same fan later, the last dropped first.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.memory import Memory

Keys = NDArray[np.int64]
Rows = NDArray[np.int32]
Positions = NDArray[np.int64]

_ANY = -(2**63)
_MOST_ROWS = 2**31 - 2


class Places:
    """Rows of keys.

    Parameters
    ----------
    factor
        An odd number of 64 bits. A secret one if outsiders choose the keys: else they could choose
        such as meet in the index, and make every search long.

    Attributes
    ----------
    least
        Keys below are no keys: they are not found, and not added.
    live
        Rows of all keys that are there.
    """

    def __init__(self, factor: int = 1, least: int = _ANY) -> None:
        self._factor, self.least = ctypes.c_uint64(factor), least
        self._slots = np.zeros(16, np.int64)
        self._keys = Memory(np.int64)
        self._state = np.zeros(2, np.int64)
        self._pools: dict[int, tuple[Memory, NDArray[np.int64]]] = {}
        self.live = 0

    def __len__(self) -> int:
        return int(self._state[0])

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return len(self._keys)

    @property
    def keys(self) -> Keys:
        """The key of every row, -1 where it was dropped; must not be kept."""
        return self._keys.array[: len(self)]

    @property
    def nbytes(self) -> int:
        """Memory, without what is only reserved."""
        free = sum(len(pool) for pool, _ in self._pools.values())
        return self._slots.nbytes + 8 * len(self) + 4 * free

    def find(self, keys: Keys, fan: int = 1, *, add: bool = False) -> tuple[Rows, Positions]:
        """Return the first row of every key, -1 where there is none; positions of new keys."""
        keys = np.ascontiguousarray(keys, np.int64)
        rows, fresh = np.empty(len(keys), np.int32), np.empty(len(keys) if add else 0, np.int64)
        (freed, pool), done = self._pool(fan), kernels.progress()
        at_least_one(fan)
        while kernels.call(
            "driftline_find_rows",
            *(self._slots, len(self._slots) - 1, self._factor, self._keys.array),
            *(len(self._keys), self._state, freed.array, pool),
            *(keys, len(keys), fan, self.least, ctypes.c_int(add)),
            *(rows, fresh, done),
        ):
            self._more(fan)
        self.live += fan * int(done[1])
        return rows, fresh[: done[1]]

    def _more(self, fan: int) -> None:
        """Make room for one key more at least."""
        if self._short(fan):
            not_too_many(len(self) + fan)
            self._keys.hold(len(self) + fan)
        if 3 * (int(self._state[1]) + 1) > 2 * len(self._slots):
            old, self._slots = self._slots, np.zeros(2 * len(self._slots), np.int64)
            kernels.call("driftline_rehash", old, len(old) - 1, self._slots, len(self._slots) - 1)

    def _short(self, fan: int) -> bool:
        return not self._pool(fan)[1][0] and len(self) + fan > len(self._keys)

    def _pool(self, fan: int) -> tuple[Memory, NDArray[np.int64]]:
        return self._pools.setdefault(fan, (Memory(np.int32), np.zeros(1, np.int64)))

    def drop(self, keys: Keys, fan: int = 1) -> Rows:
        """Forget keys; return the first rows of those that were there."""
        keys = np.ascontiguousarray(keys, np.int64)
        (freed, pool), rows = self._pool(fan), np.empty(len(keys), np.int32)
        freed.hold(int(pool[0]) + len(keys))
        kernels.call(
            "driftline_drop_rows",
            *(self._slots, len(self._slots) - 1, self._factor, self._keys.array),
            *(self._state, freed.array, pool, keys, len(keys), fan, self.least),
            *(rows, kernels.progress()),
        )
        rows = rows[rows >= 0]
        self.live -= fan * len(rows)
        return rows


class PlainPlaces:
    """Twin of `Places` in Python."""

    def __init__(self, factor: int = 1, least: int = _ANY) -> None:
        del factor  # a dict has no use for it
        self.least, self.live, self._used = least, 0, 0
        self._first: dict[int, int] = {}
        self._keys = Memory(np.int64)
        self._pools: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return self._used

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return len(self._keys)

    @property
    def keys(self) -> Keys:
        """The key of every row, -1 where it was dropped."""
        return self._keys.array[: self._used]

    @property
    def nbytes(self) -> int:
        """About what a dict takes."""
        return 120 * len(self._first) + 8 * self._used

    def find(self, keys: Keys, fan: int = 1, *, add: bool = False) -> tuple[Rows, Positions]:
        """Return the first row of every key, -1 where there is none; positions of new keys."""
        at_least_one(fan)
        rows: list[int] = []
        fresh: list[int] = []
        for position, key in enumerate(np.asarray(keys).tolist()):
            row = self._first.get(key, -1)
            if row >= 0 and not self._has(row, fan, key):
                kernels.bad_fan()
            if row < 0 and add and key >= self.least:
                row = self._add(key, fan)
                fresh.append(position)
            rows.append(row)
        self.live += fan * len(fresh)
        return np.array(rows, np.int32), np.array(fresh, np.int64)

    def _has(self, row: int, fan: int, key: int) -> bool:
        return row + fan <= self._used and int(self._keys.array[row + fan - 1]) == key

    def _add(self, key: int, fan: int) -> int:
        pool = self._pools.get(fan)
        row = pool.pop() if pool else self._used
        if row == self._used:
            not_too_many(row + fan)
            self._keys.hold(row + fan)
            self._used += fan
        self._first[key] = row
        self._keys.array[row : row + fan] = key
        return row

    def drop(self, keys: Keys, fan: int = 1) -> Rows:
        """Forget keys; return the first rows of those that were there."""
        rows: list[int] = []
        for key in np.asarray(keys).tolist():
            row = self._first.get(key, -1)
            if row < 0:
                continue
            if not self._has(row, fan, key) or self._has(row, fan + 1, key):
                kernels.bad_fan()
            del self._first[key]
            self._keys.array[row : row + fan] = -1
            self._pools.setdefault(fan, []).append(row)
            rows.append(row)
        self.live -= fan * len(rows)
        return np.array(rows, np.int32)


def at_least_one(fan: int) -> None:
    """Refuse keys without rows."""
    if fan < 1:
        raise ValueError(f"a key has one row or more, and not fan={fan}")


def not_too_many(rows: int) -> None:
    """Refuse more rows than an int32 can number."""
    if rows > _MOST_ROWS:
        raise OverflowError(f"a table cannot hold more than {_MOST_ROWS:,} rows")


def new_places(factor: int = 1, least: int = _ANY) -> Any:
    """Return compiled places where there are any, else the twin."""
    return (Places if kernels.available else PlainPlaces)(factor, least)
