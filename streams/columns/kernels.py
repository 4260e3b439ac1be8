"""The compiled kernels of the column store (`kernels.c`), where they were compiled.

As with `streams.native`, all of it is optional: every column has a twin in Python that gives the
same, and whoever makes a table gets what `available` says at that time.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from streams.errors import StateError
from streams.native import address_of

LIBRARY = Path(__file__).with_name("_kernels.so")

# What a kernel says when it returns.
DONE, ROOM, TOO_LARGE, SPILLED, _BAD_ROW, _BAD_BIN, _BAD_FAN, _DAMAGED, FULL, ODD = range(10)

_EMPTY = np.zeros(1, np.int64)
_NOWHERE = address_of(_EMPTY)

Progress = NDArray[np.int64]
"""How far a kernel came, and a second number of its own."""


def _load() -> Any:
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.driftline_join_records.restype = ctypes.c_int
    except (OSError, AttributeError):  # not there, or of an older source
        return None
    return library


_library: Any = _load() if sys.maxsize > 2**32 else None

available = _library is not None
"""Whether the compiled kernels are there."""


def call(name: str, *arguments: Any) -> int:
    """Call a kernel: integers go as 64 bits, arrays (`None`: NULL) by address.

    Raises
    ------
    IndexError, ValueError, OverflowError, StateError
        As the kernel says: a row that is not there, a bin that its column does not have, ...
    """
    given = [ctypes.c_int64(one) if isinstance(one, int) else _by_address(one) for one in arguments]
    fate: int = getattr(_library, name)(*given)
    if _BAD_ROW <= fate <= FULL:
        refuse(fate)
    return fate


def _by_address(one: Any) -> Any:
    if isinstance(one, np.ndarray):
        # An empty one has no address that `address_of` finds without an exception: 5 µs each.
        return address_of(one) if one.size else _NOWHERE
    return address_of(None) if one is None else one


def progress() -> Progress:
    """Return what a kernel counts in that has done nothing so far."""
    return np.zeros(2, np.int64)


_REASONS: dict[int, type[Exception]] = {
    _BAD_ROW: IndexError,
    _BAD_BIN: ValueError,
    _BAD_FAN: ValueError,
    _DAMAGED: StateError,
    FULL: OverflowError,
}
_TEXTS = {
    _BAD_ROW: "there is no such row in this column",
    _BAD_BIN: "a bin is not below the width of its column, or a weight is not -1, 0 or 1",
    _BAD_FAN: "a key was found before with another number of rows",
    _DAMAGED: "a packed row cannot be read: it was cut off, or written by something else",
    FULL: "a row cannot hold more than 33,554,432 different bins",
}


def refuse(fate: int) -> NoReturn:
    """Raise what a kernel says is wrong."""
    raise _REASONS[fate](_TEXTS[fate])


def bad_row() -> NoReturn:
    """Say that there is no such row: in the twins' words, which are the kernels'."""
    refuse(_BAD_ROW)


def bad_bin() -> NoReturn:
    """Say that there is no such bin or weight."""
    refuse(_BAD_BIN)


def bad_fan() -> NoReturn:
    """Say that a key has another number of rows."""
    refuse(_BAD_FAN)


def damaged() -> NoReturn:
    """Say that packed bytes are not what was written."""
    refuse(_DAMAGED)
