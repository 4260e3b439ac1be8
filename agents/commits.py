"""What steps want written is committed: one transaction at a time, in the order of the steps."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from agents.exits import end_process
from agents.health import Health
from agents.idleness import Input
from agents.ledger import Entry, Ledger, TransactionError, Written
from agents.partitions import Partition
from agents.remarks import Remarks
from agents.settings import Settings
from agents.status import COMMIT, Tally
from agents.tasks import Tasks
from agents.trimming import Trimmer
from agents.watchdog import Watchdog


class Transaction(NamedTuple):
    """What one transaction is made of.

    Attributes
    ----------
    offsets
        Where reading goes on, by input partition.
    processed
        By topic, how many records were processed.
    """

    entries: list[Entry]
    offsets: dict[Input, int]
    processed: Counter[str]


class Commits:
    """Writes transactions, on a thread of its own.

    Parameters
    ----------
    owned
        By stage and number, partitions that there are; it changes.

    Attributes
    ----------
    metadata
        Of the consumer group, as it was at the assignment.
    tally
        What has been processed, and what it has cost.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        owned: Mapping[tuple[str, int], Partition],
        ledger: Ledger,
        health: Health,
        watchdog: Watchdog,
        tasks: Tasks,
    ) -> None:
        self._owned, self._ledger = owned, ledger
        self._health, self._watchdog, self._tasks = health, watchdog, tasks
        self.metadata: Any = None
        self.tally = Tally()
        self._remarks = Remarks()
        self._trimmer = Trimmer(settings)
        self._under_way: asyncio.Task[None] | None = None
        self._writing = ThreadPoolExecutor(1, "driftline-write")

    async def start(self) -> None:
        """Connect the ledger."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._writing, self._ledger.start)
        except TransactionError as error:
            end_process(f"producer: {error}")

    async def begin(self, transaction: Transaction) -> asyncio.Task[None]:
        """Begin to commit, once no other transaction is under way."""
        await self.finish()
        self._under_way = self._tasks.spawn(self._commit(transaction), "commit")
        return self._under_way

    async def finish(self) -> None:
        """Wait until no transaction is under way."""
        if self._under_way is not None:
            await self._under_way
            self._under_way = None

    def trim(self) -> None:
        """Go on deleting what state topics need no longer."""
        self._trimmer.advance()

    async def _commit(self, transaction: Transaction) -> None:
        if transaction.entries:
            with self._watchdog.busy("a commit"):
                await self._write(transaction)
            self._watchdog.committed()
        for topic, count in transaction.processed.items():
            self.tally.records += count
            self._health.read(topic, count)

    async def _write(self, transaction: Transaction) -> None:
        started_s = time.monotonic()
        entries = transaction.entries

        def write() -> Written:
            with self.tally.spent.on(COMMIT):
                return self._ledger.commit(
                    entries, offsets=transaction.offsets, metadata=self.metadata
                )

        written = await asyncio.get_running_loop().run_in_executor(self._writing, write)
        for partition in self._owned.values():
            partition.log_end = written.ends.get(partition.log, partition.log_end)
            partition.marks += written.marks.get(partition.log, ())
        for entry in entries:
            self._trim(entry)
            self._remarks.say("set aside", map(str, entry.effects.set_aside))
            self._remarks.say(entry.stage.name, entry.effects.remarks)
            self._remarks.say_oddities(entry.effects.oddities)
        self._health.committed(
            [entry.effects for entry in entries], seconds=time.monotonic() - started_s
        )

    def _trim(self, entry: Entry) -> None:
        partition = self._owned.get((entry.stage.name, entry.partition))
        if partition is not None and entry.effects.marks is not None:
            before = partition.keep_marks(entry.effects.marks)
            if before is not None:
                self._trimmer.want(partition.log, before=before)
