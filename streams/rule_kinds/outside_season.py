"""A metric that is not as it usually is at that hour of the week."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from streams.rule_kinds.kind import Bounds, Floats
from streams.rule_kinds.learnt import Ints, Learnt, Limits, Usual

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS
WEEKS = 3
_LEAST = 2


class OutsideSeason(Learnt):
    """Values outside of a band about the profile of the first three weeks by hour of the week."""

    name = "outside_season"
    help = (
        "the metric is further from what it was at that hour of the week in the first three weeks"
        " than so many standard deviations, on either side"
    )
    given = Annotated[float, Meta(gt=0)]

    def is_complete(self, given: float, known: Usual) -> bool:  # noqa: ARG002
        return int(known.ends_ms[-1] - known.ends_ms[0]) + known.length_ms >= WEEKS * WEEK_MS

    def limits(self, given: float, known: Usual, at_ms: Ints) -> Limits:
        """Return the band; NaN where nothing is known of that part of the week.

        A window that ends between two of those that were learnt is between these two. How much a
        metric differs within the same hour of different weeks is taken together over the week; a
        count differs at least as chance makes it, and the more the larger it is.
        """
        mean, rows, variance = _profile(known)
        size = len(mean)
        place, rest = np.divmod(at_ms - known.length_ms, known.length_ms)
        before, after, share = place % size, (place + 1) % size, rest / known.length_ms
        after = np.where(rest > 0, after, before)
        usual = (1 - share) * mean[before] + share * mean[after]
        fewest = np.minimum(rows[before], rows[after])
        with np.errstate(invalid="ignore", divide="ignore"):
            wide = np.sqrt(
                ((1 - share) * variance[before] + share * variance[after]) * (1 + 1 / fewest)
            )
        usual = np.where(fewest >= _LEAST, usual, np.nan)
        return Limits(Bounds(usual - given * wide, usual + given * wide), usual)

    def refuse(self, given: float, length_ms: int | None) -> str | None:  # noqa: ARG002
        if (
            length_ms is None
            or length_ms < HOUR_MS
            or WEEK_MS % length_ms
            or length_ms > 24 * HOUR_MS
        ):
            return "goes by hours of the week: give a window of 1h, 2h, 3h, 4h, 6h, 8h, 12h or 1d"
        return None


def _profile(known: Usual) -> tuple[Floats, Floats, Floats]:
    """Return of every part of the week the mean, of how many, and the variance of one window."""
    size = WEEK_MS // known.length_ms
    place = (known.ends_ms // known.length_ms - 1) % size
    rows = np.bincount(place, minlength=size).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(place, weights=known.values, minlength=size) / rows
    several = rows[place] >= _LEAST
    own, usual = known.values[several], mean[place[several]]
    squares = float(((own - usual) ** 2).sum())
    free = max(int(several.sum()) - int(np.count_nonzero(rows >= _LEAST)), 1)
    if not known.counts:
        return mean, rows, np.full(size, squares / free)
    # Var = m + c²·m²: what is beyond chance goes with the square of the level.
    beyond = squares * len(own) / free - float(usual.sum())
    level = float((usual**2).sum())
    more = max(beyond / level, 0.0) if level else 0.0
    return mean, rows, mean + more * mean**2
