"""Decide whether a worker stalls: whether what should go on does go on.

Rules of this file:

* The event loop must answer, whatever else happens.
* All other work needs the broker, and while it is away a worker waits: librdkafka tries again by
  itself, and a worker that started anew would find no broker either. So a stall of such work
  counts only on top of a fresh answer of the broker, and anew from the last time that it gave none.
* What makes progress may take as long as it likes.
* A process that was suspended starts all its limits anew: nobody looked, so nobody knows.

Times are arguments; this file knows no clock, no thread and no Kafka.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.idleness import Input

LOOK_S = 1.0
"""How often a caller looks, at most."""

SUSPENDED_S = 5.0
"""A caller that has not looked for this long, or half of what may stall, was suspended itself."""

_NEVER = float("-inf")


class Watch:
    """Follow the signs of life of one worker.

    Parameters
    ----------
    stall_s
        How long anything may go without progress. The broker is asked from a quarter of it on, and
        its answer counts for a quarter of it.

    Examples
    --------
    >>> watch = Watch(4.0, now_s=0.0)
    >>> for second in range(5):
    ...     watch.looked(second)
    >>> watch.verdict(3.9)
    >>> watch.verdict(4.0)
    'the event loop has been blocked for 4 s'
    """

    def __init__(self, stall_s: float, *, now_s: float) -> None:
        self._stall_s = stall_s
        self._suspended_s = min(SUSPENDED_S, stall_s / 2)
        self._loop_s = now_s
        self._looked_s = now_s
        self._fair_s = now_s
        self._answered_s = self._asked_s = _NEVER
        self._busy: dict[str, tuple[int, float]] = {}
        self._waiting_records = 0
        self._flowed_s: float | None = None

    # --- signs of life

    def loop_answered(self, now_s: float) -> None:
        """Note that the event loop runs."""
        self._loop_s = now_s

    def began(self, what: str, now_s: float) -> None:
        """Note that work began which must end, or progress; several of a kind may run."""
        self._busy[what] = (self._busy.get(what, (0, 0.0))[0] + 1, now_s)

    def progressed(self, what: str, now_s: float) -> None:
        """Note progress of a kind of work."""
        if what in self._busy:
            self._busy[what] = (self._busy[what][0], now_s)

    def ended(self, what: str, now_s: float) -> None:
        """Note that one work of a kind ended."""
        count = self._busy.pop(what)[0] - 1
        if count:
            self._busy[what] = (count, now_s)

    def committed(self, now_s: float) -> None:
        """Note that records were processed for good."""
        self._flowed_s = now_s

    def lag_seen(self, lags: Mapping[Input, int], now_s: float) -> None:
        """Note how far the inputs that are being read are behind.

        No news is bad news: without reports, as without commits, reading does not go on.
        """
        self._waiting_records = sum(lags.values())
        if not self._waiting_records or self._flowed_s is None:
            self._flowed_s = now_s

    def broker_answered(self, answered: bool, now_s: float) -> None:
        """Note whether the broker answered a question."""
        self._asked_s = now_s
        if answered:
            self._answered_s = now_s
        else:
            self._fair_s = now_s

    def looked(self, now_s: float) -> None:
        """Note that the caller is about to judge; to be called every `LOOK_S`."""
        if now_s - self._looked_s > self._suspended_s:
            self._fair_s = self._loop_s = now_s
        self._looked_s = now_s

    # --- judgement

    def must_ask(self, now_s: float) -> bool:
        """Tell whether the broker must be asked now: something waits, or is slow."""
        oldest_s = min((since_s for _, since_s in self._needing_broker()), default=now_s)
        quarter_s = self._stall_s / 4
        return now_s - oldest_s >= quarter_s and now_s - self._asked_s >= quarter_s / 4

    def verdict(self, now_s: float) -> str | None:
        """Say what stalls, or None."""
        if now_s - self._looked_s > self._suspended_s:
            return None
        if (blocked_s := now_s - self._loop_s) >= self._stall_s:
            return f"the event loop has been blocked for {blocked_s:.0f} s"
        if now_s - self._answered_s > self._stall_s / 4:
            return None
        for text, since_s in self._needing_broker():
            stalled_s = now_s - max(since_s, self._fair_s)
            if stalled_s >= self._stall_s:
                return f"{text}, for {stalled_s:.0f} s, and the broker answers"
        return None

    def _needing_broker(self) -> list[tuple[str, float]]:
        found = [(f"{what} made no progress", since_s) for what, (_, since_s) in self._busy.items()]
        if self._flowed_s is not None:
            text = "nothing was heard of the inputs"
            if self._waiting_records:
                text = f"nothing was committed of {self._waiting_records:,} records that wait"
            found.append((text, self._flowed_s))
        return found
