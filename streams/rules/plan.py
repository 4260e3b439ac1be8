"""What the rules of a model ask: the same for all models that the same rules apply to."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from streams import families
from streams.chosen import Wanted
from streams.monitors import Monitors, Threshold
from streams.rules.metrics import OF_OUTCOMES, OF_PREDICTIONS, OF_RESOURCES, asked_of


class WindowOf(NamedTuple):
    """Rules that look at the same window of a segment."""

    segment: str
    length_ms: int
    thresholds: tuple[Threshold, ...]


class Plan:
    """Rules that are judged together.

    Parameters
    ----------
    lengths_ms
        Window of every rule, by its name.

    Attributes
    ----------
    pane_ms
        Length of the panes that rows are counted into.
    longest_ms
        The longest window.
    asked
        What every rule asks of its metric, by its name.
    families, wanted
        Those that compute these metrics, and what is wanted of them.
    needs_predictions, needs_readings
        Whether any rule rests on predictions, or on readings of hosts.
    sides
        Which rows are counted, and have references.
    sides_of_traffic
        By metric, of which rows it is.
    traffic
        Segments and metrics of rules on how many rows there are.
    """

    def __init__(
        self, thresholds: Sequence[Threshold], monitors: Monitors, *, lengths_ms: dict[str, int]
    ) -> None:
        self.thresholds, self.lengths_ms = tuple(thresholds), lengths_ms
        self.evaluate_ms, self.reference = monitors.evaluate_ms, monitors.reference
        self.longest_ms = max(lengths_ms.values(), default=0)
        self.pane_ms = math.gcd(self.evaluate_ms, *lengths_ms.values())
        self.segments = frozenset(one.segment for one in thresholds)
        self.asked = {one.name: asked_of(one.metric) for one in thresholds}
        self.families = families.CATALOGUE.needed(one.metric for one in thresholds)
        bases = frozenset(one.metric.partition(":")[0] for one in thresholds)
        self.wanted = Wanted(bases, {})
        self.needs_predictions = any(one.needs_predictions for one in self.asked.values())
        self.needs_readings = any(one.side == OF_RESOURCES for one in self.asked.values())
        self.sides = (
            *((OF_PREDICTIONS,) if self.needs_predictions else ()),
            OF_OUTCOMES,
            *((OF_RESOURCES,) if self.needs_readings else ()),
        )
        grouped: dict[tuple[str, int], list[Threshold]] = {}
        for one in sorted(thresholds, key=lambda one: one.segment):
            grouped.setdefault((one.segment, lengths_ms[one.name]), []).append(one)
        self.windows = [WindowOf(*key, tuple(found)) for key, found in grouped.items()]
        self.sides_of_traffic = {one.text: one.side for one in self.asked.values()}
        self.traffic = sorted(
            {(one.segment, one.metric) for one in thresholds if self.asked[one.name].is_count}
        )

    def reach_ms(self, time_ms: int) -> int:
        """Return how far back the windows reach of the last boundary that is not after a time."""
        return time_ms // self.evaluate_ms * self.evaluate_ms - self.longest_ms
