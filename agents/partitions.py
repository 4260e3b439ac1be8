"""One partition of one stage: its state, what waits for it, what it owes.

All of it lives on the main loop, but for `state` while the partition is being opened.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from agents.alignment import Inbox
from agents.idleness import Input
from agents.ticks import Ticks
from streams.steps import Batch, Effects, Stage

LARGEST_TRANSACTION_RECORDS = 20_000
LARGEST_TRANSACTION_BYTES = 16 << 20
"""Of keys and values: a step of seconds would hold up all others, and need memory for it all."""

# So long, on a backlog, what a stage has left unfinished gives way to records.
_GIVES_WAY_S = 1.0


class InputChainError(RuntimeError):
    """The consumer delivered something else than what comes next."""


class Partition:
    """A partition that this worker owns, or is about to.

    Attributes
    ----------
    state
        The stage's state; None until it was read to the end of its log.
    live
        False once the partition was taken away.
    running
        Whether records are processed: it is open and live.
    log_end
        Where the state partition ends as long as nobody but this worker writes to it.
    marks
        Offsets of the marks in the state partition, oldest first.
    """

    def __init__(
        self,
        stage: Stage,
        number: int,
        *,
        announce_s: float = 0.0,
        allowance_ms: int = 0,
        tick_s: float = math.inf,
        idle_s: float = 0.0,
    ) -> None:
        self.stage = stage
        self.number = number
        self.state: Any = None
        self.live = True
        self.running = False
        self.log_end = -1
        self.marks: deque[int] = deque()
        self._announce_s = announce_s
        self._announce_due_s = 0.0
        self._owes_announcement = False
        self._inbox = Inbox(stage.inputs, time_of=stage.time_ms, allowance_ms=allowance_ms)
        self._expected: dict[str, int] = {}
        self._global: list[Batch] = []
        self._idle: frozenset[str] = frozenset()
        self._stepped_idle: frozenset[str] = frozenset()
        self._stepped_s = 0.0
        self._ticks = Ticks(tick_s)
        self._idle_s = idle_s
        self._quiet_since_s: dict[str, float] = {}

    @property
    def log(self) -> Input:
        """The partition of the state topic that belongs to it."""
        return self.stage.state_topic, self.number

    @property
    def inputs(self) -> list[Input]:
        """The input partitions that belong to it."""
        return [(topic, self.number) for topic in self.stage.inputs]

    @property
    def offsets(self) -> dict[Input, int]:
        """Where reading goes on, by input partition."""
        return {(topic, self.number): self.state.next[topic] for topic in self.stage.inputs}

    def keep_marks(self, count: int) -> int | None:
        """Forget all marks but the latest; return the offset before which nothing is needed.

        None if a mark is not known yet, since its delivery was reported late.
        """
        while len(self.marks) > count:
            self.marks.popleft()
        return self.marks[0] if len(self.marks) == count else None

    def run(self) -> None:
        """Begin to take records from where the state says."""
        self._expected = {topic: self.state.next[topic] for topic in self.stage.inputs}
        self.running = self.live

    def feed(self, batch: Batch) -> None:
        """Queue records.

        Raises
        ------
        InputChainError
            If they are not what comes after the records before. Gaps are legal: transaction
            markers and compacted records have offsets, too.
        """
        expected = self._expected[batch.topic]
        if batch.offsets[0] < expected:
            raise InputChainError(
                f"{self.stage.name}/{self.number}: {batch.topic} delivered offset"
                f" {batch.offsets[0]} where {expected} or later was next"
            )
        self._expected[batch.topic] = batch.next_offset
        self._inbox.put(batch)
        self._idle -= {batch.topic}

    def next_global(self, topic: str) -> int:
        """Return where to go on with a topic of which every partition takes all."""
        queued = [batch.next_offset for batch in self._global if batch.topic == topic]
        return queued[-1] if queued else self.state.next.get(topic, 0)

    def feed_global(self, batch: Batch) -> None:
        """Queue what every partition takes."""
        self._global.append(batch)

    def set_quiet(self, *, ended: frozenset[str], idle: frozenset[str]) -> None:
        """Note which inputs are read to their end, and idle; what is queued of them comes first."""
        self._inbox.ended = ended
        self._idle = idle

    @property
    def waiting(self) -> bool:
        """Whether records are queued that need not wait for another input."""
        return self._inbox.ready

    @property
    def queued_bytes(self) -> int:
        """Keys and values of the records that are queued."""
        return self._inbox.queued_bytes

    @property
    def paused(self) -> set[Input]:
        """Inputs that should not be fetched for now."""
        return {(topic, self.number) for topic in self._inbox.paused}

    def pace(self, limit: int) -> bool:
        """See `Inbox.pace`."""
        return self._inbox.pace(limit)

    def release(self) -> None:
        """See `Inbox.release`."""
        self._inbox.release()

    def due(self, now_s: float, *, backlog: bool = False) -> bool:
        """Tell whether a step would achieve something, and on a backlog, what cannot wait."""
        if not self.running:
            return False
        if self._global:
            return True
        quiet = self._idle.issuperset(self.stage.inputs) and not self._inbox.queued
        tick = self._ticks.due(now_s, quiet=quiet)
        announce = self._owes_announcement and now_s >= self._announce_due_s
        news = not self._idle - self._inbox.queued <= self._stepped_idle
        if tick or announce or news or self.waiting:
            return True
        gives_way = backlog and now_s < self._stepped_s + _GIVES_WAY_S
        return not gives_way and self.stage.unfinished(self.state)

    def next_due_s(self) -> float | None:
        """Return when a step is due though no records may come, or None if never."""
        if not self.running:
            return None
        times_s = [self._announce_due_s] if self._owes_announcement else []
        if self.stage.unfinished(self.state):
            times_s.append(self._stepped_s + _GIVES_WAY_S)
        if (tick_s := self._ticks.next_s) is not None:
            times_s.append(tick_s)
        return min(times_s, default=None)

    def take(self) -> list[Batch]:
        """Unqueue what goes into the next transaction."""
        return list(self._inbox.take(LARGEST_TRANSACTION_RECORDS, LARGEST_TRANSACTION_BYTES))

    def drop(self) -> list[Batch]:
        """Unqueue everything, since the partition was taken away."""
        return self._inbox.clear()

    def step(self, batches: Sequence[Batch], *, now_s: float, now_ms: int) -> Effects:
        """Let the stage process `batches`, and advance the state."""
        # An input with records in this very step, or queued behind it, is not idle yet: it is
        # after them, and the next step says so.
        idle = self._idle - self._inbox.queued - {batch.topic for batch in batches}
        announce = now_s >= self._announce_due_s
        if batches:
            self._ticks.stop()
        every, self._global = [*self._global, *batches], []
        effects = self.stage.step(
            self.state,
            every,
            now_ms=now_ms,
            idle=idle,
            announce=announce,
            tick_ms=self._ticks.take(now_s),
            quiet_ms=self._quiet_ms(batches, idle, now_s=now_s),
        )
        self._stepped_idle, self._stepped_s = idle, now_s
        self._owes_announcement = not announce
        if announce:
            self._announce_due_s = now_s + self._announce_s
        return effects

    def _quiet_ms(
        self, batches: Sequence[Batch], idle: frozenset[str], *, now_s: float
    ) -> dict[str, int]:
        """Return of the inputs of which records come how long they had been idle, if they had."""
        since_s = self._quiet_since_s
        topics = {batch.topic for batch in batches}
        quiet_ms = {t: round(1_000 * (now_s - since_s[t])) for t in topics if t in since_s}
        # What is idle has been quiet for the idle timeout already.
        self._quiet_since_s = {t: since_s.get(t, now_s - self._idle_s) for t in idle}
        return quiet_ms
