"""What others do, on the same streams: river's detectors as they ship, and a PSI a day."""

from collections.abc import Callable
from typing import Any

import numpy as np
from river.drift import ADWIN, PageHinkley

from benchmarks.signal.product import Notice
from benchmarks.signal.stream import DAY_MS, DAYS, Floats, Ints, Stream

PSI_LIMIT = 0.2
_REFERENCE_DAYS = 7
_LEAST = 1e-4
"""Share of an empty bin."""


def adwin(stream: Stream) -> list[Notice]:
    """Return what ADWIN finds in the losses."""
    return _of_loss(ADWIN(), stream, _adwin_went_up)


def page_hinkley(stream: Stream) -> list[Notice]:
    """Return what Page-Hinkley finds in the losses, in both directions."""
    return _of_loss(PageHinkley(), stream, _page_hinkley_went_up)


def _of_loss(detector: Any, stream: Stream, went_up: Callable[[Any, float], bool]) -> list[Notice]:
    """Return what is found; a detector begins anew after each time.

    Parameters
    ----------
    went_up
        Tells from a detector, and from the mean since it last found something, which way it was.
    """
    found = []
    at_ms, losses = stream.losses()
    total = seen = 0.0
    for time_ms, loss in zip(at_ms.tolist(), losses.tolist(), strict=True):
        total, seen = total + loss, seen + 1
        detector.update(loss)
        if detector.drift_detected:
            direction = "worse" if went_up(detector, total / seen) else "better"
            found.append(_notice(time_ms, "loss", direction))
            total = seen = 0.0
    return found


def _adwin_went_up(detector: ADWIN, mean: float) -> bool:
    return bool(detector.estimation > mean)


def _page_hinkley_went_up(detector: PageHinkley, _: float) -> bool:
    # It does not say so: this is the test that it has made itself.
    return bool(detector._sum_increase - detector._min_increase > detector.threshold)


def psi_of_days(stream: Stream) -> list[Notice]:
    """Return on which days a feature, or the score, begins to have a PSI of more than 0.2.

    Of a whole day against the first week, in tenths of that; a value that is missing is in none.
    """
    columns = {f"feature:{name}": values for name, values in stream.features.items()}
    if not np.isnan(stream.score).all():
        columns["score"] = stream.score
    day = (stream.time_ms - stream.begun_ms) // DAY_MS
    found = [
        _notice(stream.begun_ms + (number + 1) * DAY_MS, name, "changed")
        for name, values in columns.items()
        for number in _days_beyond(day, values)
    ]
    return sorted(found, key=lambda one: (one.at_ms, one.source))


def _days_beyond(day: Ints, values: Floats) -> list[int]:
    known = np.isfinite(values)
    day, values = day[known], values[known]
    reference = values[day < _REFERENCE_DAYS]
    if not len(reference):
        return []
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, 11)[1:-1]))
    tenths = np.searchsorted(edges, values, side="left")
    counts = np.zeros((DAYS, len(edges) + 1))
    np.add.at(counts, (day, tenths), 1)
    expected = counts[:_REFERENCE_DAYS].sum(axis=0)
    beyond = [psi(expected, counts[number]) > PSI_LIMIT for number in range(DAYS)]
    return [n for n in range(_REFERENCE_DAYS, DAYS) if beyond[n] and not beyond[n - 1]]


def psi(expected: Floats, found: Floats) -> float:
    """Return the population stability index of counts; 0 where there is nothing.

    Examples
    --------
    >>> round(psi(np.array([50, 50]), np.array([30, 70])), 3)
    0.169
    """
    if not expected.sum() or not found.sum():
        return 0.0
    e, f = (np.maximum(counts / counts.sum(), _LEAST) for counts in (expected, found))
    return float(((f - e) * np.log(f / e)).sum())


def _notice(at_ms: int, subject: str, direction: str) -> Notice:
    severity = "warning" if subject == "loss" else "info"
    return Notice(at_ms, severity, subject, direction, subject, "", is_open=False)
