"""Rows as bytes: the same for the same content, and nothing else is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.errors import StateError
from tests.examples import some
from tests.naive_cells import (
    WAYS,
    Seen,
    count,
    kept_by,
    new_table,
)

PACKED = "04010302000402020101c404030e0301d0c5087d8601fa" + 117 * "ff" + "6fd60120f2905f"
"""What `A_ROW` is packed to."""


def packed_row(cells: list[Seen]) -> bytes:
    table = new_table()
    count(table, cells)
    data, _ = table.pack(np.array([0], np.int32))
    return bytes(data)


A_ROW = [
    Seen(0, 1, ((3, 300, 7, 0.5),)),
    Seen(0, 1, ((3, -10, 9, -2.0),)),
    Seen(0, 1, ((1, 0, 70_000, 1e300),)),
    Seen(0, -1, ((-1, 0, 9, 0.0),)),
    Seen(0, -1, ((-1, 0, 8, 0.0),)),
]
"""With a zero in between, a negative count, one that was taken back, and a sum of two places."""


def test_a_packed_row_is_what_it_always_was(way: bool) -> None:
    """States on disk hold such rows: whoever changes this must raise their version."""
    assert packed_row(A_ROW).hex() == PACKED


def test_an_empty_row_takes_a_byte_a_column(way: bool) -> None:
    table = new_table()
    table.find(np.array([7]), add=True)

    data, ends = table.pack(np.array([0], np.int32))

    assert (bytes(data), ends.tolist()) == (bytes(5), [5])


def read(data: bytes, compiled: bool) -> tuple[str, Any]:
    """Read one row and write it again, or say what is wrong."""
    with kept_by(compiled):
        table = new_table()
        table.find(np.array([3, 4]), add=True)
        count(table, [Seen(4, 1, ((0, 1, 2, 0.1),))])
        rows = np.array([1], np.int32)
        try:
            ends = table.unpack(rows, np.frombuffer(data, np.uint8), np.zeros(1, np.int64))
        except StateError as error:
            return "refused", str(error)
        again, _ = table.pack(rows)
        count(table, A_ROW)  # what was read is sound
        table.drop(np.array([3, 4]))
        return "read", (ends.tolist(), bytes(again), table.live)


@settings(max_examples=some(500))
@given(
    st.binary(max_size=60)
    | st.builds(
        lambda at, cut, more: (
            bytes.fromhex(PACKED[: 2 * at]) + more + bytes.fromhex(PACKED)[at + cut :]
        ),
        *(st.integers(0, 60), st.integers(0, 2), st.binary(max_size=3)),
    )
)
@example(b"\0\0\0\xff\xff\xff\xff\x7f\0")  # more entries than there are bytes
@example(b"\0\0\0\x02\x02\x00\0")  # a bin twice
@example(b"\0\0\0\x01\x03\x00\0")  # a count of 0
@example(b"\0\0\0\0\x90\x02\x01" + b"\x01" * 272)  # a sum that is too long
@example(b"\0\0\0\0\x20\x07" + b"\x7f" * 32)  # one that needs more than 256 bits
@example(b"\x04\x00\x04" + b"\xff" * 9 + b"\x01" + b"\x02" * 3 + bytes(4))  # a count of 64 bits
def test_damaged_rows_are_refused_or_read_in_both_ways_alike(data: bytes) -> None:
    found = [read(data, compiled) for compiled in WAYS]

    assert all(one == found[0] for one in found)


def test_every_cut_off_row_is_refused(way: bool) -> None:
    whole = bytes.fromhex(PACKED)

    for size in range(len(whole)):
        assert read(whole[:size], way)[0] == "refused", size
    assert read(whole, way)[0] == "read"
