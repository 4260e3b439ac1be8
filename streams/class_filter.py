"""Which classes of which models are new, or were seen sooner: only these are looked at one by one.

How many classes a model has tells whether it is a classifier at all (`streams.shown`). Classes go
by a hash of their names, since text may be long and each of them another.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from streams.columns.index import Index
from streams.tables import OutcomeColumns

Ints = NDArray[np.int64]

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_NEVER_MS = 2**62


class ClassFilter:
    """Classes that models are known to have, and when each was seen first."""

    def __init__(self) -> None:
        self._index, self._first_ms = Index(), np.full(16, _NEVER_MS, np.int64)

    def news(self, c: OutcomeColumns, rows: Ints) -> Iterator[tuple[int, list[tuple[int, str]]]]:
        """Yield models with classes that are new or were seen sooner: when, and their hashes."""
        likely = c.chance | c.no_chance
        predicted, true = rows[~likely[rows]], rows[~c.no_chance[rows]]
        codes = np.concatenate([c.predicted[predicted], c.true[true]])
        every = np.concatenate([predicted, true])
        hashes = np.zeros(len(c.classes), np.uint64)
        for code in np.unique(codes).tolist():
            hashes[code] = xxh3_64_intdigest(c.classes[code].encode(errors="surrogatepass"))
        models, at_ms = c.rows.model[every].astype(np.int64), c.rows.at_ms[every]
        keys = _keys(models, hashes[codes])
        places, _ = self._index.find(keys)
        new = np.flatnonzero((places < 0) | (at_ms < self._first_ms[places]))
        if not len(new):
            return
        new = new[np.argsort(at_ms[new], kind="stable")]
        new = new[np.unique(keys[new], return_index=True)[1]]
        names = [f"{one:x}" for one in hashes[codes[new]].tolist()]
        found: dict[int, list[tuple[int, str]]] = {}
        for model, ms, name in zip(models[new].tolist(), at_ms[new].tolist(), names, strict=True):
            found.setdefault(model, []).append((ms, name))
        for model in sorted(found):
            yield model, sorted(found[model])

    def remember(self, model: int, classes: Mapping[str, int]) -> None:
        """Note when classes of a model were seen first."""
        places, _ = self._index.find(_of(model, classes), add=True)
        size = len(self._index)
        if size > len(self._first_ms):
            room = np.full(2 * size - len(self._first_ms), _NEVER_MS, np.int64)
            self._first_ms = np.concatenate([self._first_ms, room])
        self._first_ms[places] = list(classes.values())

    def forget(self, model: int, classes: Mapping[str, int]) -> None:
        """Forget classes of a model."""
        if classes:
            self._index.drop(_of(model, classes))


def _of(model: int, classes: Mapping[str, int]) -> Ints:
    hashes = np.array([int(name, 16) for name in classes], np.uint64)
    return _keys(np.full(len(hashes), model), hashes)


def _keys(models: Ints, hashes: NDArray[np.uint64]) -> Ints:
    with np.errstate(over="ignore"):
        found: Ints = (hashes ^ ((models + 1).astype(np.uint64) * _SPREAD)).view(np.int64)
    return found
