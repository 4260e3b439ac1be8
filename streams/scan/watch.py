"""All lanes of a partition, from rows to findings; see `streams.scan`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from streams.monitors import SCAN, Drift
from streams.noticed import Noticed
from streams.released import Rows
from streams.scan import growing, judging, tails
from streams.scan.feed import Known, feed, feed_losses, panes_of
from streams.scan.filling import Filling
from streams.scan.inputs import BY_NAME, INPUTS, label
from streams.scan.judging import Judged, hold_back, judge, judge_early, usual_of, windows_of
from streams.scan.lanes import Floats, Ints, Lanes
from streams.scan.life import Found, Life, Seen
from streams.scan.panes import (
    HOUR_PANES,
    KEPT_HOURS,
    KEPT_PANES,
    LONG,
    PANE_MS,
    SHORT,
)
from streams.scan.parameters import ScanParameters, parameters_of
from streams.scan.ranks import Tables
from streams.scan.records import Written
from streams.scan.reference import rates
from streams.scan.samples import Samples
from streams.scan.weeks import are_new
from streams.watchers.lanes import Input

_LANES_AT_ONCE = 4_096
_MOST_PANES = 144
_CLASSES = "binary", "multiclass"


class Alarm(NamedTuple):
    """A finding, and the monitor that it is of."""

    drift: Drift
    found: Found


class Scan:
    """The scan over all models of a partition.

    Parameters
    ----------
    drifts
        Monitors, of which those with the detector `scan` count.
    names
        Of models and versions, by code; the list grows.
    """

    def __init__(self, drifts: Sequence[Drift], names: Sequence[tuple[str, str]]) -> None:
        self._names = names
        self.lanes, self._samples, self._tables = Lanes(), Samples(), Tables()
        self._life = Life(self.lanes, self._tables)
        self._filling = Filling(self.lanes, self._samples, self._tables, begin=self._begin)
        self.written = Written(self.lanes, self._samples, self._tables, self._life, self._filling)
        self._groups = np.empty(0, np.int64)
        self._watched: dict[str, tuple[Drift, ...]] = {}
        self._pane = -1
        self._budget = np.empty(0)
        self.use(drifts)

    # ------------------------------------------------------------------ what is watched
    def use(self, drifts: Sequence[Drift]) -> None:
        """Watch by other monitors; lanes that nobody looks at any more are forgotten."""
        self._drifts = [one for one in drifts if one.detector == SCAN]
        self._parameters: dict[str, ScanParameters] = {
            one.name: parameters_of(one) for one in self._drifts
        }
        self._watched = {}

    def _settle(self) -> None:
        """After the state was read back, go on with it."""
        if self.written.settle():
            self._drop_unwatched()

    def _drop_unwatched(self) -> None:
        """Forget lanes that no monitor looks at."""
        for lane in self.lanes.used().tolist():
            name = self.lanes.names[lane]
            assert name is not None
            if self._drift(*name) is None and INPUTS[name[1]].watched:
                self._forget(lane)

    def covers(self, watched: str) -> bool:
        """Whether any monitor looks at an input."""
        return any(one.input == watched for one in self._drifts)

    def reach_ms(self, from_ms: int, until_ms: int) -> int:
        """Return how far one step may go: panes take time, with or without rows."""
        if not self.active or from_ms < 0 or not len(self.lanes.used()):
            return until_ms
        return min(until_ms, (from_ms // PANE_MS + _MOST_PANES) * PANE_MS)

    @property
    def active(self) -> bool:
        """Whether there is any such monitor."""
        return bool(self._drifts)

    def watching(self) -> dict[int, Drift | None]:
        """Return the monitors of all lanes in which something is open."""
        names = {lane: self.lanes.names[lane] for lane in self._life.open}
        return {lane: self._drift(*name) for lane, name in names.items() if name is not None}

    def rejoin(self, before: Mapping[int, Drift | None]) -> None:
        """Forget what is open by monitors that are others now: their alerts have been ended."""
        if not self.written.is_settled:  # not all models are known yet
            return
        self._drop_unwatched()
        for lane, drift in before.items():
            name = self.lanes.names[lane]
            if lane in self._life.open and (name is None or _other(drift, self._drift(*name))):
                del self._life.open[lane]
                self._life.changed.add(lane)

    def open(self) -> set[tuple[str, str, str]]:
        """Return what is open: model, monitor and what of."""
        found = set()
        for lane in self._life.open:
            name = self.lanes.names[lane]
            drift = None if name is None else self._drift(*name)
            if name is not None and drift is not None:
                found.add((name[0], drift.name, label(name[1], name[2])))
        return found

    def watch(self, code: int, names: Collection[str]) -> None:
        """Say which monitors watch a model version, by its code."""
        if code >= len(self._groups):
            more = np.full(code + 1 + len(self._groups) // 2 - len(self._groups), -1)
            self._groups = np.concatenate([self._groups, more])
        model = self._names[code][0]
        own = tuple(one for one in self._drifts if one.name in names)
        self._groups[code] = self.lanes.group(model) if own else -1
        if own:
            self._watched[model] = own

    def _drift(self, model: str, place: int, name: str) -> Drift | None:
        one = INPUTS[place]
        source = label(place, name).removesuffix(":spread")
        for drift in self._watched.get(model, ()):
            if drift.input in (one.watched, source):
                return drift
        return None

    def _begin(self, group: int, place: int, name: str) -> int:
        model = self.lanes.models[group]
        one = INPUTS[place]
        needed = not one.watched or one.name == "traffic"
        if not needed and self._drift(model, place, name) is None:
            return -1
        lane = self.lanes.add(model, place, name, pane=self._pane)
        self.written.named(lane)
        self._budget = np.empty(0)
        return lane

    def leave(self, code: int) -> None:
        """Look at a version no more, and forget its model if nobody looks at any other."""
        if code >= len(self._groups) or self._groups[code] < 0:
            return
        self._settle()
        group, self._groups[code] = self._groups[code], -1
        if not (self._groups == group).any():
            model = self.lanes.models[group]
            for lane in self.lanes.of(model):
                self._forget(lane)
            self._watched.pop(model, None)

    def _forget(self, lane: int) -> None:
        self._samples.forget(lane)
        self._tables.forget(lane)
        self._budget = np.empty(0)
        self._life.open.pop(lane, None)
        self.written.forgotten(lane)
        self.lanes.forget(lane)

    # ------------------------------------------------------------------ rows
    def advance(
        self,
        due: Sequence[Rows],
        losses: Sequence[Input],
        noticed: Noticed,
        *,
        from_ms: int,
        until_ms: int,
    ) -> Iterator[Alarm]:
        """Take rows of a span of time; yield what is found at the end of each pane."""
        if not self.active:
            return
        self._settle()
        filled = list(panes_of(due, losses, pane_ms=PANE_MS, from_ms=from_ms, until_ms=until_ms))
        if from_ms < 0 and not filled:
            return
        self._pane = filled[0] if from_ms < 0 else from_ms // PANE_MS
        with_rows = set(filled)
        while self._pane * PANE_MS < until_ms:
            starts_ms, ends_ms = self._pane * PANE_MS, (self._pane + 1) * PANE_MS
            if self._pane in with_rows:
                span = max(starts_ms, from_ms), min(ends_ms, until_ms)
                self._feed(due, losses, noticed, span)
            if ends_ms > until_ms:
                break
            yield from self._close()
            self._pane += 1

    def _feed(
        self,
        due: Sequence[Rows],
        losses: Sequence[Input],
        noticed: Noticed,
        span: tuple[int, int],
    ) -> None:
        from_ms, until_ms = span
        starts_ms = self._pane * PANE_MS

        def classifies(code: int) -> bool:
            return noticed.shown[code].at(starts_ms).kind in _CLASSES

        known = Known(self._groups, self._names, classifies)
        feed(self._filling, due, known, from_ms=from_ms, until_ms=until_ms)
        own = [cut for one in losses if (cut := _between(one, from_ms, until_ms)) is not None]
        feed_losses(self._filling, own, self._groups)

    # ------------------------------------------------------------------ panes
    def _close(self) -> Iterator[Alarm]:
        lanes, pane = self.lanes, self._pane
        if not len(lanes.used()):
            return
        still = self._life.still()
        early = still[lanes["days"][still] == 0] if len(still) else still
        growing.close_pane(lanes, pane, traffic=self._traffic(), still=early)
        self._filling.clear()
        self.written.closed(pane)
        hour = (pane + 1) // HOUR_PANES - 1
        ends_hour = (pane + 1) % HOUR_PANES == 0
        if ends_hour:
            growing.close_hour(lanes, hour)
        short = self._judge_short(pane)
        yield from map(self._alarm, self._life.take(short, pane=pane))
        if ends_hour:
            long = self._judge_long(short.lanes, hour)
            yield from map(self._alarm, self._life.take_long(long, short, pane=pane))
        for lane in growing.draw_tables(lanes, self._samples, self._tables, pane=pane):
            if lanes["final"][lane]:
                self._samples.forget(lane)
            self.written.drawn(lane)
        if ends_hour:
            self.written.learnt(growing.learn_due(lanes, hour, still=self._life.still()))

    def _alarm(self, found: Found) -> Alarm:
        name = self.lanes.names[found.lane]
        assert name is not None
        drift = self._drift(*name)
        assert drift is not None
        return Alarm(drift, found)

    def _traffic(self) -> Ints:
        groups = np.arange(len(self.lanes.groups))
        found: Ints = self.lanes.find(BY_NAME["traffic"], "", groups)
        return found

    # ------------------------------------------------------------------ judging
    def _judge_short(self, pane: int) -> Seen:
        panes = np.arange(pane, pane - KEPT_PANES, -1)
        lanes = self._judged_lanes()
        found = [self._short(own, panes) for own in _chunks(lanes)]
        return Seen(lanes, _joined(found, len(SHORT)))

    def _short(self, own: Ints, panes: Ints) -> Judged:
        lanes = self.lanes
        counts = lanes["pane_rows"][panes % KEPT_PANES][:, own].astype(np.float64)
        sums = lanes["pane_sum"][panes % KEPT_PANES][:, own] / growing.units(lanes["kind"][own])
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
            found, before, growing.scatter(lanes, own), kinds=kinds, least=least, limit=limit
        )
        return Judged(*(np.where(days > 0, *pair) for pair in zip(late, soon, strict=True)))

    def _before(self, own: Ints, found: judging.Windows) -> tuple[Floats, Floats]:
        """Return counts and sums of all that came before windows, and the windows."""
        lanes = self.lanes
        rows = np.broadcast_to(lanes["total_rows"][own].astype(np.float64), found.rows.shape)
        unit = growing.units(lanes["kind"][own])
        sums = np.broadcast_to(lanes["total_sum"][own] / unit, found.rows.shape)
        still = np.isin(own, self._life.still())
        return np.where(still, rows + found.rows, rows), np.where(still, sums + found.sums, sums)

    def _judge_long(self, lanes: Ints, hour: int) -> Seen:
        hours = np.arange(hour, hour - LONG[-1], -1)
        found = [self._long(own, hours) for own in _chunks(lanes)]
        return Seen(lanes, _joined(found, len(LONG)))

    def _long(self, own: Ints, hours: Ints) -> Judged:
        lanes = self.lanes
        slots = hours % KEPT_HOURS
        counts = lanes["hour_rows"][slots][:, own].astype(np.float64)
        sums = lanes["hour_sum"][slots][:, own] / growing.units(lanes["kind"][own])
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

    def _judged_lanes(self) -> Ints:
        watched = np.array([bool(one.watched) for one in INPUTS])
        used = self.lanes.used()
        found: Ints = used[watched[self.lanes["place"][used]]]
        return found

    def _settings(self, own: Ints) -> tuple[Ints, Floats, Floats]:
        lanes = self.lanes
        per_year = self._budgets(own)
        return lanes["kind"][own], lanes["least"][own], tails.limits(per_year)

    def _budgets(self, own: Ints) -> Floats:
        """Return how many false alarms a year lanes may raise; 0 where nobody looks."""
        if len(self._budget) != len(self.lanes.names):
            self._share_budgets()
        return self._budget[own]

    def _share_budgets(self) -> None:
        """Share what a monitor may raise of a model among the lanes that it has of it."""
        used = self._judged_lanes()
        drifts = [self._drift(*name) for lane in used.tolist() if (name := self.lanes.names[lane])]
        given = [self._parameters[one.name].false_alarms_per_year if one else 0.0 for one in drifts]
        number = {one.name: place for place, one in enumerate(self._drifts)}
        whose = np.array([number[one.name] if one else -1 for one in drifts], np.int64)
        _, places, counts = np.unique(
            self.lanes["group"][used] * (len(number) + 1) + whose + 1,
            return_inverse=True,
            return_counts=True,
        )
        self._budget = np.zeros(len(self.lanes.names))
        self._budget[used] = np.array(given) / counts[places]


def _other(before: Drift | None, now: Drift | None) -> bool:
    """Tell whether a monitor is another one, whichever models it watches."""
    if before is None or now is None:
        return True
    return before != msgspec.structs.replace(now, model=before.model)


def _between(one: Input, from_ms: int, until_ms: int) -> Input | None:
    chosen = (one.times_ms >= from_ms) & (one.times_ms < until_ms)
    if not chosen.any():
        return None
    if chosen.all():
        return one
    runs = np.repeat(np.arange(len(one.models)), one.counts)[chosen]
    counts = np.bincount(runs, minlength=len(one.models))
    some = counts > 0
    return Input(
        *(one.source, one.models[some], counts[some], one.times_ms[chosen], one.values[chosen]),
        None if one.measures is None else one.measures[some],
    )


def _chunks(lanes: Ints) -> Iterator[Ints]:
    for start in range(0, len(lanes), _LANES_AT_ONCE):
        yield lanes[start : start + _LANES_AT_ONCE]


def _joined(found: Sequence[Judged], windows: int) -> Judged:
    if not found:
        return Judged(np.zeros((windows, 0)), np.zeros((windows, 0), np.int64))
    return Judged(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))
