"""A metric that is beyond a quantile of what it was in earlier windows."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from streams.rule_kinds.kind import Bounds
from streams.rule_kinds.learnt import Ints, Learnt, Limits, Usual

LEAST_WINDOWS, MOST_WINDOWS = 30, 1_000
_SHARE = Annotated[float, Meta(gt=0, lt=1)]
_ROUNDING = 1e-9


def _wanted(share: float) -> int:
    """Return how many windows have one beyond a quantile.

    Examples
    --------
    >>> [_wanted(share) for share in (0.1, 0.01, 0.005)]
    [30, 100, 200]
    """
    return max(LEAST_WINDOWS, math.ceil(1 / share - _ROUNDING))


class _Quantile(Learnt):
    """Values beyond a quantile of the first windows."""

    given = _SHARE
    upper: ClassVar[bool]

    def _tail(self, given: float) -> float:
        return 1.0 - given if self.upper else given

    def is_complete(self, given: float, known: Usual) -> bool:
        return len(known.values) >= _wanted(self._tail(given))

    def limits(self, given: float, known: Usual, at_ms: Ints) -> Limits:
        limit = np.full(len(at_ms), np.quantile(known.values, given, method="inverted_cdf"))
        none = np.full(len(at_ms), np.inf)
        bounds = Bounds(-none, limit) if self.upper else Bounds(limit, none)
        return Limits(bounds, np.full(len(at_ms), np.median(known.values)))

    def refuse(self, given: float, length_ms: int | None) -> str | None:  # noqa: ARG002
        if (wanted := _wanted(self._tail(given))) > MOST_WINDOWS:
            return f"needs {wanted:,} windows to be learnt, and no more than 1,000 are kept"
        return None


class AboveQuantile(_Quantile):
    """Values above a quantile of the first windows violate it."""

    name = "above_quantile"
    help = "the metric is above this quantile of what it was in the first windows, 100 for 0.99"
    falls = False
    upper = True


class BelowQuantile(_Quantile):
    """Values below a quantile of the first windows violate it."""

    name = "below_quantile"
    help = "the metric is below this quantile of what it was in the first windows, 100 for 0.01"
    upper = False
