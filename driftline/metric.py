"""The metric record, as users read it; that of the workers is `streams.metrics.Metric`."""

from __future__ import annotations

import msgspec


class Metric(msgspec.Struct, frozen=True):
    """One revision of one metric of a window.

    Attributes
    ----------
    segment
        ``""`` for all traffic, else ``name=value``.
    window_start_ms, window_end_ms
        Windows go by the time of the prediction; the end is not in it.
    low, high
        The 95 % interval; None if there is none.
    count
        Observations that the value rests on.
    coverage
        Labels by predictions of the window; None of metrics that need no labels.
    revision
        Grows with every publication of the window, from 1.
    final
        Whether labels that come now are too late to change it.
    """

    model: str
    version: str
    segment: str
    window_start_ms: int
    window_end_ms: int
    metric: str
    value: float
    low: float | None
    high: float | None
    count: int
    coverage: float | None
    revision: int
    final: bool
