"""The layout of `monitors.yaml`, and what is refused in it.

Unknown keys are errors, and so is what could never do what it says: a misspelt rule that silently
does nothing is worse than no rule. Each error names the file, the entry, the value and the nearest
valid words. What depends on the traffic is judged in `streams.rehearsal`.
"""

from typing import Any, Literal

import msgspec

from streams.cells.windowing import check_coarse
from streams.chosen import Choice, check_choice
from streams.classes import class_name
from streams.comparisons import EVERY_MODEL, Comparison, check_kind, read_comparison, says_spans
from streams.consequences import check_promotion, check_then
from streams.durations import parse_duration_ms
from streams.errors import ConfigError
from streams.file_values import converted, entry
from streams.monitors import (
    BASELINE_MS,
    DEFAULT_DRIFTS,
    LONGEST_BASELINE_MS,
    MOST_BASELINES,
    MOST_WINDOWS_OF_EVENT,
    SHORTEST_BASELINE_MS,
    VALUES,
    Coarse,
    Drift,
    Monitor,
    Monitors,
    Positive,
    Threshold,
    Window,
)
from streams.ownership import Ownership, check_ownership
from streams.rule_kinds import Absence, Composite
from streams.rules_file import read_rules
from streams.scan.parameters import check_budget
from streams.silences import read_silences
from streams.task import Task
from streams.watchers.checking import check_drift

_LONGEST_NAME = 200


class LayoutOfModel(msgspec.Struct, forbid_unknown_fields=True):
    """What may be said of a model."""

    task: Literal["auto", "binary", "multiclass", "regression", "text"] = "auto"
    positive: str | int | float | bool | None = None
    owner: str | None = None
    runbook: str | None = None
    tags: dict[str, Any] = {}
    baseline: dict[str, Any] | None = None


class LayoutOfWindow(msgspec.Struct, forbid_unknown_fields=True):
    """A window that slides."""

    size: str
    hop: str | None = None


class _Coarse(msgspec.Struct, forbid_unknown_fields=True):
    hours: str = "3d"
    days: str = "35d"
    hours_of_week: bool = False


class _Beginning(msgspec.Struct, forbid_unknown_fields=True):
    spans: str | list[str] | bool = True
    rows: Positive = 0


