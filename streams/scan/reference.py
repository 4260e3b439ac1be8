"""What is usual for a lane: learnt from the sums of its first days.

A level, a profile by hour of the day and an offset of weekends, both shrunk to what the days agree
on; and for windows of each length, by how much sums vary more than those of independent rows would
(`phi`). The last is what keeps clusters, slow waves and seasons quiet: it is measured on the sums
themselves, whatever makes them vary.

Lanes are columns here, and hours are counted from the lane's own first one. Sums over the first
axis are taken row by row, so that a lane's numbers do not depend on which others are learnt with
it; `learn` adds a column where there is one alone, which numpy would add up in another order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.scan.panes import DAY_HOURS, KEPT_HOURS, LONG
from streams.scan.tails import unlike

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SHARE, NUMBER, COUNT = range(3)
"""What is added up: zeros and ones, numbers between 0 and 1, or rows per pane."""

HOURLY = 1, 3, 6, 12, 24
"""Windows of which the variance is measured in sums of hours, in hours."""

SHORTER = 2
"""Before them come those of one pane and of three."""

_LEAST_PHI = 0.5
MOST_DEGREES = 1_000.0
_POOLED = 0.7
_LEAST_SHARE = 0.05
_MOST_SHARE = 1 - 1e-6


class Moments(NamedTuple):
    """Sums over panes of a lane's reference by weekend and hour of the day: of one pane, of three.

    Attributes
    ----------
    cells
        2 x 2 x 24 x 3 x lanes: of windows of one and three panes; of weekdays and weekends; by
        hour; sums of s * s, s * n and n * n.
    windows
        2 x lanes: how many such windows held rows.
    """

    cells: Floats
    windows: Floats


class Reference(NamedTuple):
    """What is usual, of every lane.

    Attributes
    ----------
    level, weekend, base
        Mean, what weekends add to it, and what all hours have in turn.
    profile
        24 x lanes: what an hour of the day (UTC) adds.
    variance
        Of one value, for numbers; elsewhere it follows from the rate.
    phi, degrees
        By length of the window x lanes: how much more sums vary, and how surely that is known.
    total
        Variance of the sum over the whole reference.
    """

    level: Floats
    weekend: Floats
    base: Floats
    profile: Floats
    variance: Floats
    phi: Floats
    degrees: Floats
    total: Floats


def rates(reference: Reference, kinds: Ints, hours: Ints, weekends: Mask) -> Floats:
    """Return what is usual at hours, which go from the epoch: hours x lanes."""
    offset = np.where(weekends[:, None], reference.weekend, 0.0) + reference.base
    return _held(reference.level + reference.profile[hours % DAY_HOURS] + offset, reference, kinds)


def _held(rate: Floats, reference: Reference, kinds: Ints) -> Floats:
    """Keep rates where they can be: shares above 0 and below 1, counts above 0."""
    low = np.where(kinds == NUMBER, -np.inf, reference.level * _LEAST_SHARE)
    high = np.where(kinds == SHARE, _MOST_SHARE, np.inf)
    return np.clip(rate, low, high)


def variances(reference: Reference, kinds: Ints, rate: Floats) -> Floats:
    """Return the variance of one value at these rates, were rows independent."""
    return np.where(
        kinds == NUMBER, reference.variance, np.where(kinds == SHARE, rate * (1 - rate), rate)
    )


def learn(
    counts: Floats,
    sums: Floats,
    *,
    kinds: Ints,
    first_hours: Ints,
    variance: Floats,
    moments: Moments,
) -> Reference:
    """Learn from whole days.

    Parameters
    ----------
    counts, sums
        By hour x lanes, from each lane's first hour on; a multiple of 24 hours.
    first_hours
        Which hour that is, from the epoch.
    variance
        Of the values of numbers.
    """
    if counts.shape[1] == 1:
        found = learn(
            np.repeat(counts, 2, axis=1),
            np.repeat(sums, 2, axis=1),
            kinds=np.repeat(kinds, 2),
            first_hours=np.repeat(first_hours, 2),
            variance=np.repeat(variance, 2),
            moments=Moments(*(np.repeat(one, 2, axis=-1) for one in moments)),
        )
        return Reference(*(one[..., :1] for one in found))
    total, days = counts.sum(axis=0), len(counts) // DAY_HOURS
    extra = np.where(kinds == NUMBER, 0.0, 0.5)
    level = (sums.sum(axis=0) + extra) / np.maximum(total + 2 * extra, 1.0)
    least = 0.25 / (total + 2.0)  # of what never varied, a value that is another is rare, not sure
    variance = np.maximum(variance, least)
    nothing = np.zeros_like(level)
    plain = Reference(
        *(level, nothing, nothing, np.zeros((DAY_HOURS, len(level))), variance),
        *(np.empty((0, 0)), np.empty((0, 0)), nothing),
    )
    by_hour = _profile(counts, sums, variances(plain, kinds, level), level, days)
    hours = first_hours + np.arange(len(counts))[:, None]
    weekends = (hours // DAY_HOURS + 3) % 7 >= 5
    expected = level + np.tile(by_hour, (days, 1))
    weekend, base = _weekend(counts, sums - counts * expected, weekends, days)
    turned = (np.arange(DAY_HOURS)[:, None] - first_hours) % DAY_HOURS
    profile = np.take_along_axis(by_hour, turned, axis=0)
    known = plain._replace(weekend=weekend, base=base, profile=profile)
    rate = _held(expected + np.where(weekends, weekend, 0.0) + base, known, kinds)
    spread = counts * variances(known, kinds, rate)
    held = np.where(kinds == COUNT, sums, counts) > 0  # panes count as rows where rows are counted
    phi, degrees = _measured(held, sums - counts * rate, spread, days)
    short = _measured_short(known, kinds, moments, spread.sum(axis=0)) * days / (days - 1)
    phi, degrees = _rising(
        np.concatenate([short, phi]),
        np.concatenate([np.clip(moments.windows - 1, 1, MOST_DEGREES), degrees]),
    )
    return known._replace(phi=phi, degrees=degrees, total=spread.sum(axis=0))


def _profile(counts: Floats, sums: Floats, variance: Floats, level: Floats, days: int) -> Floats:
    """Return by how much hours of the day differ, shrunk by how surely they do.

    Only hours with rows on most days count: of the others, nobody knows.
    """
    shape = days, DAY_HOURS, -1
    own_counts, own_sums = counts.reshape(shape), sums.reshape(shape)
    many = own_counts.sum(axis=0)
    at_least = np.maximum(many, 1.0)
    difference = np.where(many > 0, own_sums.sum(axis=0) / at_least, level) - level
    residual = own_sums - own_counts * (level + difference)
    noise = (residual**2).sum(axis=0) / at_least**2 * days / (days - 1)
    noise = np.maximum(noise, variance / at_least)
    seen = (own_counts > 0).sum(axis=0) >= max(3, -(-days * 8 // 14))
    hours = seen.sum(axis=0)
    agreed = np.where(seen, difference**2 - noise, 0.0).sum(axis=0) / np.maximum(hours, 1)
    agreed = np.where(hours >= 2, np.maximum(agreed, 0.0), 0.0)
    shrunk = difference * agreed / np.maximum(agreed + noise, 1e-300)
    return np.where(seen & (agreed > 0), shrunk, 0.0)


def _weekend(counts: Floats, residual: Floats, weekends: Mask, days: int) -> tuple[Floats, Floats]:
    """Return what weekends add, shrunk by how surely they do, and what all hours then have less."""
    shape = days, DAY_HOURS, -1
    sides = []
    for own in (weekends, ~weekends):
        many = np.where(own, counts, 0.0).reshape(shape).sum(axis=1)
        rest = np.where(own, residual, 0.0).reshape(shape).sum(axis=1)
        total, blocks = many.sum(axis=0), own.reshape(shape).any(axis=1).sum(axis=0)
        mean = rest.sum(axis=0) / np.maximum(total, 1.0)
        scatter = ((rest - mean * many) ** 2).sum(axis=0) / np.maximum(total, 1.0) ** 2
        sides.append((total, blocks, mean, scatter * blocks / np.maximum(blocks - 1, 1)))
    (ends, end_blocks, end_mean, end_noise), (weeks, week_blocks, week_mean, week_noise) = sides
    difference = end_mean - week_mean
    sure = 1 - 4 * (end_noise + week_noise) / np.maximum(difference**2, 1e-300)
    known = (end_blocks >= 2) & (week_blocks >= 2) & (ends > 0) & (weeks > 0)
    weekend = np.where(known, difference * np.maximum(sure, 0.0), 0.0)
    return weekend, -weekend * ends / np.maximum(ends + weeks, 1.0)


def _measured(held: Mask, residual: Floats, spread: Floats, days: int) -> tuple[Floats, Floats]:
    """Return how much more sums of hours vary, over all windows of each length; and degrees."""
    found, degrees = [], []
    start = np.zeros((1, held.shape[1]))
    sums, wide = (np.concatenate([start, one.cumsum(axis=0)]) for one in (residual, spread))
    for length in HOURLY:
        own, usual = (one[length:] - one[:-length] for one in (sums, wide))
        ratio = (own**2).sum(axis=0) / np.maximum(usual.sum(axis=0), 1e-12)
        found.append(ratio * days / (days - 1))
        blocks = held.reshape(len(held) // length, length, -1).any(axis=1).sum(axis=0)
        degrees.append(np.clip(blocks - 1.0, 1.0, MOST_DEGREES))
    return np.array(found), np.array(degrees)


def _measured_short(known: Reference, kinds: Ints, moments: Moments, total: Floats) -> Floats:
    """Return how much more sums of one pane and of three vary, by their moments by hour."""
    offset = np.array([0.0, 1.0])[:, None, None] * known.weekend + known.base
    rate = _held(known.level + known.profile + offset, known, kinds)  # weekend x hour x lanes
    squares, mixed, counts = (moments.cells[:, :, :, part] for part in range(3))
    varied = squares - 2 * rate * mixed + rate**2 * counts
    both = varied.reshape(2, -1, varied.shape[-1]).sum(axis=1)
    found: Floats = np.maximum(both, 0.0) / np.maximum(total, 1e-12)
    return found


def _rising(phi: Floats, degrees: Floats) -> tuple[Floats, Floats]:
    """Let no window vary less than a shorter one; where it varies alike, that is as surely known.

    Windows that are longer than those measured go by the longest of these.
    """
    last = np.full(phi.shape[1], _LEAST_PHI)
    known = np.full(phi.shape[1], MOST_DEGREES)
    every, sure = [], []
    for place, (own, freedom) in enumerate(zip(phi, degrees, strict=True)):
        alike = (own <= last * unlike(freedom, known)) if place else np.zeros(len(own), bool)
        known = np.where(alike, np.maximum(freedom, _POOLED * known), freedom)
        last = np.maximum(last, own)
        every.append(last)
        sure.append(known)
    more = len(LONG) - 1
    return np.array(every + every[-1:] * more), np.array(sure + sure[-1:] * more)


def hours_since(first_hours: Ints, days: int) -> Ints:
    """Return which hours are a reference of so many days: hours x lanes, as slots of a ring."""
    found: Ints = (first_hours + np.arange(days * DAY_HOURS)[:, None]) % KEPT_HOURS
    return found
