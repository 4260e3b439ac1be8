"""What the monitor knows of one partition."""

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from streams.cells.judging import Judges
from streams.cells.store import BUCKET_BITS, World
from streams.cells.windowing import Windowing
from streams.cells.windows import WindowCells
from streams.chosen import Chosen
from streams.clock import joint_clock_ms, joint_passed_ms
from streams.costs import Costs
from streams.model_fates import ModelFates
from streams.model_keys import ModelCodes, Name
from streams.monitor.acting import Acting
from streams.monitor.adoptions import Adoptions
from streams.monitor.alerts import Alerts
from streams.monitor.facts import ModelFacts
from streams.monitor.forgets import Forgets
from streams.monitor.host_readings import HostReadings
from streams.monitor.incidents import Incidents
from streams.monitor.plans import Plans
from streams.monitor.replacement import Replacement
from streams.monitor.restarts import Restarts
from streams.monitor.rule_states import RuleStates
from streams.monitor.silence import Silence
from streams.monitor.specifications import Specifications
from streams.monitor.waiting import OnlyCounted, Waiting
from streams.monitors import Monitors, counted_for
from streams.noticed import Noticed
from streams.outcomes import ClockNotice, Outcomes
from streams.places import FeaturePlaces, SegmentPlaces
from streams.probabilities import Oddity
from streams.quarantine import Quarantined
from streams.rules import Judge
from streams.scan.watch import Scan
from streams.shown import Shown
from streams.task import CAPS, Caps
from streams.watchers.drifts import Drifts
from streams.watchers.numbering import Bucket

NOBODY = "", ""
"""Name of a code that is given to no model."""


