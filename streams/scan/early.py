"""How much sums vary before a reference is known, as far as that can be said of a few hours."""

import numpy as np

from streams.scan.inputs import INPUTS
from streams.scan.judging import GROSS_PHI
from streams.scan.lanes import Floats, Ints, Lanes
from streams.scan.panes import DAY_HOURS, HOUR_PANES, KEPT_HOURS, SHORT, UNIT
from streams.scan.reference import COUNT, MOST_DEGREES, SHARE

_SCATTERED = np.array([one.kind != SHARE and not one.worse for one in INPUTS])
_WRONG = np.array([one.kind == SHARE and one.worse > 0 for one in INPUTS])
_HALF_AN_HOUR = 3
_RANKS_VARIANCE = 1 / 12
_LEAST_PHI = 3.0
_FEWEST_HOURS = 6
_HOURS = 4 * DAY_HOURS
"""A reference is there by then."""


def units(kinds: Ints) -> Floats:
    """Return what one is, in sums of lanes."""
    return np.where(kinds == COUNT, 1.0, float(UNIT))


def scatter(lanes: Lanes, own: Ints, *, pane: int) -> tuple[Floats, Floats]:
    """Return how much more sums vary than those of independent rows, and how surely that is known.

    At least ten times; of losses that are shares, as much as they did in the hours before each
    window, at least three times and at most ten, so that gross changes of them are found at once.

    Returns
    -------
    phi, degrees
        Windows x lanes.
    """
    phi, degrees = _of_all(lanes, own)
    wrong = np.flatnonzero(_WRONG[lanes["place"][own]])
    if len(wrong):
        phi[:, wrong], degrees[:, wrong] = _before_windows(lanes, own[wrong], pane=pane)
    return phi, degrees


def _of_all(lanes: Lanes, own: Ints) -> tuple[Floats, Floats]:
    """Measure in windows of half an hour, as far as they have come.

    What is more than chance in these is taken to last: after a day, nobody can tell a daily cycle,
    or a slow wave, from a change.
    """
    halves = np.moveaxis(lanes.moments.of(own)[:, :, 1], -1, 0)
    many, together, squares = np.ascontiguousarray(halves).sum(axis=(1, 2)).T
    rows = np.maximum(lanes["total_rows"][own], 1)
    level = lanes["total_sum"][own] / units(lanes["kind"][own]) / rows
    usual = np.where(lanes["kind"][own] == COUNT, level, _RANKS_VARIANCE) * rows
    varied = many - 2 * level * together + level**2 * squares
    more = np.maximum(varied / np.maximum(usual, 1e-12) - 1, 0.0)
    found = 1 + more * np.array(SHORT)[:, None] / _HALF_AN_HOUR
    known = _SCATTERED[lanes["place"][own]]
    degrees = np.clip(lanes["held"][1, own] - 1.0, 1.0, MOST_DEGREES)
    phi = np.where(known, np.maximum(found, GROSS_PHI), GROSS_PHI)
    return phi, np.where(known, degrees, MOST_DEGREES) * np.ones_like(phi)


def _before_windows(lanes: Lanes, own: Ints, *, pane: int) -> tuple[Floats, Floats]:
    """Measure in the hours that lie before each window: the change itself is no scatter."""
    until = (pane + 1) // HOUR_PANES
    slots = np.arange(until - _HOURS, until) % KEPT_HOURS
    n = lanes["hour_rows"][slots[:, None], own].astype(np.float64)
    s = lanes["hour_sum"][slots[:, None], own] / float(UNIT)
    ends = (pane + 1 - np.array(SHORT)) // HOUR_PANES - (until - _HOURS) - 1
    rows, sums, many, together, squares, hours = (
        one.cumsum(axis=0)[ends] for one in (n, s, s * s, s * n, n * n, n > 0)
    )
    level = (sums + 0.5) / (rows + 1)
    varied = many - 2 * level * together + level**2 * squares
    ratio = varied / np.maximum(level * (1 - level) * rows, 1e-12)
    ratio *= hours / np.maximum(hours - 1, 1)
    lengths = np.maximum(np.array(SHORT)[:, None] / HOUR_PANES, 1.0)
    phi = np.clip(1 + np.maximum(ratio - 1, 0.0) * lengths, _LEAST_PHI, GROSS_PHI)
    degrees = np.where(phi > _LEAST_PHI, np.maximum(hours - 1.0, 1.0), MOST_DEGREES)
    enough = hours >= _FEWEST_HOURS
    return np.where(enough, phi, GROSS_PHI), np.where(enough, degrees, MOST_DEGREES)
