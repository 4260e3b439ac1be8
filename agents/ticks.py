"""Say when time has passed in which nothing came, so that it is written down.

Only time counts in which it was known that there is nothing: not what came before the inputs were
idle, nor while the broker did not answer. Ticks come the less often, the longer nothing comes:
windows that become final an eighth of the time late do not matter, and each tick is a transaction.

Times are arguments; this file knows no clock and no Kafka.
"""

from __future__ import annotations

import math

_SHARE = 1 / 8


class Ticks:
    """The ticks of one partition.

    Parameters
    ----------
    after_s
        How long nothing must have come before the first; infinity for never.

    Examples
    --------
    >>> ticks = Ticks(60.0)
    >>> ticks.due(0.0, quiet=True), ticks.next_s, ticks.due(59.0, quiet=True)
    (False, 60.0, False)
    >>> ticks.due(61.0, quiet=True), ticks.take(61.0), ticks.take(61.0)
    (True, 61000, 0)
    >>> ticks.due(200.0, quiet=False), ticks.due(300.0, quiet=True), ticks.next_s
    (False, False, 360.0)
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._since_s: float | None = None
        self._last_s = 0.0

    @property
    def next_s(self) -> float | None:
        """When the next one is due if nothing comes; `None` if something does, or never."""
        if self._since_s is None or math.isinf(self._after_s):
            return None
        return self._last_s + max(self._after_s, _SHARE * (self._last_s - self._since_s))

    def due(self, now_s: float, *, quiet: bool) -> bool:
        """Note whether it is known that there is nothing; tell whether a tick is due."""
        if not quiet:
            self.stop()
            return False
        if self._since_s is None:
            self._since_s = self._last_s = now_s
        next_s = self.next_s
        return next_s is not None and now_s >= next_s

    def stop(self) -> None:
        """Note that something has come, or may have."""
        self._since_s = None

    def take(self, now_s: float) -> int:
        """Return the milliseconds since the tick before, 0 if none is due."""
        next_s = self.next_s
        if next_s is None or now_s < next_s:
            return 0
        passed_s, self._last_s = now_s - self._last_s, now_s
        return round(1_000 * passed_s)
