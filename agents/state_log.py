"""Read state logs to their end and fold them, many at a time.

A log may be shortened at its beginning while it is read: by a worker that owned the partition
before and whose request comes late. What is left begins with a mark and tells the whole state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from agents import clients
from agents.exits import say
from agents.idleness import Input
from agents.partitions import Partition
from agents.passing import passes
from agents.settings import Settings
from streams.durations import format_duration
from streams.errors import NoAnswerError, StateError
from streams.steps import MARK, Stage

_READ_RECORDS = 1_000
_READ_S = 0.05
_PROGRESS_S = 5.0
_OFFSET_TAIL = -2000  # librdkafka's: less n, the last n records

Starts = Callable[[Sequence[Input]], Mapping[Input, int]]
"""Asks where logs begin."""


class LogError(RuntimeError):
    """A log cannot be read; the message says which, and why."""


class Known(NamedTuple):
    """A partition whose state is known now, and how many records its log had."""

    partition: Partition
    records: int


class _Log:
    """One log under way."""

    def __init__(self, partition: Partition, *, begin: int, end: int) -> None:
        self.partition = partition
        self.end = end
        self.start(begin)

    def start(self, begin: int) -> None:
        """Start with nothing."""
        self.position = begin
        self.state = self.partition.stage.new_state(self.partition.number)
        self.partition.marks.clear()
        self.records = 0

    def take(self, message: Message) -> None:
        """Fold one record."""
        try:
            self.partition.stage.fold(self.state, message.key(), message.value())
        except Exception as error:
            where = f"{message.topic()}/{message.partition()}@{message.offset()}"
            # Not what else an error says: that may be a part of the record.
            damaged = f"it is damaged, or driftline did not write it ({type(error).__name__})"
            what = str(error) if isinstance(error, StateError) else damaged
            raise StateError(f"state record {where} cannot be used: {what}") from error
        if message.key() == MARK:
            self.partition.marks.append(message.offset())  # type: ignore[arg-type]
        self.records += 1
        self.position = message.offset() + 1  # type: ignore[operator]


def read(
    settings: Settings,
    partitions: Sequence[Partition],
    *,
    ends: Mapping[Input, int],
    starts: Starts,
    progressed: Callable[[], None],
) -> Iterator[Known]:
    """Yield each partition as soon as its log is read to its end and its state is set.

    Parameters
    ----------
    ends
        Where logs end, open transactions included.
    progressed
        Called whenever some records were folded.

    Raises
    ------
    StateError
        If a record is not what this build writes.
    LogError
        If a log cannot be read.
    """
    if not partitions:
        return
    begins = starts([one.log for one in partitions])
    logs = {p.log: _Log(p, begin=begins[p.log], end=ends[p.log]) for p in partitions}
    progress = _Progress(sum(one.end - one.position for one in logs.values()))
    consumer = Consumer(clients.state_reader(settings))
    try:
        _assign(consumer, logs)
        while logs:
            for log in [log for log, one in logs.items() if not one.partition.live]:
                del logs[log]
            messages = consumer.consume(_READ_RECORDS, _READ_S)
            lost: set[Input] = set()
            for message in messages:
                progressed()
                log = (message.topic(), message.partition())  # type: ignore[assignment]
                if log in logs and _take(logs[log], message, lost):
                    one = logs.pop(log)
                    one.partition.state = one.state
                    yield Known(one.partition, one.records)
            progress.show(len(messages))
            if lost:
                for log, begin in starts(list(lost)).items():
                    logs[log].start(begin)
                _assign(consumer, logs)
    finally:
        consumer.close()


def check(settings: Settings, stage: Stage, *, partitions: int, latest: int = 0) -> None:
    """Look at a little of every log: whether this build, with these settings, can go on from it.

    A worker that is given partitions without a state must not begin where others could not go on.
    One that could not go on must find out before it joins the group, or it would take partitions
    from workers that can.

    Parameters
    ----------
    latest
        So many records at the end of every log are looked at; 0 means the first one.

    Raises
    ------
    StateError
        If not.
    LogError
        If a log cannot be read.
    NoAnswerError
        If nothing is heard of some for as long as a worker may stall.
    """
    consumer = Consumer(clients.state_reader(settings) | {"auto.offset.reset": "earliest"})
    begin = _OFFSET_TAIL - latest if latest else OFFSET_BEGINNING
    left = {number: Partition(stage, number) for number in range(partitions)}
    deadline_s = time.monotonic() + settings.stall_ms / 1_000
    try:
        consumer.assign([TopicPartition(stage.state_topic, number, begin) for number in left])
        while left:
            for message in consumer.consume(_READ_RECORDS, _READ_S):
                number, error = message.partition(), message.error()
                # What names no topic is about a group, in which this consumer is not.
                if message.topic() != stage.state_topic or number not in left:
                    continue
                if error is None:
                    _Log(left[number], begin=0, end=0).take(message)
                elif passes(error):
                    continue  # librdkafka goes on by itself
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise LogError(f"{stage.state_topic}/{number} cannot be read: {error.str()}")
                if error is not None or not latest:
                    del left[number]
            if left and time.monotonic() > deadline_s:
                raise NoAnswerError(
                    f"{settings.bootstrap_servers} does not answer: {stage.state_topic}/{min(left)}"
                    f" could not be read within {format_duration(settings.stall_ms)}"
                )
    finally:
        consumer.close()


def _assign(consumer: Consumer, logs: Mapping[Input, _Log]) -> None:
    consumer.assign([TopicPartition(*log, one.position) for log, one in logs.items()])


def _take(one: _Log, message: Message, lost: set[Input]) -> bool:
    """Take what the consumer says of a log; tell whether that was its end.

    Added to `lost` is a log that was shortened beyond what was read of it.
    """
    error = message.error()
    if error is None:
        one.take(message)
        return False
    topic, number = one.partition.log
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        lost.add((topic, number))
        return False
    if passes(error):
        return False  # librdkafka goes on by itself
    if error.code() != KafkaError._PARTITION_EOF:
        raise LogError(f"{topic}/{number} cannot be read: {error.str()}")
    return message.offset() >= one.end  # type: ignore[operator]


class _Progress:
    """Say how far a long read is, every few seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._due_s = time.monotonic() + _PROGRESS_S

    def show(self, more: int) -> None:
        self._done += more
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + _PROGRESS_S
            say(f"reading state: {self._done:,} of about {self._total:,} records")
