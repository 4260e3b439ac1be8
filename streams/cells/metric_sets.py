"""Names of metrics, and sets of them: what was published of a window."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.cells.names import Texts
from streams.families.family import Family, Reads

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Kinds = NDArray[np.int8]

OF_ROWS, COUNTS, HOSTS = range(3)


class MetricSets:
    """Names of metrics, and sets of them by their hash: what was published of a window.

    Most windows have one of few sets, and a set costs a number.

    Parameters
    ----------
    families
        Whose metrics they are; for `kinds` alone.
    """

    def __init__(self, families: Sequence[Family] = ()) -> None:
        self.names = Texts()
        self._kinds, self._kind_of = np.empty(0, np.int8), _kinds(families)
        self._mixed = np.empty(0, np.uint64)
        self._sets: dict[int, Ints] = {0: np.empty(0, np.int64)}
        self._names: dict[int, list[str]] = {}

    def hashes(self, window: Ints, codes: Ints, count: int) -> Hashes:
        """Return the hash of every window's set; `window` rises, and no code comes twice."""
        known = len(self._mixed)
        if known < len(self.names.texts):
            more = np.arange(known, len(self.names.texts), dtype=np.uint64)
            self._mixed = np.append(self._mixed, _mix(more + np.uint64(1)))
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(self._mixed[codes])])
        bounds = np.searchsorted(window, np.arange(count + 1))
        found = np.diff(total[bounds])
        for place in np.unique(found, return_index=True)[1].tolist():
            own = int(found[place])
            if own not in self._sets:
                self._sets[own] = codes[bounds[place] : bounds[place + 1]]
        return found

    def names_of(self, own: int) -> list[str]:
        """Return the names in a set."""
        known = self._names.get(own)
        if known is None:
            known = [self.names.texts[code] for code in self._sets[own].tolist()]
            self._names[own] = known
        return known

    def kinds(self, codes: Ints) -> Kinds:
        """Return what metrics are: of rows, `COUNTS` of these, or of `HOSTS`."""
        new = self.names.texts[len(self._kinds) :]
        told = [self._kind_of.get(name.partition(":")[0], OF_ROWS) for name in new]
        self._kinds = np.append(self._kinds, np.array(told, np.int8))
        return self._kinds[codes]

    def add(self, names: Sequence[str]) -> int:
        """Return the hash of a set of names."""
        codes = self.names.codes(names)
        return int(self.hashes(np.zeros(len(codes), np.int64), codes, 1)[0])

    def gone(self, before: int, now: int) -> list[str]:
        """Return the names that were in a set and are not in another, in order."""
        return sorted(set(self.names_of(before)) - set(self.names_of(now)))


def _kinds(families: Sequence[Family]) -> dict[str, int]:
    found = {}
    for family in families:
        for metric in family.metrics:
            if metric.counts:
                found[metric.name] = COUNTS
            elif family.reads is Reads.RESOURCES:
                found[metric.name] = HOSTS
    return found


def _mix(numbers: Hashes) -> Hashes:
    """Return a number that looks random for each (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found: Hashes = mixed ^ (mixed >> np.uint64(31))
    return found
