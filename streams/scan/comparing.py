"""Windows of all lanes that end now, compared with references; those of many lanes at once."""

from collections.abc import Iterator, Sequence

import numpy as np

from streams.scan import judging, tails
from streams.scan.budgets import Budgets
from streams.scan.early import scatter, units
from streams.scan.inputs import INPUTS
from streams.scan.judging import Judged, hold_back, judge, judge_early, usual_of, windows_of
from streams.scan.lanes import Floats, Ints, Lanes, Mask
from streams.scan.life import Life, Seen
from streams.scan.panes import (
    DAY_HOURS,
    HOUR_PANES,
    KEPT_HOURS,
    KEPT_PANES,
    LABELS,
    LONG,
    SHORT,
    is_weekend,
)
from streams.scan.reference import Reference, rates
from streams.scan.weeks import are_new

_LANES_AT_ONCE = 4_096
_SKEWED = np.array([one.skewed for one in INPUTS])


class Comparing:
    """Compares what lanes have with what is usual."""

    def __init__(self, lanes: Lanes, life: Life, budgets: Budgets) -> None:
        self._lanes, self._life, self._budgets = lanes, life, budgets

    def short(self, pane: int) -> Seen:
        """Compare windows of up to half a day, at the end of a pane."""
        panes = np.arange(pane, pane - KEPT_PANES, -1)
        lanes = self._budgets.judged_lanes()
        found = [self._one_short(own, panes) for own in _chunks(lanes)]
        return Seen(lanes, _joined(found, len(SHORT)))

    def _one_short(self, own: Ints, panes: Ints) -> Judged:
        lanes = self._lanes
        kinds, least, limit = self._settings(own)
        known, hours = lanes.reference(own), panes // HOUR_PANES
        found = self._windows("pane", own, known, slots=panes % KEPT_PANES, hours=hours)
        days = lanes["days"][own]
        skewed = _SKEWED[self._lanes["place"][own]]
        late = judge(
            *(found, known),
            kinds=kinds,
            skewed=skewed,
            least=least,
            limit=limit,
            days=np.maximum(days, 1.0),
        )
        new = are_new(lanes["first_hour"][own], days, hours.tolist(), SHORT)
        late = hold_back(late, found, new, kinds=kinds)
        if (days > 0).all():
            return late
        before = self._before(own, found)
        soon = judge_early(
            found,
            before,
            scatter(lanes, own, pane=int(panes[0])),
            kinds=kinds,
            skewed=skewed,
            least=least,
            limit=limit,
        )
        return Judged(*(np.where(days > 0, *pair) for pair in zip(late, soon, strict=True)))

    def _before(self, own: Ints, found: judging.Windows) -> tuple[Floats, Floats]:
        """Return counts and sums of all that came before windows, and the windows."""
        lanes = self._lanes
        rows = np.broadcast_to(lanes["total_rows"][own].astype(np.float64), found.rows.shape)
        unit = units(lanes["kind"][own])
        sums = np.broadcast_to(lanes["total_sum"][own] / unit, found.rows.shape)
        still = np.isin(own, self._life.still())
        return np.where(still, rows + found.rows, rows), np.where(still, sums + found.sums, sums)

    def long(self, lanes: Ints, hour: int) -> Seen:
        """Compare longer windows, at the end of an hour."""
        hours = np.arange(hour, hour - LONG[-1], -1)
        found = [self._one_long(own, hours) for own in _chunks(lanes)]
        return Seen(lanes, _joined(found, len(LONG)))

    def _one_long(self, own: Ints, hours: Ints) -> Judged:
        lanes = self._lanes
        kinds, least, limit = self._settings(own)
        known, days = lanes.reference(own), lanes["days"][own]
        found = self._windows("hour", own, known, slots=hours % KEPT_HOURS, hours=hours)
        skewed = _SKEWED[self._lanes["place"][own]]
        late = judge(
            *(found, known),
            kinds=kinds,
            skewed=skewed,
            least=least,
            limit=limit,
            days=np.maximum(days, 1.0),
        )
        new = are_new(lanes["first_hour"][own], days, hours.tolist(), LONG)
        late = hold_back(late, found, new, kinds=kinds)
        # Windows over days must lie behind the reference, or it is compared with itself.
        since = hours[0] + 1 - (lanes["first_hour"][own] + days * 24)
        usable = (days > 0) & ((np.array(LONG)[:, None] <= since) | (np.array(LONG)[:, None] == 24))
        return Judged(np.where(days > 0, late.z, 0.0), np.where(usable, late.beyond, 0))

    def _windows(
        self, name: str, own: Ints, known: Reference, *, slots: Ints, hours: Ints
    ) -> judging.Windows:
        """Add up windows of panes, or of hours, which go back from the newest."""
        lanes, kinds = self._lanes, self._lanes["kind"][own]
        lengths, first = (SHORT, 0) if name == "pane" else (LONG, len(SHORT))
        order, starts, ends = pieces_of(hours, lengths)
        places = np.ix_(slots[order], own)
        rows, sums = (
            np.add.reduceat(lanes[f"{name}_{what}"][places].astype(np.float64), starts, axis=0)
            for what in ("rows", "sum")
        )
        each = hours[order][starts]
        rate = rates(known, kinds, each, _are_weekend(each))
        return windows_of(
            *(rows, sums / units(kinds), rate, usual_of(known, kinds, rate)),
            lengths=ends,
            first=first,
        )

    def deviations(self, own: Ints, pane: int, *, by_hour: bool) -> tuple[Ints, Floats]:
        """Return how far the newest pane, or hour, is from the usual, where it has rows.

        Returns
        -------
        lanes, deviations
            In standard deviations of sums of that length.
        """
        lanes, hour = self._lanes, pane // HOUR_PANES
        name, slot = ("hour", hour % KEPT_HOURS) if by_hour else ("pane", pane % KEPT_PANES)
        own = own[lanes[f"{name}_rows"][slot, own] > 0]
        counts = lanes[f"{name}_rows"][slot, own].astype(np.float64)
        kinds, known = lanes["kind"][own], lanes.reference(own)
        sums = lanes[f"{name}_sum"][slot, own] / units(kinds)
        rate = rates(known, kinds, np.array([hour]), np.array([is_weekend(hour)]))
        phi = known.phi[LABELS.index("1h" if by_hour else "10m")]
        variance = np.maximum(phi * counts * usual_of(known, kinds, rate)[0], 1e-12)
        return own, (sums - counts * rate[0]) / np.sqrt(variance)

    def _settings(self, own: Ints) -> tuple[Ints, Floats, Floats]:
        lanes = self._lanes
        return lanes["kind"][own], lanes["least"][own], tails.limits(self._budgets.of(own))


