"""Sums that do not depend on the order of their terms.

A float sum depends on the order in which terms are added, so two workers that saw the same
events in different batches would publish different numbers. Here a sum is a Python integer in
units of 2**-1074, the smallest positive float: every float64 is a whole multiple of that,
addition is exact, and taking a term back leaves no trace.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streams import native
from streams.grouping import distinct

UNIT_EXPONENT = 1074
_SMALL = 24
# Limbs are 2**3 or 2**4 bits: the sums of 34-bit, or 42-bit, parts are exact in a float64 for so
# many rows of a group. The wider they are, the fewer there are.
_LIMB_BITS, _CHUNK = 3, 1 << 18
_WIDE_LIMB_BITS, _FEW_ROWS = 4, 1 << 10
_HALF = 26


def exact_sum(values: NDArray[np.float64]) -> int:
    """Add finite floats exactly; the result is in units of 2**-1074.

    Examples
    --------
    >>> total = exact_sum(np.array([1e16, 1.0, -1e16]))
    >>> as_float(total)
    1.0
    """
    return exact_sums(values, np.zeros(len(values), np.int64), 1)[0]


def exact_sums(values: NDArray[np.float64], group: NDArray[np.int64], size: int) -> list[int]:
    """Add finite floats exactly, by group.

    Parameters
    ----------
    group
        For each value, the number of its group, below `size`.

    Examples
    --------
    >>> [as_float(total) for total in exact_sums(np.array([0.5, 2.0, 1.0]), np.array([2, 0, 2]), 3)]
    [2.0, 0.0, 1.5]
    """
    totals = [0] * size
    if len(values) <= _SMALL:
        for value, number in zip(values.tolist(), group.tolist(), strict=True):
            totals[number] += exact(value)
        return totals
    if native.available:
        return native.exact_sums(values, group, size)
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        for number, total in _chunk_sums(values[part], group[part]):
            totals[number] += total
    return totals


def _chunk_sums(values: NDArray[np.float64], group: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield group and a part of its sum."""
    mantissa, exponent = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64)
    lowest = int(exponent.min())
    place = (exponent - lowest).astype(np.int64)
    few = len(values) <= _FEW_ROWS or int(np.bincount(group).max()) <= _FEW_ROWS
    limb_bits = _WIDE_LIMB_BITS if few else _LIMB_BITS
    limb, shift = place >> limb_bits, place & ((1 << limb_bits) - 1)
    limbs = int(limb.max()) + 1
    keys, places = distinct(group * limbs + limb)
    high = np.bincount(places, weights=(whole >> _HALF) << shift).astype(np.int64)
    low = np.bincount(places, weights=(whole & ((1 << _HALF) - 1)) << shift).astype(np.int64)
    base = lowest - 53 + UNIT_EXPONENT
    parts = zip(keys.tolist(), high.tolist(), low.tolist(), strict=True)
    for key, upper, lower in parts:
        number, position = divmod(key, limbs)
        up = base + (position << limb_bits)
        total = (upper << _HALF) + lower
        yield number, total << up if up >= 0 else total >> -up


def exact(value: float) -> int:
    """Write one finite float as a whole number of units."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (UNIT_EXPONENT + 1 - denominator.bit_length())


def as_float(total: int) -> float:
    """Round an exact sum to the nearest float."""
    return total / (1 << UNIT_EXPONENT)


def mean(total: int, count: int) -> float:
    """Divide an exact sum by a count, rounded once."""
    return total / (count << UNIT_EXPONENT)


def pack(total: int) -> bytes:
    """Write an exact sum compactly: its trailing zero bytes are only counted."""
    if not total:
        return b""
    zeros = min(((total & -total).bit_length() - 1) >> 3, 255)
    rest = total >> (8 * zeros)
    return bytes((zeros,)) + rest.to_bytes(rest.bit_length() // 8 + 1, "little", signed=True)


def unpack(packed: bytes) -> int:
    """Read what `pack` wrote.

    Examples
    --------
    >>> unpack(pack(exact(-2.5))) == exact(-2.5)
    True
    """
    return int.from_bytes(packed[1:], "little", signed=True) << (8 * packed[0]) if packed else 0
