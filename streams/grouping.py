"""Group rows by whole numbers: what `numpy.unique` does, without sorting where that is possible."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import native

Ints = NDArray[np.int64]

_DENSE = 4
_ALWAYS_DENSE = 4_096


def distinct(keys: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return the different keys in rising order, and for every key its place among them.

    Examples
    --------
    >>> values, places = distinct(np.array([7, -1, 7, 3]))
    >>> values.tolist(), places.tolist()
    ([-1, 3, 7], [2, 0, 2, 1])
    """
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    lowest, highest = int(keys.min()), int(keys.max())
    span = highest - lowest + 1
    if span > max(_DENSE * len(keys), _ALWAYS_DENSE):
        values, places = np.unique(keys, return_inverse=True)
        return values.astype(np.int64), places
    offsets = keys.astype(np.int64) - lowest
    there = np.zeros(span, bool)
    there[offsets] = True
    values = np.flatnonzero(there)
    place = np.empty(span, np.int64)
    place[values] = np.arange(len(values))
    return values + lowest, place[offsets]


def distinct_pairs(first: Ints, second: Ints) -> tuple[Ints, Ints]:
    """Return the different pairs of numbers in rising order; those of the first are not negative.

    Examples
    --------
    >>> first, second = distinct_pairs(np.array([7, 3, 7, 7]), np.array([5, 6, 5, -1]))
    >>> list(zip(first.tolist(), second.tolist(), strict=True))
    [(3, 6), (7, -1), (7, 5)]
    """
    if not len(first):
        return first, second
    lowest = int(second.min())
    width = int(second.max()) - lowest + 1
    values, _ = distinct(first * width + (second - lowest))
    return values // width, values % width + lowest


def all_different(numbers: NDArray[Any]) -> bool:
    """Tell whether no number comes twice; numbers are of 64 bits.

    Examples
    --------
    >>> all_different(np.array([3, 1, 2])), all_different(np.array([3, 1, 3]))
    (True, False)
    """
    if native.available:
        return native.all_different(numbers)
    return len(np.unique(numbers)) == len(numbers)  # numbers for a set can be crafted
