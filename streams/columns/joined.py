"""Many records of MessagePack at once, put together from columns.

A record of state costs more to put together than what it says costs to count, where models are many
and each has few rows. Here a record is a row of pieces that all records have, and a call into the
kernels joins the pieces of all of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_SAME, _SPAN, _BINARY, _ARRAY, _TEXTS, _CHOSEN = range(6)
_HEAD_BYTES = 5  # at most
_MOST_SHORT = 15


class _Piece(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int64),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("numbers", ctypes.c_void_p),
        ("chosen", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("texts", ctypes.c_int64),
    )


@cache
def _several(count: int) -> type[ctypes.Array[_Piece]]:
    """Return the type of an array; one that is made for each call is a cycle for each call."""
    return _Piece * count


_NOTHING: Bytes = np.zeros(1, np.uint8)
_NO_NUMBERS: Ints = np.zeros(1, np.int64)
_NOWHERE: int = _NO_NUMBERS.ctypes.data


class Texts(NamedTuple):
    """Things as they are written, behind each other, and where each begins.

    Attributes
    ----------
    starts
        One more than things.
    """

    data: Bytes
    starts: Ints

    @classmethod
    def of(cls, pieces: Sequence[bytes]) -> Texts:
        """Put things together that are written already."""
        return cls(_column(b"".join(pieces)), bounds_of(pieces))

    def with_more(self, pieces: Sequence[bytes]) -> Texts:
        """Return these, and others behind them."""
        more = Texts.of(pieces)
        return Texts(
            np.concatenate([self.data, more.data]),
            np.concatenate([self.starts, more.starts[1:] + self.starts[-1]]),
        )


class _Given(NamedTuple):
    kind: int
    data: Bytes
    numbers: Ints
    chosen: Ints = _NO_NUMBERS
    starts: Ints = _NO_NUMBERS


class Joined:
    r"""Pieces of so many records, in their order.

    Examples
    --------
    >>> records = Joined(2)
    >>> records.same(b"\x93")
    >>> records.array(np.array([1, 0]))
    >>> records.span(b"\x07", np.array([0, 1, 1]))
    >>> records.binary(b"abc", np.array([0, 1, 3]))
    >>> records.same(b"\xc0")
    >>> [msgspec.msgpack.decode(one) for one in records.records()]
    [[[7], b'a', None], [[], b'bc', None]]

    What many records name is written once:

    >>> named = Texts.of([msgspec.msgpack.encode(name) for name in ("f", "g")])
    >>> records = Joined(2)
    >>> records.texts(named, np.array([1, 0, 1]), np.array([0, 2, 3]))
    >>> [msgspec.msgpack.decode(one) for one in records.records()]
    [['g', 'f'], ['g']]
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._given: list[_Given] = []
        self._compiled = kernels.available

    def same(self, data: bytes) -> None:
        """Add bytes that all records have."""
        if self._given and self._given[-1].kind == _SAME:
            data = self._given.pop().data.tobytes() + data
        self._given.append(_Given(_SAME, _column(data), _NO_NUMBERS))

    def span(self, data: bytes | Bytes, bounds: Ints) -> None:
        """Add bytes as they are: those of every record begin where those of the one before end."""
        self._add(_SPAN, data, bounds, self._count + 1)

    def binary(self, data: bytes | Bytes, bounds: Ints) -> None:
        """Add bytes as MessagePack says that they are bytes."""
        self._add(_BINARY, data, bounds, self._count + 1)

    def array(self, lengths: Ints) -> None:
        """Begin arrays, of some length each; what is in them follows."""
        self._add(_ARRAY, b"", lengths, self._count)

    def texts(self, texts: Texts, chosen: Ints, bounds: Ints) -> None:
        """Add an array of some of the texts to every record.

        Parameters
        ----------
        chosen, bounds
            Which, those of one record behind those of the one before; where those of each begin.
        """
        self._add(_TEXTS, texts.data, bounds, self._count + 1)
        if len(chosen) != int(bounds[-1]):
            raise ValueError(f"{len(chosen)} texts for {bounds[-1]} places")
        chosen = np.ascontiguousarray(chosen, np.int64) if len(chosen) else _NO_NUMBERS
        self._given[-1] = self._given[-1]._replace(chosen=chosen, starts=texts.starts)

    def chosen(self, texts: Texts, chosen: Ints) -> None:
        """Add one of the texts to every record, as it is."""
        self._add(_CHOSEN, texts.data, chosen, self._count)
        self._given[-1] = self._given[-1]._replace(starts=texts.starts)

    def _add(self, kind: int, data: bytes | Bytes, numbers: Ints, size: int) -> None:
        if len(numbers) != size:
            raise ValueError(f"{len(numbers)} numbers for {self._count} records")
        numbers = np.ascontiguousarray(numbers, np.int64)
        self._given.append(_Given(kind, _column(data), numbers if size else _NO_NUMBERS))

    def records(self) -> list[bytes]:
        """Return the records.

        Raises
        ------
        IndexError
            Bytes of a record are not there, or end before they begin; or a length is negative.
        """
        if not self._compiled:
            columns = [_parts(one, self._count) for one in self._given]
            return list(map(b"".join, zip(*columns, strict=True)))
        data, ends = self._joined()
        whole = data.tobytes()
        return [whole[start:end] for start, end in pairwise([0, *ends.tolist()])]

    def _joined(self) -> tuple[Bytes, Ints]:
        pieces = _several(len(self._given))(*map(_piece, self._given))
        ends, done = np.empty(self._count, np.int64), kernels.progress()
        out = np.empty(self._most_bytes(), np.uint8)
        fate = kernels.call(
            "driftline_join_records",
            *(pieces, len(pieces), self._count, out, len(out), ends, done),
        )
        assert fate == kernels.DONE
        return out[: done[1]], ends

    def _most_bytes(self) -> int:
        """Return room for all records; of what is wrong the kernel tells, however little it is."""
        size = _HEAD_BYTES
        for one in self._given:
            size += self._count * (len(one.data) if one.kind == _SAME else _HEAD_BYTES)
            size += len(one.data) if one.kind in (_SPAN, _BINARY) else 0
            if one.kind in (_TEXTS, _CHOSEN) and self._count:
                chosen = one.chosen if one.kind == _TEXTS else one.numbers
                there = chosen[(chosen >= 0) & (chosen < len(one.starts) - 1)]
                size += int(np.diff(one.starts)[there].sum())
        return size


