"""What is said of a recording whose windows hold too few predictions to be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from streams.durations import format_duration, parse_duration_ms

_FEW, _ENOUGH = 30, 100
_LENGTHS = ("10m", "30m", "1h", "6h", "1d", "7d", "30d")


def longer_window(metrics: Iterable[Mapping[str, Any]]) -> str:
    """Suggest a longer window where the usual one of a recording has few predictions.

    Returns
    -------
    str
        A sentence; empty where there is nothing to suggest.
        Nor is there anything where the recording is shorter than a longer window.

    Examples
    --------
    >>> def window(minute: int) -> dict[str, object]:
    ...     times = {"window_start_ms": minute * 60_000, "window_end_ms": minute * 60_000 + 60_000}
    ...     return {"metric": "predictions", "segment": "", "value": 15.0, **times}
    >>> print(longer_window(map(window, range(60))))
    windows of 1m hold about 15 predictions, too few to compare one with another: try --window 10m
    """
    found: dict[int, list[float]] = {}
    starts: list[int] = []
    for one in metrics:
        if one["metric"] == "predictions" and not one["segment"]:
            length_ms = one["window_end_ms"] - one["window_start_ms"]
            found.setdefault(length_ms, []).append(one["value"])
            starts.append(one["window_start_ms"])
    if not found:
        return ""
    length_ms = max(found)
    usual = median(found[length_ms])
    if usual >= _FEW:
        return ""
    wanted_ms = length_ms * _ENOUGH / max(usual, 1)
    whole_ms = max(starts) - min(starts)
    longer = [one for one in _LENGTHS if length_ms < parse_duration_ms(one) <= whole_ms]
    if not longer:
        return ""
    chosen = next((one for one in longer if parse_duration_ms(one) >= wanted_ms), longer[-1])
    return (
        f"windows of {format_duration(length_ms)} hold about {usual:.0f} predictions, too few to"
        f" compare one with another: try --window {chosen}"
    )
