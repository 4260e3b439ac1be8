"""List the models that workers know, from the state that they keep on Kafka; forget one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from confluent_kafka import KafkaException
from rich import box
from rich.table import Table

from agents import topics_admin
from agents.monitors_topic import time_of, write_record
from agents.printable import printable
from agents.printing import add_names, plain_console, print_table
from agents.settings import Settings
from driftline.reader import Reader
from driftline.snapshot import snapshot
from streams.errors import ConfigError, NoAnswerError, RecordError
from streams.forget_record import forget_key, read_forget, write_forget
from streams.monitor.known_models import KnownModel, KnownModels
from streams.specification import time_text
from streams.topics import Topics


def read_models(settings: Settings) -> list[KnownModel]:
    """Read the state to where it ends now.

    Raises
    ------
    ConfigError, NoAnswerError
        If the topic does not exist, or the brokers refuse or do not answer.
    StateError
        If another build wrote it.
    """
    topic, known = Topics(settings.prefix).monitor_state, KnownModels()
    if topic not in topics_admin.existing(settings):
        raise ConfigError(
            f"topic {topic} does not exist, or this user may not Describe it; see: driftline"
            " topics check"
        )
    kafka = {"log_level": 2, **settings.kafka}
    try:
        with Reader(settings.bootstrap_servers, [topic], kafka=kafka) as reader:
            for message in snapshot(reader):
                known.fold(message.partition() or 0, _bytes(message.key()), message.value())
    except KafkaException as error:
        raise ConfigError(f"topic {topic}: {error.args[0].str()}") from None
    except TimeoutError as error:
        raise NoAnswerError(str(error)) from None
    return known.models()


def forget_model(
    settings: Settings, model: str, version: str | None, *, at: str | None, json_output: bool
) -> int:
    """Order all workers to forget a model; no version is all versions.

    Raises
    ------
    ConfigError, NoAnswerError
        If the time is refused, or the topic cannot be written.
    """
    effective_ms = time_of(at)
    value = write_forget(model, version, effective_ms=effective_ms)
    try:
        read_forget(value)
    except RecordError as error:
        raise ConfigError(error.detail) from None
    offset = write_record(settings, forget_key(model, version), value)
    topic = Topics(settings.prefix).monitors
    if json_output:
        print(json.dumps({"topic": topic, "offset": offset, "effective_at": effective_ms}))
        return 0
    print(
        f"written: {topic}@{offset}; it takes effect at the first boundary of panes at or after"
        f" {time_text(effective_ms)}, event time"
    )
    return 0


def _bytes(key: bytes | str | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


def show(models: Sequence[KnownModel]) -> None:
    """Print them as a table."""
    console = plain_console()
    table = Table(box=box.SIMPLE_HEAD)
    add_names(console, table, "model", "version")
    table.add_column("task", no_wrap=True)
    table.add_column("last seen", no_wrap=True)
    table.add_column("baseline since", no_wrap=True)
    table.add_column("compared with")
    for one in models:
        names = printable(one.model), printable(one.version)
        table.add_row(
            *names, one.task or "-", _moment(one.last_seen_ms), _baseline(one), _compared(one)
        )
    print_table(console, table)


def _baseline(model: KnownModel) -> str:
    """Say since when a model has a baseline, and whose it goes by until that is complete."""
    since = _moment(model.baseline_since_ms)
    return since if model.inherits is None else f"{since}, before: {printable(model.inherits)}"


def _compared(model: KnownModel) -> str:
    """Say what windows of a model are compared with now, and on how many rows that rests."""
    rows = f", {model.baseline_rows:,} rows" if model.baseline_rows else ""
    return printable(f"{model.compared_with}{rows}") or "-"


def _moment(time_ms: int) -> str:
    """Write a time, or a dash for none.

    Examples
    --------
    >>> _moment(1_767_225_600_000), _moment(-1)
    ('2026-01-01 00:00:00Z', '-')
    """
    if time_ms < 0:
        return "-"
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
