"""The heart of a worker: partitions come and go, and once an interval their work is committed.

Rules of this file:

* Everything runs on the main loop, but for opening partitions and for the transaction itself,
  which have a thread each. A step and a rebalance never overlap: a lock is between them.
* On a backlog, the steps of the next transaction run while one is being committed. There is one
  transaction at a time, in the order of the steps, and none is left when a partition is released.
* Whatever is unexpected ends the process; nothing is repaired in place.
* It knows stages by their interface only.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from agents.commits import Commits, Transaction
from agents.deliveries import Backlog, size_bytes
from agents.health import Health
from agents.idleness import Input
from agents.key_watch import KeyWatch
from agents.ledger import Entry, Ledger
from agents.opening import Opener
from agents.partitions import Partition
from agents.reader import Reader
from agents.settings import Settings
from agents.specifications import Globals
from agents.state_changes import StateChanges
from agents.status import Status, status_of
from agents.tasks import Tasks
from agents.timetable import EARLY_S, Timetable
from agents.version import installed_version
from agents.watchdog import Watchdog
from streams.steps import Batch, Stage

_SAMPLE_S = 2.0
_ANSWER_S = 10.0
_ANNOUNCE_S = 0.5
_ANNOUNCE_PARTITION_S = 0.02
_OPENING_THREADS = 4
_OPENING = "opening partitions"


class Work(NamedTuple):
    """What an agent hands to the pipeline: records, or news about quiet inputs, of one partition.

    Attributes
    ----------
    ended, idle
        The inputs of this partition of which that is true now; see `agents.deliveries.Quiet`.
    """

    partition: int
    batches: Sequence[Batch]
    epoch: int
    ended: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()


class Pipeline:
    """Run stages on the partitions that this worker owns.

    Parameters
    ----------
    keys
        Looks at keys of inputs, if anybody does.

    Attributes
    ----------
    backlog
        What the reader has handed over and is not processed yet.
    epoch
        Counts revocations. What was read before one may not be taken for what is read after it:
        the gap between them would look like one that a transaction's markers leave.
    reader
        Set by the transport before the first assignment.
    """

    def __init__(
        self,
        settings: Settings,
        stages: Sequence[Stage],
        *,
        ledger: Ledger,
        health: Health,
        watchdog: Watchdog,
        keys: KeyWatch | None = None,
    ) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.settings = settings
        self.backlog = Backlog()
        self.epoch = 0
        self.health = health
        self.watchdog = watchdog
        self.reader: Reader | None = None
        self._keys = keys
        self._opener = Opener(settings, opened=self._opened, progressed=self._progressed)
        self._owned: dict[tuple[str, int], Partition] = {}
        self._kept: dict[tuple[str, int], Partition] = {}
        self._timetable = Timetable(settings, self.stages, owned=self._owned)
        self._tasks = Tasks(settings)
        self._commits = Commits(
            settings,
            owned=self._owned,
            ledger=ledger,
            health=health,
            watchdog=watchdog,
            tasks=self._tasks,
        )
        self._changes = StateChanges()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._joined = False
        self._stopping = False
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._opening = ThreadPoolExecutor(_OPENING_THREADS, "driftline-open")
        self._globals = Globals(settings, stages, came=self._global_came)

    # --- life

    async def start(self) -> None:
        """Connect the ledger and begin the commit loop."""
        loop = self._loop = asyncio.get_running_loop()
        self.watchdog.start(loop, inputs=self._inputs)
        await self._commits.start()
        self._globals.start()
        self._tasks.spawn(self._pump(), "commit loop")
        self._tasks.spawn(self._sample(), "sampling")

    async def shutdown(self) -> None:
        """Finish the transaction under way and process nothing more."""
        self._stopping = True
        self._wake.set()
        self._globals.stop()
        async with self._lock:
            await self._commits.finish()
            for partition in self._owned.values():
                partition.running = False

    def unready(self) -> str | None:
        """Say why no records are processed yet, or None; may be called on any thread."""
        if self._stopping:
            return "stopping"
        if not self._joined:
            return "waiting for the group to assign partitions"
        owned = list(self._owned.values())
        opening = sum(not partition.running for partition in owned)
        return f"opening {opening} of {len(owned)} partitions" if opening else None

    def status(self) -> Status:
        """Tell how it goes; to be called on any thread but the main loop's.

        Raises
        ------
        RuntimeError
            If it does not run.
        """
        if self._loop is None:
            raise RuntimeError("the worker has not started yet")

        async def ask() -> Status:
            return status_of(
                self._owned.values(),
                self._commits.tally,
                worker_id=self.settings.worker_id,
                version=installed_version(),
                unready=self.unready(),
                **self.health.known(),
            )

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(_ANSWER_S)

    def _inputs(self) -> list[Input]:
        return [source for one in list(self._owned.values()) for source in one.inputs]

    # --- rebalancing

    async def assigned(self, inputs: set[Input], metadata: Any) -> None:
        """Take over partitions and open those that do not run yet."""
        self._commits.metadata = metadata
        fresh = []
        for name, stage in self.stages.items():
            for number in sorted(_co_partitioned(stage, inputs)):
                if (name, number) not in self._owned:
                    partition = self._adopt(stage, number)
                    fresh.append(partition)
        self._kept.clear()
        self._joined = True
        self._changes.assigned(self._owned)
        if fresh:
            self._tasks.spawn(self._open(fresh), "opening partitions")
        else:
            self._say_if_ready()

    def _adopt(self, stage: Stage, number: int) -> Partition:
        partition = Partition(
            stage,
            number,
            announce_s=self._announce_s(stage),
            allowance_ms=self.settings.disorder_ms,
            tick_s=self.settings.tick_ms / 1_000 if stage.ticks else math.inf,
            idle_s=self.settings.idle_ms / 1_000,
        )
        if (kept := self._kept.get((stage.name, number))) is not None:
            partition.state, partition.log_end = kept.state, kept.log_end
            partition.marks = kept.marks
        self._owned[stage.name, number] = partition
        return partition

    def _announce_s(self, stage: Stage) -> float:
        # Every partition tells every partition of the next stage: the more, the less often.
        owned = sum(1 for name, _ in self._owned if name == stage.name)
        return max(_ANNOUNCE_S, _ANNOUNCE_PARTITION_S * owned)

    async def _open(self, partitions: Sequence[Partition]) -> None:
        loop = asyncio.get_running_loop()
        try:
            with self.watchdog.busy(_OPENING):
                await loop.run_in_executor(self._opening, self._opener.open, partitions)
        except Exception:
            # What was taken away meanwhile may fail to open: it is somebody else's.
            if any(partition.live for partition in partitions):
                raise
        self._say_if_ready()

    def _say_if_ready(self) -> None:
        if self.unready() is None:
            self._changes.ready(len(self._owned))

    def _progressed(self) -> None:
        self.watchdog.progressed(_OPENING)

    def _opened(self, partition: Partition) -> None:
        """Begin to read a partition whose state is there; called on the opening thread."""
        self._globals.wait(partition)
        self._globals.feed(partition)  # before all else: it may be about that
        partition.run()  # before reading: the first batch may be faster than this thread
        self._global_came()  # what has come meanwhile
        assert self.reader is not None
        self.reader.open(partition.offsets, wanted=lambda: partition.live)

    async def revoked(self, inputs: set[Input]) -> None:
        """Release partitions, after the transaction in which they may be."""
        self._joined = False
        self.epoch += 1
        gone = [
            (key, partition)
            for key, partition in self._owned.items()
            if not inputs.isdisjoint(partition.inputs)
        ]
        for _, partition in gone:
            partition.live = partition.running = False
        async with self._lock:
            await self._commits.finish()
            for key, partition in gone:
                del self._owned[key]
                self._processed(partition.drop())
                self.health.forget(partition)
                if partition.state is not None:
                    self._kept[key] = partition
        self._changes.released(key for key, _ in gone)

    # --- records

    def _global_came(self) -> None:
        """Let all partitions take what came for all; called on any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._feed_global)

    def _feed_global(self) -> None:
        for partition in self._owned.values():
            if partition.running:
                self._globals.feed(partition)
        self._wake.set()

    def feed(self, stage: str, work: Work) -> None:
        """Queue work of a partition; what is left over from one that was revoked is dropped."""
        partition = self._owned.get((stage, work.partition))
        if work.epoch != self.epoch or partition is None or not partition.running:
            self._processed(work.batches)
            return
        for batch in work.batches:
            partition.feed(batch)
        partition.set_quiet(ended=work.ended, idle=work.idle)
        self._pace(partition)
        self._wake.set()

    def _pace(self, partition: Partition) -> None:
        """Let the reader fetch less of an input that must wait for another."""
        if len(partition.stage.inputs) > 1 and partition.pace(self.backlog.share(len(self._owned))):
            assert self.reader is not None
            self.reader.pause(partition.inputs, paused=partition.paused)

    def _processed(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self.backlog.change(records=-len(batch.offsets), size_bytes=-size_bytes(batch))

    async def _pump(self) -> None:
        while not self._stopping:
            now_s = time.monotonic()
            # Not whether a stage is due: with many models the monitor always has something left.
            ready = any(part.running and part.waiting for part in self._owned.values())
            self.backlog.starving = not ready
            if not ready and self.backlog.crowded:
                self._make_room()
            due = self._timetable.stages(now_s)
            if not due:
                await self._sleep_until_work(now_s)
                continue
            wait_s = self._timetable.wait_s(due, now_s=now_s)
            if wait_s > 0 and self.backlog.crowded:
                self._timetable.wake(due)  # what waits here keeps others from coming
            elif wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            async with self._lock:
                if not self._stopping:
                    await self._transact()

    def _make_room(self) -> None:
        """Pause what waits; if there is no room left, let something of it go out of turn."""
        for partition in self._owned.values():
            self._pace(partition)
            if self.backlog.full:
                partition.release()

    async def _sleep_until_work(self, now_s: float) -> None:
        self._wake.clear()
        next_s = self._timetable.next_s()
        timeout_s = None if next_s is None else max(0.0, next_s - now_s)
        try:
            await asyncio.wait_for(self._wake.wait(), timeout_s)
        except TimeoutError:
            return

    async def _transact(self) -> None:
        """Run the steps that are due and commit what they want written."""
        started_s = time.monotonic()
        partitions = self._timetable.take(started_s)
        transaction = Transaction([], {}, Counter())
        behind: set[str] = set()
        for partition in partitions:
            self._step(partition, transaction)
            if partition.waiting:  # it has more than a transaction takes; what comes later does not
                behind.add(partition.stage.name)
        self._timetable.backlog = bool(behind)
        under_way = await self._commits.begin(transaction)
        if behind:
            await asyncio.wait({under_way}, timeout=EARLY_S)  # it must begin, at least
        else:
            await self._commits.finish()
        records = sum(transaction.processed.values()) / (len(partitions) or 1)
        stages = {partition.stage.name for partition in partitions}
        self._timetable.rest(stages, behind, started_s=started_s, records=records)

    def _step(self, partition: Partition, transaction: Transaction) -> None:
        """Run a step of a partition; what it wants written goes into the transaction."""
        batches = partition.take()
        tally = self._commits.tally
        if batches:
            tally.begin()
        self._pace(partition)
        with tally.spent.on(partition.stage.name):
            effects = partition.step(
                batches, now_s=time.monotonic(), now_ms=time.time_ns() // 1_000_000
            )
        for batch in batches:
            transaction.processed[batch.topic] += len(batch.offsets)
            if self._keys is not None:
                self._keys.look(batch, partition.number)
        self._processed(batches)
        if batches or effects.state or effects.records:
            transaction.entries.append(Entry(partition.stage, partition.number, effects))
            transaction.offsets.update(partition.offsets)

    async def _sample(self) -> None:
        while not self._stopping:
            self._commits.trim()
            self.health.sample(list(self._owned.values()), stages=list(self.stages))
            await asyncio.sleep(_SAMPLE_S)


def _co_partitioned(stage: Stage, inputs: set[Input]) -> set[int]:
    """Return the partition numbers of a stage; all its inputs must have been assigned alike."""
    numbers = [{number for topic, number in inputs if topic == name} for name in stage.inputs]
    if any(one != numbers[0] for one in numbers):
        found = dict(zip(stage.inputs, map(sorted, numbers), strict=True))
        raise RuntimeError(f"inputs of {stage.name} are not co-partitioned: {found}")
    return numbers[0]
