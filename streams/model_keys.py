"""Model versions by number in outcome records, so that a reader looks no names up.

A record says of every model version a *key* and a *check*, the two halves of a 128-bit hash of its
name, and the names themselves in one piece that is only read where a key is not known yet. So
every record can be read by itself: after a restart, from any offset, whichever partition of the
join wrote it, and when others before it are gone.

Of two names with one key, which differ in their check, the second is looked up by both each time:
that costs time and no exactness. The hash is a cryptographic one: with another, somebody who may
choose names could find two that agree in all of it. With this one that takes 2**64 attempts.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.columns.index import Index

Ints = NDArray[np.int64]

# A call of the compiled index costs as much as to look up so many one by one.
_FEW = 48

Name = tuple[str, str]
"""Model and version."""


def model_key(name: Name) -> tuple[int, int]:
    """Return key and check of a model version: whole numbers of 64 bits.

    Examples
    --------
    >>> model_key(("fraud", "7"))
    (-8501542413629035854, 1662535034428909698)
    >>> model_key(("fraud7", ""))[0] == model_key(("fraud", "7"))[0]
    False
    """
    digest = blake2b(_encode(name), digest_size=16).digest()
    key, check = np.frombuffer(digest, "<i8").tolist()
    return key, check


class Models(NamedTuple):
    """The model versions of an outcomes record.

    Attributes
    ----------
    keys, checks
        See `model_key`.
    packed
        The names as MessagePack.
    """

    keys: Ints
    checks: Ints
    packed: bytes | memoryview

    @property
    def names(self) -> list[Name]:
        """Model and version of each."""
        return _decode(self.packed)


class ModelCodes:
    """From keys of outcome records to a reader's own codes.

    Examples
    --------
    >>> codes, names = ModelCodes(), [("churn", "1"), ("fraud", "7")]
    >>> keys, checks = np.array([model_key(name) for name in names]).T
    >>> codes.add(("fraud", "7"), 20)
    >>> found = codes.of(Models(keys, checks, pack_names(names)), lambda name: 30)
    >>> found.tolist()
    [30, 20]
    """

    def __init__(self) -> None:
        self._by_both: dict[tuple[int, int], int] = {}
        self._index = Index()
        self._checks = self._codes = np.zeros(16, np.int64)

    def add(self, name: Name, code: int) -> None:
        """Note the code of a model version."""
        key, check = model_key(name)
        self._by_both[key, check] = code
        [place], new = self._index.find(np.array([key]), add=True)
        if not len(new):  # a second name with this key
            return
        if place >= len(self._codes):
            room = np.zeros(len(self._codes), np.int64)
            self._checks = np.concatenate([self._checks, room])
            self._codes = np.concatenate([self._codes, room])
        self._checks[place], self._codes[place] = check, code

    def remove(self, name: Name) -> None:
        """Forget a model version."""
        key, check = model_key(name)
        del self._by_both[key, check]
        [place], _ = self._index.find(np.array([key]))
        if place >= 0 and self._checks[place] == check:
            self._index.drop(np.array([key]))

    def of(self, models: Models, code_of: Callable[[Name], int]) -> Ints:
        """Return the codes of the models of a record.

        Parameters
        ----------
        code_of
            Called with the names that are not known yet.
        """
        if len(models.keys) <= _FEW:
            codes = np.full(len(models.keys), -1, np.int64)
            unknown = np.arange(len(codes))
        else:
            places, _ = self._index.find(models.keys)
            codes = self._codes[places]
            unknown = np.flatnonzero((places < 0) | (self._checks[places] != models.checks))
        if len(unknown):
            self._look_up(models, unknown, codes, code_of)
        return codes

    def _look_up(
        self, models: Models, places: Ints, codes: Ints, code_of: Callable[[Name], int]
    ) -> None:
        """Find codes one by one; change `codes` in place."""
        both = zip(models.keys[places].tolist(), models.checks[places].tolist(), strict=True)
        found = [self._by_both.get(one) for one in both]
        names = models.names if None in found else []
        codes[places] = [
            code_of(names[place]) if code is None else code
            for place, code in zip(places.tolist(), found, strict=True)
        ]


def pack_names(names: Sequence[Name]) -> bytes:
    """Return names as MessagePack, see `Models`."""
    return _encode(names)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Name]).decode
