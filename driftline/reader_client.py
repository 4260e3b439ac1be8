"""The Kafka client of a reader: how it is configured, what its errors mean, and what it asks."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from driftline.places import Place
from driftline.servers import parse_servers

logger = logging.getLogger("driftline.reader")

_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "auto.commit.interval.ms": 1_000,
        # The default of a second makes a backlog stutter.
        "fetch.queue.backoff.ms": 20,
        # The default goes up to 10 s: so late could a broker be found that is back.
        "reconnect.backoff.max.ms": 2_000,
    }
)
# Partitions are placed by the reader and not by librdkafka, which tells neither where it began nor
# what it skipped. For that they must be assigned as a whole, which newer ways of groups do not do.
_FORCED: Mapping[str, object] = MappingProxyType(
    {
        "isolation.level": "read_committed",
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "group.protocol": "classic",
        "partition.assignment.strategy": "range",
    }
)
# Waiting does not heal these; a reader that is silent for ever would look like "nothing happened".
_HOPELESS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)
# Another member has the partition now, and will see again what was not committed.
_MOVED = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._STATE,
    }
)
UNKNOWN = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})
"""What is said of a topic that is not there, or not yet."""

_COMMIT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0


def ask_topic(consumer: Consumer, topic: str, *, timeout_s: float) -> Any:
    """Return what brokers know of a topic.

    Raises
    ------
    KeyboardInterrupt
        The client imports what it returns with; who is interrupted there would see no interrupt,
        but an import that failed.
    """
    try:
        return consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    except ImportError as error:
        raise KeyboardInterrupt from error


def client_settings(
    servers: str, *, group_id: str | None, client_id: str, kafka: Mapping[str, object] | None
) -> dict[str, object]:
    """Configure a consumer; what the promises of a reader rest on, users cannot set.

    Raises
    ------
    ValueError
        If the list of brokers is malformed.
    """
    return {
        "client.id": client_id,
        **_DEFAULTS,
        **(kafka or {}),
        **_FORCED,
        # Only what `store_offsets` was called for.
        "enable.auto.commit": group_id is not None,
        "bootstrap.servers": parse_servers(servers, setting="bootstrap_servers"),
        "group.id": group_id or f"{client_id}-{uuid.uuid4()}",  # of None: joined by nobody
    }


def is_hopeless(error: KafkaError, *, grouped: bool) -> bool:
    """Tell whether it is no use to wait.

    Parameters
    ----------
    grouped
        Whether there is a group. librdkafka looks one up though nobody joins it, and no right to it
        is needed then.
    """
    code = error.code()
    if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return grouped
    return bool(error.fatal()) or code in _HOPELESS


def ask_offsets(
    consumer: Consumer, places: Iterable[Place], which: int, timeout_s: float
) -> dict[Place, int]:
    """Ask where partitions begin or end, all at once: Kafka has a "time" for both.

    Parameters
    ----------
    which
        `OFFSET_BEGINNING`, or `OFFSET_END`: the end of what is committed.
    """
    wanted = [TopicPartition(*place, which) for place in places]
    if not wanted:
        return {}
    answers = consumer.offsets_for_times(wanted, timeout=timeout_s)
    for answer in answers:
        if answer.error is not None:
            raise KafkaException(answer.error)
    return {(answer.topic, answer.partition): answer.offset for answer in answers}


def store_offsets(consumer: Consumer, offsets: list[TopicPartition]) -> bool:
    """Let librdkafka commit offsets within a second; tell whether they are still ours to commit."""
    try:
        consumer.store_offsets(offsets=offsets)
    except KafkaException as error:
        # A partition moved to another member meanwhile, which will see this again.
        logger.info("not remembered: %s", error)
        return False
    return True


def send_offsets(consumer: Consumer, offsets: list[TopicPartition]) -> bool:
    """Commit offsets, and wait for it, ten seconds if brokers are away; tell whether they are."""
    deadline_s, pause_s = time.monotonic() + _COMMIT_S, _FIRST_PAUSE_S
    while True:
        try:
            answers = consumer.commit(offsets=offsets, asynchronous=False) or []
            errors = [one.error for one in answers if one.error is not None]
        except KafkaException as error:
            errors = [error.args[0]]
        if not errors:
            return True
        if is_hopeless(errors[0], grouped=True):
            raise KafkaException(errors[0])
        if errors[0].code() in _MOVED or time.monotonic() + pause_s > deadline_s:
            logger.warning("not committed yet: %s", errors[0])
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
