"""Decide which inputs are idle: read to their end, and quiet for a while.

An idle input stops holding back the event-time clock, so a wrong "idle" makes records late. Hence
the end of a partition that the consumer reported is not enough: while the broker cannot be
reached, nothing comes either, and the report is old. Only a fresh answer of the broker, "the end
is still there", makes an input idle, and only as long as it can be repeated.

Times are arguments; this file knows no clock and no Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

RETRY_S = 0.5
"""Pause before the broker is asked again about an input that was not idle."""

Input: TypeAlias = tuple[str, int]


class _Watched:
    __slots__ = ("checked_s", "end", "position", "quiet_since_s")

    def __init__(self, position: int, now_s: float) -> None:
        self.position = position
        self.end = -1
        self.quiet_since_s = now_s
        self.checked_s = float("-inf")


class Idleness:
    """Follow the inputs of a worker.

    Parameters
    ----------
    idle_s
        How long an input must be quiet, and how long an answer of the broker counts.

    Attributes
    ----------
    idle : set
        Inputs that are idle now.

    Examples
    --------
    >>> idleness = Idleness(5.0)
    >>> idleness.start(("labels", 0), position=7, now_s=0.0)
    >>> idleness.end_seen(("labels", 0), 7)
    >>> idleness.due(now_s=5.0)
    [('labels', 0)]
    >>> idleness.answer(("labels", 0), high=7, now_s=5.0)
    >>> idleness.idle
    {('labels', 0)}
    """

    def __init__(self, idle_s: float) -> None:
        self.idle: set[Input] = set()
        self._idle_s = idle_s
        self._watched: dict[Input, _Watched] = {}

    def start(self, source: Input, *, position: int, now_s: float) -> None:
        """Begin to follow an input that will be read from `position`."""
        self.idle.discard(source)
        self._watched[source] = _Watched(position, now_s)

    def stop(self, sources: Iterable[Input]) -> None:
        """Forget inputs that were taken away."""
        for source in sources:
            self.idle.discard(source)
            self._watched.pop(source, None)

    def records_seen(self, source: Input, *, position: int, now_s: float) -> None:
        """Note that records came; `position` is one past the last."""
        watched = self._watched.get(source)
        if watched is not None:
            watched.position = position
            watched.quiet_since_s = now_s
            self.idle.discard(source)

    def end_seen(self, source: Input, offset: int) -> None:
        """Note that the consumer reached the end of a partition, at `offset`.

        Not all of an end's offsets are records: past the last there may be transaction markers.
        """
        watched = self._watched.get(source)
        if watched is not None:
            watched.end = offset

    def at_end(self, source: Input) -> bool:
        """Tell whether the input was read to its end, as far as the consumer knows."""
        watched = self._watched.get(source)
        return watched is not None and watched.end >= watched.position

    def due(self, *, now_s: float) -> list[Input]:
        """Name the inputs about which the broker must be asked now."""
        return [
            source
            for source, watched in self._watched.items()
            if watched.end >= watched.position
            and now_s - watched.quiet_since_s >= self._idle_s
            and now_s - watched.checked_s >= (self._idle_s if source in self.idle else RETRY_S)
        ]

    def answer(self, source: Input, *, high: int | None, now_s: float) -> None:
        """Take the broker's answer: where the partition ends. None means that there was none."""
        watched = self._watched.get(source)
        if watched is None:
            return
        watched.checked_s = now_s
        if high is None:
            # While nobody answers, producers may not get through either: that is no quiet.
            watched.quiet_since_s = now_s
        if high is not None and high <= watched.end and watched.position <= watched.end:
            self.idle.add(source)
        else:
            self.idle.discard(source)
