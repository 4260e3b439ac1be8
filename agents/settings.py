"""What can be set, where it may be set, and what is allowed.

A value comes from the first of: a flag, a ``DRIFTLINE_*`` environment variable, the ``settings``
section of the monitors file, the default. Whatever is wrong is a `ConfigError` that names the
place, the value and what is allowed. This module reads one file, and no environment of its own:
callers hand it in.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agents.options import ENV_PREFIX, OPTIONS
from streams.errors import ConfigError
from streams.limits import LIMITS, RecordLimits
from streams.monitors import FORGET_MS
from streams.nearest import nearest
from streams.task import CAPS, Caps

FIRST_PORT, PORTS = 9464, 100
"""Where a worker answers Prometheus that was not told where: the first of these that is free."""

KAFKA_ENV_PREFIX = "DRIFTLINE_KAFKA_"
_OTHER_NAMES = frozenset(
    {
        "DRIFTLINE_CACHE_DIR",  # where a local Kafka for tests keeps its jars
        "DRIFTLINE_HISTORY",  # the database of `driftline sink sql`, see `agents.history.database`
        "DRIFTLINE_WEB_TOKEN",  # what `driftline web` asks for, see `agents.web.start`
    }
)
# Only what is known to be no secret: a command, a URL or a property of a librdkafka to come may
# hold one.
_SHOWN = re.compile(
    r"security\.protocol|sasl\.mechanisms?|sasl\.username|sasl\.kerberos\.(service\.name|principal)"
    r"|sasl\.oauthbearer\.(method|client\.id|scope)|enable\.[a-z.]+|check\.crcs|debug"
    r"|ssl\.(ca|certificate|key|keystore|crl)\.location|ssl\.(cipher\.suites|curves\.list|sigalgs\.list)"
    r"|ssl\.endpoint\.identification\.algorithm|client\.(id|rack|dns\.lookup)|group\.[a-z.]+"
    r"|broker\.(address\.family|version\.fallback)|compression\.[a-z]+|acks|partitioner"
    r"|partition\.assignment\.strategy|isolation\.level|auto\.offset\.reset"
    r"|[a-z.]+\.(ms|bytes|kbytes|messages|max|min|sec|retries|num)"
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker, or one tool beside it, goes by.

    Attributes
    ----------
    window_ms, horizon_ms, disorder_ms
        Metric window, how long a label is waited for, how far events may be out of order.
    forget_ms
        How long a model must be silent to be forgotten.
    idle_ms
        How long an input that is read to its end must be quiet before it stops holding back
        the clock.
    tick_ms
        How long nothing at all must have come before the time that passes is written down.
    monitors
        The monitors file. None means default monitors for every model.
    category_key_file
        By whose content categories are named; None means by their hashes.
    worker_id
        Identity of the worker's transactions; no two running workers may share one.
    metrics_port
        Where Prometheus asks; 0 switches it off, None takes the first that is free of those from
        `FIRST_PORT` on.
    join_commit_interval_ms, monitor_commit_interval_ms
        Shortest time between two transactions that contain work of the stage, unless there is
        much of it and another is due.
    metrics_linger_ms, metrics_refresh_ms
        How soon windows under way are written again; see `streams.cells.schedule.Revising`.
    stall_ms
        How long the worker may make no progress before it ends itself.
    memory_budget_bytes
        Resident memory at which the worker ends itself; 0 means never, None by what there is.
    max_classes
        More different classes make a model text.
    max_model_features, max_model_segments
        So many features and segments of a model are watched.
    max_record_bytes, max_name_bytes, max_features, max_segments, max_scores
        What one record may hold; see `streams.limits`.
    embedded
        The broker is the embedded one, which keeps no transactional offset commits.
    kafka
        More librdkafka settings, for all clients: TLS, SASL and the like.
    """

    bootstrap_servers: str = "localhost:9092"
    prefix: str = "driftline"
    window_ms: int = 300_000
    horizon_ms: int = 3_600_000
    disorder_ms: int = 5_000
    forget_ms: int = FORGET_MS
    idle_ms: int = 5_000
    tick_ms: int = 60_000
    monitors: Path | None = None
    category_key_file: Path | None = None
    worker_id: str = "worker"
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    join_commit_interval_ms: int = 100
    monitor_commit_interval_ms: int = 200
    metrics_linger_ms: int = 2_000
    metrics_refresh_ms: int = 30_000
    session_timeout_ms: int = 10_000
    stall_ms: int = 60_000
    memory_budget_bytes: int | None = None
    max_classes: int = CAPS.classes
    max_model_features: int = CAPS.features
    max_model_segments: int = CAPS.segments
    max_record_bytes: int = LIMITS.record_bytes
    max_name_bytes: int = LIMITS.name_bytes
    max_features: int = LIMITS.features
    max_segments: int = LIMITS.segments
    max_scores: int = LIMITS.scores
    embedded: bool = False
    kafka: dict[str, str] = {}

    @property
    def group(self) -> str:
        """The consumer group of all workers."""
        return f"{self.prefix}-workers"

    @property
    def caps(self) -> Caps:
        """How much of one model is watched."""
        return Caps(self.max_classes, self.max_model_features, self.max_model_segments)

    @property
    def limits(self) -> RecordLimits:
        """What one record may hold."""
        return RecordLimits(
            record_bytes=self.max_record_bytes,
            name_bytes=self.max_name_bytes,
            features=self.max_features,
            segments=self.max_segments,
            scores=self.max_scores,
        )

    def commit_interval_ms(self, stage: str) -> int:
        """Return the commit interval of a stage by its name."""
        if stage == "monitor":
            return self.monitor_commit_interval_ms
        return self.join_commit_interval_ms

    def describe(self) -> str:
        """Write all settings in one line, secrets masked.

        Examples
        --------
        >>> Settings(kafka={"sasl.password": "x"}).describe().split()[-1]
        'kafka.sasl.password=***'
        """
        parts = [f"{option.name}={option.show(self)}" for option in OPTIONS]
        parts += ["embedded=true"] if self.embedded else []
        parts += [f"kafka.{key}={mask(key, value)}" for key, value in sorted(self.kafka.items())]
        return " ".join(parts)


