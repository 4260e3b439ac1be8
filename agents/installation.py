"""What all workers of an installation told last, read from the topic ``<prefix>.workers``."""

from __future__ import annotations

import msgspec
from confluent_kafka.admin import AdminClient

from agents import clients, topics_admin
from agents.ends import offsets_since
from agents.settings import Settings
from agents.status import Status
from agents.topic_records import records_of
from streams.errors import ConfigError, NoAnswerError
from streams.topics import Topics

RECENT_MS = 60_000
"""What is older is left out: a worker that was killed takes nothing back."""


def ask_installation(settings: Settings, *, now_ms: int) -> list[Status]:
    """Return what every worker told within the last minute, by its id.

    Raises
    ------
    ConfigError
        If the topic does not exist, or the brokers refuse.
    NoAnswerError
        If no worker has told anything, or no broker answers.
    """
    topic = Topics(settings.prefix).workers
    count = topics_admin.existing(settings).get(topic)
    if count is None:
        raise ConfigError(
            f"topic {topic} does not exist, or this user may not Describe it; driftline topics"
            " create makes it, driftline status HOST:PORT asks one worker"
        )
    places = [(topic, number) for number in range(count)]
    admin = AdminClient(clients.admin(settings))
    start = offsets_since(admin, places, now_ms - RECENT_MS)
    last: dict[bytes | str | None, bytes | None] = {}
    for message in records_of(settings, topic, start=start):
        recent = message.timestamp()[1] >= now_ms - RECENT_MS
        last[message.key()] = message.value() if recent else None
    found = [status for value in last.values() if (status := _decoded(value)) is not None]
    if not found:
        raise NoAnswerError(
            f"no worker of prefix {settings.prefix!r} has told of itself at"
            f" {settings.bootstrap_servers} within the last minute"
        )
    return sorted(found, key=lambda status: status.worker_id)


def _decoded(value: bytes | None) -> Status | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # whoever may write there wrote something else
