"""Totals: `width` whole numbers a row, to which amounts are added."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from streams.columns.column import Rows, Weights, shaped
from streams.columns.counts import CountsColumn


class TotalsColumn(CountsColumn):
    """Counts of 64 bits to which whole amounts are added instead of ones.

    Examples
    --------
    >>> column = TotalsColumn(2)
    >>> column.grow(1)
    >>> column.add(np.array([0, 0]), 1, (np.array([1, 1]), np.array([700, 50])), np.array([1, -1]))
    >>> column.merged(np.array([0]), np.array([0]), 1).tolist()
    [[0, 650]]
    """

    kind: ClassVar[int] = 3
    _kind: ClassVar[Any] = np.int64

    def add(self, at: Rows, fan: int, values: Any, weights: Weights = None) -> None:
        """Add amounts to bins; `values` is a pair of both."""
        bins, amounts = values
        self._count(at, fan, bins, shaped(amounts, at, fan, np.int64), weights)
