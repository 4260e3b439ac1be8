"""State of many lanes as columns that grow."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.watchers.series import Ints

_FEWEST = 16


class State:
    """A column for every part of a lane's state, and a place for what is no number.

    Parameters
    ----------
    start
        By name, what a column holds of a new lane: a number, or an array of them.
    bulk
        Likewise, of columns that `pack` leaves out.

    Attributes
    ----------
    objects
        By lane, what is kept beside the columns.

    Examples
    --------
    >>> state = State({"count": 0, "low": float("inf")})
    >>> state.begin(np.array([2]))
    >>> float(state["low"][2]), len(state.pack(np.array([2])))
    (inf, 16)
    """

    def __init__(self, start: Mapping[str, Any], bulk: Mapping[str, Any] | None = None) -> None:
        self._start = {name: np.asarray(value) for name, value in {**start, **(bulk or {})}.items()}
        self._columns = {
            name: np.empty((0, *value.shape), value.dtype) for name, value in self._start.items()
        }
        self._packed = np.dtype(
            [(n, v.dtype.newbyteorder("<"), v.shape) for n, v in self._start.items() if n in start]
        )
        self.objects: list[Any] = []

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def begin(self, lanes: Ints) -> None:
        """Let lanes begin anew, or for the first time."""
        self._reserve(int(lanes.max(initial=-1)) + 1)
        for name, column in self._columns.items():
            column[lanes] = self._start[name]
        for lane in lanes.tolist():
            self.objects[lane] = None

    def _reserve(self, size: int) -> None:
        room = len(self.objects)
        if size <= room:
            return
        more = max(size, room + room // 2, _FEWEST) - room
        for name, column in self._columns.items():
            empty = np.empty((more, *column.shape[1:]), column.dtype)
            self._columns[name] = np.concatenate([column, empty])
        self.objects += [None] * more

    def take(self, lanes: Ints) -> dict[str, NDArray[Any]]:
        """Return copies of what the columns hold of lanes."""
        return {name: column[lanes] for name, column in self._columns.items()}

    def put(self, lanes: Ints, taken: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `take` returned, after it was changed."""
        for name, column in taken.items():
            self._columns[name][lanes] = column

    # ------------------------------------------------------------------ written down
    @property
    def lane_bytes(self) -> int:
        """How many bytes `pack` returns of each lane."""
        return self._packed.itemsize

    def pack(self, lanes: Ints) -> bytes:
        """Return the columns of lanes, one lane after the other."""
        packed = np.empty(len(lanes), self._packed)
        for name in self._packed.names or ():
            packed[name] = self._columns[name][lanes]
        return packed.tobytes()

    def restore(self, lanes: Ints, packed: bytes) -> bool:
        """Put back what `pack` returned; tell whether it is of so many lanes."""
        if len(packed) != len(lanes) * self.lane_bytes:
            return False
        records = np.frombuffer(packed, self._packed)
        for name in self._packed.names or ():
            self._columns[name][lanes] = records[name]
        return True
