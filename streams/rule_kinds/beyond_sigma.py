"""A metric that is further from what is usual than windows differ among each other."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from streams.rule_kinds.kind import Bounds
from streams.rule_kinds.learnt import Ints, Learnt, Limits, Usual

WINDOWS = 30
"""So many say how much windows differ: their standard deviation is off by an eighth or so."""


class BeyondSigma(Learnt):
    """Values further from the mean of the first windows than so many standard deviations."""

    name = "beyond_sigma"
    help = (
        "the metric is further from its mean over the first 30 windows than so many of their"
        " standard deviations, on either side"
    )
    given = Annotated[float, Meta(gt=0)]

    def is_complete(self, given: float, known: Usual) -> bool:  # noqa: ARG002
        return len(known.values) >= WINDOWS

    def limits(self, given: float, known: Usual, at_ms: Ints) -> Limits:
        """Return the mean, and the spread of one more window about it.

        Examples
        --------
        >>> known = Usual(np.arange(4), np.array([1.0, 2.0, 2.0, 3.0]), 1, counts=False)
        >>> bounds, usual = BeyondSigma().limits(2.0, known, np.zeros(1, int))
        >>> bounds.highest.round(3).tolist(), usual.tolist()
        ([3.826], [2.0])
        """
        mean = float(np.mean(known.values))
        wide = float(np.std(known.values, ddof=1)) * np.sqrt(1 + 1 / len(known.values))
        none = np.zeros(len(at_ms))
        return Limits(Bounds(none + mean - given * wide, none + mean + given * wide), none + mean)
