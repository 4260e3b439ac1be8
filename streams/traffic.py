"""Rules on traffic: how many predictions or labels a window had while the reference grew.

A count is not judged like a ratio. It rests on nothing, so that no number of observations is
waited for: a model that falls silent is what such a rule is for. And it goes with the length of
its window: 40 in a minute are not few because the reference has 1,000 records.
"""

from typing import Any

from streams.monitors import Threshold


class Traffic:
    """How many rows of one kind there were, and in how long.

    Attributes
    ----------
    since_ms
        End of the first pane that had any, -1 before: whoever starts in the middle of a pane, or
        of a window, has not fallen silent.
    count, span_ms
        Rows after that, and in how long, until there were enough of both.
    """

    __slots__ = ("count", "since_ms", "span_ms")

    def __init__(self, since_ms: int = -1, count: int = 0, span_ms: int = 0) -> None:
        self.since_ms, self.count, self.span_ms = since_ms, count, span_ms

    def grow(self, rows: int, *, end_ms: int, pane_ms: int) -> None:
        """Take the next pane into account; panes without rows count, too."""
        if self.since_ms >= 0:
            self.count += rows
            self.span_ms += pane_ms
        elif rows:
            self.since_ms = end_ms

    def per_window(self, length_ms: int, *, enough: int) -> float | None:
        """Return how many rows a window has, `None` before there are enough and a window of them.

        Examples
        --------
        >>> Traffic(0, 400, 600_000).per_window(60_000, enough=200)
        40.0
        """
        if self.count < enough or self.span_ms < length_ms:
            return None
        return self.count * length_ms / self.span_ms

    def covers(self, threshold: Threshold, *, start_ms: int) -> bool:
        """Whether a rule can be judged on a window that starts then; more is more at any time."""
        return not threshold.falling or 0 <= self.since_ms <= start_ms

    def pack(self) -> list[Any]:
        """Return a form that msgpack can write."""
        return [self.since_ms, self.count, self.span_ms]
