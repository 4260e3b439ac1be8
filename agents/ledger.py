"""State, outputs, dead letters and offsets of one commit interval, in one Kafka transaction.

This is Kafka Streams' ``exactly_once_v2`` (KIP-447): one transactional producer a worker; the
group coordinator refuses the offsets of a worker whose generation is old, and with them the
whole transaction. What can be retried is retried; any other failure is raised, and the caller
ends the process: the state in memory is ahead of what was committed and cannot be taken back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from agents import clients
from agents.dead_letters import DeadRecord, Origin, dead_record
from agents.exits import end_process
from agents.idleness import Input
from agents.settings import Settings
from streams.errors import ConfigError
from streams.steps import MARK, Effects, Record, Stage

_INIT_TIMEOUT_S = 60.0
_CALL_TIMEOUT_S = 20.0
_ATTEMPTS = 5
_QUEUE_POLL_S = 0.1
_ANY = -1  # the partition is the partitioner's choice
_CONSEQUENCES = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
# A transaction that went on for as long as the coordinator allows may have been fenced by that:
# the process was stopped for a while, say. One that is younger can only be another's victim.
_LIFE_OF_ITS_OWN = 0.5
_DEFAULT_LIMIT_BYTES = 1_000_000  # a little below Kafka's own default for a topic
# What a broker may refuse for its size is followed one by one. To hear of every small record, too,
# costs as much as to write it; if one is refused, the transaction fails all the same.
_LARGE_BYTES = 64 << 10


class TransactionError(RuntimeError):
    """A transaction failed for good; the message says at what."""


class Entry(NamedTuple):
    """What one step of one partition wants written."""

    stage: Stage
    partition: int
    effects: Effects


class Written(NamedTuple):
    """Where the state records of a transaction are.

    Attributes
    ----------
    ends
        By state partition that was written to: where it ends now.
    marks
        By state partition: offsets of its new marks, in order.
    """

    ends: Mapping[Input, int]
    marks: Mapping[Input, Sequence[int]]


class Ledger:
    """Write entries, all or none of those of a call.

    Not for use by two threads at a time.

    Parameters
    ----------
    limits
        Largest record by topic, where it is known.
    """

    def __init__(self, settings: Settings, *, limits: Mapping[str, int] | None = None) -> None:
        self._settings = settings
        self._limits = dict(limits or {})
        self._producer: Producer | None = None
        self._failure: str | None = None
        self._ends: dict[Input, int] = {}
        self._marks: dict[Input, list[int]] = {}
        # A real broker ends a transaction with a marker that takes an offset.
        self._marker = 0 if settings.embedded else 1

    def start(self) -> None:
        """Connect, and abort what an earlier life of this worker left open.

        Raises
        ------
        TransactionError
            If the broker does not answer.
        """
        config = clients.producer(self._settings)
        self._producer = Producer({**config, "error_cb": _on_error})
        name = f"init_transactions of {config['transactional.id']}"
        _retry(name, self._producer.init_transactions, _INIT_TIMEOUT_S)

    def commit(
        self, entries: Sequence[Entry], *, offsets: Mapping[Input, int], metadata: Any
    ) -> Written:
        """Write and commit.

        Parameters
        ----------
        offsets
            Where reading goes on, by input partition.
        metadata
            The consumer group's, as of the assignment.

        Raises
        ------
        TransactionError
            If anything fails for good. Nothing of the call is visible then.
        ConfigError
            If it fails because another worker has the same id.
        """
        started_s = time.monotonic()
        try:
            return self._commit(entries, offsets, metadata)
        except TransactionError as error:
            allowed_s = clients.transaction_timeout_ms(self._settings) / 1_000
            if _fenced(error) and time.monotonic() - started_s < _LIFE_OF_ITS_OWN * allowed_s:
                raise ConfigError(
                    f"--worker-id: another worker is {self._settings.worker_id!r}, too, and has"
                    " taken over; give each an id of its own, or none"
                ) from error
            raise

    def _commit(
        self, entries: Sequence[Entry], offsets: Mapping[Input, int], metadata: Any
    ) -> Written:
        producer = self._producer
        assert producer is not None
        self._failure = None
        self._ends, self._marks = {}, {}
        try:
            producer.begin_transaction()
            for entry in entries:
                self._produce_entry(entry)
        except KafkaException as error:
            raise TransactionError(error.args[0].str()) from error
        positions = [TopicPartition(*source, offset) for source, offset in offsets.items()]
        send_offsets = producer.send_offsets_to_transaction
        arguments = (positions, metadata, _CALL_TIMEOUT_S)
        try:
            _retry("send_offsets_to_transaction", send_offsets, *arguments)
            # Serves the delivery reports, so that a large record that is refused is named.
            producer.flush(_CALL_TIMEOUT_S)
            if self._failure is not None:
                raise TransactionError(self._failure)
        except TransactionError as error:
            raise TransactionError(_with_cause(str(error), send_offsets, *arguments)) from error
        _retry("commit_transaction", producer.commit_transaction, _CALL_TIMEOUT_S)
        ends = {source: offset + 1 + self._marker for source, offset in self._ends.items()}
        return Written(ends, self._marks)

    def _produce_entry(self, entry: Entry) -> None:
        topic, partition = entry.stage.state_topic, entry.partition
        last = len(entry.effects.state) - 1
        for number, (key, value) in enumerate(entry.effects.state):
            heard = self._state_delivered if number == last or key == MARK else None
            self._produce(Record(topic, key, value, partition), on_delivery=heard)
        for record in entry.effects.records:
            self._produce(record)
        origin = Origin(entry.stage, partition, self._settings.worker_id)
        for letter in entry.effects.dead_letters:
            self._produce_dead(dead_record(letter, origin, limit_bytes=self._limit(letter.topic)))

    def _limit(self, topic: str) -> int:
        return min(
            self._limits.get(f"{topic}.dlq", _DEFAULT_LIMIT_BYTES), clients.LARGEST_RECORD_BYTES
        )

    def _produce(self, record: Record, *, on_delivery: Callable[..., None] | None = None) -> None:
        topic, key, value, partition = record
        if on_delivery is None and value is not None and len(value) > _LARGE_BYTES:
            on_delivery = self._delivered
        self._queue(topic, value, key, _ANY if partition is None else partition, on_delivery)

    def _produce_dead(self, record: DeadRecord) -> None:
        content = record.value, record.key, _ANY, self._delivered
        self._queue(record.topic, *content, headers=record.headers)

    def _queue(self, *record: Any, **headers: Any) -> None:
        """Hand a record to the producer; by position, which takes half the time of names."""
        assert self._producer is not None
        while True:
            try:
                self._producer.produce(*record, **headers)
            except BufferError:
                self._producer.poll(_QUEUE_POLL_S)
            else:
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            if error.code() in _CONSEQUENCES:
                self._failure = "records were given up, since something else failed"
                return
            size = len(message.value() or b"")
            self._failure = f"{message.topic()} refused a record of {size} bytes: {error.str()}"

    def _state_delivered(self, error: KafkaError | None, message: Message) -> None:
        self._delivered(error, message)
        if error is None:
            source, offset = (message.topic(), message.partition()), message.offset()
            self._ends[source] = max(self._ends.get(source, -1), offset)  # type: ignore[index,arg-type,type-var,assignment]
            if message.key() == MARK:
                self._marks.setdefault(source, []).append(offset)  # type: ignore[arg-type]


def _fenced(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, KafkaException) and error.args[0].code() == KafkaError._FENCED:
            return True
        error = error.__cause__
    return False


def _retry(name: str, call: Callable[..., Any], *arguments: Any) -> None:
    """Call until it succeeds, as long as librdkafka says that trying again may help."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            call(*arguments)
        except KafkaException as error:
            if attempt == _ATTEMPTS or not error.args[0].retriable():
                raise TransactionError(f"{name}: {error.args[0].str()}") from error
        else:
            return


def _with_cause(text: str, send_offsets: Callable[..., object], *arguments: Any) -> str:
    """Add why a transaction failed: librdkafka tells whoever tries to go on with it.

    It names the topic in its own log, just before. Nothing is committed by asking.
    """
    try:
        send_offsets(*arguments)
    except KafkaException as error:
        cause = error.args[0].str()
        return text if cause in text else f"{text}: {cause}"
    return text


def _on_error(error: KafkaError) -> None:
    # Passing errors are librdkafka's own; of a newer worker of the same name the commit tells.
    if error.fatal() and error.code() != KafkaError._FENCED:
        end_process(f"producer: {error.str()}")
