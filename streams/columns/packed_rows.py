"""Rows of a table as bytes, and back: by the kernels, and what these have no room for in Python."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.columns import kernels
from streams.columns.column import Column, Rows
from streams.columns.packing import Reader, pack_row, read_row
from streams.columns.sparse import SparseColumn
from streams.columns.sums import SumsColumn

Packed = tuple[NDArray[np.uint8], NDArray[np.int64]]
_BYTES_PER_COLUMN = 24  # of a row at first; there is more room if that is not enough


class _Column(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("kind", "width", "wide", "rows")),
        *((name, ctypes.c_void_p) for name in ("data", "more")),
        ("capacity", ctypes.c_int64),
        ("state", ctypes.c_void_p),
    )


def _layout(columns: Sequence[Any]) -> ctypes.Array[_Column]:
    """Return where columns are; until one of them grows."""
    return _several(len(columns))(*map(_column, columns))


@cache
def _several(count: int) -> type[ctypes.Array[_Column]]:
    """Return the type of an array; one that is made for each call is a cycle for each call."""
    return _Column * count


def _column(column: Any) -> _Column:
    if isinstance(column, SparseColumn):
        runs, rows, arena, capacity, state = column.place()
        addresses = (runs.ctypes.data, arena.ctypes.data, capacity, state.ctypes.data)
        return _Column(column.kind, 0, 0, rows, *addresses)
    if isinstance(column, SumsColumn):
        digits, base, rows = column.place()
        return _Column(column.kind, 0, 0, rows, digits.ctypes.data, base.ctypes.data, 0, None)
    data = column.data
    return _Column(
        column.kind, column.width, int(column.wide), len(data), data.ctypes.data, None, 0, None
    )


def pack(columns: Sequence[Column], rows: Rows, *, compiled: bool) -> Packed:
    """Return the bytes of rows, behind each other, and where each ends."""
    if not compiled:
        return _joined([pack_row(columns, row) for row in rows.tolist()])
    spilled = frozenset[int]().union(*(column.spilled for column in columns))
    odd = np.isin(rows, np.fromiter(spilled, np.int64, len(spilled)))
    if not odd.any():
        return _pack(columns, rows)
    data, ends = _pack(columns, rows[~odd])
    plain, start = iter(ends.tolist()), 0
    pieces: list[bytes] = []
    for row, is_odd in zip(rows.tolist(), odd.tolist(), strict=True):
        if is_odd:
            pieces.append(pack_row(columns, row))
        else:
            end = next(plain)
            pieces.append(data[start:end].tobytes())
            start = end
    return _joined(pieces)


def _joined(pieces: Sequence[bytes]) -> Packed:
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    return np.frombuffer(b"".join(pieces), np.uint8), np.cumsum(sizes)


def _pack(columns: Sequence[Column], rows: Rows) -> Packed:
    layout, ends, done = _layout(columns), np.empty(len(rows), np.int64), kernels.progress()
    out = np.empty(_BYTES_PER_COLUMN * len(columns) * len(rows) + 256, np.uint8)
    while kernels.call(
        "driftline_pack_rows",
        *(layout, len(layout), rows, len(rows), out, len(out), ends, done),
    ):
        out = np.concatenate([out, np.empty(len(out) + 256, np.uint8)])
    return out[: done[1]].copy(), ends


def unpack(
    columns: Sequence[Any],
    rows: Rows,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    *,
    compiled: bool,
) -> NDArray[np.int64]:
    """Replace rows by what `pack` wrote; return where each ends."""
    ends, done = np.empty(len(rows), np.int64), kernels.progress()
    data = np.ascontiguousarray(data, np.uint8)
    for column in columns if compiled else ():
        column.forget_spilled(rows)
    fate, whole = kernels.ODD, b""
    while done[0] < len(rows):
        if compiled:
            layout = _layout(columns)
            fate = kernels.call(
                "driftline_unpack_rows",
                *(layout, len(layout), rows, len(rows), data, len(data), starts, ends, done),
            )
        if fate == kernels.ROOM:
            for column in columns:
                if isinstance(column, SparseColumn):
                    column.more()
        elif fate == kernels.ODD:
            at = int(done[0])
            source = Reader(whole := whole or data.tobytes(), int(starts[at]))
            read_row(columns, int(rows[at]), source)
            ends[at] = source.at
            done[0] += 1
    return ends
