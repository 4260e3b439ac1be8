"""Faust's transport, over confluent-kafka: ``confluent://``.

Faust keeps what it is good at: app, agents, channels, worker. Delivery is ours: one Faust event
holds all records of one partition of a stage that came at once, since an event costs Faust some
60 microseconds whatever is in it; offsets travel in the ledger's transactions; rebalances do not
take Faust's way, which stops and clears everything for tables that are not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from confluent_kafka.admin import AdminClient
from faust.events import Event
from faust.transport import base
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from agents import clients
from agents.deliveries import Delivery, Quiet
from agents.ends import ask_offsets
from agents.exits import say
from agents.idleness import Input
from agents.pipeline import Pipeline, Work
from agents.reader import Reader

_LEAVE_TIMEOUT_S = 20.0
# Faust drops events of another generation silently; ours never changes.
_GENERATION = 1


class Consumer(FaustConsumer):
    """Bridge the poll thread to Faust's agents and to the pipeline."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app: Any = self.app  # `agents.app.App`, which imports this module
        self._pipeline: Pipeline = app.pipeline
        self._channels: dict[str, Any] = app.stage_channels
        self._stage_of = {
            topic: stage.name for stage in self._pipeline.stages.values() for topic in stage.inputs
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: Reader | None = None
        self._quiet = Quiet()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Connect and join the group, once; `topics` is what the agents want."""
        if self._reader is not None or not set(topics):
            return
        self._loop = asyncio.get_running_loop()
        pipeline = self._pipeline
        # The producer first: it ends what an earlier life of this worker has left open.
        await pipeline.start()
        self._open_channels()
        self._reader = pipeline.reader = Reader(
            clients.consumer(pipeline.settings),
            topics=self._stage_of,
            watched=[
                topic
                for stage in pipeline.stages.values()
                if len(stage.inputs) > 1
                for topic in stage.inputs
            ],
            idle_s=pipeline.settings.idle_ms / 1_000,
            ask_ends=partial(
                ask_offsets,
                AdminClient(clients.admin(pipeline.settings)),
                latest=True,
                stable=True,
            ),
            backlog=pipeline.backlog,
            listener=self,
        )
        self._reader.start()

    def _open_channels(self) -> None:
        """Let agents take events: there is no table recovery to wait for."""
        self.app.consumer_generation_id = _GENERATION
        self.app.flow_control.resume()
        self.resume_flow()
        tables: Any = self.app.tables
        tables.recovery.completed.set()

    async def on_stop(self) -> None:
        """Leave the group."""
        if self._reader is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._reader.stop, _LEAVE_TIMEOUT_S)
        say("stopped")

    # --- called on the poll thread

    def delivered(self, delivery: Delivery) -> None:
        """Take records to the main loop."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._deliver, delivery)

    def assigned(self, inputs: set[Input], metadata: Any) -> None:
        """Wait until the pipeline has taken partitions over."""
        self._wait_for(self._pipeline.assigned(inputs, metadata))

    def revoked(self, inputs: set[Input]) -> None:
        """Wait until the pipeline has released partitions."""
        self._wait_for(self._pipeline.revoked(inputs))

    def lag_seen(self, lags: Mapping[Input, int]) -> None:
        """Show how far inputs are behind."""
        self._pipeline.health.lag(lags)
        self._pipeline.watchdog.lag_seen(lags)

    def _wait_for(self, work: Any) -> None:
        assert self._loop is not None
        # How long that may take is the watchdog's business.
        with self._pipeline.watchdog.busy("a rebalance"):
            asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # --- main loop

    def _deliver(self, delivery: Delivery) -> None:
        batches: dict[tuple[str, int], list[Any]] = {}
        for (topic, number), batch in delivery.batches.items():
            batches.setdefault((self._stage_of[topic], number), []).append(batch)
        news = set() if delivery.quiet is None else self._changes(delivery.quiet)
        ended, idle = self._quiet
        for stage, number in batches.keys() | news:
            topics = self._pipeline.stages[stage].inputs
            work = Work(
                number,
                batches.get((stage, number), []),
                self._pipeline.epoch,
                ended=frozenset(t for t in topics if (t, number) in ended),
                idle=frozenset(t for t in topics if (t, number) in idle),
            )
            self._send(stage, work)

    def _changes(self, quiet: Quiet) -> set[tuple[str, int]]:
        changed = (quiet.ended ^ self._quiet.ended) | (quiet.idle ^ self._quiet.idle)
        self._quiet = quiet
        return {(self._stage_of[topic], number) for topic, number in changed}

    def _send(self, stage: str, work: Work) -> None:
        source = TP(self._pipeline.stages[stage].inputs[0], work.partition)
        message = ConsumerMessage(
            *source, 0, 0, 0, None, None, b"", None, 0, 0, source, generation_id=_GENERATION
        )
        message.refcount += 1  # what Faust's conductor would do
        channel = self._channels[stage]
        channel.queue.force_put_nowait(Event(self.app, None, work, None, message))

    async def _drain_messages(self, fetcher: Any) -> None:
        await fetcher.wait_for_stopped()

    # --- what Faust's interface demands; offsets, seeks and positions are not Faust's business

    async def commit(self, *_: Any, **__: Any) -> bool:
        """Do nothing: offsets are committed in the ledger's transactions."""
        return False

    def assignment(self) -> set[TP]:
        """Return nothing: partitions are the pipeline's."""
        return set()

    async def _commit(self, _offsets: Any) -> bool:
        return False

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Do nothing."""
        return {}

    async def perform_seek(self) -> None:
        """Do nothing."""

    async def _seek(self, *_: Any) -> None:
        raise NotImplementedError

    async def seek_wait(self, *_: Any) -> None:
        """Refuse: positions are the pipeline's."""
        raise NotImplementedError

    async def position(self, _tp: TP) -> int | None:
        """Answer None: positions are the pipeline's."""
        return None

    async def earliest_offsets(self, *_: TP) -> Mapping[TP, int]:
        """Answer nothing."""
        return {}

    async def highwaters(self, *_: TP) -> Mapping[TP, int]:
        """Answer nothing."""
        return {}

    async def _getmany(self, *_: Any, **__: Any) -> Any:
        return {}

    async def create_topic(self, *_: Any, **__: Any) -> None:
        """Do nothing: topics are made by `driftline topics create`."""

    def highwater(self, _tp: TP) -> int:
        """Answer 0."""
        return 0

    def topic_partitions(self, _topic: str) -> int | None:
        """Answer None."""
        return None

    def key_partition(self, *_: Any, **__: Any) -> int | None:
        """Answer None."""
        return None

    def _to_message(self, *_: Any) -> ConsumerMessage:
        raise NotImplementedError

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)


class NoProducer(base.Producer):
    """Send nothing: every record of a worker goes through the ledger."""

    async def send(self, *_: Any, **__: Any) -> Any:
        """Refuse."""
        raise NotImplementedError

    async def send_and_wait(self, *_: Any, **__: Any) -> Any:
        """Refuse."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Do nothing."""

    async def create_topic(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def key_partition(self, *_: Any, **__: Any) -> TP:
        """Answer with no topic."""
        return TP("", 0)

    def supports_headers(self) -> bool:
        """Answer yes."""
        return True


class Transport(base.Transport):
    """Give Faust the two classes above."""

    Consumer = Consumer
    Producer = NoProducer
    driver_version = "confluent-kafka"
