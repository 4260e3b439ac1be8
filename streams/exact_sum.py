"""Sums that do not depend on the order of their terms.

A float sum depends on the order in which terms are added, so two workers that saw the same
events in different batches would publish different numbers. Here a sum is a Python integer in
units of 2**-1074, the smallest positive float: every float64 is a whole multiple of that,
addition is exact, and taking a term back leaves no trace.
"""

import numpy as np
from numpy.typing import NDArray

UNIT_EXPONENT = 1074
_SMALL = 24


def exact_sum(values: NDArray[np.float64]) -> int:
    """Add finite floats exactly; the result is in units of 2**-1074.

    Examples
    --------
    >>> total = exact_sum(np.array([1e16, 1.0, -1e16]))
    >>> as_float(total)
    1.0
    """
    if len(values) <= _SMALL:
        return sum(map(exact, values.tolist()))
    mantissa, exponent = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64)
    lowest = int(exponent.min())
    place = exponent - lowest
    high = np.bincount(place, weights=(whole >> 26).astype(np.float64))  # exact below 2**26 rows
    low = np.bincount(place, weights=(whole & (2**26 - 1)).astype(np.float64))
    total = 0
    for k in np.flatnonzero((high != 0) | (low != 0)).tolist():
        total += ((int(high[k]) << 26) + int(low[k])) << k
    shift = lowest - 53 + UNIT_EXPONENT
    return total << shift if shift >= 0 else total >> -shift


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
    zeros = min(((total & -total).bit_length() - 1) // 8, 255)
    rest = total >> (8 * zeros)
    return bytes([zeros]) + rest.to_bytes(rest.bit_length() // 8 + 1, "little", signed=True)


def unpack(packed: bytes) -> int:
    """Read what `pack` wrote.

    Examples
    --------
    >>> unpack(pack(exact(-2.5))) == exact(-2.5)
    True
    """
    return int.from_bytes(packed[1:], "little", signed=True) << (8 * packed[0]) if packed else 0
