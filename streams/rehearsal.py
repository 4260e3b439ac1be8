"""Hold rules against recorded traffic: name those that nothing in it could ever have made fire.

What can be told without any traffic, `monitors_file` has refused. Here it is asked whether models,
versions, segments, features and classes that rules name have come, whether the metric of a rule was
there at all, and whether ever as much came as a rule waits for. The default monitors are for every
model, so they are not looked at.
"""

import fnmatch
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from streams import families
from streams.amounts import Amounts
from streams.chosen import ALL, Choice
from streams.classes import class_name, same_class
from streams.dryrun import DryRun
from streams.durations import format_duration
from streams.families.family import OUTCOMES, PREDICTIONS, RESOURCES, Part
from streams.join import Join
from streams.metrics import Metric
from streams.monitor import Monitor
from streams.monitors import DEFAULT_DRIFTS, Drift, Monitors, Threshold
from streams.monitors import Monitor as Watched
from streams.nearest import nearest
from streams.outcomes import Outcomes, decode_outcomes
from streams.rules.lengths import lengths_of

MOST_CLASSES = 1_000
"""So many classes of a model are told apart; the numbers of a regression would be more."""

_ROWS = {PREDICTIONS: "predictions", OUTCOMES: "labels"}
_DEFAULTS = frozenset(one.name for one in DEFAULT_DRIFTS)
_decode = msgspec.json.Decoder(Metric).decode


class Observed(msgspec.Struct):
    """What the traffic has shown of some models."""

    versions: set[str] = msgspec.field(default_factory=set)
    segments: set[str] = msgspec.field(default_factory=set)
    features: set[str] = msgspec.field(default_factory=set)
    classes: set[str] = msgspec.field(default_factory=set)
    metrics: set[str] = msgspec.field(default_factory=set)


class Rehearsal(DryRun):
    """A run in memory that notes the classes that every model has had.

    Attributes
    ----------
    classes
        By model; at most `MOST_CLASSES` of each.
    amounts
        How much came, and when.
    """

    def __init__(self, join: Join, monitor: Monitor, *, partitions: int) -> None:
        super().__init__(join, monitor, partitions=partitions)
        self.classes: dict[str, set[str]] = {}
        self.amounts = Amounts(every_ms=monitor.monitors.evaluate_ms)
        self._names: dict[tuple[str, str, str], set[str]] = {}

    def _evaluate(self, partition: int, values: Sequence[bytes], now_ms: int) -> None:
        for value in values:
            rows = decode_outcomes(value)
            if isinstance(rows, Outcomes):
                self._note(rows)
        super()._evaluate(partition, values, now_ms)

    def _note(self, rows: Outcomes) -> None:
        self.amounts.add(rows)
        for number, (model, _) in enumerate(rows.models.names):
            known = self.classes.setdefault(model, set())
            for name in _classes(rows, number):
                if len(known) < MOST_CLASSES:
                    known.add(name)

    def observed(
        self, model: str, version: str = "*", segment: str | None = None
    ) -> Observed | None:
        """Tell what came of the models and versions of a pattern; `None` if nothing did.

        Parameters
        ----------
        segment
            Metrics of which segment; `None` for all.
        """
        fits = fnmatch.fnmatchcase
        of_features = families.CATALOGUE.of_part(Part.FEATURE)
        found = Observed(classes=set().union(*self._classes_of(model)))
        for (name, number, pairs), metrics in self._metrics_of().items():
            if not (fits(name, model) and fits(number, version)):
                continue
            found.versions.add(number)
            found.segments.add(pairs)
            for metric in metrics:
                base, _, part = metric.partition(":")
                if base in of_features:
                    found.features.add(part)
            if segment in (None, pairs):
                found.metrics |= metrics
        return found if found.versions else None

    def _metrics_of(self) -> dict[tuple[str, str, str], set[str]]:
        """Return the names of the metrics of every model, version and segment."""
        if not self._names:
            for metric in map(_decode, self.metrics.values()):
                owner = metric.model, metric.version, metric.segment
                self._names.setdefault(owner, set()).add(metric.metric)
        return self._names

    def _classes_of(self, pattern: str) -> Iterator[set[str]]:
        for model, classes in self.classes.items():
            if fnmatch.fnmatchcase(model, pattern):
                yield classes


def _classes(rows: Outcomes, model: int) -> set[str]:
    said, true = rows.predictions, rows.outcomes
    names = set()
    for models, numbers, codes in (
        (said.model, said.number, said.code),
        (true.model, true.label_number, true.label_code),
    ):
        number, code = numbers[models == model], codes[models == model]
        names |= {rows.strings[one] for one in np.unique(code[code >= 0]).tolist()}
        names |= {class_name(one) for one in np.unique(number[code < 0]).tolist()}
    return names


