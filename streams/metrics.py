"""The metric record: one number of one window, flat, so that any sink can read it."""

from collections.abc import Iterator, Sequence
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


def metric_records(
    window: WindowKey,
    values: Sequence[Value],
    *,
    coverage: float | None,
    revision: int,
    final: bool,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of the record of every metric of a window.

    The value is `Metric` as JSON. What the records of a window share is written once, since there
    are dozens of them: the fields of `Value` are those in the middle of `Metric`.
    """
    key = _encode(window)[:-1] + b","
    start = _encode(dict(zip(_IDENTITY, window, strict=True)))[:-1] + b","
    rest = {"coverage": coverage, "revision": revision, "final": final}
    end = b"," + _encode(rest)[1:]
    for value in values:
        yield key + _encode(value.metric) + b"]", start + _encode(value)[1:-1] + end


_IDENTITY = Metric.__struct_fields__[:5]
_encode = msgspec.json.Encoder().encode
