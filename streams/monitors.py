"""What to watch: the specification, its defaults, and `monitors.yaml`.

A model that nobody described gets the defaults. Unknown keys are errors: a misspelt rule that
silently does nothing is worse than no rule.
"""

import fnmatch
import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from streams.drift import make_detector
from streams.durations import parse_duration_ms
from streams.errors import ConfigError
from streams.quality import METRICS
from streams.task import Task

Severity = Literal["info", "warning", "critical"]
Positive = Annotated[int, Meta(ge=1)]


class Window(msgspec.Struct, frozen=True):
    """A tumbling window, or a hopping one where `hop_ms` is smaller than `size_ms`."""

    size_ms: int
    hop_ms: int


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule on a metric of the last `window`.

    Exactly one of `below`, `above` (absolute) and `falls_by`, `rises_by` (a share of the
    reference, such as 0.05 for 5 %) says when it is violated. With ``by: interval`` the whole
    confidence interval must be beyond the limit, so that few labels cannot raise an alarm.
    """

    name: str
    metric: str
    model: str = "*"
    version: str = "*"
    segment: str = ""
    below: float | None = None
    above: float | None = None
    falls_by: Annotated[float, Meta(gt=0, le=1)] | None = None
    rises_by: Annotated[float, Meta(gt=0)] | None = None
    window: str | None = None
    minimum: Positive = 100
    by: Literal["value", "interval"] = "value"
    severity: Severity = "critical"

    @property
    def falling(self) -> bool:
        """Whether low values violate the rule."""
        return self.below is not None or self.falls_by is not None

    @property
    def relative(self) -> bool:
        """Whether the limit is relative to the reference."""
        return self.falls_by is not None or self.rises_by is not None

    def limit(self, reference: float | None) -> float | None:
        """Return the value that must not be passed, `None` while there is no reference."""
        if not self.relative:
            return self.below if self.below is not None else self.above
        if reference is None:
            return None
        share = -self.falls_by if self.falls_by is not None else self.rises_by
        assert share is not None
        return reference + share * abs(reference)


class Drift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector on an input: `loss`, `score`, `features` (each of them) or `feature:<name>`."""

    name: str
    input: str
    detector: str = "adwin"
    parameters: dict[str, float] = {}
    model: str = "*"
    version: str = "*"
    severity: Severity = "warning"

    def covers(self, name: str) -> bool:
        """Whether this monitor watches the input of that name."""
        return self.input == name or (self.input == "features" and name.startswith("feature:"))


