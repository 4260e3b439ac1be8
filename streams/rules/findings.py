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
from streams.rules.limits import Readings, bounds_of, limits, readings_of, turns, violates
from streams.rules.plan import Plan, WindowOf
from streams.rules.traffic import Growth, grow

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
    """

    def __init__(
        self,
        publisher: Publisher,
        judges: Judges,
        *,
        is_firing: Callable[[int, str], bool],
    ) -> None:
        self.publisher, self._judges, self.is_firing = publisher, judges, is_firing

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
        at = Boundaries(models, times_ms, self._judges.at(models, times_ms))
        for window in plan.windows:
            yield from _Look(self, watch, plan, window).findings(at, growth)


class _Look:
    """A look at one window of a segment, by all rules on it."""

    def __init__(self, judge: Judge, watch: "RuleWatch", plan: Plan, window: WindowOf) -> None:
        self._judge, self._watch, self._plan, self._window = judge, watch, plan, window

    def findings(self, at: Boundaries, growth: dict[tuple[str, str], Growth]) -> Iterator[Finding]:
        """Yield what begins to be violated at boundaries, and what is no longer."""
        windows, rules = self._windows(at), self._window.thresholds
        traffic = {rule.name: growth.get((rule.segment, rule.metric)) for rule in rules}
        may = [self._may_judge(rule, windows, at, traffic[rule.name]) for rule in rules]
        where = np.flatnonzero(np.logical_or.reduce(may))
        if not len(where):
            return
        some, compute = at.only(where), self._judge.publisher.compute
        windows = self._windows(some)
        numbers = compute(windows, self._plan.families, self._plan.wanted)
        known: dict[bytes, _References] = {}
        for rule, mask in zip(rules, may, strict=True):
            grown, reference = traffic[rule.name], np.full(len(where), np.nan)
            if rule.relative and grown is not None:
                enough, length_ms = self._plan.reference, self._window.length_ms
                reference = grown.only(where).per_window(length_ms, enough=enough)
            elif rule.relative:
                number = self._of_reference(rule, windows)
                one = known.get(number.tobytes())
                if one is None:
                    one = known[number.tobytes()] = self._references(windows, number)
                reference = self._readings(one.numbers, rule, one.size).value[one.places]
            readings = self._readings(numbers, rule, len(where))
            yield from self._found(some, rule, readings, (reference, mask[where]))

    def _windows(self, at: Boundaries) -> Windows:
        subjects, pane_ms = self._watch.world.subjects, self._plan.pane_ms
        length_ms, baselines = self._window.length_ms, self._watch.baselines
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
        self, rule: Threshold, windows: Windows, at: Boundaries, traffic: Growth | None
    ) -> Mask:
        """Tell where there is what a rule is relative to, and enough that it may rest on.

        A small model has mostly too few rows to be judged: nothing is computed of them then.
        """
        asked, starts_ms = self._plan.asked[rule.name], at.times_ms - self._window.length_ms
        enough: Mask
        if traffic is not None:
            enough = traffic.covers(rule, starts_ms=starts_ms)
        else:
            enough = asked.most(windows) >= rule.minimum
        if (floors := self._watch.floors).highest_ms >= 0:
            enough &= floors.at_least(at.models, rule.segment, asked.sides) <= starts_ms
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

    def _found(
        self, at: Boundaries, rule: Threshold, readings: Readings, known: tuple[Floats, Mask]
    ) -> Iterator[Finding]:
        """Yield where a rule begins to be violated, and where it is no longer."""
        reference, may = known
        asked, bounds = self._plan.asked[rule.name], bounds_of(rule, reference)
        may = (
            may & ~np.isnan(readings.value) & ~(np.isnan(bounds.lowest) | np.isnan(bounds.highest))
        )
        if not asked.is_count:
            may &= readings.rests_on >= rule.minimum
        where = np.flatnonzero(may)
        if not len(where):
            return
        models = at.models[where]
        limit = limits(bounds, readings.value)
        published = Bounds(*(asked.as_published(bound[where]) for bound in bounds))
        violated = violates(rule, readings.only(where), published)
        codes, places = np.unique(models, return_inverse=True)
        firing = [self._judge.is_firing(code, rule.name) for code in codes.tolist()]
        names = self._judge.publisher.sets.names.texts
        for turn in turns(models, violated, np.array(firing, np.bool_)[places]).tolist():
            place = int(where[turn])
            yield Finding(
                int(models[turn]),
                rule,
                int(at.times_ms[place]),
                bool(violated[turn]),
                names[int(readings.metric[place])],
                float(readings.value[place]),
                _known(readings.low[place]),
                _known(readings.high[place]),
                int(readings.rests_on[place]),
                float(limit[place]),
                _known(reference[place]),
            )


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
