"""All lanes of a partition, from rows to findings; see `streams.scan`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from streams.monitors import SCAN, Drift, Monitors
from streams.noticed import Noticed
from streams.released import Rows
from streams.scan import growing
from streams.scan.budgets import Budgets
from streams.scan.comparing import Comparing
from streams.scan.feed import feed, panes_of
from streams.scan.filling import Filling
from streams.scan.inputs import BY_NAME, DISTANCE, INPUTS, RANKS_OF, TRAFFIC, TYPE, WRONG, label
from streams.scan.known import Known
from streams.scan.lanes import Ints, Lanes
from streams.scan.life import Found, Life
from streams.scan.losses import feed_losses, feed_parts, part_of
from streams.scan.panes import DAY_HOURS, HOUR_MS, HOUR_PANES, KEPT_HOURS, PANE_MS
from streams.scan.parameters import is_other
from streams.scan.ranks import Tables
from streams.scan.records import Written
from streams.scan.samples import Samples
from streams.scan.sets import Sets
from streams.scan.tally import Tally
from streams.watchers.lanes import Input

_MOST_PANES = 144
_NOT_YET = -2

_LOSSES = np.array([one in (WRONG, DISTANCE.level) for one in INPUTS])
"""Inputs that ADWIN and Page-Hinkley look at, too."""


class Alarm(NamedTuple):
    """A finding, the monitor that it is of, and what has found it."""

    drift: Drift
    found: Found
    detector: str = SCAN


class Scan:
    """The scan over all models of a partition.

    Parameters
    ----------
    monitors
        Of which those with the detector `scan` count.
    names
        Of models and versions, by code; the list grows.
    horizon_ms
        How long after its prediction a label counts.
    """

    def __init__(
        self,
        monitors: Monitors,
        names: Sequence[tuple[str, str]],
        *,
        horizon_ms: int = HOUR_MS,
    ) -> None:
        self._names = names
        self.lanes, self._samples, self._tables, self._sets = Lanes(), Samples(), Tables(), Sets()
        self._life, self._tally = Life(self.lanes, self._tables), Tally()
        self._filling = Filling(
            *(self.lanes, self._samples, self._tables, self._sets),
            begin=self._begin,
            tally=self._count,
        )
        self.written = Written(
            *(self.lanes, self._samples, self._tables, self._sets),
            life=self._life,
            filling=self._filling,
            tally=self._tally,
        )
        self._river = self.written.river
        self._groups = np.empty(0, np.int64)
        self._watched: dict[str, tuple[Drift, ...]] = {}
        self._alike: dict[tuple[str, ...], tuple[Drift, ...]] = {}
        self._budgets = Budgets(
            self.lanes,
            drift_of=lambda name: self._drift(*name),
            watching=lambda model: self._watched.get(model, ()),
        )
        self._comparing = Comparing(self.lanes, self._life, self._budgets)
        self._horizon = -(-horizon_ms // HOUR_MS)
        self._pane = -1
        self.use(monitors)

    # ------------------------------------------------------------------ what is watched
    def use(self, monitors: Monitors) -> None:
        """Watch by other monitors; lanes that nobody looks at any more are forgotten."""
        self._drifts = [one for one in monitors.drifts if one.detector == SCAN]
        self._watched, self._alike = {}, {}
        self._budgets.per_month = monitors.false_alarms_per_month
        self._budgets.begin_anew()

    def _settle(self) -> None:
        """After the state was read back, go on with it."""
        if self.written.settle():
            self._drop_unwatched()

    def _drop_unwatched(self) -> None:
        """Forget lanes that no monitor looks at."""
        for lane in self.lanes.used().tolist():
            name = self.lanes.names[lane]
            assert name is not None
            if not self._wanted(*name):
                self._forget(lane)
        self._tally.forget(lambda model, place: self._drift(model, place, "") is not None)

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
            if lane in self._life.open and (name is None or is_other(drift, self._drift(*name))):
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

    def adopt(self, model: str, key: tuple[str, str], *, at_ms: int) -> set[tuple[str, str]]:
        """Take a level for usual from a boundary of panes on; return keys of what that ends.

        A key is the name of the monitor that says it is another, and of what.
        """
        self._settle()
        ended: set[tuple[str, str]] = set()
        for lane in self.lanes.of(model):
            if lane in self._life.open and self._key(lane) == key:
                own = self._life.adopt(lane, pane=at_ms // PANE_MS - 1)
                ended.update(map(self._key, own.ended))
                begun = self._river.begun(np.array(own.lanes))
                self._river.begin(begun)
                self.written.seen_by_river(begun)
        return ended

    def _key(self, lane: int) -> tuple[str, str]:
        name = self.lanes.names[lane]
        drift = None if name is None else self._drift(*name)
        return ("", "") if name is None or drift is None else (drift.name, label(name[1], name[2]))

    def watch(self, code: int, names: Collection[str]) -> None:
        """Say which monitors watch a model version, by its code."""
        if code >= len(self._groups):
            more = np.full(code + 1 + len(self._groups) // 2 - len(self._groups), -1)
            self._groups = np.concatenate([self._groups, more])
        model = self._names[code][0]
        own = tuple(one for one in self._drifts if one.name in names)
        own = self._alike.setdefault(tuple(one.name for one in own), own)
        self._groups[code] = self.lanes.group(model) if own else -1
        if own and self._watched.get(model) != own:
            self._watched[model] = own
            self._budgets.begin_anew()

    def _drift(self, model: str, place: int, name: str) -> Drift | None:
        one = INPUTS[place]
        source = label(place, name).removesuffix(":spread")
        for drift in self._watched.get(model, ()):
            if drift.input in (one.watched, source):
                return drift
        return None

    def _wanted(self, model: str, place: int, name: str) -> bool:
        """Tell whether a monitor looks at a lane, or at another one that needs it."""
        one = INPUTS[place]
        if one == TRAFFIC or not (one.watched or one.serves):
            return True
        every = self._watched.get(model, ())
        serves = any(drift.input == one.serves for drift in every)
        return serves or self._drift(model, place, name) is not None

    def _begin(self, groups: Ints, place: int, name: str) -> Ints:
        models = [self.lanes.models[group] for group in groups.tolist()]
        alike = {id(self._watched.get(model)): model for model in models}
        known = {key: self._wanted(model, place, name) for key, model in alike.items()}
        wanted = np.array([known[id(self._watched.get(model))] for model in models], bool)
        found = np.full(len(groups), -1)
        if wanted.any():
            found[wanted] = self._add(groups[wanted], place, name, pane=self._pane)
        if INPUTS[place] == TYPE:
            for lane in found[wanted].tolist():
                growing.begin_with_none(self.lanes, lane, pane=self._pane)
                self.written.begun(lane)
        return found

    def _add(self, groups: Ints, place: int, name: str, *, pane: int) -> Ints:
        lanes = self.lanes.add(groups, place, name, pane=pane)
        self.written.named(lanes)
        self._budgets.changed(lanes)
        return lanes

    def _count(self, group: int, place: int, name: str, count: int) -> None:
        """Count rows of a name that may get a lane."""
        model = self.lanes.models[group]
        free = self.lanes.many(group, place) < INPUTS[place].most
        if free and self._drift(model, place, name) is not None:
            self._tally.add(model, place, name, count)

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
            self._tally.forget(lambda one, _: one != model)
            self._watched.pop(model, None)

    def _forget(self, lane: int) -> None:
        self._filling.forget(lane)
        self._river.forget(lane)
        self._samples.forget(lane)
        self._tables.forget(int(self.lanes["table"][lane]))
        self._sets.forget(lane)
        self._budgets.changed(np.array([lane]))
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

        def kind_of(code: int) -> str:
            return noticed.shown[code].at(starts_ms).kind

        known = Known(self._groups, self._names, kind_of, self.covers)
        feed(self._filling, due, known, from_ms=from_ms, until_ms=until_ms)
        feed_parts(self._filling, due, known, noticed, from_ms=from_ms, until_ms=until_ms)
        own = [cut for one in losses if (cut := part_of(one, from_ms, until_ms)) is not None]
        feed_losses(self._filling, own, self._groups)

    # ------------------------------------------------------------------ panes
    def _close(self) -> Iterator[Alarm]:
        lanes, pane = self.lanes, self._pane
        if not len(lanes.used()):
            return
        still = self._life.still()
        early = still[lanes["days"][still] == 0] if len(still) else still
        traffic = self._traffic()
        self.written.counted(self._filling.take_earlier())
        if (pane + 1) % HOUR_PANES == 0 and self._horizon < KEPT_HOURS:
            growing.close_coverage(
                lanes, pane // HOUR_PANES, traffic=traffic, horizon=self._horizon
            )
        growing.close_pane(lanes, pane, traffic=traffic, still=early)
        self._filling.clear()
        self.written.closed(pane)
        hour = (pane + 1) // HOUR_PANES - 1
        ends_hour = (pane + 1) % HOUR_PANES == 0
        if ends_hour:
            growing.close_hour(lanes, hour)
            self.written.measured(hour)
        short = self._comparing.short(pane)
        yield from map(self._alarm, self._life.take(short, pane=pane))
        if ends_hour:
            long = self._comparing.long(short.lanes, hour)
            yield from map(self._alarm, self._life.take_long(long, short, pane=pane))
        yield from self._corroborate(by_hour=False)
        if ends_hour:
            yield from self._corroborate(by_hour=True)
        for lane in growing.draw_tables(lanes, self._samples, self._tables, pane=pane):
            if lanes["final"][lane]:
                self._samples.forget(lane)
            self.written.drawn(lane)
        for lane in growing.close_sets(lanes, pane=pane):
            self.written.drawn(lane)
        if ends_hour:
            learnt = growing.learn_due(lanes, hour, still=self._life.still())
            self.written.named(learnt)
            self._river.begin(learnt[_LOSSES[lanes["place"][learnt]]])
            self._choose(hour + 1)

    def _corroborate(self, *, by_hour: bool) -> Iterator[Alarm]:
        """Let ADWIN and Page-Hinkley look at losses; see `streams.scan.river`."""
        lanes, pane = self.lanes, self._pane
        own = self._river.begun(lanes.used())
        own, deviations = self._comparing.deviations(
            own[lanes["days"][own] > 0], pane, by_hour=by_hour
        )
        self.written.seen_by_river(own)
        for one in self._river.take(own, deviations, by_hour=by_hour):
            if self._life.is_told_of(one.lane, pane, opens=one.opens):
                deviation = float(deviations[np.searchsorted(own, one.lane)])
                found = self._life.shifted(one.lane, deviation, pane=pane)
                yield self._alarm(found)._replace(detector=one.detector)

    def _choose(self, hour: int) -> None:
        """Begin with the largest classes and segments of models that end a day of theirs."""
        for model, place in list(self._tally):
            group = np.array([self.lanes.group(model)])
            traffic = int(self.lanes.find(BY_NAME["traffic"], "", group)[0])
            passed = hour - int(self.lanes["first_hour"][traffic]) if traffic >= 0 else 0
            ranks = self._ranks_of(group, place)
            if passed <= 0 or passed % DAY_HOURS or ranks == _NOT_YET:
                continue
            free = INPUTS[place].most - self.lanes.many(int(group[0]), place)
            for name in self._tally.choose(model, place, free=free):
                lane = int(self._add(group, place, name, pane=hour * HOUR_PANES)[0])
                if ranks >= 0:
                    growing.copy_table(self.lanes, self._tables, lane, ranks)
                    self.written.drawn(lane)

    def _ranks_of(self, group: Ints, place: int) -> int:
        """Return the lane whose ranks names of an input go by; -1 for none."""
        source = RANKS_OF.get(INPUTS[place].name)
        if source is None:
            return -1
        lane = int(self.lanes.find(BY_NAME[source[0]], source[1], group)[0])
        return lane if lane >= 0 and self.lanes["final"][lane] else _NOT_YET

    def _alarm(self, found: Found) -> Alarm:
        name = self.lanes.names[found.lane]
        assert name is not None
        drift = self._drift(*name)
        assert drift is not None
        if found.evidence and found.state != "resolved":
            cost = float(self._budgets.of(np.array([found.lane]))[0])
            found.evidence["false_alarms_per_year"] = round(cost, 3)
        return Alarm(drift, found)

    def _traffic(self) -> Ints:
        groups = np.arange(len(self.lanes.groups))
        found: Ints = self.lanes.find(BY_NAME["traffic"], "", groups)
        return found
