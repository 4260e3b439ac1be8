"""What a metric can be at all: rules on it that make no sense can be told without any traffic.

A rule whose limit no value of its metric ever passes would be silent for good, and one whose limit
every value passes would fire for good: both are mistakes, mostly a percentage for a share.
"""

import math

from streams.errors import ConfigError
from streams.nearest import nearest
from streams.quality import METRICS, OF_CLASSES

_OF_FEATURES = frozenset({"missing_rate", "mean"})
_OF_CLASSIFIERS = frozenset({"accuracy", "roc_auc", "log_loss", "brier", *OF_CLASSES})
_OF_BINARY = frozenset({"roc_auc", "brier"})
_OF_REGRESSION = frozenset({"mae", "rmse", "bias"})
_SHARES = frozenset({"coverage", "missing_rate", "accuracy", "roc_auc", "brier", *OF_CLASSES})
_ANY_NUMBER = frozenset({"mean", "bias", "label_delay_p50_ms"})


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
    if base not in METRICS:
        raise ConfigError(f"{where}: metric: {metric!r} is unknown{nearest(metric, METRICS)}")
    if base in _OF_FEATURES and not part:
        raise ConfigError(f"{where}: metric: {metric!r} needs a feature: {base}:<feature>")
    if colon and base not in _OF_FEATURES | OF_CLASSES:
        raise ConfigError(
            f"{where}: metric: {metric!r}: {base} is of the whole model; leave {part!r} out"
        )
    if colon and not part:
        raise ConfigError(f"{where}: metric: {metric!r} needs a class: {base}:<class>")
    wrong = {
        "binary": _OF_REGRESSION,
        "multiclass": _OF_REGRESSION | _OF_BINARY,
        "regression": _OF_CLASSIFIERS,
    }.get(task, frozenset())
    if base in wrong:
        raise ConfigError(f"{where}: metric: {metric!r} is none of a model with task {task}")
    if task == "binary" and colon and base in OF_CLASSES:
        raise ConfigError(
            f"{where}: metric: {metric!r}: a binary model has {base} of its positive class only;"
            f" write {base}"
        )


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
    if side not in ("below", "above"):
        return
    base = metric.partition(":")[0]
    lowest = -math.inf if base in _ANY_NUMBER else 0.0
    highest = 1.0 if base in _SHARES else math.inf
    never = limit <= lowest if side == "below" else limit >= highest
    always = limit > highest if side == "below" else limit < lowest
    if never or always:
        within = "between 0 and 1" if highest == 1.0 else "never below 0"
        percentage = highest == 1.0 and 1.0 < limit <= 100.0
        meant = f"; did you mean {limit / 100:g}?" if percentage else ""
        said = "always fires" if always else "never fires"
        raise ConfigError(f"{where}: {side}: {limit:g} {said}: {base} is {within}{meant}")
