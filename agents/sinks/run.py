"""Run a sink as a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Literal, NamedTuple

from confluent_kafka import KafkaException

from agents import topics_admin
from agents.exits import say
from agents.printable import printable
from agents.settings import Settings
from agents.sinks.contract import Sink
from agents.sinks.decoding import Decoding
from agents.sinks.letters import DeadLetterFile
from agents.sinks.runner import Pace, Runner, insist
from agents.sinks.telemetry import SinkHealth
from agents.topic_ids import TopicIds
from agents.version import installed_version
from driftline.places import Place
from driftline.reader import Reader
from streams.errors import ConfigError
from streams.topics import Topics

_LONGEST_SILENCE_MS = 86_400_000


class Identity(NamedTuple):
    """What a sink is called, and where it answers and keeps dead letters.

    Attributes
    ----------
    name
        Unlike that of any other sink of the installation: the consumer group has it.
    dead_letters
        None: a file of this name in the folder where it runs.
    port
        None: that of the sink, or the first that is free; 0: nowhere.
    """

    name: str
    dead_letters: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None

    @property
    def letters(self) -> Path:
        """The file of dead letters."""
        return self.dead_letters or Path(f"driftline-{self.name}.dead.jsonl")


def run_sink(sink: Sink, settings: Settings, identity: Identity) -> None:
    """Hand on until SIGTERM or Ctrl-C.

    Raises
    ------
    ConfigError
        If a person must act before it can go on.
    """
    health, stop = SinkHealth(identity.name, version=installed_version()), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    port = sink.port if identity.port is None else identity.port
    for collector in sink.collectors():
        health.export(collector)
    try:
        health.listen(host=identity.host, port=port)
    except OSError as error:
        raise ConfigError(
            f"--metrics-port: {identity.host}:{port} cannot be used: {error.strerror}"
        ) from None
    try:
        hand_on(sink, settings, identity, health=health, stop=stop)
    finally:
        health.stop()


def hand_on(
    sink: Sink,
    settings: Settings,
    identity: Identity,
    *,
    health: SinkHealth,
    stop: Event,
    tell: Callable[[str], None] = say,
) -> None:
    """Hand on until told to stop, and close the sink.

    Parameters
    ----------
    tell
        What says that it starts and stops.

    Raises
    ------
    ConfigError
        If a person must act before it can go on.
    """
    try:
        topics = _topics(sink, settings)
        sink.identify(TopicIds(settings, topics))
        letters, pace = DeadLetterFile(identity.letters), Pace()
        tell(f"sink {identity.name} starts: topics={','.join(topics)} metrics_port={health.port}")
        found: list[dict[Place, int] | Literal["group", "beginning"]] = []

        def connect() -> None:
            start = sink.start()
            found.append(start if isinstance(start, str) else dict(start))

        if insist(connect, stop=stop, pace=pace, health=health):
            with _reader(settings, topics, identity, found[-1]) as reader:
                decode = Decoding(Topics(settings.prefix))
                Runner(
                    sink,
                    reader,
                    decode=decode,
                    letters=letters,
                    health=health,
                    stop=stop,
                    pace=pace,
                ).run()
    except KafkaException as error:
        raise ConfigError(
            f"{settings.bootstrap_servers} refuses: {error.args[0].str()}; see: driftline topics"
            " acls"
        ) from None
    finally:
        sink.close()
    tell(f"sink {identity.name} stopped")


def _topics(sink: Sink, settings: Settings) -> list[str]:
    topics = Topics(settings.prefix)
    wanted: list[str] = [getattr(topics, kind) for kind in sink.wanted]
    missing = [name for name in wanted if name not in topics_admin.existing(settings)]
    if missing:
        raise ConfigError(
            f"no topic {', '.join(map(printable, missing))} at {settings.bootstrap_servers}, or"
            " none that this user may Describe; create them with: driftline topics create"
        )
    return wanted


def _reader(
    settings: Settings,
    topics: list[str],
    identity: Identity,
    start: dict[Place, int] | Literal["group", "beginning"],
) -> Reader:
    return Reader(
        settings.bootstrap_servers,
        topics,
        group_id=f"{settings.prefix}-sink-{identity.name}" if start == "group" else None,
        start="earliest" if isinstance(start, str) else start,
        # A target may be away for longer than the five minutes that a consumer may be silent.
        kafka={"max.poll.interval.ms": _LONGEST_SILENCE_MS, **settings.kafka},
        client_id=f"driftline-sink-{identity.name}",
    )