def rehearsed(monitors: Monitors) -> Monitors:
    """Return monitors that publish all metrics, so that whatever a rule names can be told."""
    return msgspec.structs.replace(monitors, metrics=(Choice(include=(ALL,)),))


def unmet(monitors: Monitors, run: Rehearsal) -> Iterator[str]:
    """Say of every rule, detector and model of a file what of it never came.

    Parameters
    ----------
    run
        After all events.
    """
    every = run.observed("*")
    models = sorted(run.classes)
    for name in dict.fromkeys([*monitors.models, *monitors.owned]):
        task, shown = monitors.task(name), run.classes.get(name, set())
        fits = name in monitors.owned and any(fnmatch.fnmatchcase(one, name) for one in models)
        if name not in run.classes and not fits:
            yield f"model {name!r} never came{nearest(name, models)}"
        elif task.positive is not None and not _is_among(task.positive, shown):
            known = nearest(task.positive, shown)
            yield f"model {name!r}: positive: {task.positive!r} never occurred{known}"
    for rule in monitors.every():
        if rule.name in _DEFAULTS or every is None:
            continue
        kind = "drift" if isinstance(rule, Drift) else "threshold"
        said = _never(rule, run, models)
        if said is not None:
            yield f"{kind} {rule.name!r}: {said}"


def _never(rule: Watched, run: Rehearsal, models: Iterable[str]) -> str | None:
    of_model = run.observed(rule.model)
    if of_model is None:
        return f"model: {rule.model!r} never came{nearest(rule.model, models)}"
    shown = run.observed(rule.model, rule.version)
    if shown is None:
        return f"version: {rule.version!r} never came{nearest(rule.version, of_model.versions)}"
    if isinstance(rule, Drift):
        name = rule.input.removeprefix("feature:")
        if name != rule.input and name not in shown.features:
            return f"input: feature {name!r} never came{nearest(name, shown.features)}"
        return None
    return _never_judged(rule, run, shown) if isinstance(rule, Threshold) else None


def _never_judged(rule: Threshold, run: Rehearsal, shown: Observed) -> str | None:
    if rule.segment not in shown.segments:
        known = nearest(rule.segment, shown.segments - {""})
        return f"segment: {rule.segment!r} never came{known}"
    return _never_measured(rule, run, shown) or _never_enough(rule, run)


def _never_measured(rule: Threshold, run: Rehearsal, shown: Observed) -> str | None:
    base, _, part = rule.metric.partition(":")
    kind = families.CATALOGUE.metrics[base].part
    if kind is Part.FEATURE and part not in shown.features:
        return f"metric: feature {part!r} never came{nearest(part, shown.features)}"
    if kind is Part.CLASS and part and not _is_among(part, shown.classes):
        return f"metric: class {part!r} never occurred{nearest(part, shown.classes)}"
    own = run.observed(rule.model, rule.version, rule.segment)
    metrics = set() if own is None else own.metrics
    if metrics.isdisjoint(families.CATALOGUE.spellings(rule.metric)):
        there = ", ".join(sorted({metric.partition(":")[0] for metric in metrics}))
        return f"metric: {rule.metric!r} was never there; what there was: {there}"
    return None


def _never_enough(rule: Threshold, run: Rehearsal) -> str | None:
    """Say whether a rule waits for more than there ever was, in its window or its reference."""
    about = families.CATALOGUE.metrics[rule.metric.partition(":")[0]]
    if RESOURCES in about.rests_on:
        return None
    whose = rule.model, rule.version, rule.segment
    monitor = run.monitor
    if not about.counts:  # its count rests on nothing, and no minimum is waited for
        reads = PREDICTIONS if PREDICTIONS in about.rests_on else OUTCOMES
        window_ms = max(lengths_of(rule))
        most = run.amounts.most(*whose, reads=reads, length_ms=window_ms)
        if most < rule.minimum:
            length, rows = format_duration(window_ms), _ROWS[reads]
            return (
                f"minimum: {rule.minimum:,} is never reached: {length} had {most:,} {rows} at most"
            )
    reads = OUTCOMES if OUTCOMES in about.rests_on else PREDICTIONS
    total = run.amounts.total(*whose, reads=reads)
    needed = monitor.monitors.reference
    if rule.relative and total < needed:
        rows = _ROWS[reads]
        return f"{rule.kind}: its reference needs {needed:,} {rows}: there were {total:,}"
    return _never_learnt(rule, run) if rule.learns else None


def _never_learnt(rule: Threshold, run: Rehearsal) -> str | None:
    """Say whether there were too few windows for a rule that learns what is usual."""
    every = [one.rule_states.judge.usuals.lacking(rule.name) for one in run.monitor_states]
    windows = [count for count in every if count is not None]
    if len(windows) < len(every):
        return None
    return f"{rule.kind}: it never had learnt what is usual: from {max(windows):,} windows at most"


def _is_among(name: str, classes: Iterable[str]) -> bool:
    return any(same_class(name, one) for one in classes)
