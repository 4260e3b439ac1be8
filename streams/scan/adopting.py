"""A level that somebody adopts: a lane takes it for the usual one, and forgets what was before.

What is known of hours, weekends and variance stays, about the new level; how surely that is known
goes by what came since the change. From the third day after it on, lanes learn anew from what came
since it was adopted, as at their beginning. Where there is no reference yet, that is all.
"""

from collections.abc import Sequence

import numpy as np

from streams.scan.early import units
from streams.scan.lanes import Floats, Ints, Lanes
from streams.scan.panes import HOUR_MS, MOST_DAYS
from streams.scan.reference import COUNT, Reference, rates, variances

_LEAST_RATIO = 1e-3
"""Traffic that has stopped is still rare, not impossible."""


def adopt(
    lanes: Lanes, own: Sequence[int], course: tuple[Floats, Floats], *, starts_ms: Ints, pane: int
) -> None:
    """Let lanes take the level of some panes for the usual one.

    Parameters
    ----------
    own
        Changed in place; the first pane that counts for them is the one after `pane`.
    course
        Counts and sums since the change, panes or hours x lanes.
    starts_ms
        When each of these begins.
    """
    counts, sums = course
    for at, lane in enumerate(own):
        days = int(lanes["days"][lane])
        known = lanes.reference(np.array([lane]))
        found = _moved(
            known, lanes["kind"][[lane]], (counts[:, [at]], sums[:, [at]]), starts_ms // HOUR_MS
        )
        lanes.begin_anew(lane, pane=pane + 1)
        if days:
            lanes.learn(np.array([lane]), found, days=min(days, MOST_DAYS - 1))


def _moved(known: Reference, kinds: Ints, course: tuple[Floats, Floats], hours: Ints) -> Reference:
    """Return a reference about the level of a course of one lane."""
    counts, sums = course[0], course[1] / units(kinds)
    weekends = (hours // 24 + 3) % 7 >= 5
    expected = (counts * rates(known, kinds, hours, weekends)).sum(axis=0)
    rows = np.maximum(counts.sum(axis=0), 1.0)
    if kinds[0] == COUNT:  # whose hours differ in proportion
        ratio = np.maximum(sums.sum(axis=0) / np.maximum(expected, 1e-12), _LEAST_RATIO)
        parts = {name: getattr(known, name) * ratio for name in _IN_PROPORTION}
        known = known._replace(**parts)
    else:
        level = known.level + (sums.sum(axis=0) - expected) / rows
        least = 0.5 / rows
        known = known._replace(level=np.clip(level, least, np.maximum(1 - least, least)))
    rate = rates(known, kinds, hours, weekends)
    total = (counts * variances(known, kinds, rate)).sum(axis=0)
    return known._replace(total=np.maximum(total, 1e-12))


_IN_PROPORTION = "level", "profile", "weekend", "base"
