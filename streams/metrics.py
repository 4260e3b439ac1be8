"""The metric record: one number of one window, flat, so that any sink can read it."""

from typing import NamedTuple

import msgspec

from streams.quality import Value


class WindowKey(NamedTuple):
    """Which window of which model."""

    model: str
    version: str
    segment: str
    start_ms: int
    end_ms: int


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


def metric_key(window: WindowKey, metric: str) -> bytes:
    """Return the record key: the identity as a JSON array."""
    return _encode((*window, metric))


def metric_record(
    window: WindowKey, value: Value, *, coverage: float | None, revision: int, final: bool
) -> bytes:
    """Return the record value as JSON."""
    return _encode(
        Metric(
            *window,
            metric=value.metric,
            value=value.value,
            low=value.low,
            high=value.high,
            count=value.count,
            coverage=coverage,
            revision=revision,
            final=final,
        )
    )


_encode = msgspec.json.Encoder().encode
