"""`driftline monitors apply`, `list`, `diff` and `withdraw`: what all workers are told to watch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import KafkaException, Message

from agents import topics_admin
from agents.printable import printable
from agents.settings import Settings, read_monitors_file
from agents.topic_records import deliver
from driftline.reader import Reader
from driftline.snapshot import snapshot
from streams.errors import ConfigError, NoAnswerError, RecordError
from streams.moments import parse_time_ms, time_text
from streams.monitors import DEFAULTS, Monitors
from streams.monitors_changes import changes
from streams.monitors_file import parse_monitors
from streams.silences import over_by
from streams.specification import (
    FIXED,
    KEY,
    monitors_of,
    read_specification,
    says,
    write_specification,
)
from streams.topics import Topics

EXIT_DIFFERS = 1

_LARGEST_BYTES = 900_000  # what a broker takes with its defaults, and a client's


class Stored(NamedTuple):
    """The last record of the topic.

    Attributes
    ----------
    monitors
        What it says; `None` where it takes back what was said before.
    refused
        Why workers refuse it, if they do.
    """

    offset: int
    written_ms: int
    effective_ms: int = -1
    content: dict[str, Any] | None = None
    monitors: Monitors | None = None
    refused: str | None = None


def apply_monitors(
    settings: Settings, file: Path | None, *, at: str | None, json_output: bool
) -> int:
    """Write a specification, after having said what it changes; no file takes it back.

    Raises
    ------
    ConfigError
        If the file or the time is refused, or the topic cannot be written.
    """
    effective_ms = time_of(at)
    content = None if file is None else _content(file)
    now = None if file is None else parse_monitors(content, file=str(file))
    value = write_specification(content, effective_ms=effective_ms)
    if len(value) > _LARGEST_BYTES:
        raise ConfigError(_too_large(file, now, len(value)))
    before = stored_on_topic(settings)
    found = _changes(before, now)
    offset = write_record(settings, KEY, value)
    topic = Topics(settings.prefix).monitors
    if json_output:
        print(
            json.dumps(
                {
                    "topic": topic,
                    "offset": offset,
                    "effective_at": effective_ms,
                    "changes": found,
                }
            )
        )
        return 0
    _show(found, before)
    for remark in over_by(now.silences, time.time_ns() // 1_000_000) if now is not None else ():
        print(printable(remark))
    print(
        f"written: {topic}@{offset}; it takes effect at the first boundary of panes at or after"
        f" {time_text(effective_ms)}, event time"
    )
    given = [name for name in sorted(FIXED) if says(content or {}, name)]
    if given:
        names = ", ".join(given)
        print(f"{names}: workers that were started with another value refuse the specification")
    return 0


def _too_large(file: Path | None, now: Monitors | None, size_bytes: int) -> str:
    compared = sorted(now.compared) if now is not None else []
    fix = (
        f"; most of it are the profiles of {', '.join(compared)}: make them without segments"
        " (driftline profile --no-segments) or of fewer features, or start workers with the file"
        if compared
        else ""
    )
    return f"{file}: as a record it has {size_bytes:,} bytes, a topic takes {_LARGEST_BYTES:,}{fix}"


def list_monitors(settings: Settings, *, json_output: bool) -> int:
    """Print what is on the topic, and since when."""
    stored, topic = stored_on_topic(settings), Topics(settings.prefix).monitors
    if json_output:
        shown: dict[str, Any] = {"topic": topic, "offset": None, "monitors": None}
        if stored is not None:
            shown |= {
                "offset": stored.offset,
                "written_at": stored.written_ms,
                "effective_at": stored.effective_ms,
                "monitors": stored.content,
                "refused": stored.refused,
            }
        print(json.dumps(shown))
        return 0
    if stored is None or (stored.content is None and stored.refused is None):
        print(f"{topic}: no specification; what each worker was started with, or the defaults")
        return 0
    print(
        f"{topic}@{stored.offset}, written {time_text(stored.written_ms)}"
        + ("" if stored.refused else f", in effect from {time_text(stored.effective_ms)} on")
    )
    if stored.refused is not None:
        print(printable(f"workers refuse it, what held before holds on: {stored.refused}"))
    monitors = stored.monitors
    if monitors is not None:
        for line in changes(Monitors(), monitors):
            print(printable(line.removeprefix("+ ").removeprefix("~ ")))
    return 0


def diff_monitors(settings: Settings, file: Path, *, json_output: bool) -> int:
    """Print what a file changes of what is on the topic; `EXIT_DIFFERS` if anything."""
    now = parse_monitors(_content(file), file=str(file))
    stored = stored_on_topic(settings)
    found = _changes(stored, now)
    if json_output:
        print(json.dumps({"changes": found}))
    else:
        _show(found, stored)
    return EXIT_DIFFERS if found else 0


def _show(found: list[str], before: Stored | None) -> None:
    if before is None or before.monitors is None:
        print("no specification is on the topic: compared with the defaults")
    for line in found or ["no difference"]:
        print(printable(line))


def _changes(before: Stored | None, now: Monitors | None) -> list[str]:
    known = before.monitors if before is not None else None
    return list(changes(known or DEFAULTS, now or DEFAULTS))


def _content(file: Path) -> dict[str, Any]:
    """Return what a monitors file says, as it comes out of JSON again."""
    data = read_monitors_file(file)[1]
    parse_monitors(data, file=str(file))
    content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(data or {}))
    return content


def time_of(at: str | None) -> int:
    """Return what `--at` says in milliseconds: now if nothing.

    Raises
    ------
    ConfigError
        If it is no time.
    """
    if at is None:
        return time.time_ns() // 1_000_000
    try:
        return parse_time_ms(int(at) if at.isdigit() else at)
    except RecordError as error:
        raise ConfigError(f"--at: {error.detail.removeprefix('effective_at: ')}") from None


# --- the topic


@contextmanager
def _named(settings: Settings, what: str) -> Iterator[None]:
    topic = Topics(settings.prefix).monitors
    try:
        yield
    except KafkaException as error:
        raise ConfigError(f"topic {topic} cannot be {what}: {error.args[0].str()}") from None
    except TimeoutError as error:
        raise NoAnswerError(f"topic {topic} cannot be {what}: {error}") from None


def _existing_topic(settings: Settings) -> str:
    topic = Topics(settings.prefix).monitors
    if topic not in topics_admin.existing(settings):
        raise ConfigError(
            f"no topic {topic} at {settings.bootstrap_servers}; driftline topics create makes it"
        )
    return topic


def stored_on_topic(settings: Settings) -> Stored | None:
    """Return the last record of the topic, `None` where there is none.

    Raises
    ------
    ConfigError, NoAnswerError
        If there is no such topic, or the brokers refuse, or do not answer.
    """
    topic = _existing_topic(settings)
    kafka = {"log_level": 2, **settings.kafka}
    last: Message | None = None
    with (
        _named(settings, "read"),
        Reader(settings.bootstrap_servers, [topic], start="earliest", kafka=kafka) as reader,
    ):
        for message in snapshot(reader):
            if message.key() == KEY:
                last = message
    return None if last is None else _read(last)


def _read(message: Message) -> Stored:
    offset, written_ms = message.offset() or 0, message.timestamp()[1]
    try:
        given = read_specification(KEY, message.value(), time_ms=written_ms)
        if given.content is None:
            return Stored(offset, written_ms, given.effective_ms)
        content = msgspec.json.decode(given.content)
        own = parse_monitors({name: content[name] for name in FIXED if says(content, name)})
        monitors = monitors_of(given.content, own)
    except (RecordError, ConfigError) as error:
        return Stored(offset, written_ms, refused=str(error))
    return Stored(offset, written_ms, given.effective_ms, content, monitors)


def write_record(settings: Settings, key: bytes, value: bytes) -> int:
    """Write a record, and wait until it is there; return its offset.

    Raises
    ------
    ConfigError, NoAnswerError
        If the brokers refuse it, or do not answer.
    """
    topic = _existing_topic(settings)
    with _named(settings, "written"):
        return deliver(settings, topic, key, value, partition=0)
