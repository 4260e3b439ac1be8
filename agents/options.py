"""Every setting that flags, environment and file share: its name, what is allowed, what it does.

The command line, the docs and `agents.settings` all go by this table.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.memory import format_bytes, parse_budget
from driftline.servers import parse_servers
from streams.durations import format_duration, parse_duration_ms
from streams.errors import ConfigError
from streams.families.family import MOST_CODES

ENV_PREFIX = "DRIFTLINE_"

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_WORKER_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")


class Option(NamedTuple):
    """One setting.

    Attributes
    ----------
    name
        In flags, environment and file.
    field
        Of `Settings`.
    parse
        How text becomes its value.
    meaning
        What it does, for people, in Markdown.
    """

    name: str
    field: str
    parse: Callable[[str, str], Any]
    meaning: str

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return ENV_PREFIX + self.name.upper()

    @property
    def allowed(self) -> tuple[object, object] | None:
        """The lowest and the highest value; None where it is neither number nor duration.

        Examples
        --------
        >>> next(option.allowed for option in OPTIONS if option.name == "window")
        ('1s', '31d')
        """
        if isinstance(self.parse, _Duration | _Integer):
            return self.parse.lowest, self.parse.highest
        return None

    def show(self, settings: object) -> str:
        """Write the value that `Settings` have as a person would set it."""
        value = getattr(settings, self.field)
        if value is None:
            return "-" if self.parse is _path else "auto"
        if self.field.endswith("_ms"):
            return format_duration(value)
        if self.field == "memory_budget_bytes":
            return format_bytes(value)
        return str(value)


class _Duration(msgspec.Struct, frozen=True):
    lowest: str
    highest: str

    def __call__(self, text: str, setting: str) -> int:
        value = parse_duration_ms(text, setting=setting)
        if not parse_duration_ms(self.lowest) <= value <= parse_duration_ms(self.highest):
            raise ConfigError(
                f"{setting}: {text!r} is not between {self.lowest} and {self.highest}"
            )
        return value


class _Integer(msgspec.Struct, frozen=True):
    lowest: int
    highest: int

    def __call__(self, text: str, setting: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,12}", text.strip()):
            raise ConfigError(f"{setting}: {text!r} is no whole number")
        if not self.lowest <= int(text) <= self.highest:
            raise ConfigError(
                f"{setting}: {text!r} is not between {self.lowest} and {self.highest}"
            )
        return int(text)


def duration(lowest: str, highest: str) -> Callable[[str, str], int]:
    """Return a reader of durations, in milliseconds, between limits that are allowed, too."""
    return _Duration(lowest, highest)


def integer(lowest: int, highest: int) -> Callable[[str, str], int]:
    """Return a parser of whole numbers; both ends are allowed."""
    return _Integer(lowest, highest)


def _port(text: str, setting: str) -> int | None:
    return None if text.strip() == "auto" else integer(0, 65_535)(text, setting)


def _name(pattern: re.Pattern[str], allowed: str) -> Callable[[str, str], str]:
    def parse(text: str, setting: str) -> str:
        if not pattern.fullmatch(text):
            raise ConfigError(f"{setting}: {text!r} may only have {allowed}")
        return text

    return parse


def _text(text: str, setting: str) -> str:
    if not text.strip():
        raise ConfigError(f"{setting}: {text!r} is empty")
    return text.strip()


def _servers(text: str, setting: str) -> str:
    try:
        return parse_servers(text, setting=setting)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _path(text: str, setting: str) -> Path:
    return Path(_text(text, setting))


_LETTERS = "letters, digits, '.', '_' and '-', 200 at most"

OPTIONS = (
    Option(
        "bootstrap_servers",
        "bootstrap_servers",
        _servers,
        "Kafka brokers, `host:port[,…]`; of a cluster, name three. IPv6 addresses in brackets",
    ),
    Option("prefix", "prefix", _name(_TOPIC_NAME, _LETTERS), "first part of every topic's name"),
    Option("window", "window_ms", _Duration("1s", "31d"), "length of a metric window"),
    Option("horizon", "horizon_ms", _Duration("1s", "366d"), "how long a label is waited for"),
    Option(
        "disorder",
        "disorder_ms",
        _Duration("1ms", "1d"),
        "how long detectors and rules wait for events that come out of order; later "
        "ones only revise metrics",
    ),
    Option(
        "forget_after",
        "forget_ms",
        _Duration("1h", "3660d"),
        "models that are silent for so long in event time are forgotten, unless an alert of theirs "
        "fires; never sooner than after two horizons and three windows",
    ),
    Option(
        "idle_timeout",
        "idle_ms",
        _Duration("100ms", "1d"),
        "a quiet input stops holding back the clock after this",
    ),
    Option(
        "tick_after",
        "tick_ms",
        _Duration("1s", "366d"),
        "where nothing at all comes for so long, windows become final, and predictions "
        "`unlabelled`, by the time that passes; what comes after all revises them",
    ),
    Option("monitors", "monitors", _path, "the monitors file; default monitors without it"),
    Option(
        "category_key_file",
        "category_key_file",
        _path,
        "a file with a secret, by which `categories` of distributions are named, such as `#2155`; "
        "without it, whoever guesses a text can look up its hash. The same for all workers",
    ),
    Option(
        "worker_id",
        "worker_id",
        _name(_WORKER_ID, _LETTERS),
        "unique among running workers; a stable one frees a crashed worker's "
        "transaction when it restarts",
    ),
    Option("metrics_host", "metrics_host", _text, "address for Prometheus"),
    Option(
        "metrics_port",
        "metrics_port",
        _port,
        "port for it; `auto` is 9464, or the next one that is free; 0 is off",
    ),
    Option(
        "join_commit_interval",
        "join_commit_interval_ms",
        _Duration("10ms", "5s"),
        "about the shortest time between commits of the join",
    ),
    Option(
        "monitor_commit_interval",
        "monitor_commit_interval_ms",
        _Duration("10ms", "5s"),
        "about the shortest time between results: who has much to do (256 KB of "
        "outcomes) goes along with the join's commits, and with many models a worker "
        "takes longer, so that it has time left for reading",
    ),
    Option(
        "metrics_linger",
        "metrics_linger_ms",
        _Duration("1ms", "5m"),
        "a window under way that has changed is looked at after so long: counts, and numbers "
        "that have moved by a tenth of their interval or rest on 5 % more, are published; "
        "windows that are final, and how many rows a new one has, at once; of a window with few "
        "rows, less",
    ),
    Option(
        "metrics_refresh",
        "metrics_refresh_ms",
        _Duration("1ms", "1h"),
        "a number that has changed by less is published after so long, or once no more comes",
    ),
    Option(
        "session_timeout",
        "session_timeout_ms",
        _Duration("1s", "30m"),
        "a worker silent for this long is given up; on a cluster of brokers take `20s`",
    ),
    Option(
        "stall_timeout",
        "stall_ms",
        _Duration("4s", "1d"),
        "a worker that makes no progress for this long ends itself",
    ),
    Option(
        "memory_budget",
        "memory_budget_bytes",
        parse_budget,
        "a worker that uses this much memory ends itself, such as `2GiB`; `0` is off; "
        "`auto` is nine tenths of the container's limit or the host's memory",
    ),
    Option(
        "max_classes",
        "max_classes",
        integer(2, MOST_CODES),
        "a model with more different classes is text, and has no metrics of classes, unless "
        "`models` in the monitors file says what it is",
    ),
    Option(
        "max_model_features",
        "max_model_features",
        integer(1, 10_000),
        "of a model with more different features, only the first are watched; "
        "the others are left out",
    ),
    Option(
        "max_model_segments",
        "max_model_segments",
        integer(1, 100_000),
        "of a model with more different segments, only the first are watched; "
        "the others are left out",
    ),
    Option(
        "max_record_bytes",
        "max_record_bytes",
        integer(1_000, 1_000_000),
        "a larger value of a record is a dead letter",
    ),
    Option(
        "max_name_bytes",
        "max_name_bytes",
        integer(16, 1_024),
        "longer ids and names of models and versions are dead letters; longer names of "
        "features, segments and classes in `scores`, and longer segments, are left out; "
        "a longer class counts under its hash",
    ),
    Option(
        "max_features",
        "max_features",
        integer(1, 10_000),
        "more in one prediction are left out, the last by name",
    ),
    Option(
        "max_segments",
        "max_segments",
        integer(1, 64),
        "more segments of one prediction are left out, the last by name",
    ),
    Option(
        "max_scores",
        "max_scores",
        integer(1, 10_000),
        "more entries of `scores` are left out, the last by name",
    ),
)
"""Every setting that flags, environment and file share."""
