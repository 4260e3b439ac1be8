"""`driftline topics check --sample`: read some keys of both inputs, and see where they lie."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from agents import clients
from agents.key_watch import check
from agents.passing import passes
from agents.settings import Settings
from streams.errors import ConfigError, NoAnswerError
from streams.partitioning import ENOUGH, SAMPLE
from streams.topics import Topics

_RECORDS, _WAIT_S, _TIMEOUT_S = 1_000, 0.2, 15.0

Keys = dict[str, list[tuple[bytes, int]]]
"""By topic: keys, and the partition of each."""


def check_sample(settings: Settings, *, partitions: int) -> Keys:
    """Look at the last records of predictions and labels; return the keys that were looked at.

    Raises
    ------
    ConfigError
        If the keys of one topic are placed differently from those of the other.
    NoAnswerError
        If the records cannot be read.
    """
    topics = Topics(settings.prefix)
    keys = read(settings, (topics.predictions, topics.labels), partitions=partitions)
    if (wrong := check(keys, partitions=partitions)) is not None:
        raise ConfigError(wrong)
    return keys


def describe(keys: Keys) -> str:
    """Say what was looked at."""
    counts = {topic: len(found) for topic, found in keys.items()}
    looked = " and ".join(f"{count} keys of {topic}" for topic, count in counts.items())
    if min(counts.values()) < ENOUGH:
        return f"{looked} were read: too few to tell whether they are partitioned alike"
    return f"{looked} are partitioned alike"


def read(settings: Settings, topics: tuple[str, ...], *, partitions: int) -> Keys:
    """Read the last keys of every partition of some topics, about `SAMPLE` of each topic."""
    # Transactions that are open, or were aborted, are no matter here.
    config = clients.state_reader(settings) | {
        "auto.offset.reset": "earliest",
        "isolation.level": "read_uncommitted",
    }
    consumer = Consumer(config)
    keys: Keys = {topic: [] for topic in topics}
    try:
        starts = list(_starts(consumer, topics, partitions=partitions))
        consumer.assign(starts)
        left = {(start.topic, start.partition) for start in starts}
        deadline_s = time.monotonic() + _TIMEOUT_S
        while left and time.monotonic() < deadline_s:
            for message in consumer.consume(_RECORDS, _WAIT_S):
                topic, number, error = message.topic(), message.partition(), message.error()
                if error is None:
                    if (key := message.key()) is not None:
                        keys[topic].append((key, number))  # type: ignore[index,arg-type]
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((topic, number))
                elif not passes(error):
                    raise NoAnswerError(f"{topic}/{number} cannot be read: {error.str()}")
    except KafkaException as error:
        raise NoAnswerError(f"{', '.join(topics)} cannot be read: {error.args[0].str()}") from None
    finally:
        consumer.close()
    return keys


def _starts(
    consumer: Consumer, topics: tuple[str, ...], *, partitions: int
) -> Iterator[TopicPartition]:
    each = SAMPLE // partitions + 1
    for topic in topics:
        for number in range(partitions):
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, number, OFFSET_INVALID), timeout=_TIMEOUT_S
            )
            yield TopicPartition(topic, number, max(low, high - each))
