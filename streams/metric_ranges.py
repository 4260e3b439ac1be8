"""What a metric can be at all: rules on it that make no sense can be told without any traffic.

A rule whose limit no value of its metric ever passes would be silent for good, and one whose limit
every value passes would fire for good: both are mistakes, mostly a percentage for a share.
"""

import math

from streams import families
from streams.errors import ConfigError
from streams.families.family import BINARY, EVERY_TASK, Metric, Part
from streams.nearest import nearest


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


def _wrong_part(about: Metric, colon: str, part: str) -> str | None:
    if about.part is Part.NONE and colon:
        return f": {about.name} is of the whole model; leave {part!r} out"
    needed = colon or about.part is Part.FEATURE
    if needed and not part:
        return f" needs a {about.part}: {about.name}:<{about.part}>"
    return None


def _wrong_task(about: Metric, part: str, *, task: str) -> str | None:
    if task not in about.tasks:
        return f" is none of a model with task {task}"
    if about.part is Part.CLASS and part and task == BINARY:
        return f": a binary model has {about.name} of its positive class only; write {about.name}"
    return None


def check_limit(metric: str, side: str, limit: float, *, where: str) -> None:
    """Refuse a limit that no value passes, or every value.

    Parameters
    ----------
    side
        `below`, `above`, `falls_by` or `rises_by`.

    Raises
    ------
    ConfigError
        With the range of the metric.

    Examples
    --------
    >>> check_limit("accuracy", "below", 0.9, where="threshold 'a'")
    >>> check_limit("accuracy", "above", 1.0, where="threshold 'a'")
    Traceback (most recent call last):
    streams.errors.ConfigError: threshold 'a': above: 1 never fires: accuracy is between 0 and 1
    """
    if not math.isfinite(limit):
        raise ConfigError(f"{where}: {side}: {limit} is no number")
    about = families.CATALOGUE.metric(metric)
    assert about is not None
    lowest, highest = about.lowest, about.highest
    never = always = False
    if side == "below":
        never, always = limit <= lowest, limit > highest
    elif side == "above":
        never, always = limit >= highest, limit < lowest
    elif side == "falls_by":  # all of what is never below 0 leaves 0
        never = limit >= 1.0 and lowest >= 0.0
    if never or always:
        percentage = side in ("below", "above") and highest == 1.0 and 1.0 < limit <= 100.0
        meant = f"; did you mean {limit / 100:g}?" if percentage else ""
        said = "always fires" if always else "never fires"
        raise ConfigError(
            f"{where}: {side}: {limit:g} {said}: {about.name} is {_range(about)}{meant}"
        )


def _range(about: Metric) -> str:
    if math.isinf(about.highest):
        return f"never below {about.lowest:g}"
    return f"between {about.lowest:g} and {about.highest:.4g}"
