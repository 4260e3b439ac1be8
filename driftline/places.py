"""How far a reader is in each partition, and what it could not read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

Place = tuple[str, int]
"""A topic and the number of a partition."""


class Gap(NamedTuple):
    """Records that are gone unread: the log of a partition begins later than it was wanted.

    Attributes
    ----------
    wanted
        Offset of the first record that was to be read. It is larger than `there` if the topic was
        made anew or cut.
    there
        Offset from which on there was something to read.
    wanted_ms
        Timestamp of the last record that was read before; None if that is not known.
    there_ms
        Timestamp of the first record that was read after; None until there is one.
    """

    topic: str
    partition: int
    wanted: int
    there: int
    wanted_ms: int | None
    there_ms: int | None

    def __str__(self) -> str:
        """Say what is missing.

        Examples
        --------
        >>> print(Gap("driftline.alerts", 1, 10, 50, 1767225600000, None))
        driftline.alerts/1: wanted from offset 10 (after 2026-01-01 00:00:00), begins at 50
        """
        return (
            f"{self.topic}/{self.partition}: wanted from offset {self.wanted}"
            f"{_clock(' (after {})', self.wanted_ms)}, begins at {self.there}"
            f"{_clock(' ({})', self.there_ms)}"
        )


class Position:
    """How far a reader is in one partition.

    Parameters
    ----------
    wanted
        Offset to begin with; None if that is for the log to say.
    latest
        Whether to begin at the end then.

    Attributes
    ----------
    placed
        Whether it is being read: `position` is then the offset after the last record that was.
    begin, end
        Where reading began, and where the log ends by what is known.
    committed
        The offset that the group remembers; -1 if none is known.
    time_ms
        Timestamp of the last record that was read; None if there was none.
    gap
        Number of the gap whose first record is waited for.
    """

    __slots__ = (
        "at_end",
        "begin",
        "committed",
        "end",
        "gap",
        "latest",
        "placed",
        "position",
        "time_ms",
        "wanted",
    )

    def __init__(self, wanted: int | None, *, latest: bool) -> None:
        self.wanted, self.latest = wanted, latest
        self.placed = self.at_end = False
        self.begin = self.position = self.committed = -1
        self.end = 0
        self.time_ms: int | None = None
        self.gap: int | None = None

    @property
    def known(self) -> bool:
        """Whether it is known where to go on: nobody need be asked."""
        return self.position >= 0 or self.wanted is not None

    def remember(self, offset: int, metadata: str | None) -> None:
        """Go on where the group is; `metadata` is what `said` returned, or somebody else's."""
        self.wanted = self.committed = offset
        self.time_ms = int(metadata) if metadata and metadata.isdecimal() else None

    def said(self) -> str:
        """Return what the group should remember beside the offset: the time of the last record."""
        return "" if self.time_ms is None else str(self.time_ms)

    def place(self, begin: int, end: int) -> bool:
        """Decide where to go on in a log from `begin` to `end`; tell whether records are gone.

        Examples
        --------
        >>> one = Position(10, latest=False)
        >>> one.place(0, 20), one.position
        (False, 10)
        >>> one.place(15, 20), one.position
        (True, 15)
        """
        if self.position >= 0:
            self.wanted = self.position
        wanted = self.wanted
        if wanted is None:
            wanted = end if self.latest else begin
        gone = not begin <= wanted <= end
        self.position = begin if gone else wanted
        if self.begin < 0 or gone:
            self.begin = self.position
        self.end, self.placed, self.at_end = end, True, self.position == end
        return gone


def _clock(text: str, time_ms: int | None) -> str:
    if time_ms is None or time_ms < 0:
        return ""
    return text.format(datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S"))
