"""When stages run: what is due, what goes along with it, and how long a stage rests after work.

It runs nothing, and knows of partitions only whether they are due.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from agents.partitions import Partition
from agents.settings import Settings

EARLY_S = 0.002
# For at least so many times as long as a transaction took, its stage rests: the longer, the cheaper
# an event, and the later its result. Most of what a step costs is the same for a record as for
# hundreds, so that rest pays where there were few. Where there were many, it would only make the
# next transaction longer, and rest after that: at two thirds of a core results would be late for
# ever. On a backlog they are late anyway: a stage that keeps up with the one behind rests longer.
_REST_AFTER_FEW, _FEW_RECORDS = 3.0, 200
_LONGEST_REST_S = 0.15
_REST_ON_BACKLOG, _LONGEST_REST_ON_BACKLOG_S = 6.0, 0.5
# A stage goes along with the transaction of another if it is due within this share of its interval,
# or has so much to do that what a step costs besides does not matter.
_ALONG, _MUCH_BYTES, _MUCH_BYTES_ON_BACKLOG = 0.25, 256 << 10, 8 << 20


class Timetable:
    """Says which stages and partitions are due.

    Parameters
    ----------
    stages
        Names, in the order in which they run.
    owned
        By stage and number, partitions that there are; it changes.

    Attributes
    ----------
    due_s
        By stage, when it may run again.
    backlog
        Whether the last transaction left records over.
    """

    def __init__(
        self,
        settings: Settings,
        stages: Iterable[str],
        *,
        owned: Mapping[tuple[str, int], Partition],
    ) -> None:
        self._settings, self._owned = settings, owned
        self.due_s = dict.fromkeys(stages, 0.0)
        self.backlog = False

    def stages(self, now_s: float) -> set[str]:
        """Return the stages that have something to do."""
        parts = self._owned.values()
        return {part.stage.name for part in parts if part.due(now_s, backlog=self.backlog)}

    def wait_s(self, due: Iterable[str], *, now_s: float) -> float:
        """Return how long the first of some stages rests still."""
        return min(self.due_s[name] for name in due) - now_s

    def wake(self, stages: Iterable[str]) -> None:
        """Let stages rest no longer."""
        self.due_s |= dict.fromkeys(stages, 0.0)

    def next_s(self) -> float | None:
        """Return when something is due though no records may come, or None if never."""
        times = [part.next_due_s() for part in self._owned.values()]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def take(self, now_s: float) -> list[Partition]:
        """Return the partitions that go into the next transaction; their stages begin to rest."""
        due: list[Partition] = []
        for name in self.due_s:
            interval_s = self._settings.commit_interval_ms(name) / 1_000
            soon = self.due_s[name] <= now_s + max(EARLY_S, _ALONG * interval_s)
            found = [
                partition
                for (stage, _), partition in self._owned.items()
                if stage == name and partition.due(now_s, backlog=self.backlog)
            ]
            much_bytes = _MUCH_BYTES_ON_BACKLOG if self.backlog else _MUCH_BYTES
            if found and (soon or sum(one.queued_bytes for one in found) >= much_bytes):
                self.due_s[name] = now_s + interval_s
                due += found
        return due

    def rest(self, stages: set[str], behind: set[str], *, started_s: float, records: float) -> None:
        """Decide when stages go on: a backlog does not wait; else costly work is done less often.

        What a stage writes again in every transaction (metrics of windows under way) costs the
        same however many records were read, so that waiting makes it cheaper.

        Parameters
        ----------
        records
            How many Kafka records there were of a partition.
        """
        now_s = time.monotonic()
        took_s = now_s - started_s
        if behind:
            rest_s = min(_REST_ON_BACKLOG * took_s, _LONGEST_REST_ON_BACKLOG_S)
        else:
            rest = _REST_AFTER_FEW * _FEW_RECORDS / (_FEW_RECORDS + records)
            rest_s = min(rest * took_s, _LONGEST_REST_S)
        for name in stages:
            self.due_s[name] = 0.0 if name in behind else max(self.due_s[name], now_s + rest_s)