def mask(key: str, value: str) -> str:
    """Return the value of a librdkafka setting as it may be shown: only if it can be no secret.

    Examples
    --------
    >>> mask("sasl.kerberos.kinit.cmd", "kinit -p x"), mask("security.protocol", "ssl")
    ('***', 'ssl')
    """
    return value if _SHOWN.fullmatch(key) else "***"


def resolve(
    flags: Mapping[str, str | None],
    *,
    environ: Mapping[str, str],
    kafka: tuple[str, ...] = (),
    embedded: bool = False,
) -> Settings:
    """Find every setting's value and check it.

    Parameters
    ----------
    flags
        Values given on the command line by option name; None means not given.
    environ
        Environment variables, all of them: unknown ``DRIFTLINE_*`` names are errors.
    kafka
        ``key=value`` pairs of the command line.

    Raises
    ------
    ConfigError
        If a value or a name is not allowed, or the monitors file cannot be read.
    """
    check_environment(environ)
    found: dict[str, Any] = {}
    for option in OPTIONS:
        if (text := flags.get(option.name)) is not None:
            found[option.field] = option.parse(text, option.flag)
        elif (text := environ.get(option.variable)) is not None:
            found[option.field] = option.parse(text, option.variable)
    if (path := found.get("monitors")) is not None:
        found = {**_from_file(_sections(path)[0], path), **found}
    found.setdefault("worker_id", _unique_worker_id())
    return Settings(**found, kafka=_kafka(kafka, environ), embedded=embedded)


def check_environment(environ: Mapping[str, str]) -> None:
    """Refuse ``DRIFTLINE_*`` variables that mean nothing.

    Raises
    ------
    ConfigError
        With the known name that is closest.
    """
    known = {option.variable for option in OPTIONS} | _OTHER_NAMES
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name in known or name.startswith(KAFKA_ENV_PREFIX):
            continue
        raise ConfigError(f"{name}: no such setting{nearest(name, known)}")


_TEXTS = frozenset({"positive"})


def read_monitors_file(path: Path) -> tuple[dict[str, Any], object]:
    """Read a monitors file: its ``settings`` section, and the rest, which is about monitors.

    Profiles that it names are read, too, and stand in it instead of their names.

    Raises
    ------
    ConfigError
        If one of these cannot be read, or it is no YAML, see `agents.yaml_files`.
    """
    from agents.profiles_read import with_profiles  # noqa: PLC0415 - most commands read no file

    section, data = _sections(path)
    return section, with_profiles(data, path)


def _sections(path: Path) -> tuple[dict[str, Any], object]:
    from agents.yaml_files import read_yaml  # noqa: PLC0415 - most commands read no file

    data = read_yaml(path, option="--monitors", texts=_TEXTS)
    if not isinstance(data, dict) or "settings" not in data:
        return {}, data
    section = data["settings"] if data["settings"] is not None else {}
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: settings: {section!r} is no mapping of names to values")
    return section, {key: value for key, value in data.items() if key != "settings"}


def _from_file(section: Mapping[str, Any], path: Path) -> dict[str, Any]:
    options = {option.name: option for option in OPTIONS if option.name != "monitors"}
    found = {}
    for name, value in section.items():
        setting = f"{path}: settings.{name}"
        if name not in options:
            raise ConfigError(f"{setting}: no such setting{nearest(str(name), options.keys())}")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ConfigError(f"{setting}: {value!r} is neither text nor a whole number")
        found[options[name].field] = options[name].parse(str(value), setting)
    return found


def _kafka(pairs: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    found = {
        name.removeprefix(KAFKA_ENV_PREFIX).lower().replace("_", "."): value
        for name, value in environ.items()
        if name.startswith(KAFKA_ENV_PREFIX)
    }
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            shown = mask(key, pair)
            raise ConfigError(f"--kafka: {shown!r} is not KEY=VALUE, such as security.protocol=ssl")
        found[key.strip()] = value
    return found


def _unique_worker_id() -> str:
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:100]
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def read_option(name: str, text: str) -> Any:
    """Read the value of one option as it is given on the command line.

    Raises
    ------
    ConfigError
        If it is not allowed.

    Examples
    --------
    >>> read_option("disorder", "2s")
    2000
    """
    option = next(option for option in OPTIONS if option.name == name)
    return option.parse(text, option.flag)
