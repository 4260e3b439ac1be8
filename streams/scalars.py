"""Predictions and labels as columns: numbers, and texts by their code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.classes import class_name
from streams.events import Scalar
from streams.failures import FAILED
from streams.interning import Interner

EXACT = 2**53
"""Whole numbers below this are told apart by a float."""

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


class Scalars(NamedTuple):
    """Predictions or labels; a label that is missing is NaN and has no text.

    Attributes
    ----------
    number
        NaN where it is a text. Whole numbers that a float cannot tell apart have a text, too.
    code
        Index into `texts`, -1 where there is none.
    """

    number: Floats
    code: Codes
    texts: Sequence[str]

    def value(self, index: int) -> float | str | None:
        """Return one of them."""
        code, number = int(self.code[index]), float(self.number[index])
        if code >= 0:
            return self.texts[code]
        return None if np.isnan(number) else number

    def chosen(self, rows: NDArray[np.integer]) -> Scalars:
        """Return some of them."""
        return Scalars(self.number[rows], self.code[rows], self.texts)

    def coded(self, strings: Interner[str]) -> tuple[Floats, Codes]:
        """Return the numbers, and the codes that an interner gives the texts."""
        if not self.texts:
            return self.number, self.code
        own = [strings.code(text) for text in self.texts]
        return self.number, np.array([*own, -1], "<i4")[self.code]


def scalars(values: Sequence[Scalar | None]) -> Scalars:
    """Turn predictions or labels into columns: mostly all of them are plain numbers.

    Examples
    --------
    >>> found = scalars([1, "cat", None, True, "cat"])
    >>> found.number.tolist(), found.code.tolist(), found.texts
    ([1.0, nan, nan, 1.0, nan], [-1, 0, -1, -1, 0], ['cat'])
    >>> found.value(1), found.value(2), found.value(3)
    ('cat', None, 1.0)
    """
    plain = str not in set(map(type, values))
    numbers = np.array(
        values if plain else [None if isinstance(v, str) else v for v in values], np.float64
    )  # None becomes NaN
    if plain and not (np.abs(numbers) >= EXACT).any():
        return Scalars(numbers, np.full(len(values), -1, "<i4"), ())
    texts: dict[str, int] = {}
    codes = [
        texts.setdefault(value if isinstance(value, str) else class_name(value), len(texts))
        if value is not None and (isinstance(value, str) or abs(value) >= EXACT)
        else -1
        for value in values
    ]
    return Scalars(numbers, np.array(codes, "<i4"), list(texts))


def answers(events: Sequence[Any]) -> Scalars:
    """Return the predictions of events; those of requests that failed are `FAILED`."""
    failed = [index for index, event in enumerate(events) if event.failed]
    if not failed:
        return scalars([event.prediction for event in events])
    found = scalars([None if event.failed else event.prediction for event in events])
    found.number[failed] = FAILED
    return found
