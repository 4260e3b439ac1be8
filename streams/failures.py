"""Requests that failed: there is no answer, and what is said of it is that.

A prediction is a float, or a text by its code. That of a request that failed is a NaN of its own,
so that it goes the same way as all others: through the join, its state and the outcomes topic.
It counts as a prediction, and as one that failed; it has no features, score and latency, and its
label, if one comes, is joined and enters no metric.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_HEAD = 0x7FF80002
_SHIFT = 32

FAILED: float = struct.unpack("<d", struct.pack("<Q", _HEAD << _SHIFT))[0]
"""Stands for the answer that there is none; as in columns.c."""

_NO_ERRORS = frozenset({b"", b"null", b"false", b'""', b"0", b"{}", b"[]"})


def is_error(member: Any) -> bool:
    """Tell whether the member `error` of a prediction says that its request failed.

    Examples
    --------
    >>> [is_error(text) for text in (b'"timeout"', b"true", b"503", b"null", b'""', b"false")]
    [True, True, True, False, False, False]
    """
    return bytes(member).strip() not in _NO_ERRORS


def have_failed(numbers: NDArray[np.float64]) -> Mask:
    """Tell of predictions which stand for requests that failed.

    Examples
    --------
    >>> have_failed(np.array([FAILED, 1.0, np.nan])).tolist()
    [True, False, False]
    """
    found: Mask = np.ascontiguousarray(numbers).view(np.int64) >> _SHIFT == _HEAD
    return found