class Layout(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file; `settings` belongs to the worker and is not read here."""

    settings: dict[str, Any] = {}
    defaults: bool = True
    windows: list[Any] = []
    coarse: bool | dict[str, Any] = False
    baseline: bool | str | list[str] | dict[str, Any] = True
    evaluate_every: str = "1m"
    reference: Positive = 1_000
    resolve_after: str = "1h"
    false_alarms_per_month: float = 1.0
    features: bool = True
    metrics: dict[str, Any] | list[Any] = []
    models: dict[str, Any] = {}
    values: dict[str, str] = {}
    thresholds: list[Any] = []
    drift: list[Any] = []
    silences: list[Any] = []


def parse_monitors(data: object, *, file: str = "monitors.yaml") -> Monitors:
    """Check the content of `monitors.yaml` and complete it with the defaults.

    Parameters
    ----------
    data
        What a YAML parser returned; `None` (an empty file) is fine.
    file
        Its name, for errors.

    Raises
    ------
    ConfigError
        Naming the file, the entry, the value and what is allowed.

    Examples
    --------
    >>> rule = {"name": "floor", "metric": "accuracy", "below": 0.9}
    >>> [one.name for one in parse_monitors({"thresholds": [rule]}).every()][:3]
    ['floor', 'loss-scan', 'class-loss-scan']
    >>> parse_monitors({"thresholds": [rule | {"below": 90}]})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streams.errors.ConfigError: monitors.yaml: threshold 'floor': below: 90 ... did you mean 0.9?
    """
    try:
        return _parse(data)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _parse(data: object) -> Monitors:
    file = converted({} if data is None else data, Layout)
    given_models = {name: _model(name, model) for name, model in file.models.items()}
    owned = {name: found for name, one in given_models.items() if (found := _owned(name, one))}
    models = {
        name: _task(name, one)
        for name, one in given_models.items()
        if _tells(one) or (name not in owned and one.baseline is None)
    }
    rules = read_rules(file.thresholds, models)
    drifts = [entry("drift", place, one, Drift) for place, one in _of(file.drift)]
    for drift in drifts:
        check_drift(drift)
    every: list[Monitor] = [
        *rules,
        *drifts,
        *(_left(DEFAULT_DRIFTS, drifts) if file.defaults else ()),
    ]
    _check_names(every)
    _check_members(every)
    silences = read_silences(file.silences)
    silences.check([one.name for one in every])
    _check_consequences(every)
    windows = tuple(_window(window) for window in file.windows)
    coarse = _coarse(file.coarse)
    if coarse is not None:
        check_coarse(windows, coarse)
    return Monitors(
        windows=windows,
        coarse=coarse,
        baseline=_baseline(file.baseline),
        baseline_rows=_rows(file.baseline),
        compared=_compared(file, given_models),
        evaluate_ms=parse_duration_ms(file.evaluate_every, setting="evaluate_every"),
        reference=file.reference,
        resolve_ms=parse_duration_ms(file.resolve_after, setting="resolve_after"),
        false_alarms_per_month=check_budget(file.false_alarms_per_month),
        features=file.features,
        metrics=_choices(file.metrics),
        models=models,
        owned=owned,
        values=_values(file.values),
        thresholds=tuple(one for one in every if isinstance(one, Threshold)),
        drifts=tuple(one for one in every if isinstance(one, Drift)),
        absences=tuple(one for one in every if isinstance(one, Absence)),
        composites=tuple(one for one in every if isinstance(one, Composite)),
        silences=silences,
    )


def _left(defaults: tuple[Drift, ...], own: list[Drift]) -> list[Drift]:
    """Return the default monitors that no detector of the file, of the same name, replaces."""
    replaced = {one.name: one for one in own}
    for one in defaults:
        if one.name in replaced and (model := replaced[one.name].model) != one.model:
            raise ConfigError(
                f"drift {one.name!r}: model: {model!r}: a default monitor, which is of every model,"
                " has this name, and would be left out of all others; give it another name"
            )
    return [one for one in defaults if one.name not in replaced]


def _of(entries: list[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(entries, start=1))


def _model(name: str, model: object) -> LayoutOfModel:
    return converted({} if model is None else model, LayoutOfModel, where=f"model {name!r}")


def _owned(name: str, given: LayoutOfModel) -> Ownership | None:
    """Return whom a model belongs to; `None` if its entry says nothing of that."""
    found = check_ownership(
        owner=given.owner, runbook=given.runbook, tags=given.tags, where=f"model {name!r}"
    )
    return None if found == Ownership() else found


def _tells(given: LayoutOfModel) -> bool:
    """Tell whether an entry says what a model is."""
    return given.task != "auto" or given.positive is not None


def _task(name: str, given: LayoutOfModel) -> Task:
    where = f"model {name!r}"
    if _tells(given) and set(name) & set("*?"):
        raise ConfigError(
            f"{where}: a pattern may say owner, runbook, tags and baseline alone; name each model"
            " of which you say task or positive"
        )
    positive = None if given.positive is None else class_name(given.positive)
    if positive is not None and given.task in ("regression", "multiclass", "text"):
        raise ConfigError(
            f"{where}: positive: {given.positive!r} means nothing for task {given.task};"
            " only binary models have a positive class"
        )
    return Task(given.task, positive)


def _window(given: object) -> Window:
    raw: object = {"size": given} if isinstance(given, str) else given
    window = converted(raw, LayoutOfWindow, where="windows")
    size_ms = parse_duration_ms(window.size, setting="windows: size")
    hop_ms = size_ms if window.hop is None else parse_duration_ms(window.hop, setting="hop")
    if hop_ms > size_ms:
        raise ConfigError(f"windows: hop {window.hop} is longer than size {window.size}")
    if size_ms % hop_ms:
        raise ConfigError(f"windows: size {window.size} is no multiple of hop {window.hop}")
    if (windows := size_ms // hop_ms) > MOST_WINDOWS_OF_EVENT:
        raise ConfigError(
            f"windows: size {window.size} with hop {window.hop} would put each event into"
            f" {windows:,} windows; at most {MOST_WINDOWS_OF_EVENT:,}, so choose a longer hop"
        )
    return Window(size_ms, hop_ms)


def _coarse(given: bool | dict[str, Any]) -> Coarse | None:
    if given is False:
        return None
    found = converted({} if given is True else given, _Coarse, where="coarse")
    hours_ms = parse_duration_ms(found.hours, setting="coarse: hours")
    days_ms = parse_duration_ms(found.days, setting="coarse: days")
    return Coarse(hours_ms=hours_ms, days_ms=days_ms, hours_of_week=found.hours_of_week)


def _baseline(given: bool | str | list[str] | dict[str, Any]) -> tuple[int, ...]:
    if isinstance(given, dict):
        return _baseline(_beginning(given).spans) if says_spans(given) else BASELINE_MS
    if isinstance(given, bool):
        return BASELINE_MS if given else ()
    spans = [given] if isinstance(given, str) else given
    found = [parse_duration_ms(one, setting="baseline") for one in spans]
    for text, span_ms in zip(spans, found, strict=True):
        if not SHORTEST_BASELINE_MS <= span_ms <= LONGEST_BASELINE_MS:
            raise ConfigError(f"baseline: {text!r} is not between 1m and 366d")
    if found != sorted(set(found)):
        raise ConfigError(f"baseline: {spans} must rise, the shortest first")
    if len(found) > MOST_BASELINES:
        raise ConfigError(f"baseline: {len(found)} are more than {MOST_BASELINES}")
    return tuple(found)


def _beginning(given: object) -> _Beginning:
    return converted(given, _Beginning, where="baseline")


def _rows(given: object) -> int:
    """Return how many rows are a baseline before its time."""
    return _beginning(given).rows if isinstance(given, dict) and says_spans(given) else 0


def _compared(file: Layout, models: dict[str, LayoutOfModel]) -> dict[str, Comparison]:
    """Return what windows of models are compared with: what is said of all comes last."""
    found: dict[str, Comparison] = {}
    for name, one in models.items():
        if one.baseline is not None:
            where = f"model {name!r}: baseline"
            found[name] = read_comparison(one.baseline, where=where)
            check_kind(found[name], task=one.task, where=where)
    if not says_spans(file.baseline):
        assert isinstance(file.baseline, dict)
        every = read_comparison(file.baseline, where="baseline")
        for name, one in models.items():
            if name not in found:
                check_kind(every, task=one.task, where=f"model {name!r}: baseline of all models")
        found.setdefault(EVERY_MODEL, every)
    return found


def _values(given: dict[str, str]) -> dict[str, str]:
    for feature, how in given.items():
        if how not in VALUES:
            raise ConfigError(
                f"values: {feature}: {how!r} is neither hash (as usual) nor never; texts cannot be"
                " shown, since workers keep but hashes of them"
            )
    return dict(given)


def _choices(given: dict[str, Any] | list[Any]) -> tuple[Choice, ...]:
    entries = [given] if isinstance(given, dict) else given
    found = tuple(converted(one, Choice, where="metrics") for one in entries)
    for one in found:
        check_choice(one)
    return found


def _check_members(monitors: list[Monitor]) -> None:
    """Refuse composites of what there is not."""
    composites = [one for one in monitors if isinstance(one, Composite)]
    names = {one.name for one in composites}
    for one in composites:
        known = [other.name for other in monitors if other.name not in names]
        one.check_members(known, names, f"threshold {one.name!r}")


def _check_consequences(monitors: list[Monitor]) -> None:
    """Refuse consequences that never come."""
    for one in monitors:
        where = f"{'drift' if isinstance(one, Drift) else 'threshold'} {one.name!r}"
        check_then(one.then, where, published=one.notify)
        of_loss = not isinstance(one, Drift) or one.input == "loss"
        check_promotion(one.then, where, of_loss=of_loss)


def _check_names(monitors: list[Monitor]) -> None:
    seen = set()
    for monitor in monitors:
        if not monitor.name.strip() or len(monitor.name) > _LONGEST_NAME:
            raise ConfigError(
                f"the name {monitor.name!r:.60} must have 1 to {_LONGEST_NAME} characters: alerts"
                " go by it"
            )
        if monitor.name in seen:
            raise ConfigError(
                f"the name {monitor.name!r} is used twice; the default monitors have names, too"
            )
        seen.add(monitor.name)
