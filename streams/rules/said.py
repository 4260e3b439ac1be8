"""What a rule said at some boundaries, of windows of one length or of several, and by what."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.rule_kinds import Bounds
from streams.rules.limits import Levels, Readings

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Held(NamedTuple):
    """What windows are held against, and that within which a rule is over."""

    bounds: Bounds
    back: Bounds
    reference: Floats


class Said(NamedTuple):
    """What a rule said at some boundaries.

    Attributes
    ----------
    where
        Places of the boundaries.
    length_ms
        Of the windows.
    """

    where: Ints
    levels: Levels
    readings: Readings
    limit: Floats
    reference: Floats
    length_ms: Ints


def joined(said: list[Said]) -> Said | None:
    """Put what was said of windows of several lengths in the order of boundaries."""
    said = [one for one in said if len(one.where)]
    if not said:
        return None
    where, levels, limit, reference, lengths_ms = (
        np.concatenate([one[place] for one in said]) for place in (0, 1, 3, 4, 5)
    )
    readings = Readings(*map(np.concatenate, zip(*(one.readings for one in said), strict=True)))
    order = np.argsort(where, kind="stable")
    columns = (where, levels, limit, reference, lengths_ms)
    where, levels, limit, reference, lengths_ms = (column[order] for column in columns)
    return Said(where, levels, readings.only(order), limit, reference, lengths_ms)
