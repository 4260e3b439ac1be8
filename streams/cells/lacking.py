"""Which families cells lack, since another version of them has counted there.

A family that begins anew has nothing of the rows before. What would be computed of the rest is
wrong, and so nothing is: a window has metrics of a family once all its panes have it. It is noted
by pane and bucket of models, as cells are written down.
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

EVERYTHING = ""
"""Stands for how many rows there are, which all families rest on."""

_BUCKET_BITS = 16


class Lacking:
    """Names of families by number of the pane, and bucket.

    Examples
    --------
    >>> lacking = Lacking()
    >>> lacking.add((7, 3), ["latency"])
    >>> lacking.add((7, 3), ["mean"])
    >>> lacking.of((7, 3)), lacking.of((8, 3))
    (['latency', 'mean'], [])
    >>> lacking.among(["latency"], numbers=np.array([6, 7]), buckets=np.array([3, 3])).tolist()
    [False, True]
    """

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], frozenset[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, place: tuple[int, int], names: Iterable[str]) -> None:
        """Note that a pane and bucket lacks families."""
        more = self._names.get(place, frozenset()).union(names)
        if more:
            self._names[place] = more

    def of(self, place: tuple[int, int]) -> list[str]:
        """Return what a pane and bucket lacks, in order."""
        return sorted(self._names.get(place, ()))

    def drop(self, place: tuple[int, int]) -> None:
        """Forget a pane and bucket."""
        self._names.pop(place, None)

    @property
    def places(self) -> set[tuple[int, int]]:
        """Panes and buckets that lack anything."""
        return set(self._names)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield name and number of the pane of all that is lacking."""
        for (number, _), names in self._names.items():
            for name in names:
                yield name, number

    def among(self, names: Collection[str] | None, *, numbers: Ints, buckets: Ints) -> Mask:
        """Tell of panes and buckets which of them lack any of the families.

        Parameters
        ----------
        names
            `None` for all that there are.
        """
        wanted = None if names is None else {EVERYTHING, *names}
        marked = [p for p, own in self._names.items() if wanted is None or own & wanted]
        keys = [number << _BUCKET_BITS | bucket for number, bucket in marked]
        found: Mask = np.isin(numbers << _BUCKET_BITS | buckets, keys)
        return found
