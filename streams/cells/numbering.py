"""What is different in the rows of many records, and which of it each row has.

A record names its models, segments and layouts once, in the order of appearance, and its rows have
their places there. That is found for the rows of all records at once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.columns.joined import Bytes, Joined, Texts
from streams.grouping import distinct

Ints = NDArray[np.int64]

_PLACE_BYTES = 2


class Numbered(NamedTuple):
    """What is different in a column of every record.

    Attributes
    ----------
    values, bounds
        The different values of the first record, of the second, …; where those of each begin.
    places
        Of every row, as numbers of two bytes.
    rows
        Where the rows of every record begin.
    """

    values: NDArray[Any]
    bounds: Ints
    places: Bytes
    rows: Ints

    def add_places(self, records: Joined) -> None:
        """Add the places to records."""
        records.binary(self.places, self.rows * _PLACE_BYTES)

    def add_texts(self, records: Joined, texts: Texts) -> None:
        """Add what the different values are called, which are codes of texts."""
        records.texts(texts, self.values, self.bounds)


def numbered(column: NDArray[Any], rows: Ints) -> Numbered:
    """Find what is different in the rows of each record.

    Parameters
    ----------
    rows
        Where the rows of every record begin, and where those of the last end.

    Examples
    --------
    >>> found = numbered(np.array([70, 71, 70, 71]), np.array([0, 3, 4]))
    >>> found.values.tolist(), found.bounds.tolist(), found.places.view("<u2").tolist()
    ([70, 71, 71], [0, 2, 3], [0, 1, 0, 0])
    """
    if len(column) and (column == column[0]).all():  # as segments mostly are
        there = np.diff(rows) > 0
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(there)])
        places = np.zeros(_PLACE_BYTES * len(column), np.uint8)
        return Numbered(np.full(bounds[-1], column[0]), bounds, places, rows)
    codes = distinct(column)[1]
    owner = np.repeat(np.arange(len(rows) - 1), np.diff(rows))
    keys = owner * (int(codes.max(initial=0)) + 1) + codes
    _, first, places = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    bounds = np.searchsorted(first[order], rows)
    own = rank[places] - bounds[owner]
    if int(own.max(initial=0)) >> 8 * _PLACE_BYTES:
        raise OverflowError("a record has more different names than two bytes can number")
    return Numbered(column[first[order]], bounds, own.astype("<u2").view(np.uint8), rows)


class Encoded:
    r"""How things are written that have codes: as long as they are the same, that is kept.

    Parameters
    ----------
    things
        By code; the list grows, and others may take places of it.

    Examples
    --------
    >>> names = ["a"]
    >>> encoded = Encoded(names)
    >>> encoded.texts().data.tobytes()
    b'\xa1a'
    >>> names[:] = ["b", "c"]
    >>> encoded.texts().data.tobytes()
    b'\xa1b\xa1c'
    """

    def __init__(self, things: Sequence[Any]) -> None:
        self._things = things
        self._known: list[Any] = []
        self._texts = Texts.of([])

    def texts(self) -> Texts:
        """Return how things are written."""
        things = list(self._things)
        if things == self._known:  # each is the same object: no text is looked at
            return self._texts
        count = len(self._known)
        if things[:count] == self._known:
            self._texts = self._texts.with_more(list(map(_encode, things[count:])))
        else:
            self._texts = Texts.of(list(map(_encode, things)))
        self._known = things
        return self._texts


_encode = msgspec.msgpack.Encoder().encode
