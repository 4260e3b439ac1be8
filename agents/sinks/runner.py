"""The loop of a sink: read, decode, hand on, wait until that is safe, commit.

Rules of this file:

* Offsets are committed after the target has confirmed, and after dead letters are on disk.
* A target that is away is waited for, for ever; what it refuses is set aside, and the rest goes on.
* What a person must act on is raised, as `ConfigError`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import NamedTuple, Protocol

from agents.exits import say
from agents.sinks.contract import AwayError, RefusedError, Sink, Upsert
from agents.sinks.decoding import Decoding
from agents.sinks.letters import DeadLetterFile, Located
from agents.sinks.telemetry import SinkHealth
from driftline.places import Gap
from driftline.reader import Entry

_GATHER_S = 1.0
_READ_S = 0.2
_LAG_EVERY_S = 2.0


class Source(Protocol):
    """What of `driftline.reader.Reader` the loop uses."""

    def read(self, timeout_s: float, most: int = ...) -> list[Entry]:
        """Return what came."""

    def commit(self) -> None:
        """Remember that all that was read is done with."""

    @property
    def gaps(self) -> list[Gap]:
        """What was gone before it was read."""

    @property
    def at_end(self) -> bool:
        """Whether all that is there was read."""

    @property
    def lag(self) -> int:
        """How many records wait."""


class Pace(NamedTuple):
    """How much is handed on at once, and how long a target that is away is left alone."""

    most: int = 10_000
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0


class Runner:
    """Hand on what a source has, until told to stop.

    Parameters
    ----------
    stop
        Ends the loop; what was not confirmed by then is read again.
    """

    def __init__(
        self,
        sink: Sink,
        source: Source,
        *,
        decode: Decoding,
        letters: DeadLetterFile,
        health: SinkHealth,
        stop: Event,
        pace: Pace | None = None,
    ) -> None:
        self._sink, self._source = sink, source
        self._decode, self._letters, self._health = decode, letters, health
        self._stop, self._pace = stop, pace or Pace()
        self._caught_up = False
        self._told_gaps = 0
        self._lag_due_s = 0.0

    def run(self) -> None:
        """Go on until told to stop."""
        while not self._stop.is_set():
            self.step()

    def step(self) -> None:
        """Take one batch from the topics to the target."""
        self._health.stirred()
        entries = self._gather()
        self._tell_gaps()
        upserts = self._decoded(entries)
        at_end = self._source.at_end
        if not self._delivered(upserts):
            return
        if entries:
            self._source.commit()
            self._health.written(Counter(upsert.kind for upsert in upserts))
        if at_end and not self._caught_up:
            self._caught_up = True
            self._sink.caught_up()
            self._health.caught_up()
        self._show_lag()

    def _gather(self) -> list[Entry]:
        """Read until there is enough, or the end, or a moment has passed."""
        most, ends_s = self._pace.most, time.monotonic() + _GATHER_S
        entries = self._source.read(_READ_S, most)
        while 0 < len(entries) < most and not self._source.at_end and time.monotonic() < ends_s:
            more = self._source.read(_READ_S, most - len(entries))
            if not more:
                break
            entries += more
        return entries

    def _tell_gaps(self) -> None:
        for gap in self._source.gaps[self._told_gaps :]:
            self._told_gaps += 1
            say(f"records are missing: {gap}")
            self._health.missing(gap.topic, max(gap.there - gap.wanted, 0))
            insist(
                partial(self._sink.missing, gap),
                stop=self._stop,
                pace=self._pace,
                health=self._health,
            )

    def _decoded(self, entries: Sequence[Entry]) -> list[Upsert]:
        upserts = []
        for entry in filter(self._decode.is_meant, entries):
            try:
                upsert = self._decode(entry)
            except RefusedError as error:
                self._set_aside(entry, error)
            else:
                if upsert.kind in self._sink.wanted:
                    upserts.append(upsert)
        return upserts

    def _delivered(self, upserts: list[Upsert]) -> bool:
        """Hand on and make safe, as often as it takes; False if told to stop meanwhile."""

        def attempt() -> None:
            for first in range(0, len(upserts), self._sink.at_once):
                self._write(upserts[first : first + self._sink.at_once])
                self._health.stirred()
            self._flush()

        return insist(attempt, stop=self._stop, pace=self._pace, health=self._health)

    def _write(self, upserts: list[Upsert]) -> None:
        """Write, without what is refused, which is found by halving where the sink cannot tell."""
        try:
            self._sink.write(upserts)
        except RefusedError as refused:
            if refused.upsert is None and len(upserts) > 1:
                half = len(upserts) // 2
                self._write(upserts[:half])
                self._write(upserts[half:])
                return
            bad = refused.upsert or upserts[0]
            self._set_aside(bad, refused)
            rest = [one for one in upserts if one is not bad]
            if rest:
                self._write(rest)

    def _flush(self) -> None:
        try:
            self._sink.flush()
        except RefusedError as refused:
            for bad in refused.upserts:
                self._set_aside(bad, refused)

    def _set_aside(self, what: Located, refused: RefusedError) -> None:
        self._letters.add(what, reason=refused.reason, detail=refused.detail)
        self._health.dead_letter(refused.reason)

    def _show_lag(self) -> None:
        if (now_s := time.monotonic()) >= self._lag_due_s:
            self._lag_due_s = now_s + _LAG_EVERY_S
            self._health.lag(self._source.lag)


def insist(
    attempt: Callable[[], None], *, stop: Event, pace: Pace, health: SinkHealth | None = None
) -> bool:
    """Try until the target is there; False if told to stop before."""
    pause_s, told = pace.first_pause_s, False
    while True:
        try:
            attempt()
        except AwayError as error:
            if not told:
                say(f"the target is away, trying again: {error}")
                told = True
            if health is not None:
                health.stirred()
                health.away(str(error))
            if stop.wait(pause_s):
                return False
            pause_s = min(pause_s * 2, pace.longest_pause_s)
        else:
            if told:
                say("the target is there again")
            return True
