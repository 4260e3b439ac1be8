"""A topic as commands use it: what it has, and one more record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaException, Message, Producer

from agents import clients
from agents.settings import Settings
from driftline.reader import Reader
from driftline.snapshot import snapshot
from streams.errors import ConfigError, NoAnswerError

ANY = -1
_DELIVERY_S = 30.0


def records_of(settings: Settings, topic: str, **where: Any) -> Iterator[Message]:
    """Yield what a topic has, to where it ends now.

    Parameters
    ----------
    where
        `start`, if not at the beginning; see `driftline.reader.Reader`.

    Raises
    ------
    ConfigError, NoAnswerError
        If the brokers refuse, or do not answer.
    """
    kafka = {"log_level": 2, **settings.kafka}
    try:
        with Reader(settings.bootstrap_servers, [topic], kafka=kafka, **where) as reader:
            yield from snapshot(reader)
    except KafkaException as error:
        raise ConfigError(f"topic {topic}: {error.args[0].str()}") from None
    except TimeoutError as error:
        raise NoAnswerError(str(error)) from None


def deliver(
    settings: Settings, topic: str, key: bytes, value: bytes, *, partition: int = ANY
) -> int:
    """Write a record, and wait until it is there; return its offset.

    Parameters
    ----------
    partition
        By default the one that the key leads to.

    Raises
    ------
    confluent_kafka.KafkaException, TimeoutError
        If the brokers refuse it, or do not answer.
    """
    delivered: list[int] = []

    def heard(error: Any, message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        delivered.append(message.offset() or 0)

    producer = Producer({"acks": "all", "enable.idempotence": True, **clients.admin(settings)})
    producer.produce(topic, value, key, partition=partition, on_delivery=heard)
    producer.flush(_DELIVERY_S)
    if not delivered:
        raise TimeoutError(f"no broker confirmed it in {_DELIVERY_S:.0f} s")
    return delivered[0]
