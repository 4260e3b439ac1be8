"""How each Kafka client of a worker is configured, and why.

A worker has four: one consumer, one transactional producer, one admin client, and a producer that
tells how it is; and while it opens partitions, a reader of the state topics.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agents.settings import Settings
from streams.errors import ConfigError

LARGEST_RECORD_BYTES = 16 << 20
"""Records up to this size can be read, and written to a topic that allows it."""

_TURN_BYTES = 384 << 10

_SHORTEST_TRANSACTION_MS, _LONGEST_TRANSACTION_MS = 10_000, 60_000

# What exactness rests on. Everything else may be set by the user.
RESERVED = frozenset(
    {
        "auto.offset.reset",
        "bootstrap.servers",
        "check.crcs",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "isolation.level",
        "partition.assignment.strategy",
        "partitioner",
        "session.timeout.ms",
        "transactional.id",
        "transaction.timeout.ms",
    }
)


def check(settings: Settings) -> None:
    """Let librdkafka look at the user's Kafka settings; no network is touched.

    Raises
    ------
    ConfigError
        If one is unknown, has a bad value, or is not the user's to set.
    """
    for key in sorted(settings.kafka.keys() & RESERVED):
        raise ConfigError(f"--kafka: {key!r} is set by driftline itself: exactness rests on it")
    try:
        AdminClient(admin(settings))
    except KafkaException as error:
        raise ConfigError(f"--kafka: {error.args[0].str()}") from None


def admin(settings: Settings) -> dict[str, Any]:
    """Configure a client that asks and creates; failures are raised, so it logs hardly anything."""
    return {
        **_common(),
        "log_level": 2,
        **settings.kafka,
        "bootstrap.servers": settings.bootstrap_servers,
    }


def consumer(settings: Settings) -> dict[str, Any]:
    """Configure the worker's consumer."""
    return {
        **_common(),
        # Fetching a byte at a time costs four times the CPU at the same load.
        "fetch.min.bytes": 65_536,
        "fetch.wait.max.ms": 50,
        # The default of a second makes a backlog stutter.
        "fetch.queue.backoff.ms": 20,
        **_large_records(),
        # Little at a time: what was fetched in advance of an input is thrown away when it is
        # paused, and inputs come in turns of this size. A larger batch comes nevertheless, but
        # only when it is its partition's turn to be the first of a response.
        "fetch.message.max.bytes": _TURN_BYTES,
        "queued.min.messages": 5_000,
        "queued.max.messages.kbytes": 32_768,
        "max.poll.interval.ms": 300_000,
        # Often, so that little of the session has passed when the coordinator goes: until there is
        # another, none is answered.
        "heartbeat.interval.ms": max(settings.session_timeout_ms // 10, 100),
        **settings.kafka,
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": settings.group,
        "session.timeout.ms": settings.session_timeout_ms,
        # `range` gives a worker the same partitions of all inputs of a stage. The newer group
        # protocol moves the member epoch without a callback: transactions deadlocked with it.
        "group.protocol": "classic",
        "partition.assignment.strategy": "range",
        **_exact_reading(settings),
    }


def state_reader(settings: Settings) -> dict[str, Any]:
    """Configure a consumer that reads state partitions to their end; it joins no group."""
    return {
        **_common(),
        "fetch.wait.max.ms": 10,
        "fetch.queue.backoff.ms": 5,
        **_large_records(),
        **settings.kafka,
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": f"{settings.group}-state",
        **_exact_reading(settings),
    }


def producer(settings: Settings) -> dict[str, Any]:
    """Configure the transactional producer."""
    return {
        **_common(),
        "linger.ms": 5,
        "compression.type": "lz4",
        "batch.size": _TURN_BYTES,  # else outcomes would come later and later on a backlog
        "message.max.bytes": LARGEST_RECORD_BYTES,
        "queue.buffering.max.messages": 500_000,
        # A broker that hangs answers nothing, and is the leader no more after a while: what it was
        # sent must be given up, and sent to the next, in the time that the transaction has.
        "socket.timeout.ms": transaction_timeout_ms(settings) // 2,
        **settings.kafka,
        "bootstrap.servers": settings.bootstrap_servers,
        "transactional.id": f"{settings.prefix}-worker-{settings.worker_id}",
        "transaction.timeout.ms": transaction_timeout_ms(settings),
        # Where the Java client would put a key, so that any producer's records meet.
        "partitioner": "murmur2_random",
    }


def announcer(settings: Settings) -> dict[str, Any]:
    """Configure the producer of a worker's status, which holds nothing up and may lose records."""
    return {
        **admin(settings),
        "compression.type": "lz4",
        "message.max.bytes": LARGEST_RECORD_BYTES,
        "message.timeout.ms": 8_000,
        "queue.buffering.max.messages": 10,
        "partitioner": "murmur2_random",
    }


def host_producer(settings: Settings) -> dict[str, Any]:
    """Configure the producer of readings of hosts, which bridges some minutes without a broker."""
    return {
        **admin(settings),
        "client.id": "driftline-host",
        "compression.type": "lz4",
        "linger.ms": 50,
        "enable.idempotence": True,
        "message.timeout.ms": 300_000,
        "queue.buffering.max.messages": 50_000,
        **settings.kafka,
        "bootstrap.servers": settings.bootstrap_servers,
        # A reading must be where the outcomes of its model are.
        "partitioner": "murmur2_random",
    }


def transaction_timeout_ms(settings: Settings) -> int:
    """Return how long a transaction may take, and a dead worker's holds readers back.

    As long as a worker may be silent: whoever lets it live through the loss of a coordinator wants
    its transaction to live through the loss of a leader, too, which takes the brokers as long
    (their `broker.session.timeout.ms`, 9 s by default). Records that are not delivered by then
    fail the transaction, and that ends the worker.
    """
    longest = min(settings.session_timeout_ms, _LONGEST_TRANSACTION_MS)
    return max(longest, _SHORTEST_TRANSACTION_MS)


def _exact_reading(settings: Settings) -> dict[str, Any]:
    return {
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        # An offset that retention has passed is lost input: an error, never a skip.
        "auto.offset.reset": "error",
        "check.crcs": not settings.embedded,
    }


def _common() -> dict[str, Any]:
    return {
        "client.id": "driftline",
        "log_level": 3,
        # That a broker which hangs has lost its partitions to others, a client learns from these
        # others only, and only when it asks.
        "topic.metadata.refresh.interval.ms": 5_000,
        # The default goes up to 10 s: so late could a broker be found that is back.
        "reconnect.backoff.max.ms": 1_000,
    }


def _large_records() -> dict[str, Any]:
    return {
        "fetch.message.max.bytes": LARGEST_RECORD_BYTES,
        "fetch.max.bytes": 4 * LARGEST_RECORD_BYTES,
        "receive.message.max.bytes": 5 * LARGEST_RECORD_BYTES,
    }
