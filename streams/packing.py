"""Columns of numbers as few bytes, exactly: what the state log consists of.

Most columns are narrow: times of one bucket, classes 0 and 1, codes that are all the same. A
column is written as its smallest number and the distances from it, in the smallest type that
holds them. Floats are treated so if they are whole numbers, and halved if that loses nothing.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Packed: TypeAlias = tuple[str, int, bytes]
"""Kind (type of the distances, `f` before it for floats), smallest number, distances."""

_WIDTHS = {"<u1": 2**8, "<u2": 2**16, "<u4": 2**32}
_LARGEST_WHOLE = 2.0**31
# Of so few numbers Python makes the same in a third of the time.
_FEW = 32


def pack(column: NDArray[Any]) -> Packed:
    r"""Write a column down, bit for bit.

    Examples
    --------
    >>> pack(np.array([1_750_000_000_000, 1_750_000_000_255]))
    ('<u1', 1750000000000, b'\x00\xff')
    >>> pack(np.array([0.5, 0.25]))[0], pack(np.array([1.0, 0.0]))[0]
    ('f<f4', 'f<u1')
    """
    if 0 < len(column) <= _FEW and (packed := _pack_few(column)) is not None:
        return packed
    return _pack_floats(column) if column.dtype.kind == "f" else _pack_whole(column)


def unpack(packed: Packed, count: int, dtype: str) -> NDArray[Any]:
    """Read what `pack` wrote of a column of `count` numbers."""
    kind, base, distances = packed
    if kind == "bits":
        return np.full(count, base, "<i8").view("<f8")
    if kind in ("f<f4", "f<f8"):
        halves: NDArray[Any] = np.frombuffer(distances, kind[1:])
        return halves.astype(dtype)
    if not distances:
        return np.full(count, base, dtype)
    found: NDArray[Any] = np.frombuffer(distances, kind.removeprefix("f")).astype(dtype)
    return found if kind == "<u8" else found + np.array(base, dtype)


def _pack_few(column: NDArray[Any]) -> Packed | None:
    """Do the same without calls of numpy; `None` for what is rare."""
    values = column.tolist()
    if column.dtype.kind != "f":
        return _pack_numbers(values)
    bits = column.view("<i8").tolist()
    if bits.count(bits[0]) == len(bits):
        return "bits", bits[0], b""
    for value, pattern in zip(values, bits, strict=True):
        minus_zero = not value and pattern
        if minus_zero or not (abs(value) < _LARGEST_WHOLE and value.is_integer()):
            return None
    packed = _pack_numbers(list(map(int, values)))
    return packed and ("f" + packed[0], *packed[1:])


def _pack_numbers(values: list[int]) -> Packed | None:
    low, high = min(values), max(values)
    if low == high:
        return "<u1", low, b""
    if high - low < _WIDTHS["<u1"]:
        return "<u1", low, bytes([value - low for value in values])
    for kind, limit in _WIDTHS.items():
        if high - low < limit:
            return kind, low, np.array([value - low for value in values], kind).tobytes()
    return None


def _pack_whole(column: NDArray[Any]) -> Packed:
    if not len(column):
        return "<u1", 0, b""
    low, high = int(column.min()), int(column.max())
    if low == high:
        return "<u1", low, b""
    for kind, limit in _WIDTHS.items():
        if high - low < limit:
            return kind, low, (column - column.dtype.type(low)).astype(kind).tobytes()
    return "<u8", 0, column.astype("<u8").tobytes()


def _pack_floats(column: NDArray[Any]) -> Packed:
    bits = column.view("<i8")
    if len(bits) and (bits == bits[0]).all():
        return "bits", int(bits[0]), b""
    whole = np.isfinite(column) & (np.abs(column) < _LARGEST_WHOLE)
    if whole.all():
        numbers = column.astype("<i8")
        if (numbers.astype("<f8").view("<i8") == bits).all():
            kind, low, distances = _pack_whole(numbers)
            return "f" + kind, low, distances
    with np.errstate(over="ignore"):
        half = column.astype("<f4")
    if (half.astype("<f8").view("<i8") == bits).all():
        return "f<f4", 0, half.tobytes()
    return "f<f8", 0, column.astype("<f8").tobytes()
