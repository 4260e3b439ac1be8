"""How precise monitors are, by what people say of their alerts."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from streams.families.intervals import wilson
from streams.verdicts import SAID, Said, Verdict


class Precision(msgspec.Struct, frozen=True):
    """How many alerts of a monitor were right.

    Attributes
    ----------
    alerts
        How many there were, judged or not.
    true, false, expected
        How many were said to be what.
    value, low, high
        Share of the true ones among true and false, with its 95 % interval (Wilson 1927); `None`
        where nobody has judged any.
    """

    monitor: str
    alerts: int
    true: int
    false: int
    expected: int
    value: float | None
    low: float | None
    high: float | None


def precision(of: Mapping[str, str], verdicts: Iterable[Verdict]) -> list[Precision]:
    """Return how precise each monitor is, by name.

    Parameters
    ----------
    of
        Monitor of every alert, by its id.
    verdicts
        The last one on an alert counts.

    Examples
    --------
    >>> [(one.monitor, one.alerts, one.value) for one in precision({"a1": "floor"}, [])]
    [('floor', 1, None)]
    """
    raised = Counter(of.values())
    said = Counter(
        (of[one.alert_id], one.verdict)
        for one in {one.alert_id: one for one in verdicts}.values()
        if one.alert_id in of
    )
    return [_of(monitor, raised[monitor], said) for monitor in sorted(raised)]


def _of(monitor: str, alerts: int, said: Counter[tuple[str, Said]]) -> Precision:
    true, false, expected = (said[monitor, what] for what in SAID)
    judged = true + false
    if not judged:
        return Precision(monitor, alerts, true, false, expected, None, None, None)
    low, high = (float(one[0]) for one in wilson(np.array([true]), np.array([judged])))
    return Precision(monitor, alerts, true, false, expected, true / judged, low, high)
