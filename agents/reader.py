"""The poll thread: the one place where the worker's consumer is called.

Rules of this file:

* Every call of the consumer happens on this thread. From another one, `committed`, `seek` and
  `consumer_group_metadata` hung while a poll was running.
* Nothing raises out of it: whatever is unexpected ends the process.
* It keeps no more than a bounded backlog of records that are handed over and not yet processed.
* It knows nothing of stages, states or transactions.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from agents.deliveries import AskEnds, Backlog, Delivery, Listener, Quiet, batch_of, size_bytes
from agents.exits import describe, end_process, say
from agents.fetching import Failure, Found, consumer_and_fetcher
from agents.idleness import Idleness, Input
from agents.passing import UNKNOWN, passes
from streams.steps import Batch

_BATCH_RECORDS = 20_000
_POLL_S = 0.05
_FULL_PAUSE_S = 0.01
_CHECK_S = 0.1
_LAG_S = 1.0
_WATERMARK_TIMEOUT_S = 1.0
_SEEK_ATTEMPTS = 400
_SEEK_PAUSE_S = 0.005


class Reader:
    """Read the inputs in a thread of its own.

    Parameters
    ----------
    config
        Configuration of the consumer.
    watched
        Topics of which it matters whether they are read to their end, and idle.
    ask_ends
        Asks the broker, without waiting, where inputs end now: their last stable offsets.
    backlog
        Whoever has processed records takes them off it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        topics: Iterable[str],
        watched: Iterable[str],
        idle_s: float,
        ask_ends: AskEnds,
        backlog: Backlog,
        listener: Listener,
    ) -> None:
        self._listener = listener
        self._backlog = backlog
        self._watched = frozenset(watched)
        self._ask_ends = ask_ends
        self._idleness = Idleness(idle_s)
        self._ended: set[Input] = set()
        self._told = Quiet()
        self._commands: deque[Callable[[], set[Input]]] = deque()
        self._open: dict[Input, int] = {}
        self._paused: set[Input] = set()
        self._missing: set[str] = set()
        self._stopping = False
        self._question: Mapping[Input, Future[Any]] | None = None
        self._check_due_s = self._lag_due_s = 0.0
        self._group = config["group.id"]
        self._consumer, self._fetcher = consumer_and_fetcher(
            {**config, "error_cb": _on_error}, most=_BATCH_RECORDS
        )
        self._consumer.subscribe(
            list(topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        self._thread = threading.Thread(target=self._run, name="driftline-poll", daemon=True)

    def start(self) -> None:
        """Begin to poll; needs an event loop that takes what is delivered."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Leave the group and end the thread; what is under way must be finished before."""
        self._stopping = True
        self._thread.join(timeout_s)

    def open(self, offsets: Mapping[Input, int], *, wanted: Callable[[], bool]) -> None:
        """Read these inputs from these offsets on, unless they are no longer `wanted` by then."""
        self._commands.append(partial(self._open_inputs, offsets, wanted))

    def pause(self, inputs: Collection[Input], *, paused: Collection[Input]) -> None:
        """Fetch nothing of those `inputs` that are `paused`, until told otherwise."""
        self._commands.append(partial(self._pause_inputs, inputs, paused))

    # --- everything below runs on the poll thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._poll_once()
            if self._fetcher is not None:
                self._fetcher.close()
            self._consumer.close()
        except BaseException as error:  # noqa: BLE001 - the one way out of this thread
            end_process(f"poll thread: {describe(error)}")

    def _poll_once(self) -> None:
        resumed: set[Input] = set()
        while self._commands:
            resumed |= self._commands.popleft()()
        self._wake_fetchers(resumed)
        if self._backlog.full:
            time.sleep(_FULL_PAUSE_S)
            return
        failures, found = self._take()
        now_s = time.monotonic()
        batches = self._noted(failures, found, now_s)
        if now_s >= self._check_due_s:
            self._check_due_s = now_s + _CHECK_S
            self._check_idle(now_s)
        quiet = self._news()
        if batches or quiet is not None:
            self._listener.delivered(Delivery(batches, quiet))
        if now_s >= self._lag_due_s:
            self._lag_due_s = now_s + _LAG_S
            self._listener.lag_seen(self._lags())

    def _take(self) -> tuple[list[Failure], list[Found]]:
        """Let rebalances and other news come, and take records; waits only if there are none."""
        if self._fetcher is None:
            return self._take_messages(_POLL_S)
        said, records = self._take_messages(0)
        if records:  # before or after others of their partition: who knows
            raise RuntimeError(f"{records[0].batch.topic}: records came past the fetcher")
        failures, found = self._fetcher.take(_POLL_S)
        return said + failures, found

    def _take_messages(self, timeout_s: float) -> tuple[list[Failure], list[Found]]:
        # `consume` alone would wait its full timeout: wake on the first, take what else is there.
        first = self._consumer.poll(timeout_s)
        if first is None:
            return [], []
        return _sorted([first, *self._consumer.consume(_BATCH_RECORDS, 0)])

    def _noted(
        self, failures: Iterable[Failure], found: Iterable[Found], now_s: float
    ) -> dict[Input, Batch]:
        for failure in failures:
            self._take_failure(failure)
        batches = {}
        for batch, partition in found:
            source = (batch.topic, partition)
            batches[source] = batch
            self._open[source] = batch.next_offset
            self._missing.discard(batch.topic)
            self._idleness.records_seen(source, position=batch.next_offset, now_s=now_s)
            self._note_end(source, batch.next_offset)
            self._backlog.change(records=len(batch.offsets), size_bytes=size_bytes(batch))
        return batches

    def _note_end(self, source: Input, position: int) -> None:
        # The end is reported only when a fetch finds nothing, hence not while records trickle in.
        # Once it was reported it is not reported again, and may be behind markers without records.
        ended = self._idleness.at_end(source) or self._behind(source, position) == 0
        if ended and source[0] in self._watched:
            self._ended.add(source)
        else:
            self._ended.discard(source)

    def _behind(self, source: Input, position: int) -> int | None:
        """Return how many records are left as far as the last fetch has told, None if unknown."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(*source), cached=True)
        return max(0, high - position) if high >= 0 else None

    def _take_failure(self, failure: Failure) -> None:
        source = (failure.topic, failure.partition)
        if failure.code == KafkaError._PARTITION_EOF:
            self._idleness.end_seen(source, failure.offset)
            if source[0] in self._watched and self._idleness.at_end(source):
                self._ended.add(source)
            return
        if failure.fatal or not passes(failure.code):
            where = f"{failure.topic}/{failure.partition}" if failure.topic else self._group
            end_process(f"consumer: {where}: {why_of(failure)}")
        if failure.code in UNKNOWN and failure.topic not in self._missing:
            self._missing.add(failure.topic)
            say(f"consumer: {failure.topic}: {why_of(failure)}; waiting until it is there")

    def _check_idle(self, now_s: float) -> None:
        if self._question is None:
            due = [one for one in self._idleness.due(now_s=now_s) if one[0] in self._watched]
            self._question = self._ask_ends(due) if due else None
        elif all(answer.done() for answer in self._question.values()):
            for source, answer in self._question.items():
                high = None if answer.exception() else answer.result().offset
                self._idleness.answer(source, high=high, now_s=now_s)
            self._question = None

    def _news(self) -> Quiet | None:
        quiet = Quiet(frozenset(self._ended), frozenset(self._idleness.idle))
        if quiet == self._told:
            return None
        self._told = quiet
        return quiet

    def _lags(self) -> dict[Input, int]:
        lags = {}
        for source, position in self._open.items():
            behind = 0 if self._idleness.at_end(source) else self._behind(source, position)
            if behind is not None:
                lags[source] = behind
        return lags

    def _open_inputs(self, offsets: Mapping[Input, int], wanted: Callable[[], bool]) -> set[Input]:
        if not wanted():
            return set()
        now_s = time.monotonic()
        for source, offset in offsets.items():
            self._seek(TopicPartition(*source, offset))
            if self._fetcher is not None:
                # Not sooner: what ends an earlier assignment, in the background, undoes it.
                self._fetcher.forward(*source)
            self._open[source] = offset
            self._idleness.start(source, position=offset, now_s=now_s)
            self._ended.discard(source)
            self._paused.discard(source)
        self._consumer.resume([TopicPartition(*source) for source in offsets])
        return set(offsets)

    def _pause_inputs(self, inputs: Collection[Input], paused: Collection[Input]) -> set[Input]:
        # What was taken away meanwhile, or is not open yet, is not this command's business.
        known = self._open.keys() & set(inputs)
        pausing = (known & set(paused)) - self._paused
        resuming = (known & self._paused) - set(paused)
        self._consumer.pause([TopicPartition(*source) for source in pausing])
        self._consumer.resume([TopicPartition(*source) for source in resuming])
        self._paused = (self._paused | pausing) - resuming
        return resuming

    def _wake_fetchers(self, resumed: Iterable[Input]) -> None:
        """Let reading begin now.

        librdkafka's thread for a broker sleeps up to a second while it has nothing to fetch, and a
        resumed partition does not wake it; any request to that broker does. One input a topic is
        asked about: more would cost up to `fetch.wait.max.ms` each once fetching has begun.
        """
        for source in dict(resumed).items():
            with suppress(KafkaException):
                self._consumer.get_watermark_offsets(
                    TopicPartition(*source), timeout=_WATERMARK_TIMEOUT_S, cached=False
                )

    def _seek(self, target: TopicPartition) -> None:
        for _ in range(_SEEK_ATTEMPTS):
            try:
                self._consumer.seek(target)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise
                time.sleep(_SEEK_PAUSE_S)  # the fetcher of a fresh assignment has not started yet
            else:
                return
        raise RuntimeError(f"{target.topic}/{target.partition}: cannot seek")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # librdkafka's heartbeats have a thread of their own: this may take its time.
        try:
            for partition in partitions:
                # A position, so that no committed offset is looked up. It must not be fetched,
                # since records there may have been deleted long ago: paused before, not after.
                partition.offset = 0
                consumer.get_watermark_offsets(partition, cached=True)  # else it cannot be paused
            consumer.pause(partitions)
            consumer.assign(partitions)
            # Asked here and never again: after a lost session the answer is generation -1 with an
            # empty member, and the broker does not check a transaction's offsets against that.
            metadata = consumer.consumer_group_metadata()
            self._listener.assigned(_inputs(partitions), metadata)
        except BaseException as error:  # noqa: BLE001 - must not raise into librdkafka
            end_process(f"assignment: {describe(error)}")

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._listener.revoked(_inputs(partitions))
            self._idleness.stop(_inputs(partitions))
            for source in _inputs(partitions):
                self._open.pop(source, None)
                self._ended.discard(source)
                self._paused.discard(source)
            consumer.unassign()
        except BaseException as error:  # noqa: BLE001 - must not raise into librdkafka
            end_process(f"revocation: {describe(error)}")

    def _on_lost(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        end_process("the group gave this worker's partitions to others: its session expired")


def _sorted(messages: Sequence[Message]) -> tuple[list[Failure], list[Found]]:
    """Turn messages into what is said of failures, and one batch an input."""
    failures = [_failure(message) for message in messages if message.error() is not None]
    if failures:
        messages = [message for message in messages if message.error() is None]
    runs: dict[Input, list[Message]] = {}
    sources = zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)
    # What was fetched at once of a partition comes in a row.
    for source, group in groupby(zip(sources, messages, strict=True), itemgetter(0)):
        runs.setdefault(source, []).extend(map(itemgetter(1), group))
    return failures, [Found(batch_of(topic, run), n) for (topic, n), run in runs.items()]


def why_of(failure: Failure) -> str:
    """Return what librdkafka says of a failure, or what its code means where it says nothing.

    It puts the text of an error after what it was doing, even where there was none: "…: Success".

    Examples
    --------
    >>> reason = "unable to validate offset: Success (broker 1)"
    >>> why_of(Failure("t", 0, 7, KafkaError._AUTO_OFFSET_RESET, reason, False))
    'unable to validate offset (broker 1): Local: No offset to automatically reset to'
    """
    meaning: str = KafkaError(failure.code).str() if failure.code else "an error without a code"
    said = re.sub(r"(^|:\s*)Success\b", "", failure.reason).strip()
    if said == failure.reason:
        return said or meaning
    return f"{said}: {meaning}" if said else meaning


def _failure(message: Message) -> Failure:
    error, number, offset = message.error(), message.partition(), message.offset()
    assert error is not None
    return Failure(
        message.topic() or "",
        -1 if number is None else number,
        -1 if offset is None else offset,
        error.code(),
        error.str(),
        error.fatal(),
    )


def _inputs(partitions: Iterable[TopicPartition]) -> set[Input]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _on_error(error: KafkaError) -> None:
    # What is not fatal, librdkafka retries by itself, and logs. A right that was taken away is told
    # here, without the compiled fetcher: nobody would notice that an input is not read any more.
    if error.fatal() or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        failure = Failure("", -1, -1, error.code(), error.str(), error.fatal())
        end_process(f"consumer: {why_of(failure)}")
