"""What to watch: the specification and its defaults; `monitors_file` reads it from a file.

A model that nobody described gets the defaults.
"""

import fnmatch
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from streams.chosen import Choice, counted
from streams.comparisons import Comparison
from streams.consequences import Then
from streams.families.family import Family
from streams.ownership import Ownership
from streams.rule_kinds import BY_NAME, Absence, Composite, Severity, Slo
from streams.silences import Silences
from streams.task import Task

Positive = Annotated[int, Meta(ge=1, le=10**12)]


FORGET_MS = 35 * 24 * 3_600_000
BASELINE_MS = 3 * 24 * 3_600_000, 14 * 24 * 3_600_000
SHORTEST_BASELINE_MS, LONGEST_BASELINE_MS, MOST_BASELINES = 60_000, 366 * 24 * 3_600_000, 4
"""Models that are silent for five weeks are forgotten, unless the settings say otherwise."""

MOST_WINDOWS_OF_EVENT = 4_096
"""Of a hopping window, such as four weeks by ten minutes. With a hop of a second, the first event
of a window of a month would keep a worker busy for minutes."""


class Window(msgspec.Struct, frozen=True):
    """A tumbling window, or a hopping one where `hop_ms` is smaller than `size_ms`."""

    size_ms: int
    hop_ms: int


class Coarse(msgspec.Struct, frozen=True, kw_only=True):
    """How long finished panes are kept as hours, and after that as days.

    Attributes
    ----------
    hours_of_week
        Whether days are added up by hour of the week, too, over five weeks each.
    """

    hours_ms: int = 3 * 24 * 3_600_000
    days_ms: int = 35 * 24 * 3_600_000
    hours_of_week: bool = False


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule on a metric of the last `window`.

    In a file, exactly one of `below`, `above` (absolute) and `falls_by`, `rises_by` (a share of the
    reference, such as 0.05 for 5 %) says when it is violated: `kind` and `given` here, see
    `streams.rule_kinds`. With ``by: interval`` the whole confidence interval must be beyond the
    limit, so that few labels cannot raise an alarm, and it is over once the whole interval is back.

    On `predictions` and `labels`, the reference is a window of its traffic, and `minimum`, which is
    about the observations that a ratio or a mean rests on, does not apply.

    Attributes
    ----------
    window
        `None`: the shortest of `streams.rules.lengths.LADDER_MS` that holds `minimum`.
    clear
        Another limit, of the same kind, within which it is over; `None`: the limit itself.
    hold_ms
        It fires once it was violated for so long; `for` in a file.
    cooldown_ms
        It does not fire again for so long after it was over.
    notify
        Whether its alerts are published; else only composites see that it fires.
    minimum_coverage
        It is not judged where fewer of the predictions of its window have a label.
    minimum_effect
        It does not fire where the metric differs by less than this from its reference, in its own
        unit; `None` where any difference will do.
    short
        Another window that must be beyond the limit, too.
    slo
        The objective that it is of.
    then
        What is to be done once it fires, see `streams.consequences`.
    """

    name: str
    metric: str
    model: str = "*"
    version: str = "*"
    segment: str = ""
    kind: str
    given: float
    window: str | None = None
    minimum: Positive = 100
    by: Literal["value", "interval"] = "interval"
    severity: Severity = "critical"
    clear: float | None = None
    hold_ms: int = 0
    cooldown_ms: int = 0
    notify: bool = True
    minimum_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.0
    minimum_effect: Annotated[float, Meta(gt=0)] | None = None
    short: str | None = None
    slo: Slo | None = None
    then: Then = ()

    @property
    def falling(self) -> bool:
        """Whether low values violate the rule."""
        return BY_NAME[self.kind].is_falling(self.given)

    @property
    def relative(self) -> bool:
        """Whether the limit is relative to the reference."""
        return BY_NAME[self.kind].relative

    @property
    def learns(self) -> bool:
        """Whether the limit follows from earlier windows."""
        return BY_NAME[self.kind].learns


SCAN = "scan"
"""The detector that looks at sums of ten minutes: it has inputs of its own, see `streams.scan`."""


class Drift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector on an input: `loss`, `score`, `features` (each of them) or `feature:<name>`."""

    name: str
    input: str
    detector: str = "adwin"
    parameters: dict[str, float] = {}
    model: str = "*"
    version: str = "*"
    severity: Severity = "warning"
    notify: bool = True
    then: Then = ()

    def covers(self, name: str) -> bool:
        """Whether this monitor watches the input of that name."""
        return self.input == name or (self.input == "features" and name.startswith("feature:"))


Monitor = Threshold | Drift | Absence | Composite
"""What may fire, by its name."""


