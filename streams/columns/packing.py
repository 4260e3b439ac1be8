"""Rows as bytes, in Python: what `kernels.c` writes and reads for most rows.

Numbers are varints (seven bits a byte, the lowest first), signed ones with the sign in the lowest
bit. The same content gives the same bytes, whatever the order in which it was counted, and
whether it is kept by kernels or by twins. A row has no version: whoever keeps it says which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from streams.columns import kernels

_MOST_SUM_BYTES = 272  # 2**76 times the largest float; as in kernels.c
_MOST_BIN = 2**32 - 1
_WORD_BITS = 64


class Reader:
    """Numbers from packed bytes; `StateError` if they are not what was written."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at = data, at
        if not 0 <= at <= len(data):
            kernels.damaged()

    @property
    def left(self) -> int:
        """Bytes that are still to be read."""
        return len(self._data) - self.at

    def number(self) -> int:
        """Read a number below 2**64."""
        found = shift = 0
        byte = 128
        while byte & 128:
            if not self.left or shift >= _WORD_BITS:
                kernels.damaged()
            byte = self._data[self.at]
            self.at += 1
            found |= (byte & 127) << shift
            shift += 7
        if found >> _WORD_BITS:
            kernels.damaged()
        return found

    def signed(self) -> int:
        """Read a number of 64 bits with a sign."""
        found = self.number()
        return found >> 1 ^ -(found & 1)

    def bytes_of(self, size: int) -> bytes:
        """Read so many bytes."""
        if size > self.left:
            kernels.damaged()
        self.at += size
        return self._data[self.at - size : self.at]


def number(value: int) -> bytes:
    r"""Write a number below 2**64.

    Examples
    --------
    >>> number(5), number(300)
    (b'\x05', b'\xac\x02')
    """
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def signed(value: int) -> bytes:
    """Write a number of 64 bits with a sign.

    Examples
    --------
    >>> [signed(value)[0] for value in (0, -1, 1, -2)]
    [0, 1, 2, 3]
    """
    return number(value << 1 if value >= 0 else ~(value << 1))


def pack_counts(counts: Sequence[int]) -> bytes:
    """Write dense counts: without the zeros at the end; in between, runs of zeros are counted.

    One zero among others is written as it is.
    """
    if len(counts) == 1:
        return signed(counts[0])
    width = len(counts)
    while width and not counts[width - 1]:
        width -= 1
    found, j = [number(width)], 0
    while j < width:
        begin = j
        while not counts[j]:
            j += 1
        end = j
        while end < width and (counts[end] or (end + 1 < width and counts[end + 1])):
            end += 1
        found += number(j - begin), number(end - j), *map(signed, counts[j:end])
        j = end
    return b"".join(found)


def read_counts(source: Reader, width: int) -> list[int]:
    """Read what `pack_counts` wrote."""
    if width == 1:
        return [source.signed()]
    used = source.number()
    if used > width:
        kernels.damaged()
    counts: list[int] = []
    while len(counts) < used:
        zeros, others = source.number(), source.number()
        if not others or len(counts) + zeros + others > used:
            kernels.damaged()
        counts += [0] * zeros
        counts += [source.signed() for _ in range(others)]
    return counts + [0] * (width - used)


def pack_entries(entries: Sequence[tuple[int, int]]) -> bytes:
    """Write sparse counts: how many, then steps from bin to bin; a count of 1 takes no byte."""
    found, last = [number(len(entries))], 0
    for place, count in entries:
        found.append(number((place - last) << 1 | (count != 1)))
        last = place
        if count != 1:
            found.append(signed(count))
    return b"".join(found)


def read_entries(source: Reader) -> list[tuple[int, int]]:
    """Read what `pack_entries` wrote."""
    size, place = source.number(), 0
    if size > source.left:
        kernels.damaged()
    entries: list[tuple[int, int]] = []
    for _ in range(size):
        step = source.number()
        count = source.signed() if step & 1 else 1
        place += step >> 1
        if place > _MOST_BIN or (entries and step < 2) or not count:
            kernels.damaged()
        entries.append((place, count))
    return entries


def pack_sum(total: int) -> bytes:
    r"""Write an exact sum: its bytes, without the zeros that they begin with.

    Examples
    --------
    >>> pack_sum(-128 << 16)
    b'\x01\x02\x80'
    """
    if not total:
        return number(0)
    zeros = ((total & -total).bit_length() - 1) >> 3
    rest = total >> 8 * zeros
    size = (rest if rest > 0 else ~rest).bit_length() // 8 + 1
    return number(size) + number(zeros) + rest.to_bytes(size, "little", signed=True)


def read_sum(source: Reader) -> int:
    """Read what `pack_sum` wrote."""
    size = source.number()
    if not size:
        return 0
    zeros = source.number()
    if size + zeros > _MOST_SUM_BYTES:
        kernels.damaged()
    return int.from_bytes(source.bytes_of(size), "little", signed=True) << 8 * zeros


_WRITERS: dict[int, Callable[[Any], bytes]] = {
    0: pack_counts,
    1: pack_entries,
    2: pack_sum,
    3: pack_counts,
}


def pack_row(columns: Sequence[Any], row: int) -> bytes:
    """Write all columns of a row."""
    return b"".join(_WRITERS[column.kind](column.get(row)) for column in columns)


def read_row(columns: Sequence[Any], row: int, source: Reader) -> None:
    """Replace all columns of a row by what was written."""
    for column in columns:
        match column.kind:
            case 1:
                column.put(row, read_entries(source))
            case 2:
                column.put(row, read_sum(source))
            case _:
                column.put(row, read_counts(source, column.width))
