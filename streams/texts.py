"""A column of byte strings as one buffer, so that no record needs an object of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_LARGE = 4096  # bytes of a string; to copy all of them at once, and each again, would cost more


class Texts(Sequence[bytes]):
    """Byte strings behind each other in a buffer.

    Parameters
    ----------
    data
        The bytes, of type `uint8`.
    ends
        One more than there are strings: string `i` goes from ``ends[i]`` to ``ends[i + 1]``.

    Examples
    --------
    >>> column = Texts.of([b"one", b"", b"three"])
    >>> len(column), column[0], list(column[1:])
    (3, b'one', [b'', b'three'])
    """

    __slots__ = ("data", "ends")

    def __init__(self, data: NDArray[np.uint8], ends: Ints) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, values: Sequence[bytes]) -> Texts:
        """Put byte strings behind each other; `TypeError` if one of them is `None`."""
        if isinstance(values, Texts):
            return values
        ends = np.zeros(len(values) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=ends[1:])
        return cls(np.frombuffer(b"".join(values), np.uint8), ends)

    @classmethod
    def joined(cls, parts: Sequence[Texts]) -> Texts:
        """Put columns behind each other; what is so already is not copied."""
        parts = _merged(parts)
        if len(parts) == 1:
            return parts[0]
        sizes = [part.size_bytes for part in parts]
        starts = np.cumsum([0, *sizes])
        data = np.concatenate([part.data[part.ends[0] : part.ends[-1]] for part in parts])
        moved = [
            part.ends[1:] + (start - part.ends[0])
            for part, start in zip(parts, starts.tolist(), strict=False)
        ]
        return cls(data, np.concatenate([np.zeros(1, np.int64), *moved]))

    @property
    def size_bytes(self) -> int:
        """Bytes of all strings."""
        return int(self.ends[-1] - self.ends[0])

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Texts: ...
    def __getitem__(self, index: int | slice) -> bytes | Texts:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            assert step == 1
            return Texts(self.data, self.ends[start : max(start, stop) + 1])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        at = index % len(self)
        return self.data[self.ends[at] : self.ends[at + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        if self.size_bytes > _LARGE * len(self):
            return map(self.__getitem__, range(len(self)))
        whole = self.data[self.ends[0] : self.ends[-1]].tobytes()
        ends = (self.ends - self.ends[0]).tolist()
        return (whole[start:end] for start, end in pairwise(ends))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _merged(parts: Sequence[Texts]) -> list[Texts]:
    """Put columns together that are pieces of one buffer and follow each other there."""
    runs: list[list[Texts]] = []
    for part in parts:
        last = runs[-1][-1] if runs else None
        if last is not None and last.data is part.data and last.ends[-1] == part.ends[0]:
            runs[-1].append(part)
        else:
            runs.append([part])
    return [
        Texts(run[0].data, np.concatenate([run[0].ends, *(part.ends[1:] for part in run[1:])]))
        for run in runs
    ]
