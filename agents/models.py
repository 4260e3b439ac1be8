"""List the models that workers tell of; forget one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from rich import box
from rich.table import Table

from agents import topics_admin
from agents.monitors_topic import time_of, write_record
from agents.printable import printable
from agents.printing import add_names, plain_console, print_table
from agents.settings import Settings
from agents.sinks.contract import RefusedError
from agents.sinks.decoding import decoded
from agents.topic_records import records_of
from streams.errors import ConfigError, RecordError
from streams.forget_record import forget_key, read_forget, write_forget
from streams.models_told import ModelRecord
from streams.moments import time_text
from streams.topics import Topics


def read_models(settings: Settings) -> list[ModelRecord]:
    """Read what workers tell of models, to where that ends now.

    Raises
    ------
    ConfigError, NoAnswerError
        If the topic does not exist, or the brokers refuse or do not answer.
    """
    topic = Topics(settings.prefix).models
    if topic not in topics_admin.existing(settings):
        raise ConfigError(
            f"topic {topic} does not exist, or this user may not Describe it; see: driftline"
            " topics check"
        )
    known = {message.key(): message.value() for message in records_of(settings, topic)}
    found = [one for value in known.values() if (one := _decoded(value)) is not None]
    return sorted(found, key=lambda one: (one.model, one.version))


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


def show(models: Sequence[ModelRecord]) -> None:
    """Print them as a table."""
    console = plain_console()
    table = Table(box=box.SIMPLE_HEAD)
    add_names(console, table, "model", "version")
    for title in ("task", "last seen"):
        table.add_column(title, no_wrap=True)
    for title in ("features", "compared with", "why that task"):
        table.add_column(title)
    for one in models:
        names = printable(one.model), printable(one.version)
        seen, compared = _moment(one.last_seen_ms), _compared(one)
        table.add_row(
            *names, one.task or "-", seen, _features(one), compared, printable(one.reason) or "-"
        )
    print_table(console, table)


def _features(model: ModelRecord) -> str:
    """Say how many features of which kind a model has."""
    kinds = {"numbers": model.numbers, "categories": model.categories, "texts": model.texts}
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count) or "-"


def _compared(model: ModelRecord) -> str:
    """Say what windows of a model are compared with now, and on how many rows that rests."""
    if not model.reference:
        return "-"
    whose = "" if model.reference_version is None else f" of version {model.reference_version}"
    rows = f", {model.reference_rows:,} rows" if model.reference_rows else ""
    since_ms = model.reference_since_ms
    since = f", since {_moment(since_ms)}" if since_ms >= 0 else ""
    return printable(f"{model.reference}{whose}{rows}{since}")


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


def _decoded(value: bytes | None) -> ModelRecord | None:
    """Read a record; of one that no worker wrote, None: it must not keep the others from people."""
    found = None
    if value is not None:
        with suppress(RefusedError):
            found = decoded("models", value)
    return found if isinstance(found, ModelRecord) else None
