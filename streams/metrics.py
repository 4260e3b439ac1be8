"""The metric record: one number of one window, flat, so that any sink can read it."""

import msgspec


class Metric(msgspec.Struct, frozen=True):
    """One revision of one metric; `revision` counts the publications of its window from 1."""

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