def pieces_of(hours: Ints, lengths: Sequence[int]) -> tuple[Ints, Ints, list[int]]:
    """Put together what windows have where the same is usual: by hour of the day, and weekend.

    Parameters
    ----------
    hours
        Of panes, or hours, the newest first.
    lengths
        Of windows, in such; they rise.

    Returns
    -------
    order, starts, ends
        In which order these are, where pieces begin in that, and how many pieces each window has.

    Examples
    --------
    >>> order, starts, ends = pieces_of(np.array([30, 29, 6, 5]), [1, 4])
    >>> order.tolist(), starts.tolist(), ends
    ([0, 1, 3, 2], [0, 1, 3], [1, 3])
    """
    window = np.searchsorted(lengths, np.arange(len(hours)), side="right")
    keys = (window * 2 + _are_weekend(hours)) * DAY_HOURS + hours % DAY_HOURS
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    ends = np.searchsorted(window[order][starts], np.arange(len(lengths)), side="right")
    return order, starts, ends.tolist()


def _are_weekend(hours: Ints) -> Mask:
    found: Mask = (hours // DAY_HOURS + 3) % 7 >= 5
    return found


def _chunks(lanes: Ints) -> Iterator[Ints]:
    for start in range(0, len(lanes), _LANES_AT_ONCE):
        yield lanes[start : start + _LANES_AT_ONCE]


def _joined(found: Sequence[Judged], windows: int) -> Judged:
    if not found:
        return Judged(np.zeros((windows, 0)), np.zeros((windows, 0), np.int64))
    return Judged(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))
