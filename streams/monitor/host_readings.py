"""Readings of hosts that have come: which are not counted yet, and which wait for rules.

A reading is counted into its window as it comes. Rules see it in order, once the watermark has
passed it; it never moves the watermark. What waits is written down whole: it is a few hundred
bytes, and its record need not be read again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from streams.errors import StateError
from streams.outcomes import Ints
from streams.readings import Reading, ReadingRows, decode_written, encode

WAIT_MS = 6 * 3_600_000
"""A clock that stands still for longer, since no predictions come, is not waited for."""


class WaitingReadings:
    """Readings that are counted in windows, and not all taken in order yet.

    Attributes
    ----------
    observed
        What families see of them.
    offsets
        Of their records.
    first_ms, last_ms
        When the first and the last of them are due.
    """

    def __init__(
        self, rows: ReadingRows, observed: Mapping[tuple[str, str], Any], offsets: list[int]
    ) -> None:
        self.rows, self.observed, self.offsets = rows, observed, offsets
        self.first_ms, self.last_ms = int(rows.time_ms.min()), int(rows.time_ms.max())


class HostReadings:
    """Readings of a partition.

    Attributes
    ----------
    wait_ms
        So much older than the newest may be what waits for rules.
    newest_ms, written_ms
        Time of the newest, -1 before the first; and what is written down of that.
    backlog
        By offset, what is not counted yet.
    waiting
        What is counted and waits to be taken in order.
    restored
        Of a state that was read back, what was counted and waits, by offset.
    """

    def __init__(self, *, wait_ms: int = WAIT_MS) -> None:
        self.wait_ms = wait_ms
        self.newest_ms = self.written_ms = -1
        self.backlog: dict[int, Reading] = {}
        self.waiting: list[WaitingReadings] = []
        self.restored: dict[int, Reading] = {}
        self._kept: dict[int, Reading] = {}
        self._written: set[int] = set()
        self._touched: set[int] = set()

    def arrive(self, offset: int, reading: Reading) -> None:
        """Let a reading wait to be counted."""
        assert reading.timestamp_ms is not None
        self.newest_ms = max(self.newest_ms, reading.timestamp_ms)
        self.backlog[offset] = self._kept[offset] = reading
        self._touched.add(offset)

    def counted(self, offsets: Iterable[int]) -> None:
        """Note that readings of the backlog are counted; until `done`, they wait for rules."""
        for offset in offsets:
            del self.backlog[offset]
            self._touched.add(offset)

    def done(self, offsets: Iterable[int]) -> None:
        """Note that nobody waits for readings any more."""
        for offset in offsets:
            self._kept.pop(offset, None)
            self._touched.add(offset)

    def let_wait(self, rows: ReadingRows, observed: Mapping[Any, Any], offsets: Ints) -> None:
        """Let readings wait to be taken in order."""
        self.waiting.append(WaitingReadings(rows, observed, offsets.tolist()))

    def due(self, until_ms: int) -> list[WaitingReadings]:
        """Return what has readings of before a time."""
        return [one for one in self.waiting if one.first_ms < until_ms]

    def release(self, until_ms: int) -> None:
        """Note that all before a time was taken in order."""
        if self.waiting:
            self._let_go(until_ms)

    def give_up(self) -> int:
        """Wait no longer for what is old; return how many readings that are."""
        return self._let_go(self.newest_ms - self.wait_ms) if self.waiting else 0

    def _let_go(self, until_ms: int) -> int:
        gone = [one for one in self.waiting if one.last_ms < until_ms]
        if gone:
            self.waiting = [one for one in self.waiting if one.last_ms >= until_ms]
            for one in gone:
                self.done(one.offsets)
        return sum(len(one.offsets) for one in gone)

    @property
    def behind(self) -> bool:
        """Whether a state was read back, and what waits is not there yet."""
        return bool(self.restored)

    # ------------------------------------------------------------------ written down
    def changes(self) -> Iterator[tuple[int, list[Any] | None]]:
        """Yield offset and content of what has changed, once; `None` deletes."""
        for offset in sorted(self._touched):
            reading = self._kept.get(offset)
            if reading is not None:
                self._written.add(offset)
                yield offset, [encode(reading), offset not in self.backlog]
            elif offset in self._written:
                self._written.remove(offset)
                yield offset, None
        self._touched.clear()

    def restore(self, offset: int, content: Sequence[Any] | None) -> None:
        """Put back what `changes` yielded."""
        for known in (self.backlog, self.restored, self._kept):
            known.pop(offset, None)
        self._written.discard(offset)
        if content is None:
            return
        value, is_counted = content
        try:
            reading = decode_written(value)
        except ValueError as error:
            raise StateError(f"the reading {offset} in the state is damaged: {error}") from None
        (self.restored if is_counted else self.backlog)[offset] = reading
        self._kept[offset] = reading
        self._written.add(offset)
