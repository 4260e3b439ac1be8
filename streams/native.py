"""The compiled part: what is done for every record, in C (`columns.c`), where it was compiled.

All of it is optional. Each function here has a twin in Python that gives the same, and
`available` says whether there is anything to call. It is compiled when driftline is installed,
if there is a C compiler (`hatch_build.py`).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.features import Block
from streams.limits import LIMITS, RecordLimits
from streams.scalars import Scalars
from streams.texts import Texts

LIBRARY = Path(__file__).with_name("_columns.so")

_LARGEST_POWER = 64
_MAX_LAYOUTS, _MAX_FEATURES = 64, 1_000
_MANY_SPANS = 2_000
_SMALLEST_FEATURE_BYTES = 5  # `"":0,`
_NO_MEMORY = -2
_WORD_BITS = 32
_FACTOR = 0x9E3779B185EBCA87  # where nobody attacks

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class _Batch(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("values", "value_ends", "keys", "key_ends")),
        ("count", ctypes.c_int64),
        ("earliest_ms", ctypes.c_int64),
        ("latest_ms", ctypes.c_int64),
        ("name_bytes", ctypes.c_int64),
        ("features", ctypes.c_int64),
        ("factor", ctypes.c_uint64),
    )


class _Scalars(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("number", "code", "texts")),
        ("text_count", ctypes.c_int64),
    )


_COUNTS = ("name_count", "layout_count", "feature_count", "feature_name_count", "given", "ascii")


class _Predictions(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_void_p) for n in ("time_ms", "high", "low", "checksum", "score")),
        ("latency_ms", ctypes.c_void_p),
        ("value", _Scalars),
        *((n, ctypes.c_void_p) for n in ("name", "names", "segments", "scores", "layout")),
        *((n, ctypes.c_void_p) for n in ("features", "feature_names", "widths")),
        *((name, ctypes.c_int64) for name in _COUNTS),
    )


class _Labels(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_void_p) for n in ("time_ms", "high", "low")),
        ("value", _Scalars),
        ("retract", ctypes.c_void_p),
        ("ascii", ctypes.c_int64),
    )


class Predictions(NamedTuple):
    """Predictions as columns; see `streams.decoding.Predictions`.

    Attributes
    ----------
    time_ms
        -1 where the record does not say; `timed` if there is no such record.
    names, name
        Models and versions, and which of them each prediction has.
    segments, scores
        Where the JSON of each record's is, start and size, 0 where it has none; `None` if no
        record has any.
    """

    time_ms: Ints
    timed: bool
    high: Hashes
    low: Hashes
    checksum: NDArray[np.uint32]
    score: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    value: Scalars
    names: list[tuple[str, str]]
    name: NDArray[np.int32]
    segments: Ints | None
    scores: Ints | None
    features: list[Block]


class Labels(NamedTuple):
    """Labels and retractions as columns."""

    time_ms: Ints
    high: Hashes
    low: Hashes
    value: Scalars
    retract: NDArray[np.bool_]


def _load() -> Any:
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.driftline_sum_words.restype = ctypes.c_int64
        library.driftline_place_keys.restype = ctypes.c_int64
    except (OSError, AttributeError):  # not there, or of an older source
        return None
    powers = np.array(list(map(_power, range(-_LARGEST_POWER, _LARGEST_POWER + 1))), np.uint64)
    library.driftline_set_powers(address_of(powers))
    return library


def _power(exponent: int) -> tuple[int, int]:
    """Return the 128 leading bits of a power of five: rounded up below one, else cut off."""
    power = 5 ** abs(exponent)
    if exponent < 0:
        bits = (power - 1).bit_length() + 127 if exponent >= -27 else 2 * power.bit_length() + 128
        power = (1 << bits) // power + 1
    shift = power.bit_length() - 128
    power = power >> shift if shift > 0 else power << -shift
    return power >> 64, power & (2**64 - 1)


def address_of(column: Any) -> ctypes.c_void_p:
    """Return where a column is, as C takes it; `None` becomes NULL."""
    try:
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(column)))
    except (TypeError, ValueError, BufferError):  # None; or empty or read-only, which is slower
        return ctypes.c_void_p(None if column is None else column.ctypes.data)


_library: Any = _load() if sys.maxsize > 2**32 else None

available = _library is not None
"""Whether the compiled part is there."""


# --- decoding


def predictions(
    values: Texts,
    keys: Texts,
    *,
    latest_ms: int,
    features: bool,
    limits: RecordLimits = LIMITS,
    factor: int = _FACTOR,
) -> Predictions | None:
    """Decode predictions; `None` if any is not plain.

    Parameters
    ----------
    latest_ms
        A later event time is not plain.
    factor
        An odd number of 64 bits, a secret: see `streams.hash_index`.
    """
    count = len(values)
    scratch = np.empty(6 * count, np.int64)
    names, segments, scores = np.empty((count, 4), np.int64), *np.empty((2, count, 2), np.int64)
    times_ms, hashes = np.empty(count, np.int64), np.empty((2, count), np.uint64)
    checksum = np.empty(count, np.uint32)
    floats, codes = np.empty((3, count)), np.empty((3, count), np.int32)
    most = values.size_bytes // _SMALLEST_FEATURE_BYTES + count if features else 0
    matrix, widths = np.empty(most), np.empty(_MAX_LAYOUTS, np.int64)
    feature_names = np.empty((_MAX_LAYOUTS * _MAX_FEATURES if features else 0, 2), np.int64)
    out = _Predictions(
        *map(address_of, (times_ms, hashes[0], hashes[1], checksum, floats[0], floats[1])),
        _Scalars(*map(address_of, (floats[2], codes[0], scratch)), 0),
        *map(
            address_of, (codes[1], names, segments, scores, codes[2], matrix, feature_names, widths)
        ),
        *([0] * len(_COUNTS)),
    )
    given = _batch(values, keys, latest_ms, limits, factor)
    fate = _library.driftline_predictions(ctypes.byref(given), ctypes.byref(out), int(features))
    if not _plain(fate, out.ascii, values):
        return None
    return Predictions(
        times_ms,
        not out.given & 4,
        hashes[0],
        hashes[1],
        checksum,
        floats[0],
        floats[1],
        Scalars(floats[2], codes[0], _spans(values, scratch[: 2 * out.value.text_count])),
        _pairs(_spans(values, names[: out.name_count])),
        codes[1],
        segments if out.given & 1 else None,
        scores if out.given & 2 else None,
        _layouts(
            codes[2],
            widths[: out.layout_count].tolist(),
            _spans(values, feature_names[: out.feature_name_count]),
            matrix[: out.feature_count],
        ),
    )


def labels(
    values: Texts,
    keys: Texts,
    *,
    latest_ms: int,
    limits: RecordLimits = LIMITS,
    factor: int = _FACTOR,
) -> Labels | None:
    """Decode labels and retractions; `None` if any is not plain."""
    count = len(values)
    times_ms, hashes = np.empty(count, np.int64), np.empty((2, count), np.uint64)
    number, code = np.empty(count), np.empty(count, np.int32)
    texts, retract = np.empty((count, 2), np.int64), np.empty(count, np.bool_)
    scalars = _Scalars(*map(address_of, (number, code, texts)), 0)
    out = _Labels(
        *map(address_of, (times_ms, hashes[0], hashes[1])), scalars, address_of(retract), 0
    )
    given = _batch(values, keys, latest_ms, limits, factor)
    fate = _library.driftline_labels(ctypes.byref(given), ctypes.byref(out))
    if not _plain(fate, out.ascii, values):
        return None
    found = Scalars(number, code, _spans(values, texts[: out.value.text_count]))
    return Labels(times_ms, hashes[0], hashes[1], found, retract)


def _batch(values: Texts, keys: Texts, latest_ms: int, limits: RecordLimits, factor: int) -> _Batch:
    columns = (values.data, values.ends, keys.data, keys.ends)
    times_ms, most = (limits.earliest_ms, latest_ms), (limits.name_bytes, limits.features)
    return _Batch(*map(address_of, columns), len(values), *times_ms, *most, factor)


def _plain(fate: int, ascii_only: int, values: Texts) -> bool:
    if fate == _NO_MEMORY:
        raise MemoryError
    if fate or ascii_only:
        return fate == 0
    try:
        # Each record begins and ends with ASCII, so that none completes another's character.
        values.data[values.ends[0] : values.ends[-1]].tobytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def _spans(values: Texts, spans: Ints) -> list[str]:
    pairs = spans.reshape(-1, 2).tolist()
    # A piece of bytes costs less than one of a view, but all must be copied first.
    data = values.data.tobytes() if len(pairs) > _MANY_SPANS else values.data.data
    return [str(data[at : at + size], "utf-8") for at, size in pairs]


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(texts[::2], texts[1::2], strict=True))


def _layouts(
    layout: NDArray[np.int32], widths: Sequence[int], names: Sequence[str], values: NDArray[Any]
) -> list[Block]:
    """Cut the features, which are behind each other as they came, into a matrix each layout."""
    found: list[Block] = []
    start = 0
    width_of = np.array([*widths, 0])[layout]
    first = np.cumsum(width_of) - width_of
    for number, width in enumerate(widths):
        own = tuple(names[start : start + width])
        start += width
        rows = np.flatnonzero(layout == number)
        if len(widths) == 1:
            matrix = values.reshape(-1, width)
        else:
            matrix = values[first[rows][:, None] + np.arange(width)]
        found.append(Block(own, rows, matrix))
    return found


# --- looking up


def find(
    cells: NDArray[np.int32], seed: Hashes, keys: tuple[Hashes, Hashes], rows: tuple[Hashes, Hashes]
) -> Ints:
    """Return the row of every key, -1 where there is none; see `streams.hash_index`."""
    high, low = map(np.ascontiguousarray, keys)
    found = np.empty(len(low), np.int64)
    columns = (seed, *rows, high, low)
    _library.driftline_find_keys(
        address_of(cells),
        ctypes.c_int64(len(cells) - 1),
        *map(address_of, columns),
        ctypes.c_int64(len(low)),
        address_of(found),
    )
    return found


def place(cells: NDArray[np.int32], seed: Hashes, slots: Ints, keys: tuple[Hashes, Hashes]) -> int:
    """Put rows into cells; return how many of these were empty."""
    columns = (seed, *map(np.ascontiguousarray, (slots, *keys)))
    used: int = _library.driftline_place_keys(
        address_of(cells),
        ctypes.c_int64(len(cells) - 1),
        *map(address_of, columns),
        ctypes.c_int64(len(slots)),
    )
    return used


def all_different(numbers: NDArray[Any]) -> bool:
    """Tell whether no number comes twice; numbers have 64 bits."""
    column = np.ascontiguousarray(numbers)
    found: int = _library.driftline_different(address_of(column), ctypes.c_int64(len(column)))
    if found == _NO_MEMORY:
        raise MemoryError
    return found == 1


# --- adding


def exact_sums(values: NDArray[np.float64], group: Ints, size: int) -> list[int]:
    """Add finite floats exactly, by group; see `streams.exact_sum`."""
    values, group = np.ascontiguousarray(values), np.ascontiguousarray(group, np.int64)
    first = ctypes.c_int64()
    width = _library.driftline_sum_words(
        address_of(values), ctypes.c_int64(len(values)), ctypes.byref(first)
    )
    if not width:
        return [0] * size
    sums, words = np.zeros((size, width), np.int64), np.empty((size, width), np.uint32)
    _library.driftline_exact_sums(
        *map(address_of, (values, group)),
        *map(ctypes.c_int64, (len(values), size, first.value, width)),
        *map(address_of, (sums, words)),
    )
    whole, size_bytes, shift = words.tobytes(), words.itemsize * width, _WORD_BITS * first.value
    return [
        int.from_bytes(whole[start : start + size_bytes], "little", signed=True) << shift
        for start in range(0, len(whole), size_bytes)
    ]
