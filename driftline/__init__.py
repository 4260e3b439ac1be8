"""The user's side of driftline: publish predictions and labels, read what comes of them.

Read in this order: `publisher` (what a model server imports), `alerts`, `actions`, `metrics`
and `distributions` (what takes results), `reader` (the loop below them), `backtest`. What is asked
for is imported then, so that nobody waits for what he does not use.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftline.action import Action
    from driftline.actions import Actions
    from driftline.alert import Alert
    from driftline.alerts import Alerts
    from driftline.backtest import Backtest, replay
    from driftline.distribution import Distribution
    from driftline.distributions import Distributions
    from driftline.metric import Metric
    from driftline.metrics import Metrics
    from driftline.publisher import Publisher
    from driftline.values import Limits


def _version() -> str:
    for name in ("driftline-client", "driftline"):  # in a checkout, the second has both
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "0+unknown"  # a source tree that was never installed has no metadata


__version__ = _version()

_MODULES = {
    "Action": "driftline.action",
    "Actions": "driftline.actions",
    "Alert": "driftline.alert",
    "Alerts": "driftline.alerts",
    "Backtest": "driftline.backtest",
    "Distribution": "driftline.distribution",
    "Distributions": "driftline.distributions",
    "Limits": "driftline.values",
    "Metric": "driftline.metric",
    "Metrics": "driftline.metrics",
    "Publisher": "driftline.publisher",
    "replay": "driftline.backtest",
}

__all__ = [
    "Action",
    "Actions",
    "Alert",
    "Alerts",
    "Backtest",
    "Distribution",
    "Distributions",
    "Limits",
    "Metric",
    "Metrics",
    "Publisher",
    "__version__",
    "replay",
]


def __getattr__(name: str) -> object:
    """Import what is asked for the first time."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