class Monitors(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is watched.

    Attributes
    ----------
    windows
        Windows whose metrics are published; empty for the worker's `--window`.
    evaluate_ms
        How often thresholds are evaluated, in event time.
    reference
        Labels (for input metrics: predictions) that make the reference of relative thresholds.
    resolve_ms
        A drift alert resolves when nothing was detected for so long.
    features
        Whether features are looked at.
    """

    windows: tuple[Window, ...] = ()
    evaluate_ms: int = 60_000
    reference: int = 1_000
    resolve_ms: int = 3_600_000
    features: bool = True
    models: dict[str, Task] = {}
    thresholds: tuple[Threshold, ...] = ()
    drifts: tuple[Drift, ...] = ()

    def task(self, model: str) -> Task:
        """Return what is known about a model."""
        return self.models.get(model, Task())

    def for_model(self, model: str, version: str) -> tuple[list[Threshold], list[Drift]]:
        """Return the rules and detectors of one model version."""

        def applies(monitor: Threshold | Drift) -> bool:
            fits = fnmatch.fnmatchcase
            return fits(model, monitor.model) and fits(version, monitor.version)

        return [t for t in self.thresholds if applies(t)], [d for d in self.drifts if applies(d)]


DEFAULT_THRESHOLDS = (
    Threshold(name="accuracy-drop", metric="accuracy", falls_by=0.10, by="interval"),
    Threshold(name="mae-rise", metric="mae", rises_by=0.25, by="interval"),
)
DEFAULT_DRIFTS = (
    Drift(name="loss-drift", input="loss", detector="adwin"),
    Drift(name="loss-drift-page-hinkley", input="loss", detector="page_hinkley"),
    Drift(name="score-drift", input="score", severity="info"),
    Drift(name="feature-drift", input="features", severity="info"),
)
DEFAULTS = Monitors(thresholds=DEFAULT_THRESHOLDS, drifts=DEFAULT_DRIFTS)


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    task: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    positive: str | int | bool | None = None


class _Window(msgspec.Struct, forbid_unknown_fields=True):
    size: str
    hop: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The layout of `monitors.yaml`; `settings` belongs to the worker and is not read here."""

    settings: dict[str, Any] = {}
    defaults: bool = True
    windows: list[str | _Window] = []
    evaluate_every: str = "1m"
    reference: Positive = 1_000
    resolve_after: str = "1h"
    features: bool = True
    models: dict[str, _Model] = {}
    thresholds: list[Threshold] = []
    drift: list[Drift] = []


def parse_monitors(data: object) -> Monitors:
    """Check the content of `monitors.yaml` and complete it with the defaults.

    Parameters
    ----------
    data
        What a YAML parser returned; `None` (an empty file) is fine.

    Raises
    ------
    ConfigError
        Naming the key, the value and what is allowed.

    Examples
    --------
    >>> rule = {"name": "floor", "metric": "accuracy", "below": 0.9}
    >>> [t.name for t in parse_monitors({"thresholds": [rule]}).thresholds]
    ['floor', 'accuracy-drop', 'mae-rise']
    """
    try:
        file = msgspec.convert({} if data is None else data, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(f"monitors.yaml: {error}") from None
    thresholds = tuple(file.thresholds) + (DEFAULT_THRESHOLDS if file.defaults else ())
    drifts = tuple(file.drift) + (DEFAULT_DRIFTS if file.defaults else ())
    _check_names([*thresholds, *drifts])
    for threshold in thresholds:
        _check_threshold(threshold)
    for drift in drifts:
        _check_drift(drift)
    return Monitors(
        windows=tuple(_window(window) for window in file.windows),
        evaluate_ms=parse_duration_ms(file.evaluate_every, setting="evaluate_every"),
        reference=file.reference,
        resolve_ms=parse_duration_ms(file.resolve_after, setting="resolve_after"),
        features=file.features,
        models={name: _task(model) for name, model in file.models.items()},
        thresholds=thresholds,
        drifts=drifts,
    )


def pane_ms(windows: tuple[Window, ...]) -> int:
    """Return the length of the panes from which all these windows can be merged."""
    return math.gcd(*(length for window in windows for length in (window.size_ms, window.hop_ms)))


def _task(model: _Model) -> Task:
    positive = model.positive
    if isinstance(positive, bool | int):
        positive = str(int(positive))
    return Task(model.task, positive)


def _window(window: str | _Window) -> Window:
    if isinstance(window, str):
        window = _Window(window)
    size_ms = parse_duration_ms(window.size, setting="windows: size")
    hop_ms = size_ms if window.hop is None else parse_duration_ms(window.hop, setting="hop")
    if hop_ms > size_ms:
        raise ConfigError(f"windows: hop {window.hop} is longer than size {window.size}")
    if size_ms % hop_ms:
        raise ConfigError(f"windows: size {window.size} is no multiple of hop {window.hop}")
    return Window(size_ms, hop_ms)


def _check_names(monitors: list[Threshold | Drift]) -> None:
    seen = set()
    for monitor in monitors:
        if monitor.name in seen:
            raise ConfigError(f"monitors.yaml: the name {monitor.name!r} is used twice")
        seen.add(monitor.name)


def _check_threshold(threshold: Threshold) -> None:
    base = threshold.metric.partition(":")[0]
    if base not in METRICS:
        raise ConfigError(
            f"threshold {threshold.name!r}: metric {threshold.metric!r} is unknown; "
            f"choose one of {', '.join(METRICS)}"
        )
    if threshold.segment and "=" not in threshold.segment:
        raise ConfigError(
            f"threshold {threshold.name!r}: segment {threshold.segment!r} is no name=value"
        )
    limits = [threshold.below, threshold.above, threshold.falls_by, threshold.rises_by]
    if sum(limit is not None for limit in limits) != 1:
        raise ConfigError(
            f"threshold {threshold.name!r}: give exactly one of below, above, falls_by, rises_by"
        )
    if threshold.window is not None:
        parse_duration_ms(threshold.window, setting=f"threshold {threshold.name!r}: window")


def _check_drift(drift: Drift) -> None:
    if drift.input not in ("loss", "score", "features") and not drift.input.startswith("feature:"):
        raise ConfigError(
            f"drift {drift.name!r}: input {drift.input!r} is unknown; "
            "choose loss, score, features or feature:<name>"
        )
    make_detector(drift.detector, drift.parameters, raw=drift.input == "loss")
