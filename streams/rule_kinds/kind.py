"""What a rule kind is: one file that says, of what a rule gives, which values are too low or high.

When rules are judged, over which windows, how references are learnt, intervals, alerts and their
life cycle: all of that is done for every kind alike (`streams.rules`).
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Severity = Literal["info", "warning", "critical"]


class Bounds(NamedTuple):
    """Between these, bounds included, a rule is kept; infinite where there is none.

    NaN where there is no reference to which a rule is relative.
    """

    lowest: Floats
    highest: Floats


class RuleKind(ABC):
    """One way to say when a metric violates a rule.

    Attributes
    ----------
    name
        The key of the number in `monitors.yaml`, such as `below`.
    help
        When the rule is violated.
    given
        Type of the number, with its bounds.
    relative
        Whether it rests on the reference.
    learns
        Whether it rests on earlier windows, see `streams.rule_kinds.learnt`.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    given: ClassVar[Any] = float
    relative: ClassVar[bool] = False
    learns: ClassVar[bool] = False

    @abstractmethod
    def bounds(self, given: float, reference: Floats) -> Bounds:
        """Return what must not be passed, for every reference; any number, where it is not used."""

    def given_at(self, limit: Floats, reference: Floats) -> Floats:
        """Return the number with which a value would be the limit itself; NaN where none is known.

        Limits are proposed by it (`streams.rules.proposing`).
        """
        return np.full(np.broadcast(limit, reference).shape, np.nan)

    def is_falling(self, given: float) -> bool:
        """Whether low values violate it."""
        return bool(np.isfinite(self.bounds(given, np.ones(1)).lowest).all())
