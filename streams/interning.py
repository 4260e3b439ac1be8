"""Numbers for values that many rows share, so that a row holds four bytes instead of an object."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=Hashable)

_CROWD = 10_000


class Interner(Generic[T]):
    """Give equal values one code; codes that are no longer used are given out again.

    Parameters
    ----------
    derive
        Makes numbers of a value, if any are wanted.
    width
        How many of each.

    Attributes
    ----------
    values, derived
        By code, the value and the numbers that were made of it, a row each; what stands at a code
        that is not in use means nothing.

    Examples
    --------
    >>> classes = Interner[str]()
    >>> [classes.code(name) for name in ("cat", "dog", "cat")]
    [0, 1, 0]
    >>> classes.keep([1])
    >>> classes.code("cow"), classes.values[0]
    (0, 'cow')
    """

    def __init__(
        self, derive: Callable[[T], Sequence[int]] | None = None, *, width: int = 1
    ) -> None:
        self.values: list[T] = []
        self.derived: NDArray[np.int64] = np.empty((0, width), np.int64)
        self._derive = derive
        self._codes: dict[T, int] = {}
        self._free: list[int] = []
        self._kept = 0

    def __len__(self) -> int:
        return len(self._codes)

    def code(self, value: T) -> int:
        """Return the code of a value, a fresh one if it has none yet."""
        code = self._codes.get(value)
        if code is None:
            if self._free:
                code = self._free.pop()
                self.values[code] = value
            else:
                code = len(self.values)
                self.values.append(value)
            self._codes[value] = code
            if self._derive is not None:
                if code >= len(self.derived):
                    room = np.zeros((code + 16, self.derived.shape[1]), np.int64)
                    self.derived = np.concatenate([self.derived, room])
                self.derived[code] = self._derive(value)
        return code

    @property
    def crowded(self) -> bool:
        """Whether it has grown so much since the last `keep` that looking for unused codes pays."""
        return len(self._codes) > 2 * self._kept + _CROWD

    def keep(self, used: Iterable[int]) -> None:
        """Forget every value whose code is not among those used."""
        unused = set(self._codes.values()).difference(used)
        for code in unused:
            del self._codes[self.values[code]]
        self._free += unused
        self._kept = len(self._codes)
