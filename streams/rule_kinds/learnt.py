"""Kinds of rules that go by how a metric was in earlier windows, and not by one number.

A share of a reference says nothing of how much a metric differs from window to window where nothing
is wrong. These kinds learn it from the first windows of a model that hold enough: windows of the
rule's own length that do not overlap. Which these are, and how they are kept, is done for every
such kind alike (`streams.rules.usual`).
"""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.rule_kinds.kind import Bounds, Floats, RuleKind

Ints = NDArray[np.int64]


class Usual(NamedTuple):
    """What a metric was in windows that do not overlap, as they came.

    Attributes
    ----------
    ends_ms
        When they ended: multiples of their length.
    counts
        Whether the metric counts rows.
    """

    ends_ms: Ints
    values: Floats
    length_ms: int
    counts: bool


class Limits(NamedTuple):
    """Bounds at some moments, and what was usual then."""

    bounds: Bounds
    reference: Floats


class Learnt(RuleKind):
    """A kind that goes by earlier windows.

    Attributes
    ----------
    falls
        Whether low values violate it.
    """

    learns = True
    falls: ClassVar[bool] = True

    def bounds(self, given: float, reference: Floats) -> Bounds:  # noqa: ARG002
        """Return that nothing is known without windows."""
        none = np.full(len(reference), np.inf)
        return Bounds(-none, none)

    def is_falling(self, given: float) -> bool:  # noqa: ARG002
        return self.falls

    @abstractmethod
    def is_complete(self, given: float, known: Usual) -> bool:
        """Tell whether windows are enough."""

    @abstractmethod
    def limits(self, given: float, known: Usual, at_ms: Ints) -> Limits:
        """Return what must not be passed by windows that end at some moments."""

    def refuse(self, given: float, length_ms: int | None) -> str | None:  # noqa: ARG002
        """Return why a rule with a window, `None` for the shortest, makes no sense; mostly none."""
        return None
