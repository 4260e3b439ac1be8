"""What a metric can be at all: rules on it that make no sense can be told without any traffic.

A rule whose limit no value of its metric ever passes would be silent for good, and one whose limit
every value passes would fire for good: both are mistakes, mostly a percentage for a share.
"""

import math

import numpy as np

from streams import families
from streams.errors import ConfigError
from streams.families.family import (
    BINARY,
    EVERY_TASK,
    MULTICLASS,
    ON_FATES,
    RESOURCES,
    Metric,
    Part,
)
from streams.nearest import nearest
from streams.rule_kinds import RuleKind


def check_metric(metric: str, *, task: str, where: str) -> None:
    """Refuse a metric that there is not, or that a model of that kind never has.

    Parameters
    ----------
    task
        What kind of model it is told to be, see `Task`; `auto` can have any metric.
    where
        The rule, for the error.

    Raises
    ------
    ConfigError
        With what is near.

    Examples
    --------
    >>> check_metric("mean", task="auto", where="threshold 'a'")
    Traceback (most recent call last):
    streams.errors.ConfigError: threshold 'a': metric: 'mean' needs a feature: mean:<feature>
    """
    base, colon, part = metric.partition(":")
    about = families.CATALOGUE.metric(base)
    if about is None:
        known = nearest(metric, families.CATALOGUE.metrics)
        raise ConfigError(f"{where}: metric: {metric!r} is unknown{known}")
    wrong = _wrong_part(about, colon, part)
    if wrong is None and task in EVERY_TASK:
        wrong = _wrong_task(about, part, task=task)
    if wrong is not None:
        raise ConfigError(f"{where}: metric: {metric!r}{wrong}")


def of_hosts(metric: str) -> bool:
    """Tell whether a metric is of readings of hosts.

    Examples
    --------
    >>> of_hosts("cpu_utilization"), of_hosts("accuracy")
    (True, False)
    """
    about = families.CATALOGUE.metric(metric)
    return about is not None and RESOURCES in about.rests_on


def _wrong_part(about: Metric, colon: str, part: str) -> str | None:
    if about.rests_on == ON_FATES:
        return " goes by records that come again or too late, of which rules see none"
    if about.part is Part.NONE and colon:
        return f": {about.name} is of the whole model; leave {part!r} out"
    needed = colon or about.needs_part
    if needed and not part:
        return f" needs a {about.part}: {about.name}:<{about.part}>"
    return None


def _wrong_task(about: Metric, part: str, *, task: str) -> str | None:
    if task not in about.tasks:
        return f" is none of a model with task {task}"
    if about.part is Part.CLASS and part and task == BINARY:
        return f": a binary model has {about.name} of its positive class only; write {about.name}"
    if not about.has_mean and not part and task == MULTICLASS:
        return f" needs a class: {about.name}:<class>"
    return None


def check_limit(metric: str, kind: RuleKind, limit: float, *, where: str) -> None:
    """Refuse a limit that no value passes, or every value.

    Raises
    ------
    ConfigError
        With the range of the metric.

    Examples
    --------
    >>> from streams.rule_kinds import BY_NAME
    >>> check_limit("accuracy", BY_NAME["below"], 0.9, where="threshold 'a'")
    >>> check_limit("accuracy", BY_NAME["above"], 1.0, where="threshold 'a'")
    Traceback (most recent call last):
    streams.errors.ConfigError: threshold 'a': above: 1 never fires: accuracy is between 0 and 1
    """
    if not math.isfinite(limit):
        raise ConfigError(f"{where}: {kind.name}: {limit} is no number")
    about = families.CATALOGUE.metric(metric)
    assert about is not None
    if about.grows and (kind.relative or kind.learns):
        raise ConfigError(
            f"{where}: {kind.name}: {about.name} goes with the length of the window, so that there"
            " is no reference for it; give a number"
        )
    if about.part is Part.KEY and (kind.relative or kind.learns):
        raise ConfigError(
            f"{where}: {kind.name}: of {about.name} there is no reference, since which segments"
            " there are changes; give a number"
        )
    if kind.learns:
        return
    # Of relative kinds, what holds of the least reference and of a large one holds of any: all of
    # what is never below 0 leaves 0.
    references = np.array([1e-9, 1.0])
    low, high = kind.bounds(limit, references)
    never = bool(((low <= about.lowest) & (high >= about.highest)).all())
    always = bool(((low > about.highest) | (high < about.lowest)).all())
    if never or (always and not kind.relative):
        percentage = not kind.relative and about.highest == 1.0 and 1.0 < limit <= 100.0
        meant = f"; did you mean {limit / 100:g}?" if percentage else ""
        said = "never fires" if never else "always fires"
        raise ConfigError(
            f"{where}: {kind.name}: {limit:g} {said}: {about.name} is {_range(about)}{meant}"
        )


def check_clear(metric: str, kind: RuleKind, limits: tuple[float, float], *, where: str) -> None:
    """Refuse a limit to come back within that is beyond the rule's own, or never reached.

    Parameters
    ----------
    limits
        The rule's own, and the one to come back within.

    Raises
    ------
    ConfigError
        With both.

    Examples
    --------
    >>> from streams.rule_kinds import BY_NAME
    >>> check_clear("accuracy", BY_NAME["below"], (0.9, 0.92), where="threshold 'a'")
    >>> check_clear("accuracy", BY_NAME["below"], (0.9, 0.8), where="threshold 'a'")
    Traceback (most recent call last):
    streams.errors.ConfigError: threshold 'a': clear: 0.8 is beyond below: 0.9
    """
    given, clear = limits
    if not math.isfinite(clear):
        raise ConfigError(f"{where}: clear: {clear} is no number")
    about = families.CATALOGUE.metric(metric)
    assert about is not None
    references = np.array([1e-9, 1.0])
    outer, inner = kind.bounds(given, references), kind.bounds(clear, references)
    if (inner.lowest < outer.lowest).any() or (inner.highest > outer.highest).any():
        raise ConfigError(f"{where}: clear: {clear:g} is beyond {kind.name}: {given:g}")
    if ((inner.lowest > about.highest) | (inner.highest < about.lowest)).all():
        said = f"{about.name} is {_range(about)}"
        raise ConfigError(f"{where}: clear: {clear:g} is never reached: {said}")


def check_effect(metric: str, kind: RuleKind, effect: float, *, where: str) -> None:
    """Refuse a difference from a reference that there is not, or that no value ever has.

    Raises
    ------
    ConfigError
        With the reason.
    """
    if not (kind.relative or kind.learns):
        raise ConfigError(
            f"{where}: minimum_effect: {kind.name} has no reference to differ from; leave it out"
        )
    about = families.CATALOGUE.metric(metric)
    assert about is not None
    if not effect < about.highest - about.lowest:
        raise ConfigError(
            f"{where}: minimum_effect: {effect:g} never fires: {about.name} is {_range(about)}"
        )


def _range(about: Metric) -> str:
    if math.isinf(about.highest):
        return f"never below {about.lowest:g}"
    return f"between {about.lowest:g} and {about.highest:.4g}"
