"""What a rule asks of a metric: under which names, what it rests on, which family computes it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams import bins, families
from streams.cells.view import CellView, Windows
from streams.families.family import OUTCOMES, PREDICTIONS, RESOURCES, Family, Metric, Part

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OF_PREDICTIONS, OF_OUTCOMES, OF_RESOURCES = 0, 1, 2
"""Of which rows a reference is: places in `Grid.sides`."""


_ANY = "*"


def any_segment(segment: str) -> str:
    """Return what stands for all segments of the key of one.

    Examples
    --------
    >>> any_segment("region=eu")
    'region=*'
    """
    return f"{segment.partition('=')[0]}={_ANY}"


class Asked(NamedTuple):
    """What a rule asks.

    Attributes
    ----------
    text
        The metric as the rule writes it.
    names
        Names under which the metric may be there, the first that is counts.
    is_count
        Whether it counts rows, and rests on nothing.
    needs_predictions
        Whether predictions must be counted for it.
    side
        Which part of a reference must be complete.
    is_binned
        Whether it is published as the middle of a bin.
    of_data
        Whether no value of it is better than another.
    range
        The least and the most that it can be.
    """

    text: str
    family: Family
    names: tuple[str, ...]
    is_count: bool
    needs_predictions: bool
    side: int
    is_binned: bool
    of_data: bool
    range: tuple[float, float]

    def as_published(self, limits: Floats) -> Floats:
        """Return what values that are exactly the limits are published as.

        A latency that is 100 ms for all is published as 100.25, the middle of its bin.
        """
        if not self.is_binned:
            return limits
        finite = np.isfinite(limits)
        numbers = bins.value_bins(np.where(finite, limits, 0.0))
        published = np.array([bins.bin_value(number) for number in numbers.tolist()])
        return np.where(finite, published, limits)

    def most(self, windows: Windows) -> Ints:
        """Return how many observations it rests on in windows, at most."""
        view = CellView(windows, self.family)
        most = families.CATALOGUE.most_observations(self.text, view)
        if view.window is None or view.feature is None:
            return most
        code = view.feature_names.index(self.part) if self.part in view.feature_names else -1
        own = view.feature == code
        found = np.zeros(len(windows), np.int64)
        found[view.window[own]] = most[own]
        return found

    @property
    def sides(self) -> tuple[int, ...]:
        """Which rows must be counted for it."""
        return (self.side, OF_PREDICTIONS) if self.needs_predictions else (self.side,)

    @property
    def part(self) -> str:
        """The feature, class or key that the rule names."""
        return self.text.partition(":")[2]

    @property
    def compared(self) -> str | None:
        """What stands for all segments that it compares; `None` where it compares none."""
        about = families.CATALOGUE.metric(self.text)
        assert about is not None
        return f"{self.part}={_ANY}" if about.part is Part.KEY else None


def _side(about: Metric) -> int:
    if RESOURCES in about.rests_on:
        return OF_RESOURCES
    return OF_OUTCOMES if OUTCOMES in about.rests_on else OF_PREDICTIONS


def asked_of(text: str) -> Asked:
    """Return what a rule on a metric asks.

    Examples
    --------
    >>> asked = asked_of("recall:Yes")
    >>> asked.names, asked.family.name, asked.is_count
    (('recall:yes', 'recall:1'), 'classification', False)
    """
    about, family = families.CATALOGUE.metric(text), families.CATALOGUE.family_of(text)
    assert about is not None
    assert family is not None
    return Asked(
        text=text,
        family=family,
        names=families.CATALOGUE.spellings(text),
        is_count=about.counts,
        needs_predictions=PREDICTIONS in about.rests_on,
        side=_side(about),
        is_binned=about.binned,
        of_data=about.of_data,
        range=(about.lowest, about.highest),
    )