class Monitors(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is watched.

    Attributes
    ----------
    windows
        Windows whose metrics are published; empty for the worker's `--window`.
    coarse
        How long finished panes are kept as coarser ones; `None` for not at all.
    baseline
        How much of a model's beginning later windows are compared with, in ms, rising; the longest
        that was complete as a window began counts.
    baseline_rows
        So many rows are a baseline before the first of these is complete; 0 for no such number.
    compared
        Models whose windows are compared with something else, by names and patterns, in the order
        in which they are asked.
    evaluate_ms
        How often thresholds are evaluated, in event time.
    reference
        Labels (for input metrics: predictions) that make the reference of relative thresholds.
    resolve_ms
        A drift alert resolves when nothing was detected for so long.
    false_alarms_per_month
        So many warnings a month the scan may raise of a model where nothing changes.
    features
        Whether features are looked at.
    metrics
        Which metrics are published beside the usual ones, and which are not; the last that is said
        of a model counts.
    models
        What models are told to be, by their names.
    owned
        Whom models belong to, by names and patterns, in the order of the file.
    values
        How values of features are told, by their names and patterns: `hash`, as usual, or `never`.
    absences, composites
        Rules that go by what does not come, and by what fires.
    silences
        When nobody is to be told of what fires.
    """

    windows: tuple[Window, ...] = ()
    coarse: Coarse | None = None
    baseline: tuple[int, ...] = BASELINE_MS
    baseline_rows: int = 0
    compared: dict[str, Comparison] = {}
    evaluate_ms: int = 60_000
    reference: int = 1_000
    resolve_ms: int = 3_600_000
    false_alarms_per_month: float = 1.0
    features: bool = True
    metrics: tuple[Choice, ...] = ()
    models: dict[str, Task] = {}
    owned: dict[str, Ownership] = {}
    values: dict[str, str] = {}
    thresholds: tuple[Threshold, ...] = ()
    drifts: tuple[Drift, ...] = ()
    absences: tuple[Absence, ...] = ()
    composites: tuple[Composite, ...] = ()
    silences: Silences = Silences()

    def task(self, model: str) -> Task:
        """Return what is known about a model."""
        return self.models.get(model, Task())

    def owner_of(self, model: str) -> Ownership | None:
        """Return whom a model belongs to, by its name, or by the first pattern that fits."""
        return _fitting(self.owned, model)

    def hides(self, feature: str) -> bool:
        """Tell whether nothing of the values of a feature is told, by its name or a pattern."""
        return _fitting(self.values, feature) == "never"

    def for_model(self, model: str, version: str) -> tuple[list[Threshold], list[Drift]]:
        """Return the rules and detectors of one model version."""
        thresholds = [one for one in self.thresholds if _fits(one, model, version)]
        return thresholds, [one for one in self.drifts if _fits(one, model, version)]

    def absences_of(self, model: str, version: str) -> list[Absence]:
        """Return the rules on what does not come that are for one model version."""
        return [one for one in self.absences if _fits(one, model, version)]

    def composites_of(self, model: str, version: str) -> list[Composite]:
        """Return the rules on what fires that are for one model version."""
        return [one for one in self.composites if _fits(one, model, version)]

    def every(self) -> Iterator[Monitor]:
        """Yield everything that may fire."""
        yield from self.thresholds
        yield from self.drifts
        yield from self.absences
        yield from self.composites

    def named(self, name: str, model: str, version: str) -> Monitor | None:
        """Return what a monitor of that name is for one model version."""
        fits = (one for one in self.every() if one.name == name and _fits(one, model, version))
        return next(fits, None)


_Said = TypeVar("_Said")


def _fitting(known: Mapping[str, _Said], name: str) -> _Said | None:
    if name in known:
        return known[name]
    return next((one for pattern, one in known.items() if fnmatch.fnmatchcase(name, pattern)), None)


def _fits(monitor: Monitor, model: str, version: str) -> bool:
    fits = fnmatch.fnmatchcase
    return fits(model, monitor.model) and fits(version, monitor.version)


def counted_for(monitors: Monitors) -> tuple[Family, ...]:
    """Return the families that must be counted for what is published, and for rules."""
    return counted(monitors.metrics, [one.metric for one in monitors.thresholds])


DEFAULT_DRIFTS = (
    Drift(name="loss-scan", input="loss", detector=SCAN),
    Drift(name="class-loss-scan", input="loss_by_class", detector=SCAN),
    Drift(name="segment-loss-scan", input="loss_by_segment", detector=SCAN),
    Drift(name="log-loss-scan", input="log_loss", detector=SCAN),
    Drift(name="feature-scan", input="features", detector=SCAN, severity="info"),
    Drift(name="missing-scan", input="missing", detector=SCAN, severity="info"),
    Drift(name="type-scan", input="type", detector=SCAN, severity="info"),
    Drift(name="unseen-scan", input="unseen", detector=SCAN, severity="info"),
    Drift(name="score-scan", input="score", detector=SCAN, severity="info"),
    Drift(name="prediction-scan", input="predictions", detector=SCAN, severity="info"),
    Drift(name="traffic-scan", input="traffic", detector=SCAN),
    Drift(name="label-scan", input="labels", detector=SCAN),
    Drift(name="coverage-scan", input="coverage", detector=SCAN),
    Drift(name="latency-scan", input="latency", detector=SCAN, severity="info"),
    Drift(name="label-delay-scan", input="label_delay", detector=SCAN, severity="info"),
)
"""The scan, on every input."""

VALUES = ("hash", "never")
"""How values of features may be told."""

DEFAULTS = Monitors(drifts=DEFAULT_DRIFTS)


def pane_ms(windows: tuple[Window, ...]) -> int:
    """Return the length of the panes from which all these windows can be merged."""
    return math.gcd(*(length for window in windows for length in (window.size_ms, window.hop_ms)))
