"""Windows of all lanes that end now, compared with references; those of many lanes at once."""

from collections.abc import Iterator, Sequence

import numpy as np

from streams.scan import judging, tails
from streams.scan.budgets import Budgets
from streams.scan.early import scatter, units
from streams.scan.judging import Judged, hold_back, judge, judge_early, usual_of, windows_of
from streams.scan.lanes import Floats, Ints, Lanes
from streams.scan.life import Life, Seen
from streams.scan.panes import (
    HOUR_PANES,
    KEPT_HOURS,
    KEPT_PANES,
    LABELS,
    LONG,
    SHORT,
    is_weekend,
)
from streams.scan.reference import rates
from streams.scan.weeks import are_new

_LANES_AT_ONCE = 4_096


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
        counts = lanes["pane_rows"][panes % KEPT_PANES][:, own].astype(np.float64)
        sums = lanes["pane_sum"][panes % KEPT_PANES][:, own] / units(lanes["kind"][own])
        kinds, least, limit = self._settings(own)
        known = lanes.reference(own)
        hours = panes // HOUR_PANES
        each, place = np.unique(hours, return_inverse=True)
        rate = rates(known, kinds, each, (each // 24 + 3) % 7 >= 5)
        usual = usual_of(known, kinds, rate)
        found = windows_of(counts, sums, rate[place], usual[place], lengths=SHORT, first=0)
        days = lanes["days"][own]
        late = judge(
            found, known, kinds=kinds, least=least, limit=limit, days=np.maximum(days, 1.0)
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
        slots = hours % KEPT_HOURS
        counts = lanes["hour_rows"][slots][:, own].astype(np.float64)
        sums = lanes["hour_sum"][slots][:, own] / units(lanes["kind"][own])
        kinds, least, limit = self._settings(own)
        known, days = lanes.reference(own), lanes["days"][own]
        rate = rates(known, kinds, hours, (hours // 24 + 3) % 7 >= 5)
        found = windows_of(
            *(counts, sums, rate, usual_of(known, kinds, rate)), lengths=LONG, first=len(SHORT)
        )
        late = judge(
            found, known, kinds=kinds, least=least, limit=limit, days=np.maximum(days, 1.0)
        )
        new = are_new(lanes["first_hour"][own], days, hours.tolist(), LONG)
        late = hold_back(late, found, new, kinds=kinds)
        # Windows over days must lie behind the reference, or it is compared with itself.
        since = hours[0] + 1 - (lanes["first_hour"][own] + days * 24)
        usable = (days > 0) & ((np.array(LONG)[:, None] <= since) | (np.array(LONG)[:, None] == 24))
        return Judged(np.where(days > 0, late.z, 0.0), np.where(usable, late.beyond, 0))

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


def _chunks(lanes: Ints) -> Iterator[Ints]:
    for start in range(0, len(lanes), _LANES_AT_ONCE):
        yield lanes[start : start + _LANES_AT_ONCE]


def _joined(found: Sequence[Judged], windows: int) -> Judged:
    if not found:
        return Judged(np.zeros((windows, 0)), np.zeros((windows, 0), np.int64))
    return Judged(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))
