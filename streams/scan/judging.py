"""Windows of many lanes compared with what is usual: which of them are beyond it, and how far."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.scan import tails
from streams.scan.panes import DAYS
from streams.scan.reference import COUNT, NUMBER, SHARE, Reference, variances

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_LEAST_RESIDUAL = 1.5
"""Numbers that never varied must differ by more than one odd value can."""

# Before a reference is known:
GROSS_PHI = 10.0
_GROSS_RATIO = 5.0
_GROSS_STEP = 0.1
_GROSS_ROWS = 60
_NEW_STEP = 0.3
"""Of ranks, on days that nobody has seen: a weekend that adds a standard deviation is 0.2."""


class Windows(NamedTuple):
    """Sums of windows, windows x lanes.

    Attributes
    ----------
    first
        Number of the first window, among all lengths; the others follow.
    rows, sums
        Counts and sums.
    expected
        What the sums were to be.
    spread
        Variance that they would have, were rows independent.
    """

    first: int
    rows: Floats
    sums: Floats
    expected: Floats
    spread: Floats


class Judged(NamedTuple):
    """What was found, windows x lanes.

    Attributes
    ----------
    z
        Distance from what is usual, in standard deviations; 0 where too few rows are there.
    beyond
        1 or -1 where it is further than a limit allows.
    """

    z: Floats
    beyond: Ints


def windows_of(
    counts: Floats, sums: Floats, rate: Floats, usual: Floats, *, lengths: Sequence[int], first: int
) -> Windows:
    """Add up windows that end now.

    Parameters
    ----------
    counts, sums, rate, usual
        Panes or hours x lanes, the newest first: what came, what is usual for one value, and its
        variance.
    lengths
        Of the windows, rising, in such rows; there are as many as the last one is long.
    """
    starts = np.array([0, *lengths[:-1]])
    parts = (counts, sums, counts * rate, counts * usual)
    return Windows(first, *(np.add.reduceat(one, starts, axis=0).cumsum(axis=0) for one in parts))


def judge(
    found: Windows,
    reference: Reference,
    *,
    kinds: Ints,
    skewed: Mask,
    least: Floats,
    limit: Floats,
    days: Floats,
) -> Judged:
    """Compare windows with references.

    Parameters
    ----------
    skewed
        Which lanes add up numbers of which a few are much larger than the others.
    least
        How many rows a window must have, by lane.
    limit
        How small a tail must be, by all lengths of windows x lanes.
    days
        How much each reference has seen, by lane.
    """
    some = slice(found.first, found.first + len(found.rows))
    lengths = np.array(DAYS[some])[:, None]
    share = found.spread / np.maximum(reference.total, 1e-12)
    unsure = 1 + np.maximum(share, np.maximum(lengths, 1.0) / days)
    variance = np.maximum(reference.phi[some] * found.spread * unsure, 1e-12)
    residual = found.sums - found.expected
    enough = found.rows >= least
    enough &= (kinds != NUMBER) | (np.abs(residual) >= _LEAST_RESIDUAL)
    z = np.where(found.rows >= least, residual / np.sqrt(variance), 0.0)
    lowest = tails.lowest_z(limit[some].max(axis=1))[:, None]
    beyond = _beyond(
        np.nonzero(enough & (np.abs(z) > lowest)),
        z,
        reference.degrees[some],
        limit[some],
        (found.sums, found.expected, variance, kinds, skewed),
    )
    return Judged(z, beyond)


def _beyond(
    places: tuple[Ints, ...],
    z: Floats,
    degrees: Floats,
    limit: Floats,
    adding: tuple[Floats, Floats, Floats, Ints, Mask],
) -> Ints:
    """Return where the tail is small enough; other than of ranks, by another tail, too."""
    beyond = np.zeros(z.shape, np.int64)
    if not len(places[0]):
        return beyond
    own = z[places]
    tail = tails.student(np.abs(own), degrees[places])
    sums, expected, variance, kinds, skewed = adding
    counted = kinds[places[1]] != NUMBER
    if counted.any():
        few = tuple(one[counted] for one in places)
        found = tails.counted(
            np.rint(sums[few]), expected[few], variance[few], above=own[counted] > 0
        )
        tail[counted] = np.maximum(tail[counted], found)
    long = skewed[places[1]] & (own > 0)
    if long.any():
        few = tuple(one[long] for one in places)
        tail[long] = np.maximum(tail[long], tails.skewed(sums[few], expected[few], variance[few]))
    beyond[places] = np.where(tail < limit[places], np.sign(own), 0)
    return beyond


def judge_early(
    found: Windows,
    before: tuple[Floats, Floats],
    scatter: tuple[Floats, Floats],
    *,
    kinds: Ints,
    skewed: Mask,
    least: Floats,
    limit: Floats,
) -> Judged:
    """Compare windows with all that came before them, where no reference is known yet.

    Only gross changes count: to five times the level or a fifth of it, or by a tenth of the range,
    and significantly so.

    Parameters
    ----------
    before
        Counts and sums of all that came, the windows included.
    scatter
        How much more sums vary than those of independent rows, and by how many degrees of freedom
        that is known, windows x lanes: see `streams.scan.early`.
    """
    phi, degrees = scatter
    rows, sums = before[0] - found.rows, before[1] - found.sums
    extra = np.where(kinds == NUMBER, 0.0, 0.5)
    usual = (sums + extra) / np.maximum(rows + 2 * extra, 1.0)
    own = found.sums / np.maximum(found.rows, 1.0)
    spread = np.where(kinds == SHARE, usual * (1 - usual), np.where(kinds == COUNT, usual, 1 / 12))
    variance = phi * spread * found.rows * (1 + found.rows / np.maximum(rows, 1.0))
    variance = np.maximum(variance, 1e-12)
    residual = found.sums - found.rows * usual
    z = residual / np.sqrt(variance)
    gross = _are_gross(own, usual, kinds)
    gross &= (found.rows >= least) & (rows >= _GROSS_ROWS)
    some = slice(found.first, found.first + len(found.rows))
    lowest = tails.lowest_z(limit[some].max(axis=1))[:, None]
    beyond = _beyond(
        np.nonzero(gross & (np.abs(z) > lowest)),
        z,
        degrees,
        limit[some],
        (found.sums, found.rows * usual, variance, kinds, skewed),
    )
    return Judged(np.where(found.rows >= least, z, 0.0), beyond)


def _are_gross(own: Floats, usual: Floats, kinds: Ints) -> Mask:
    """Tell which levels are another by far."""
    ratio = (own >= _GROSS_RATIO * usual) | (own * _GROSS_RATIO <= usual)
    step = np.abs(own - usual) >= _GROSS_STEP
    found: Mask = (ratio & (kinds != NUMBER)) | (step & (kinds != COUNT))
    return found


def hold_back(judged: Judged, found: Windows, new: Mask, *, kinds: Ints) -> Judged:
    """Leave only gross changes where windows reach into days that nobody knows yet."""
    if not new.any():
        return judged
    rows = np.maximum(found.rows, 1.0)
    own, usual = found.sums / rows, found.expected / rows
    gross = _are_gross(own, usual, kinds)
    gross &= (kinds != NUMBER) | (np.abs(own - usual) >= _NEW_STEP)
    return judged._replace(beyond=np.where(new & ~gross, 0, judged.beyond))


def usual_of(reference: Reference, kinds: Ints, rate: Floats) -> Floats:
    """Return the variance of one value, by hour x lanes."""
    found: Floats = np.broadcast_to(variances(reference, kinds, rate), rate.shape)
    return found
