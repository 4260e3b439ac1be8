"""What the rules of a model ask: the same for all models that the same rules apply to."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from streams import families
from streams.chosen import Wanted
from streams.monitors import Monitors, Threshold
from streams.rules.lengths import USUAL, Pace, short_ms, step_ms
from streams.rules.metrics import (
    OF_OUTCOMES,
    OF_PREDICTIONS,
    OF_RESOURCES,
    any_segment,
    asked_of,
)

COVERAGE = "coverage"


class WindowOf(NamedTuple):
    """Rules that look at the same window of a segment, or at the shortest that holds enough."""

    segment: str
    lengths_ms: tuple[int, ...]
    short_ms: int | None
    thresholds: tuple[Threshold, ...]


class Plan:
    """Rules that are judged together.

    Parameters
    ----------
    lengths_ms
        Windows of every rule, by its name.
    pace
        How often they are judged at most.

    Attributes
    ----------
    pane_ms
        Length of the panes that rows are counted into.
    longest_ms
        The longest window.
    named, segments
        Segments that rules look at; and those with what stands for all segments of a key.
    asked
        What every rule asks of its metric, by its name.
    families, wanted
        Those that compute these metrics, and what is wanted of them.
    sparing
        Whether windows are judged the more seldom the longer they are.
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
        self,
        thresholds: Sequence[Threshold],
        monitors: Monitors,
        *,
        lengths_ms: dict[str, tuple[int, ...]],
        pace: Pace = USUAL,
    ) -> None:
        self.thresholds, self.lengths_ms = tuple(thresholds), lengths_ms
        self.evaluate_ms = max(monitors.evaluate_ms, pace.least_ms)
        self.reference = monitors.reference
        every_ms = [one for lengths in lengths_ms.values() for one in lengths]
        self.longest_ms = max(every_ms, default=0)
        shorts_ms = [short for one in thresholds if (short := short_ms(one)) is not None]
        self.pane_ms = math.gcd(self.evaluate_ms, *every_ms, *shorts_ms)
        self.sparing = bool(pace.least_ms)
        self.named = frozenset(one.segment for one in thresholds)
        self.asked = {one.name: asked_of(one.metric) for one in thresholds}
        compared = [c for one in self.asked.values() if (c := one.compared)]
        self.segments, self._compares = self.named.union(compared), bool(compared)
        metrics = [one.metric for one in thresholds]
        guarded = any(one.minimum_coverage for one in thresholds)
        metrics += [COVERAGE] if guarded else []
        self.families = families.CATALOGUE.needed(metrics)
        bases = frozenset(metric.partition(":")[0] for metric in metrics)
        self.wanted = Wanted(bases, {})
        own = any(one.needs_predictions for one in self.asked.values())
        self.needs_predictions = own or guarded
        self.needs_readings = any(one.side == OF_RESOURCES for one in self.asked.values())
        self.sides = (
            *((OF_PREDICTIONS,) if self.needs_predictions else ()),
            OF_OUTCOMES,
            *((OF_RESOURCES,) if self.needs_readings else ()),
        )
        grouped: dict[tuple[str, tuple[int, ...], int | None], list[Threshold]] = {}
        for one in sorted(thresholds, key=lambda one: one.segment):
            key = one.segment, lengths_ms[one.name], short_ms(one)
            grouped.setdefault(key, []).append(one)
        self.windows = [WindowOf(*key, tuple(found)) for key, found in grouped.items()]
        self.sides_of_traffic = {one.text: one.side for one in self.asked.values()}
        self.traffic = sorted(
            {(one.segment, one.metric) for one in thresholds if self.asked[one.name].is_count}
        )

    def counted(self, segment: str) -> tuple[str, ...]:
        """Return as what rows of a segment are counted, see `segments`; as nothing: they are not.

        Examples
        --------
        >>> rule = Threshold(
        ...     name="fair", metric="selection_rate_ratio:region", kind="below", given=0.8
        ... )
        >>> plan = Plan([rule], Monitors(), lengths_ms={"fair": (60_000,)})
        >>> plan.counted(""), plan.counted("region=eu"), plan.counted("team=a")
        (('',), ('region=*',), ())
        """
        found = (segment,) if segment in self.named else ()
        if not self._compares:
            return found
        other = any_segment(segment)
        return (*found, other) if other in self.segments else found

    def step_ms(self, length_ms: int) -> int:
        """Return how often one of several windows is judged."""
        return -(-step_ms(length_ms) // self.evaluate_ms) * self.evaluate_ms

    def length_ms(self, rule: str, window_ms: int | None) -> int:
        """Return the length of the window that a rule has found something in, if it told it."""
        return self.lengths_ms[rule][0] if window_ms is None else window_ms

    def reach_ms(self, time_ms: int) -> int:
        """Return how far back the windows reach of the last boundary that is not after a time."""
        return time_ms // self.evaluate_ms * self.evaluate_ms - self.longest_ms
