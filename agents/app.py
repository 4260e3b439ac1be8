"""The worker as a Faust app: the one place where the parts meet.

``driftline worker`` runs it, and so does ``faust -A agents.app worker``, which takes its settings
from the environment.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, cast

if find_spec("uvloop") is not None:
    import mode.loop

    mode.loop.use("uvloop")  # before Faust is imported

import faust
import msgspec
from faust.app.base import BootStrategy
from yarl import URL

from agents import clients, fetching, state_log, topics_admin
from agents import stages as agents_of
from agents.announcer import Announcer
from agents.category_key import read_category_key
from agents.exits import EXIT_CONFIG, EXIT_UNEXPECTED, say
from agents.health import Health
from agents.key_watch import KeyWatch
from agents.ledger import Ledger
from agents.pipeline import Pipeline
from agents.printable import printable
from agents.settings import FIRST_PORT, Settings, read_monitors_file, resolve
from agents.telemetry import Telemetry
from agents.transport import Transport
from agents.version import installed_version
from agents.watchdog import Watchdog
from streams.errors import ConfigError, NoAnswerError, StateError
from streams.hash_index import SEED_BYTES
from streams.steps import Stage
from streams.topics import Topics

# Faust wants a URL, and connects to nothing: the clients take the brokers from the settings. A
# list of them, or an IPv6 address, is no URL.
_BROKER = "confluent://kafka"
_BATCH_BYTES = 1_024  # what a record takes besides key and value, and more

_LATEST_RECORDS = 20


class NoWeb(BootStrategy):
    """Start no web server, whatever Faust's command line says: the world could reach it."""

    enable_web = False


class App(faust.App):
    """A Faust app that ends cleanly and writes no files."""

    BootStrategy = NoWeb
    pipeline: Pipeline
    announcer: Announcer
    stage_channels: dict[str, Any]

    async def on_start(self) -> None:
        """Begin to tell how it goes."""
        await super().on_start()
        self.announcer.start()

    async def on_stop(self) -> None:
        """Finish the transaction under way; the transport leaves the group after that."""
        await self.pipeline.shutdown()
        await asyncio.to_thread(self.announcer.stop)
        self.pipeline.watchdog.stop()
        self.pipeline.health.stop()
        await super().on_stop()

    def _create_directories(self) -> None:
        """Make none: state lives in Kafka."""


def create_app(settings: Settings, stages: Sequence[Stage] | None = None) -> App:
    """Put a worker together.

    Parameters
    ----------
    stages
        What to run; None means driftline's own, for which the topics are checked.

    Raises
    ------
    ConfigError
        If a setting is refused, topics are missing or do not fit, or the address for Prometheus
        cannot be used.
    """
    clients.check(settings)
    topics = Topics(settings.prefix)
    if stages is None:
        stages = _build_stages(settings, topics)
    health = _start_health(settings, topics)
    settings = msgspec.structs.replace(settings, metrics_port=health.port)
    read = {topic for stage in stages for topic in (*stage.inputs, *stage.global_inputs)}
    written = set(map(topics.dead_letters, read))
    ledger = Ledger(settings, limits=topics_admin.message_limits(settings, written))
    app = App(
        settings.group,
        broker=_BROKER,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        table_standby_replicas=0,
    )
    app.transport = Transport([URL(_BROKER)], app)
    watchdog = Watchdog(settings, health=health)
    keys = _key_watch(stages, health)
    app.pipeline = Pipeline(
        settings, stages, ledger=ledger, health=health, watchdog=watchdog, keys=keys
    )
    health.answer(live=watchdog.complaint, ready=app.pipeline.unready)
    health.pages["/status"] = lambda: msgspec.json.encode(app.pipeline.status())
    app.announcer = Announcer(settings, told=app.pipeline.status)
    app.stage_channels = agents_of.declare(app, app.pipeline)
    return app


