"""Numbers for the few of many codes that a record is about, so that it needs no others."""

from collections.abc import Sequence

import numpy as np

from streams.grouping import distinct
from streams.outcomes import Codes

# Calls of numpy cost microseconds, however few rows there are.
_FEW = 48


def renumber(columns: Sequence[Codes]) -> tuple[list[Codes], list[int]]:
    """Give codes new numbers, from 0 in the order of their first appearance; -1 stays.

    Returns
    -------
    tuple
        The columns with new codes, and the old code of each new one.

    Examples
    --------
    >>> [new], old = renumber([np.array([7, -1, 3, 7], np.int32)])
    >>> new.tolist(), old
    ([0, -1, 1, 0], [7, 3])
    """
    if sum(map(len, columns)) <= _FEW:
        return _renumber_few(columns)
    every = np.concatenate(columns)
    if every.max() < 0:
        return list(columns), []
    codes, places = distinct(every)
    first = np.full(len(codes), len(every))
    np.minimum.at(first, places, np.arange(len(every)))
    used = codes >= 0
    order = np.argsort(first[used])
    ranks = np.full(len(codes), -1, np.int32)
    ranks[np.flatnonzero(used)[order]] = np.arange(len(order))
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return np.split(ranks[places], ends), codes[used][order].tolist()


def _renumber_few(columns: Sequence[Codes]) -> tuple[list[Codes], list[int]]:
    """Do the same by hand, which costs a fifth for a handful of rows."""
    new: dict[int, int] = {}
    found = [
        [-1 if code < 0 else new.setdefault(code, len(new)) for code in column.tolist()]
        for column in columns
    ]
    return [np.array(codes, np.int32) for codes in found], list(new)
