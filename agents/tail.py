"""Follow metrics, alerts or dead letters, as lines or as JSON lines; committed records only."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator, Mapping

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from agents import clients, topics_admin
from agents.passing import passes
from agents.settings import Settings
from agents.tail_lines import KINDS
from streams.errors import ConfigError
from streams.topics import Topics

_POLL_S = 0.2
_QUIET_S = 30.0


def tail(
    settings: Settings,
    *,
    kind: str,
    model: str | None,
    from_beginning: bool,
    follow: bool,
    json_output: bool,
) -> int:
    """Print records of a kind as they come.

    Parameters
    ----------
    kind
        ``metrics``, ``alerts`` or ``dlq``, the dead letters of all inputs.
    model
        Only records of this model; None means all.
    follow
        Go on for ever; otherwise stop at the end of what is there.

    Returns
    -------
    int
        The exit code.
    """
    show, write = KINDS[kind], sys.stdout.write
    partitions = _partitions(settings, kind)
    for message in _messages(settings, partitions, from_beginning=from_beginning, follow=follow):
        if message.value() is None and kind != "dlq":
            continue  # what is gone from a compacted topic
        shown = show(message)
        if model is None or shown.model == model:
            write((shown.json if json_output else shown.line) + "\n")
            sys.stdout.flush()
    return 0


def _partitions(settings: Settings, kind: str) -> dict[str, int]:
    there = topics_admin.existing(settings)
    topics = Topics(settings.prefix)
    wanted = topics.all_dead_letters if kind == "dlq" else (f"{topics.prefix}.{kind}",)
    found = {name: there[name] for name in wanted if name in there}
    if not found:
        raise ConfigError(
            f"topic {wanted[0]} does not exist, or this user may not Describe it; see: driftline"
            " topics check"
        )
    return found


def _messages(
    settings: Settings, partitions: Mapping[str, int], *, from_beginning: bool, follow: bool
) -> Iterator[Message]:
    consumer = Consumer(
        {
            **clients.admin(settings),
            "group.id": f"driftline-tail-{uuid.uuid4()}",  # joined by nobody: no subscription
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 20,
        }
    )
    try:
        unread = {(name, number) for name, count in partitions.items() for number in range(count)}
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        consumer.assign([TopicPartition(*place, start) for place in unread])
        heard_s = time.monotonic()
        while follow or (unread and time.monotonic() - heard_s < _QUIET_S):
            for message in consumer.consume(500, _POLL_S):
                heard_s = time.monotonic()
                if _about_the_group(message) or _passes(message):
                    continue
                if _at_end(message):
                    unread.discard((message.topic(), message.partition()))
                else:
                    yield message
    finally:
        consumer.close()


def _about_the_group(message: Message) -> bool:
    # librdkafka looks the group up though nobody joins it; a user needs no right to it.
    error = message.error()
    return error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def _passes(message: Message) -> bool:
    # A broker has gone, for example: librdkafka goes on by itself.
    error = message.error()
    return error is not None and passes(error)


def _at_end(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    raise ConfigError(f"topic {message.topic()}: {error.str()}")
