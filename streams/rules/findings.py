"""Whether rules are violated at boundaries: for all models of the same rules at once."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.cells.grid import Mask
from streams.cells.judging import Judges
from streams.cells.publication import Numbers, Publisher
from streams.cells.view import Judgements, Windows
from streams.monitors import Threshold
from streams.rule_kinds import Bounds
from streams.rules.cells import expanded
from streams.rules.limits import (
    BACK,
    BEYOND,
    UNDECIDED,
    Edges,
    Readings,
    bounds_of,
    levels,
    limits,
    readings_of,
    that_matter,
)
from streams.rules.lives import Lives, Looks
from streams.rules.metrics import Asked
from streams.rules.plan import COVERAGE, Plan, WindowOf
from streams.rules.said import Held, Said, joined
from streams.rules.traffic import Growth, grow
from streams.rules.usual import Usuals

if TYPE_CHECKING:
    from streams.rules.watch import RuleWatch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST_SPANS = 4_096


class Finding(NamedTuple):
    """A rule that has begun to be violated, or is no longer.

    Attributes
    ----------
    metric
        What it was found in, by its whole name.
    low, high, reference
        `None` where there is none.
    window_ms
        Length of the window that was long enough, of a rule that has several.
    late
        How many of its labels came late, see `streams.rules.late_labels`.
    """

    model: int
    threshold: Threshold
    at_ms: int
    violated: bool
    metric: str
    value: float
    low: float | None
    high: float | None
    counts: int
    limit: float
    reference: float | None
    window_ms: int | None = None
    late: int = 0


class Boundaries(NamedTuple):
    """Boundaries at which rules are judged; models rise, and so do the times of each."""

    models: Ints
    times_ms: Ints
    judged: Judgements

    def only(self, where: Ints) -> "Boundaries":
        """Return some of them."""
        kind, words, positive = self.judged
        judged = Judgements(kind[where], words[where], positive[where])
        return Boundaries(self.models[where], self.times_ms[where], judged)


class Heard(NamedTuple):
    """What a rule looked at: boundaries at which there was enough to judge it."""

    rule: Threshold
    looks: Looks
    readings: Readings
    reference: Floats
    asked: Asked


class _References(NamedTuple):
    """Metrics of references, how many of these there are, and which is that of every window."""

    numbers: Numbers
    size: int
    places: Ints


class Judge:
    """Judges rules of many models at many boundaries.

    Parameters
    ----------
    is_firing
        Tells whether a rule fires for a model now, by its name.

    Attributes
    ----------
    lives
        What rules remember from one look to the next.
    usuals
        What is usual of rules that learn it from earlier windows.
    heard
        Is told of every look at a rule, of a run over a recording that asks for it.
    """

    def __init__(
        self,
        publisher: Publisher,
        judges: Judges,
        *,
        is_firing: Callable[[int, str], bool],
    ) -> None:
        self.publisher, self.judges, self.is_firing = publisher, judges, is_firing
        self.lives, self.usuals = Lives(), Usuals()
        self.heard: Callable[[Heard], None] | None = None

    def at(self, watch: "RuleWatch", plan: Plan, spans: Ints) -> Iterator[Finding]:
        """Judge at all boundaries of spans: rows of model, start (not included), end."""
        for start in range(0, len(spans), _MOST_SPANS):
            yield from self._at(watch, plan, spans[start : start + _MOST_SPANS])

    def _at(self, watch: "RuleWatch", plan: Plan, spans: Ints) -> Iterator[Finding]:
        watch.references.pass_panes(watch.grid(plan.pane_ms), plan, spans)
        owners, numbers = expanded(spans, plan.evaluate_ms)
        models, times_ms = spans[owners, 0], (numbers + 1) * plan.evaluate_ms
        growth = grow(watch, plan, spans) if plan.traffic else {}
        if not len(models):
            return
        at = Boundaries(models, times_ms, self.judges.at(models, times_ms))
        for window in plan.windows:
            yield from _Look(self, watch, plan, window).findings(at, growth)


class _Look:
    """A look at the windows of a segment, by all rules on these."""

    def __init__(self, judge: Judge, watch: "RuleWatch", plan: Plan, window: WindowOf) -> None:
        self._judge, self._watch, self._plan, self._window = judge, watch, plan, window

    def findings(self, at: Boundaries, growth: dict[tuple[str, str], Growth]) -> Iterator[Finding]:
        """Yield what begins to be violated at boundaries, and what is no longer.

        A rule with several windows goes by the shortest that holds enough.
        """
        rules, lengths_ms = self._window.thresholds, self._window.lengths_ms
        said: dict[str, list[Said]] = {rule.name: [] for rule in rules}
        wanted = {rule.name: np.ones(len(at.models), np.bool_) for rule in rules}
        for length_ms in lengths_ms:
            if self._plan.sparing:
                step_ms = self._plan.step_ms(self._window.short_ms or length_ms)
                due = at.times_ms % step_ms == 0
                wanted = {name: mask & due for name, mask in wanted.items()}
            for rule, one in self._judged(at, length_ms, wanted, growth):
                said[rule.name].append(one)
                wanted[rule.name][one.where] = False
        for rule in rules:
            yield from self._found(at, rule, said[rule.name])

    def _judged(
        self,
        at: Boundaries,
        length_ms: int,
        wanted: dict[str, Mask],
        growth: dict[tuple[str, str], Growth],
    ) -> Iterator[tuple[Threshold, Said]]:
        """Yield what rules say of windows of one length, where there is enough."""
        rules = self._window.thresholds
        some = np.flatnonzero(np.logical_or.reduce([wanted[rule.name] for rule in rules]))
        windows = self._windows(at.only(some), length_ms)
        traffic = {rule.name: growth.get((rule.segment, rule.metric)) for rule in rules}
        may = {}
        for rule in rules:
            grown = traffic[rule.name]
            grown = None if grown is None else grown.only(some)
            may[rule.name] = wanted[rule.name][some] & self._may_judge(
                rule, windows, at.only(some), (grown, length_ms)
            )
        own = np.flatnonzero(np.logical_or.reduce(list(may.values())))
        if not len(own):
            return
        where = some[own]
        windows = self._windows(at.only(where), length_ms)
        numbers = self._judge.publisher.compute(windows, self._plan.families, self._plan.wanted)
        known: dict[bytes, _References] = {}
        for rule in rules:
            grown, reference = traffic[rule.name], np.full(len(where), np.nan)
            if rule.relative and grown is not None:
                enough = self._plan.reference
                reference = grown.only(where).per_window(length_ms, enough=enough)
            elif rule.relative:
                number = self._of_reference(rule, windows)
                one = known.get(number.tobytes())
                if one is None:
                    one = known[number.tobytes()] = self._references(windows, number)
                reference = self._readings(one.numbers, rule, one.size).value[one.places]
            readings = self._readings(numbers, rule, len(where))
            judged = may[rule.name][own]
            if rule.minimum_coverage:
                judged &= self._coverage(numbers, len(where)) >= rule.minimum_coverage
            held = self._limits(rule, (at.only(where), length_ms), readings, reference, judged)
            said = self._said(rule, readings, held, judged)
            if self._window.short_ms is not None:
                said = self._also(rule, said, at.only(where[said.where]))
            lengths_ms = np.full(len(said.where), length_ms)
            yield rule, said._replace(where=where[said.where], length_ms=lengths_ms)

    def _windows(self, at: Boundaries, length_ms: int) -> Windows:
        subjects, pane_ms = self._watch.world.subjects, self._plan.pane_ms
        baselines = self._watch.baselines
        subject = subjects.of(at.models, subjects.names.code(self._window.segment))
        starts_ms = at.times_ms - length_ms
        return Windows(
            self._watch.grid(pane_ms),
            subject,
            starts_ms // pane_ms,
            panes=length_ms // pane_ms,
            judged=at.judged,
            compared=None if baselines is None else baselines.of(subject, starts_ms),
        )

    def _may_judge(
        self, rule: Threshold, windows: Windows, at: Boundaries, grown: tuple[Growth | None, int]
    ) -> Mask:
        """Tell where there is what a rule is relative to, and enough that it may rest on.

        A small model has mostly too few rows to be judged: nothing is computed of them then.

        Parameters
        ----------
        grown
            What the traffic was, of rules on that, and the length of the windows.
        """
        traffic, length_ms = grown
        asked, starts_ms = self._plan.asked[rule.name], at.times_ms - length_ms
        enough: Mask
        if traffic is not None:
            enough = traffic.covers(rule, starts_ms=starts_ms)
        else:
            enough = asked.most(windows) >= rule.minimum
        if (floors := self._watch.floors).highest_ms >= 0:
            for segment in (rule.segment, asked.compared or rule.segment):
                enough &= floors.at_least(at.models, segment, asked.sides) <= starts_ms
        if traffic is not None:
            return enough
        if rule.relative:
            known_ms = self._watch.references.complete_ms(
                windows.subject, side=asked.side, numbers=self._of_reference(rule, windows)
            )
            enough &= known_ms <= at.times_ms
        return enough

    def _readings(self, numbers: Numbers, rule: Threshold, size: int) -> Readings:
        names = self._judge.publisher.sets.names
        codes = [names.code(name) for name in self._plan.asked[rule.name].names]
        return readings_of(numbers, codes, size)

    def _of_reference(self, rule: Threshold, windows: Windows) -> Ints:
        """Return the number of the reference that a rule goes by, of every window."""
        family = self._plan.asked[rule.name].family
        return self._watch.references.numbers(family, windows.model)

    def _references(self, windows: Windows, number: Ints) -> "_References":
        """Compute what rules are relative to, of all windows, by the numbers of references."""
        kinds = np.stack([windows.subject, number, *windows.judged], axis=1)
        different, places = np.unique(kinds, axis=0, return_inverse=True)
        subject, first, kind, words, positive = different.T
        judged = Judgements(kind.astype(np.int8), words.astype(np.bool_), positive)
        known = Windows(self._watch.references.grid, subject, first, panes=1, judged=judged)
        plan = self._plan
        numbers = self._judge.publisher.compute(known, plan.families, plan.wanted)
        return _References(numbers, len(subject), places.ravel())

    def _limits(
        self,
        rule: Threshold,
        of: tuple[Boundaries, int],
        readings: Readings,
        reference: Floats,
        may: Mask,
    ) -> Held:
        """Return what windows that end at boundaries, of a length, are held against."""
        if not rule.learns:
            bounds, back = (bounds_of(rule, reference, back=one) for one in (False, True))
            return Held(bounds, back, reference)
        (at, length_ms), asked = of, self._plan.asked[rule.name]
        enough = may if asked.is_count else may & (readings.rests_on >= rule.minimum)
        (bounds, usual), back = self._judge.usuals.learn(
            rule,
            length_ms,
            places=(at.models, at.times_ms),
            readings=readings,
            may=enough,
            counts=asked.is_count,
        )
        return Held(bounds, back, usual)

    def _said(self, rule: Threshold, readings: Readings, held: Held, may: Mask) -> Said:
        """Hold readings against the limits of a rule, where it may judge them."""
        asked = self._plan.asked[rule.name]
        bounds, back, reference = held
        may = (
            may & ~np.isnan(readings.value) & ~(np.isnan(bounds.lowest) | np.isnan(bounds.highest))
        )
        if not asked.is_count:
            may &= readings.rests_on >= rule.minimum
        where = np.flatnonzero(may)
        outer, inner = (
            Bounds(*(asked.as_published(bound[where]) for bound in one)) for one in (bounds, back)
        )
        own = readings.only(where)
        return Said(
            where,
            that_matter(
                rule,
                levels(rule.by, own, Edges(outer, inner, asked.range)),
                own.value,
                reference[where],
            ),
            own,
            limits(bounds, readings.value)[where],
            reference[where],
            np.empty(0, np.int64),
        )

    def _coverage(self, numbers: Numbers, size: int) -> Floats:
        """Return the share of predictions of windows that has a label, 0 where nobody knows."""
        code = self._judge.publisher.sets.names.code(COVERAGE)
        return np.nan_to_num(readings_of(numbers, [code], size).value)

    def _also(self, rule: Threshold, said: Said, at: Boundaries) -> Said:
        """Let a rule be violated only where its short window is beyond the limit, too."""
        if not len(said.where):
            return said
        assert self._window.short_ms is not None
        windows, asked = self._windows(at, self._window.short_ms), self._plan.asked[rule.name]
        numbers = self._judge.publisher.compute(windows, self._plan.families, self._plan.wanted)
        short = self._readings(numbers, rule, len(windows))
        none = np.full(len(windows), np.nan)
        bounds = Bounds(*(asked.as_published(one) for one in bounds_of(rule, none)))
        other = levels("value", short, Edges(bounds, bounds, asked.range))
        other = np.where(np.isnan(short.value), UNDECIDED, other)
        both = np.where(np.minimum(said.levels, other) == BACK, BACK, said.levels & other)
        return said._replace(levels=both.astype(np.int8))

    def _found(self, at: Boundaries, rule: Threshold, said: list[Said]) -> Iterator[Finding]:
        """Yield where a rule begins to be violated, and where it is no longer."""
        every = joined(said)
        if every is None:
            return
        looks = Looks(at.models[every.where], at.times_ms[every.where], every.levels)
        if self._judge.heard is not None:
            asked = self._plan.asked[rule.name]
            self._judge.heard(Heard(rule, looks, every.readings, every.reference, asked))
        turns = self._judge.lives.turns(rule, looks, is_firing=self._judge.is_firing)
        names, readings = self._judge.publisher.sets.names.texts, every.readings
        several = len(self._window.lengths_ms) > 1
        for turn in turns.tolist():
            yield Finding(
                int(looks.models[turn]),
                rule,
                int(looks.times_ms[turn]),
                bool(every.levels[turn] == BEYOND),
                names[int(readings.metric[turn])],
                float(readings.value[turn]),
                _known(readings.low[turn]),
                _known(readings.high[turn]),
                int(readings.rests_on[turn]),
                float(every.limit[turn]),
                _known(every.reference[turn]),
                int(every.length_ms[turn]) if several else None,
            )


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
