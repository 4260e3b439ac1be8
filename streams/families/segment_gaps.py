"""How far the segments of a key are apart: the two of a window between which it is most.

The same for all families that compare segments. With many segments the two that are furthest apart
are apart by chance alone; the interval is that of the two, as if no others had been looked at.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from streams.families.family import Estimate, Floats, Ints, Metric, Part, Reads, Siblings
from streams.families.intervals import Z, wilson

ENOUGH = 30
"""Segments of fewer rows are not compared."""

_KEY_BITS = 32
_KEY_MASK = (1 << _KEY_BITS) - 1


def gap_metric(
    name: str, text: str, *, tasks: frozenset[str], reads: Reads, ratio: bool = False
) -> Metric:
    """Return what is known of a difference or ratio between the segments of a key."""
    return Metric(
        name=name,
        help=f"{text}, of those with {ENOUGH} or more",
        better="higher" if ratio else "lower",
        interval="Katz" if ratio else "Newcombe",
        highest=1.0,
        part=Part.KEY,
        tasks=tasks,
        rests_on=frozenset({reads}),
        at_most="predictions" if reads is Reads.PREDICTIONS else "labels",
        source="Katz et al. (1978)" if ratio else "Newcombe (1998)",
        default=False,
    )


class Ends(NamedTuple):
    """The segments of every window and key with the least and the largest share.

    Attributes
    ----------
    whole, key
        Window and key of each.
    hits, totals
        Of the segment with the largest, then of that with the least.
    """

    whole: Ints
    key: Ints
    hits: tuple[Ints, Ints]
    totals: tuple[Ints, Ints]

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """The shares of both."""
        return self.hits[0] / self.totals[0], self.hits[1] / self.totals[1]


def ends(cells: Siblings, hits: Ints, totals: Ints) -> Ends:
    """Return the two segments of every key that are furthest apart; of equals, the larger."""
    enough = np.flatnonzero(totals >= ENOUGH)
    keys, hits, totals = (
        (cells.whole << _KEY_BITS | cells.key)[enough],
        hits[enough],
        totals[enough],
    )
    share = hits / totals
    found = []
    for order in (np.lexsort((totals, share, keys)), np.lexsort((totals, -share, keys))):
        last = np.flatnonzero(np.diff(keys[order], append=-1))
        found.append(order[last])
    largest, least = found
    several = np.bincount(np.searchsorted(keys[largest], keys), minlength=len(largest)) > 1
    largest, least, own = largest[several], least[several], keys[largest][several]
    return Ends(
        own >> _KEY_BITS,
        own & _KEY_MASK,
        (hits[largest], hits[least]),
        (totals[largest], totals[least]),
    )


def difference(metric: str, found: Ends) -> Estimate:
    """Return differences, with the interval of Newcombe (1998), method 10."""
    high, low = found.shares
    bounds = [wilson(h, n) for h, n in zip(found.hits, found.totals, strict=True)]
    below = np.sqrt((high - bounds[0][0]) ** 2 + (bounds[1][1] - low) ** 2)
    above = np.sqrt((bounds[0][1] - high) ** 2 + (low - bounds[1][0]) ** 2)
    value, count = high - low, found.totals[0] + found.totals[1]
    interval = np.maximum(value - below, 0.0), np.minimum(value + above, 1.0)
    return Estimate(metric, value, *interval, count, found.whole, found.key)


def ratio(metric: str, found: Ends) -> Estimate:
    """Return least / largest, with the interval of its logarithm (Katz et al. 1978)."""
    high, low = found.shares
    with np.errstate(all="ignore"):
        value = np.where(high > 0, low / high, np.nan)
        spread = Z * np.sqrt((1 - low) / found.hits[1] + (1 - high) / found.hits[0])
        bounds = value * np.exp(-spread), np.minimum(value * np.exp(spread), 1.0)
    known = found.hits[1] > 0
    interval = np.where(known, bounds[0], np.nan), np.where(known, bounds[1], np.nan)
    return Estimate(
        metric, value, *interval, found.totals[0] + found.totals[1], found.whole, found.key
    )


def gaps(cells: Siblings, names: tuple[str, ...], hits: Ints, totals: Ints) -> Iterator[Estimate]:
    """Yield the difference under the first name, and the ratio under the second if there is one."""
    found = ends(cells, hits, totals)
    if len(found.whole):
        yield difference(names[0], found)
        if len(names) > 1:
            yield ratio(names[1], found)