class MonitorState:
    """State of one partition; `fold` over its compacted topic rebuilds it.

    Attributes
    ----------
    watermark_ms
        Rows older than this were taken in order; what comes later than that is too late for it.
    names, codes, by_key
        Names of models and versions by code, which is their place in the order of appearance.
    monitors, specifications
        What is watched now, and what has come of that while workers run.
    ordered
        Whether there is any rule or detector.
    looking
        By code, whether any rule or detector looks at a model.
    facts, fates
        What is told of models; how many records of one were repeated, corrected, late, ...
    taken, counted
        Records before these offsets are counted, and are so in the panes that are written down.
    to_reread
        By offset, records that the log says were not done with, and what the watermark was as
        they came; nothing goes on before they were read again.
    reread
        Likewise, with their rows, which were read again.
    backlog
        Offset and rows of the records that are not counted yet.
    waiting, only_counted, hosts
        Rows, and readings of hosts, that are counted and wait to be taken in order, or, as nobody
        does that, to be written down.
    noticed
        What the models have shown of themselves.
    world, judges, windows, rules, drifts, scan, alerts, incidents, acting
        Names of what is counted, kinds of models, windows, what watches, what fires and is asked.
    touched
        Models that have shown something that is not written down.
    released_at_ms, counted_at_ms, held
        When rows were last taken in order and counted, by the wall clock, and whether some wait
        to be more.
    behind
        Whether there were more rows than one step takes.
    swept_ms
        What `settled_ms` was when windows were last looked through.
    quarantined
        Models that are set aside, by their code.
    oddities, costs
        What was said about models since the partition was opened; not written down.
    restarts
        What of the state that was read back begins anew.
    silence
        When the models had rows, so that who was silent for long is forgotten.
    forgets, adoptions
        Orders to forget models, and to adopt levels.
    places
        Which features, and which segments, of models with too many have a place.
    unclaimed
        Records of detectors that the monitors known so far do not have; by key and bucket.
    """

    def __init__(
        self,
        partition: int,
        monitors: Monitors,
        *,
        windowing: Windowing,
        forget_ms: int,
        caps: Caps = CAPS,
        said: set[str] | None = None,
    ) -> None:
        self.partition, self.monitors = partition, monitors
        self._caps = caps
        self.specifications = Specifications(monitors, set() if said is None else said)
        self.ordered = any(True for _ in monitors.every())
        self.next: dict[str, int] = {}
        self.notices: dict[int, ClockNotice] = {}
        self.sources = self.taken = self.counted = 0
        self.watermark_ms = -1
        self.names: list[Name] = []
        self.codes: dict[Name, int] = {}
        self.by_key = ModelCodes()
        self.looking: list[bool] = []
        self.facts = ModelFacts()
        self.fates = ModelFates()
        self.to_reread: dict[int, int] = {}
        self.reread: dict[int, tuple[int, Outcomes]] = {}
        self.backlog: list[tuple[int, Outcomes]] = []
        self.waiting: list[Waiting] = []
        self.hosts = HostReadings()
        self.noticed = Noticed()
        # No window may be left that could still change when its model is forgotten.
        longest_ms = max(one.size_ms for one in windowing.windows)
        forget_ms = max(forget_ms, windowing.keep_ms + 2 * longest_ms)
        self.silence = Silence(self.noticed, after_ms=forget_ms, new_shown=self._new_shown)
        self.forgets, self.adoptions = Forgets(), Adoptions()
        self.places = {one.kind: one for one in (FeaturePlaces(), SegmentPlaces())}
        self._free: list[int] = []
        self.touched: set[int] = set()
        self.released_at_ms = self.counted_at_ms = self.swept_ms = -1
        self.held = self.behind = False
        self.only_counted = OnlyCounted()
        self.quarantined: dict[int, Quarantined] = {}
        self.oddities: dict[tuple[str, str, str], Oddity] = {}
        self.costs = Costs()
        every = counted_for(monitors)
        self.restarts = Restarts(every)
        self.unclaimed: dict[tuple[str, Bucket], Any] = {}
        self.world = World()
        self.judges = Judges(self.world.class_names, self.noticed.shown)
        self.chosen = Chosen(monitors.metrics)
        self.windows = WindowCells(
            windowing,
            every,
            self.world,
            names=self.names,
            judges=self.judges,
            chosen=self.chosen,
        )
        self.windows.baselines.comparing.say(self.specifications.comparisons())
        self.plans = Plans(monitors)
        self.drifts = Drifts(monitors.drifts)
        self.scan = Scan(monitors, self.names, horizon_ms=windowing.horizon_ms)
        self.alerts = Alerts(self.names, resolve_ms=monitors.resolve_ms, owner_of=monitors.owner_of)
        self.alerts.silences = monitors.silences
        self.incidents, self.acting = Incidents(), Acting()
        judge = Judge(self.windows.publisher, self.judges, is_firing=self.alerts.is_firing)
        self.rule_states = RuleStates(
            every,
            monitors,
            plans=self.plans,
            windows=self.windows,
            judge=judge,
            names=self.names,
            alerts=self.alerts,
        )
        self.rules = self.rule_states.limits

    @property
    def quiet(self) -> bool:
        """Whether every partition of the join has nothing to read."""
        told = self.notices.values()
        return len(told) >= self.sources > 0 and all(notice.idle for notice in told)

    @property
    def settled_ms(self) -> int:
        """How far windows are final: the watermark, and so long as nothing has come since."""
        # Where nobody has ever read a prediction, readings of hosts are all that there is.
        if self.watermark_ms < 0:
            return self.hosts.newest_ms if self.quiet and self.clock_ms < 0 else -1
        return self.watermark_ms + joint_passed_ms(self.notices.values(), sources=self.sources)

    @property
    def clock_ms(self) -> int:
        """How far all partitions of the join have come."""
        return joint_clock_ms(self.notices.values(), sources=self.sources)

    def code(self, name: Name) -> int:
        """Return the code of a model version, which gets its monitors if it is new."""
        code = self.codes.get(name)
        if code is None:
            code = self.codes[name] = self._next_code()
            self.names[code] = name
            self.chosen.put(code, name[0])
            self.by_key.add(name, code)
            self.noticed.put(code, self._new_shown(name))
            self.world.add_model(code, bucket=_bucket(name))
            self.silence.add(code, name, bucket=_bucket(name))
            self.judges.update(code)
            self.windows.baselines.add(code)
            self.watch(code)
        return code

    def _next_code(self) -> int:
        if self._free:
            return self._free.pop()
        self.names.append(NOBODY)
        self.looking.append(False)
        return len(self.names) - 1

    def _new_shown(self, name: Name) -> Shown:
        task, every_ms = self.monitors.task(name[0]), self.monitors.evaluate_ms
        shown = Shown(task, every_ms=every_ms, caps=self._caps)
        if self.specifications.holding is not None:
            shown.tell(self.specifications.orders(name[0]))
        return shown

    def watch(self, code: int) -> None:
        """Let the rules and drift monitors of a model begin, or begin anew."""
        has_rules, drifts = self.plans.put(code, self.names[code])
        self.drifts.watch(code, drifts)
        self.scan.watch(code, drifts)
        self.looking[code] = self._watch_others(code) or has_rules or bool(drifts)

    def _watch_others(self, code: int) -> bool:
        name = self.names[code]
        if name == NOBODY or code in self.quarantined:
            return False
        return self.rule_states.watch(code, name, self.monitors, bucket=_bucket(name))

    def use(
        self, monitors: Monitors, *, keys: Mapping[str, str], retold: bool = True
    ) -> Replacement:
        """Watch something else from now on; what models are told to be changes, too.

        Parameters
        ----------
        keys
            Under which the state of a detector is written down if it is a new one.
        retold
            Whether models are told to be something else.
        """
        before, self.monitors = self.monitors, monitors
        compared = self.windows.baselines.comparing.say(self.specifications.comparisons())
        self.ordered = any(True for _ in monitors.every())
        self.alerts.owner_of, self.alerts.silences = monitors.owner_of, monitors.silences
        models = range(len(self.names))
        lanes = self.drifts.replace(monitors.drifts, models, keys=keys)
        scanned = self.scan.watching()
        self.scan.use(monitors)
        plans, judged = [], []
        nothing = {*self.quarantined, *self._free}
        every = self.plans.replace(monitors, self.names, without=nothing)
        for code, (old, new, drifts) in enumerate(every):
            plans.append((old, new))
            lanes += self.drifts.watch_only(code, drifts)
            self.scan.watch(code, drifts)
            self.looking[code] = self._watch_others(code) or any(new) or bool(drifts)
            if not retold:
                continue
            orders = self.specifications.orders(self.names[code][0])
            if self.noticed.shown[code].tell(orders):
                judged.append(code)
            for life in self.silence.later.get(code, ()):
                life.shown.tell(orders)
            self.noticed.settle(code)
            self.judges.update(code)
        self.scan.rejoin(scanned)
        return Replacement(before, plans, judged, lanes, compared)

    def restore_specifications(self, packed: Sequence[Any]) -> None:
        """Put back what `Specifications.pack` returned, in any order with all else."""
        self.specifications.restore(packed)
        if self.specifications.holding is None:
            return
        unclaimed = self.unclaimed
        self.use(self.specifications.monitors, keys=self.specifications.keys)
        self.alerts.resolve_after(self.monitors.resolve_ms, at_ms=-1)
        self.rules.expect(self.monitors.reference)
        self.unclaimed = {}
        for (key, bucket), content in unclaimed.items():
            self.restore_lanes(key, bucket, content)

    def restore_lanes(self, key: str, bucket: Bucket, content: Any) -> None:
        """Put back what is known of a detector; or keep it for the specification that has it."""
        goes_on = self.drifts.restore(key, bucket, content)
        if goes_on is None:
            self.unclaimed[key, bucket] = content
        elif not goes_on:
            self.restarts.detector(key.partition("\n")[0])

    def set_aside(self, code: int, why: Quarantined) -> None:
        """Forget all that is counted of a model, and count it no more."""
        self.quarantined[code] = why
        self.windows.drop_models([code])
        self.windows.baselines.drop([code])
        self.rules.drop_models([code])
        self.plans.end(code)
        self.scan.leave(code)
        self.rule_states.forget(code)
        self.looking[code] = False
        self.touched.discard(code)
        self.noticed.untold.discard(code)

    def forget(self, codes: Collection[int]) -> None:
        """Forget models for good; who comes back is new."""
        self.windows.drop_models(codes)
        self.windows.baselines.drop(codes)
        self.rules.drop_models(codes)
        self.windows.publisher.forget(self.world.subjects.drop(codes))
        for code in codes:
            self.scan.leave(code)
            name = self.names[code]
            self.by_key.remove(name)
            del self.codes[name]
            self.names[code] = NOBODY
            self.noticed.put(code, self._new_shown(NOBODY))
            self.world.classes.drop(code)
            self.begin_places(code)
            self.silence.remove(code)
            self.facts.drop(code)
            self.fates.drop(code)
            self.costs.drop(code)
            self.drifts.forget(code)
            self.alerts.forget(code)
            self.rule_states.forget(code)
            self.quarantined.pop(code, None)
            self.plans.end(code)
            self.rules.begin_anew(code)
            self.unclaimed = {
                key: kept for key, kept in self.unclaimed.items() if key[1][0] != code
            }
            self.looking[code] = False
            self.touched.discard(code)
            self.noticed.untold.discard(code)
            for about in [about for about in self.oddities if about[:2] == name]:
                del self.oddities[about]
            self._free.append(code)

    def begin_places(self, code: int) -> None:
        """Let everything of a model have a place: it is another, or in another life."""
        for kind, places in self.places.items():
            places.begin_anew(code)
            self.world.only[kind].pop(code, None)

    def judge_places(self, code: int) -> None:
        """Find out, after what is news, whether a model has too many features or segments."""
        shown = self.noticed.shown[code]
        for kind, places in self.places.items():
            places.judge(code, shown, pane_ms=self.windows.windowing.pane_ms)
            if code not in places.in_effect:
                self.world.only[kind].pop(code, None)

    def fill(self, kind: int, code: int) -> None:
        """Let only those features or segments of a model count from now on that have a place."""
        places = self.places[kind]
        places.in_effect.add(code)
        self.world.leave_out(kind, code, sorted(places.full[code].names))

    def resume_places(self) -> None:
        """After the state was read back, tell of which models anything is left out."""
        for code in sorted(self.codes.values()):
            self.judge_places(code)
        for kind, places in self.places.items():
            for code, full in places.full.items():
                if full.from_ms <= self.watermark_ms:
                    self.fill(kind, code)

    def update(self, code: int) -> None:
        """Judge a model anew, since what it has shown is another; publish its windows again."""
        self.begin_places(code)
        self.judge_places(code)
        self.noticed.shown[code].judge()
        self.noticed.settle(code)
        self.noticed.untold.add(code)
        self.judges.update(code)
        self.windows.revise(code, clock_ms=self.watermark_ms)


def _bucket(name: Name) -> int:
    """Return in which records of the state a model is: the same for ever."""
    return zlib.crc32(_encode(name)) & ((1 << BUCKET_BITS) - 1)


_encode = msgspec.msgpack.Encoder().encode
