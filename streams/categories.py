"""Texts among the values of features: numbers that are no numbers, with a hash in them.

Features are columns of floats. A text is a NaN whose low bits are a hash of the text, so that
categories can be counted without being known: nothing of them is kept, published or written down,
and a column of a million different texts takes no more than `CATEGORIES` bins. Two texts may have
one hash: of 50 categories, one in 80 new ones goes for a known one.

Whoever reads hashes can tell whether a text that he guesses is likely among them. So what is
published may name categories by a secret permutation of them; what is counted, kept and compared
stays as it is.
"""

import hashlib
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CATEGORIES = 1 << 12
"""So many texts can be told apart."""

_HEAD = 0x7FF80001
_SHIFT = 32


def category(text: str) -> float:
    """Return the value that stands for a text.

    Examples
    --------
    >>> import math
    >>> math.isnan(category("Rome"))
    True
    >>> codes(np.array([category("Rome"), 1.5, category("Oslo"), np.nan])).tolist()
    [2155, -1, 2803, -1]
    """
    code = xxh3_64_intdigest(text.encode()) % CATEGORIES
    found: float = struct.unpack("<d", struct.pack("<Q", _HEAD << _SHIFT | code))[0]
    return found


def are_texts(values: Floats) -> Mask:
    """Tell which values stand for texts."""
    found: Mask = np.ascontiguousarray(values).view(np.int64) >> _SHIFT == _HEAD
    return found


def codes(values: Floats) -> Ints:
    """Return the hashes of texts, -1 for all else."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits >> _SHIFT == _HEAD, bits & (CATEGORIES - 1), -1)


def are_null(values: Floats) -> Mask:
    """Tell which values are null, or no number, but no texts either."""
    return np.isnan(values) & ~are_texts(values)


def category_names(key: bytes | None) -> Sequence[str]:
    """Return what every hash is called in what is published.

    Parameters
    ----------
    key
        Names are another order of the hashes under every key; as they are without one.

    Examples
    --------
    >>> category_names(None)[2155], category_names(b"a key that nobody knows")[2155]
    ('#2155', '#1493')
    """
    order: Sequence[int] = range(CATEGORIES)
    if key is not None:
        secret = hashlib.sha256(key).digest()
        digests = [
            hashlib.blake2b(code.to_bytes(2, "big"), key=secret, digest_size=16).digest()
            for code in range(CATEGORIES)
        ]
        order = np.argsort(np.argsort(np.array(digests))).tolist()
    return [f"#{number}" for number in order]