def _build_stages(settings: Settings, topics: Topics) -> Sequence[Stage]:
    from streams.categories import category_names  # noqa: PLC0415
    from streams.cells.schedule import Revising  # noqa: PLC0415
    from streams.monitors_file import parse_monitors  # noqa: PLC0415
    from streams.silences import over_by  # noqa: PLC0415
    from streams.topology import build  # noqa: PLC0415

    monitors = None
    if settings.monitors is not None:
        content = read_monitors_file(settings.monitors)[1]
        monitors = parse_monitors(content, file=str(settings.monitors))
        for remark in over_by(monitors.silences, time.time_ns() // 1_000_000):
            say(f"{settings.monitors}: {remark}")
    partitions = topics_admin.check(settings)
    built = build(
        topics,
        window_ms=settings.window_ms,
        horizon_ms=settings.horizon_ms,
        disorder_ms=settings.disorder_ms,
        partitions=partitions[topics.predictions],
        monitors=monitors,
        limits=settings.limits,
        seed=secrets.token_bytes(SEED_BYTES),
        forget_ms=settings.forget_ms,
        caps=settings.caps,
    )
    limits = topics_admin.message_limits(settings, [topics.monitor_state])
    _, monitor = built
    monitor.categories = category_names(read_category_key(settings.category_key_file))
    monitor.revising = Revising(settings.metrics_linger_ms, settings.metrics_refresh_ms)
    room_bytes = (limit - _BATCH_BYTES for limit in limits.values())
    monitor.largest_bytes = min([monitor.largest_bytes, *room_bytes])
    stages = cast("tuple[Stage, ...]", built)
    try:
        count = partitions[topics.predictions]
        state_log.check(settings, stages[0], partitions=count)
        # The monitor says with every transaction what windows it was made with, after all else.
        state_log.check(settings, stages[1], partitions=count, latest=_LATEST_RECORDS)
    except state_log.LogError as error:
        raise ConfigError(str(error)) from None
    except StateError as error:
        raise ConfigError(f"{error}; {topics_admin.way_out(settings)}") from None
    return stages


def _key_watch(stages: Sequence[Stage], health: Health) -> KeyWatch | None:
    from streams.join import Join  # noqa: PLC0415

    every: Sequence[Any] = stages  # to mypy no class can be both
    for stage in every:
        if isinstance(stage, Join):
            return KeyWatch(stage.inputs, partitions=stage.partitions, health=health)
    return None


def _start_health(settings: Settings, topics: Topics) -> Health:
    health = Health(
        Telemetry(version=installed_version()),
        topics=topics,
        host=settings.metrics_host,
        port=settings.metrics_port,
    )
    try:
        health.start()
    except OSError as error:
        address = f"{settings.metrics_host}:{settings.metrics_port or FIRST_PORT}"
        raise ConfigError(f"--metrics-port: {address!r} cannot be used: {error.strerror}") from None
    if settings.metrics_port is None and health.port != FIRST_PORT:
        say(f"port {FIRST_PORT} is taken: Prometheus is answered at port {health.port}")
    return health


def run_worker(settings: Settings, stages: Sequence[Stage] | None = None) -> None:
    """Run a worker until it is told to stop; does not return."""
    app = create_app(settings, stages)
    _about_to_start(app.pipeline.settings)
    worker = faust.Worker(app, loglevel="WARNING", redirect_stdouts=False, quiet=True)
    worker.spinner = None  # it would write cursor codes into log files
    worker.execute_from_commandline()


def _about_to_start(settings: Settings) -> None:
    # A million pending predictions hold no cycles: looking for some costs more than joining.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    say(f"worker starts: {settings.describe()}, {fetching.describe()}")


def __getattr__(name: str) -> Any:
    """Build ``app`` when somebody asks for it: importing this module must not need a broker."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        settings = resolve({}, environ=os.environ)
        built = globals()["app"] = create_app(settings)
    except ConfigError as error:
        print(f"driftline: {printable(error)}", file=sys.stderr)
        again = isinstance(error, NoAnswerError)
        raise SystemExit(EXIT_UNEXPECTED if again else EXIT_CONFIG) from None
    _about_to_start(built.pipeline.settings)
    return built