def _column(data: bytes | Bytes) -> Bytes:
    if isinstance(data, bytes):
        return np.frombuffer(data, np.uint8)
    return data


def _piece(given: _Given) -> _Piece:
    where = given.data if len(given.data) else _NOTHING
    columns = (given.numbers, given.chosen, given.starts)
    addresses = (_NOWHERE if one is _NO_NUMBERS else one.ctypes.data for one in columns)
    return _Piece(given.kind, where.ctypes.data, len(given.data), *addresses, len(given.starts) - 1)


def _parts(given: _Given, count: int) -> list[bytes]:
    """Return the piece of every record: in the twin's words, which are the kernel's."""
    kind, data, numbers, chosen, starts = given
    if kind == _SAME:
        return [data.tobytes()] * count
    rows = numbers[:count].tolist()
    if kind == _ARRAY:
        if rows and min(rows) < 0:
            kernels.bad_row()
        return list(map(array_head, rows))
    if kind == _CHOSEN:
        return _of(Texts(data, starts), rows)
    ends = numbers[1 : count + 1].tolist()
    if kind == _TEXTS:
        every = _of(Texts(data, starts), chosen.tolist() if ends and ends[-1] else [])
        spans = zip(rows, ends, strict=True)
        if any(not 0 <= start <= end <= len(every) for start, end in zip(rows, ends, strict=True)):
            kernels.bad_row()
        return [array_head(end - start) + b"".join(every[start:end]) for start, end in spans]
    whole = data.tobytes()
    own = [_span(whole, *span) for span in zip(rows, ends, strict=True)]
    return list(map(_encode, own)) if kind == _BINARY else own


def _span(data: bytes, start: int, end: int) -> bytes:
    if not 0 <= start <= end <= len(data):
        kernels.bad_row()
    return data[start:end]


def _of(texts: Texts, chosen: Sequence[int]) -> list[bytes]:
    whole = texts.data.tobytes()
    every = [_span(whole, *span) for span in pairwise(texts.starts.tolist())]
    if chosen and not 0 <= min(chosen) <= max(chosen) < len(every):
        kernels.bad_row()
    return [every[one] for one in chosen]


def array_head(length: int) -> bytes:
    r"""Return how an array begins.

    Examples
    --------
    >>> array_head(3), array_head(16)
    (b'\x93', b'\xdc\x00\x10')
    """
    return _encode([None] * length)[: -length or None]


def map_head(length: int) -> bytes:
    r"""Return how a map begins.

    Examples
    --------
    >>> map_head(2)
    b'\x82'
    """
    if length > _MOST_SHORT:
        return b"\xde" + length.to_bytes(2, "big")
    return bytes([0x80 | length])


def bounds_of(pieces: Sequence[bytes]) -> Ints:
    """Return where pieces begin that are behind each other, and where the last ends."""
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


_encode = msgspec.msgpack.Encoder().encode
