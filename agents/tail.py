"""Follow metrics or alerts on a terminal, or as JSON lines; committed records only."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
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
from streams.errors import ConfigError

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
    """Print records of a topic as they come.

    Parameters
    ----------
    kind
        ``metrics`` or ``alerts``.
    model
        Only records of this model; None means all.
    follow
        Go on for ever; otherwise stop at the end of what is there.

    Returns
    -------
    int
        The exit code.
    """
    topic = f"{settings.prefix}.{kind}"
    write = sys.stdout.write
    for value in _values(settings, topic, from_beginning=from_beginning, follow=follow):
        record = _decoded(value)
        if model is not None and record.get("model") != model:
            continue
        if json_output:
            write(value.decode(errors="replace") + "\n")
        else:
            line = _metric_line(record) if kind == "metrics" else _alert_line(record)
            write(_printable(line) + "\n")
        sys.stdout.flush()
    return 0


def _decoded(value: bytes) -> dict[str, Any]:
    try:
        record = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        record = None
    return record if isinstance(record, dict) else {}


def _values(
    settings: Settings, topic: str, *, from_beginning: bool, follow: bool
) -> Iterator[bytes]:
    partitions = topics_admin.existing(settings).get(topic)
    if partitions is None:
        raise ConfigError(
            f"topic {topic} does not exist, or this user may not Describe it; see: driftline topics"
            " check"
        )
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
        open_partitions = set(range(partitions))
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        consumer.assign([TopicPartition(topic, number, start) for number in open_partitions])
        heard_s = time.monotonic()
        while follow or (open_partitions and time.monotonic() - heard_s < _QUIET_S):
            for message in consumer.consume(500, _POLL_S):
                heard_s = time.monotonic()
                if _about_the_group(message) or _passes(message):
                    continue
                if _at_end(message):
                    open_partitions.discard(message.partition())
                elif (value := message.value()) is not None:
                    yield value
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


def _clock(time_ms: Any) -> str:
    if not isinstance(time_ms, int):
        return "-"
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _metric_line(record: dict[str, Any]) -> str:
    value = record.get("value")
    shown = f"{value:.6g}" if isinstance(value, int | float) else "-"
    who = "/".join(str(record.get(name, "")) for name in ("model", "version", "segment"))
    final = " final" if record.get("final") else ""
    return (
        f"{_clock(record.get('window_start_ms'))}  {who.rstrip('/'):<24} "
        f"{record.get('metric', '-')!s:<24} {shown:>12}  n={record.get('count', '-')}"
        f" rev={record.get('revision', '-')}{final}"
    )


def _alert_line(record: dict[str, Any]) -> str:
    who = "/".join(str(record.get(name, "")) for name in ("model", "version", "segment"))
    return (
        f"{_clock(record.get('at_ms'))}  {record.get('state', '-')!s:<9} "
        f"{record.get('severity', '-')!s:<8} {record.get('kind', '-')!s:<9} "
        f"{who.rstrip('/')} {record.get('monitor', '-')} "
        f"({record.get('direction', '-')}): {record.get('message', '')}"
    )


def _printable(line: str) -> str:
    """Replace control characters: names come from producers and must not steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in line)
