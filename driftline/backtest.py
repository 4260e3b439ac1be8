"""Replay a data frame of predictions and labels: what driftline would have published."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

_GROUP, _NAME = "driftline.extensions", "replay"


class Backtest(NamedTuple):
    """What a replay found.

    Attributes
    ----------
    metrics
        The last revision of every metric, a column for each field of `Metric`.
    alerts
        Every revision of every alert, in event time; columns are the fields of `Alert`.
    fates
        How many records had which fate.
    dead_letters
        How many rows could not be used, by reason.
    """

    metrics: pd.DataFrame
    alerts: pd.DataFrame
    fates: dict[str, int]
    dead_letters: dict[str, int]


def replay(
    frame: pd.DataFrame,
    columns: Mapping[str, str] | None = None,
    *,
    monitors: str | Path | None = None,
    window: str = "5m",
    horizon: str = "1h",
) -> Backtest:
    """Compute the metrics and alerts of recorded predictions and labels, without a broker.

    It is what ``driftline replay`` does with a file, and needs the whole of driftline, not only
    `driftline-client`.

    Parameters
    ----------
    frame
        A row for each prediction and its label.
    columns
        Column by role: ``prediction``, ``label`` and ``timestamp`` are needed; ``score``,
        ``prediction_id``, ``model``, ``version``, ``feature:<name>`` and ``segment:<name>`` may be.
        None takes the columns that are called so.
    monitors
        A monitors file. None means the default monitors.
    window, horizon
        Length of a metric window, and how long a label is waited for, such as ``"90s"``.

    Raises
    ------
    ModuleNotFoundError
        If the whole of driftline is not installed; the message says how to install it.
    ValueError
        If a column, a duration or the monitors file cannot be used.

    Examples
    --------
    With pandas::

        found = driftline.replay(frame, {"prediction": "pred", "label": "y", "timestamp": "at"})
        found.metrics[found.metrics["metric"] == "accuracy"]
    """
    run = next(iter(entry_points(group=_GROUP, name=_NAME)), None)
    if run is None:
        raise ModuleNotFoundError(
            "driftline.replay needs the whole of driftline, and only driftline-client is"
            " installed: pip install driftline",
            name="driftline",
        )
    import pandas as pd  # noqa: PLC0415 - who has no data frame need not have it

    found = run.load()(frame, columns, monitors=monitors, window=window, horizon=horizon)
    return Backtest(
        pd.DataFrame(found["metrics"], columns=found["metric_fields"]),
        pd.DataFrame(found["alerts"], columns=found["alert_fields"]),
        found["fates"],
        found["dead_letters"],
    )
