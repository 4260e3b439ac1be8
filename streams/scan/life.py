"""From windows that are beyond what is usual to findings that begin, go on and end.

What is found opens, stays open while the level is beyond what is usual, and ends once the window
that showed it and a whole day are back for some hours, and no shorter one was beyond for a day: by
night alone, nothing is over, and what is too high by day and too low by night is one finding.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streams.scan.adopting import adopt
from streams.scan.early import units
from streams.scan.evidence import interval, split
from streams.scan.inputs import INPUTS, RANKED, label, segment_of
from streams.scan.judging import Judged
from streams.scan.lanes import Floats, Ints, Lanes
from streams.scan.panes import (
    A_DAY,
    HOUR_PANES,
    KEPT_HOURS,
    KEPT_PANES,
    LABELS,
    PANE_MS,
    SHORT,
)
from streams.scan.ranks import Tables
from streams.scan.reference import COUNT, variances

_CALM_Z = 1.5
_CALM_HOURS, _QUIET_HOURS = 6, 24
"""A shift under a daily cycle is beyond the usual at some hours, and back at others: every day."""
_EARLY = LABELS.index("3h")
_EARLY_PANES = 3 * 24 * HOUR_PANES
_DAY_PANES = 24 * HOUR_PANES
_MOST_REVISIONS = 1
_MUCH_MORE = 4
_LEAST_ROWS, _LEAST_PANES = 10, 3
"""On either side of a split there are so many; of counts, half an hour: one burst is no level."""

_LEVEL_OF = {
    place: (ranked, "spread" if ranked.spread is not None and one == ranked.spread else "level")
    for place, one in enumerate(INPUTS)
    for ranked in RANKED
    if one in (ranked.level, ranked.spread)
}


class Open(msgspec.Struct):
    """What is beyond the usual in a lane.

    Attributes
    ----------
    version
        Of the model, which the alert is of.
    sign, window
        Direction, and place of the window among all lengths.
    pane
        In which it was found.
    calm
        How many hours a whole day has been back for.
    rows
        How many rows there were after the change when it was last said.
    quiet
        For how many hours no window below a day has been beyond, in any direction.
    """

    version: str
    sign: int
    window: int
    pane: int
    calm: int = 0
    rows: int = 0
    revision: int = 0
    quiet: int = 0


class Found(NamedTuple):
    """Something that begins, is told again, or ends.

    Attributes
    ----------
    state
        `firing`, `revised` or `resolved`.
    source
        Of what, see `streams.scan.inputs.label`.
    segment
        Which it is of; empty for all rows.
    direction
        `worse`, `better` or `changed`.
    evidence
        What to tell of it; empty at its end.
    """

    state: str
    model: str
    version: str
    source: str
    segment: str
    direction: str
    lane: int
    at_ms: int
    sign: int
    evidence: dict[str, Any]


class Adopted(NamedTuple):
    """Lanes that have another reference by an order, and those in which something ends by that."""

    lanes: list[int]
    ended: list[int]


class Seen(NamedTuple):
    """What was judged at the end of a pane, windows x lanes: z and whether it is beyond."""

    lanes: Ints
    judged: Judged


class Life:
    """What is open, by lane.

    Attributes
    ----------
    changed
        Lanes of which something else is open, or no longer.
    begun_anew
        Lanes that have forgotten their sums, likewise.
    """

    def __init__(self, lanes: Lanes, tables: Tables) -> None:
        self._lanes, self._tables = lanes, tables
        self.open: dict[int, Open] = {}
        self.changed: set[int] = set()
        self.begun_anew: set[int] = set()

    def still(self) -> Ints:
        """Return the lanes with something open."""
        return np.array(sorted(self.open), np.int64)

    # ------------------------------------------------------------------ a pane
    def take(self, seen: Seen, *, pane: int) -> Iterator[Found]:
        """Take what was judged of windows up to half a day."""
        beyond = seen.judged.beyond
        for at in np.flatnonzero(beyond.any(axis=0)).tolist():
            yield from self._beyond(seen, at, pane=pane, first=0)

    def take_long(self, seen: Seen, short: Seen, *, pane: int) -> Iterator[Found]:
        """Take what was judged of longer windows at the end of an hour; end what is over."""
        for at in np.flatnonzero(seen.judged.beyond.any(axis=0)).tolist():
            yield from self._beyond(seen, at, pane=pane, first=A_DAY)
        places = {lane: at for at, lane in enumerate(short.lanes.tolist())} if self.open else {}
        for lane in sorted(self.open):
            if lane in places:
                both = (judged.z[:, places[lane]] for judged in (short.judged, seen.judged))
                yield from self._go_on(lane, np.concatenate(list(both)), pane=pane)

    def _beyond(self, seen: Seen, at: int, *, pane: int, first: int) -> Iterator[Found]:
        lane = int(seen.lanes[at])
        column = seen.judged.beyond[:, at]
        shortest = int(np.flatnonzero(column)[0])
        sign, window, z = (
            int(column[shortest]),
            first + shortest,
            float(seen.judged.z[shortest, at]),
        )
        known = self.open.get(lane)
        if known is not None and (known.sign == sign or self._may_turn(lane, window)):
            if window < A_DAY:
                known.quiet = 0
            if known.sign == sign:
                known.window, known.calm = max(known.window, window), 0
            self.changed.add(lane)
            return
        if known is not None:
            yield self._end(lane, pane=pane)
        evidence = self.tell(lane, pane=pane, window=window, z=z)
        found = Open(self._version(lane, pane), sign, window, pane, rows=evidence["count"])
        self.open[lane] = found
        self.changed.add(lane)
        if self._lanes["days"][lane] == 0:
            self._lanes.leave_out(lane, SHORT[window], pane=pane)
        yield self._found("firing", lane, found, pane=pane, evidence=evidence)

    def _may_turn(self, lane: int, window: int) -> bool:
        """Tell whether what is beyond in the other direction may be so by the hour alone."""
        return bool(self._lanes["days"][lane] > 0) and window < A_DAY

    def _go_on(self, lane: int, z: Floats, *, pane: int) -> Iterator[Found]:
        known = self.open[lane]
        early = self._lanes["days"][lane] == 0
        window = max(known.window, _EARLY if early else A_DAY)
        over_day = 0.0 if early else float(z[A_DAY])
        calm = abs(z[window]) < _CALM_Z and abs(over_day) < _CALM_Z
        self.changed.add(lane)
        known.calm = known.calm + 1 if calm else 0
        known.quiet += 1
        over = known.calm >= _CALM_HOURS and (early or known.quiet >= _QUIET_HOURS)
        if over or (early and pane - known.pane >= _EARLY_PANES):
            yield self._end(lane, pane=pane, anew=not over)
            if early:
                self._lanes.begin_anew(lane, pane=pane + 1)
                self.begun_anew.add(lane)
        elif known.revision < _MOST_REVISIONS:
            evidence = self.tell(lane, pane=pane, window=known.window, z=float(z[known.window]))
            if evidence["count"] >= _MUCH_MORE * max(known.rows, 1):
                known.rows, known.revision = evidence["count"], known.revision + 1
                yield self._found("revised", lane, known, pane=pane, evidence=evidence)

    def shifted(self, lane: int, deviation: float, *, pane: int) -> Found:
        """Tell what has changed in a lane in which another detector has found something."""
        evidence = self.tell(lane, pane=pane, window=A_DAY, z=deviation)
        sign = 1 if evidence["after"] > evidence["before"] else -1
        version = self._version(lane, pane)
        found = Open(version, sign, A_DAY, pane)
        return self._found("firing", lane, found, pane=pane, evidence=evidence)

    def is_told_of(self, lane: int, pane: int, *, opens: bool) -> bool:
        """Tell whether to tell of what another detector has found in a lane.

        While something is open of the model, only on its first day: later ones find the same again.

        Parameters
        ----------
        opens
            Whether to do so where nothing is open.
        """
        group = self._lanes["group"]
        since = [one.pane for other, one in self.open.items() if group[other] == group[lane]]
        return any(pane - one < _DAY_PANES for one in since) if since else opens

    def _end(self, lane: int, *, pane: int, anew: bool = False) -> Found:
        """End what is open: it is over, or what is usual is learnt anew from here."""
        known = self.open.pop(lane)
        self.changed.add(lane)
        return self._found("resolved", lane, known, pane=pane, evidence={"anew": anew})

    def _found(
        self, state: str, lane: int, known: Open, *, pane: int, evidence: dict[str, Any]
    ) -> Found:
        name = self._lanes.names[lane]
        assert name is not None
        model, place, what = name
        return Found(
            *(state, model, known.version, label(place, what), segment_of(place, what)),
            *(_direction(place, known.sign), lane, (pane + 1) * PANE_MS, known.sign, evidence),
        )

    def adopt(self, lane: int, *, pane: int) -> Adopted:
        """Take the level that a lane has had since its change for usual.

        Level and spread of numbers are adopted together.
        """
        place = int(self._lanes["place"][lane])
        own = [lane]
        if place in _LEVEL_OF:
            own = self._lanes.alongside(lane, _LEVEL_OF[place][0])
        at = self._changed_at(lane, pane=pane)
        courses = [self._course(one, pane=pane) for one in own]
        counts, sums = (np.array([one[part][at:] for one in courses]).T for part in range(2))
        starts = [self._begins_ms(one, pane=pane) for one in range(at, at + len(counts))]
        adopt(self._lanes, own, (counts, sums), starts_ms=np.array(starts), pane=pane)
        self.begun_anew.update(own)
        ended = [one for one in own if self.open.pop(one, None) is not None]
        self.changed.update(ended)
        return Adopted(own, ended)

    def _changed_at(self, lane: int, *, pane: int) -> int:
        """Return since when a lane has another level, as a place in its course."""
        counts, sums = self._course(lane, pane=pane)
        count = int(self._lanes["kind"][lane]) == COUNT
        found = split(counts, sums, least=_LEAST_PANES if count else _LEAST_ROWS)
        return len(counts) - SHORT[0] if found is None else found.at

    def _version(self, lane: int, pane: int) -> str:
        """Return the version that had most predictions in the last hour, or had some last."""
        lanes = self._lanes
        name = lanes.names[lane]
        assert name is not None
        own = [one for one in lanes.of(name[0]) if INPUTS[lanes["place"][one]].name == "version"]
        counted = []
        for one in own:
            counts, sums = self._course(one, pane=pane)
            some = np.flatnonzero(sums)
            last = int(some[-1]) if len(some) else -1
            version = lanes.names[one]
            assert version is not None
            recent = float(sums[-HOUR_PANES:].sum())
            counted.append((recent, last if not recent else len(counts), version[2]))
        return max(counted)[2] if counted else ""

    # ------------------------------------------------------------------ evidence
    def _course(self, lane: int, *, pane: int) -> tuple[Floats, Floats]:
        """Return the hours of the last fourteen days and then the panes of half a day, in order."""
        lanes = self._lanes
        panes = np.arange(pane + 1 - KEPT_PANES, pane + 1)
        first_hour = -(-(pane + 1 - KEPT_PANES) // HOUR_PANES)
        panes = panes[panes >= first_hour * HOUR_PANES]
        last_hour = (pane + 1) // HOUR_PANES
        hours = np.arange(last_hour - KEPT_HOURS, first_hour) % KEPT_HOURS
        counts = np.concatenate(
            [lanes["hour_rows"][hours, lane], lanes["pane_rows"][panes % KEPT_PANES, lane]]
        )
        sums = np.concatenate(
            [lanes["hour_sum"][hours, lane], lanes["pane_sum"][panes % KEPT_PANES, lane]]
        )
        return counts.astype(np.float64), sums.astype(np.float64)

    def _begins_ms(self, at: int, *, pane: int) -> int:
        """Return when a pane of `_course` begins."""
        first_hour = -(-(pane + 1 - KEPT_PANES) // HOUR_PANES)
        hours = first_hour - ((pane + 1) // HOUR_PANES - KEPT_HOURS)
        if at < hours:
            return (first_hour - hours + at) * HOUR_PANES * PANE_MS
        return (first_hour * HOUR_PANES + at - hours) * PANE_MS

    def tell(self, lane: int, *, pane: int, window: int, z: float) -> dict[str, Any]:
        """Return what changed, when, from what to what, and how surely."""
        lanes = self._lanes
        kind = int(lanes["kind"][lane])
        counts, sums = self._course(lane, pane=pane)
        sums = sums / units(lanes["kind"][[lane]])[0]
        found = split(counts, sums, least=_LEAST_PANES if kind == COUNT else _LEAST_ROWS)
        evidence: dict[str, Any] = {"window": LABELS[window], "z": round(z, 2)}
        if found is None:
            total = max(counts.sum(), 1.0)
            mean = float(sums.sum() / total)
            mean *= INPUTS[int(lanes["place"][lane])].unit
            return evidence | {"before": mean, "after": mean, "count": int(total)}
        scale = HOUR_PANES if kind == COUNT else INPUTS[int(lanes["place"][lane])].unit
        low, high = interval(found.after, self._variance(lane, window), found.rows)
        levels = [found.before, found.after, low, high]
        place = int(lanes["place"][lane])
        if place in _LEVEL_OF:
            evidence["rank_before"], evidence["rank_after"] = found.before, found.after
            levels = self._values(lane, found.at, pane=pane, ends=levels)
            evidence["of"] = _LEVEL_OF[place][1]
        names = ("before", "after", "low", "high")
        evidence |= dict(zip(names, (level * scale for level in levels), strict=True))
        evidence["onset_ms"] = self._begins_ms(found.at, pane=pane)
        evidence["count"] = found.rows
        return evidence

    def _variance(self, lane: int, window: int) -> float:
        own = np.array([lane])
        if not self._lanes["days"][lane]:
            return 0.25
        known = self._lanes.reference(own)
        usual = float(variances(known, self._lanes["kind"][own], known.level)[0])
        return usual * float(known.phi[window, 0])

    def _values(self, lane: int, at: int, *, pane: int, ends: list[float]) -> list[float]:
        """Return means of the numbers themselves, before and after, and about how sure they are."""
        ranked, _ = _LEVEL_OF[int(self._lanes["place"][lane])]
        level, value, *_ = self._lanes.alongside(lane, ranked)
        row = int(self._lanes["table"][level])
        counts, sums = self._course(value, pane=pane)
        means = []
        for some in (slice(0, max(at - 1, 1)), slice(at, None)):
            mean = float(sums[some].sum() / max(counts[some].sum(), 1.0))
            means.append(self._tables.value(row, mean))
        half = (ends[3] - ends[2]) / 2 * float(self._tables.width[row]) * 1.5
        return [*means, means[1] - half, means[1] + half]


def _direction(place: int, sign: int) -> str:
    worse = INPUTS[place].worse
    if not worse:
        return "changed"
    return "worse" if sign == worse else "better"
