"""Follow metrics, alerts, actions or dead letters, as lines or JSON lines: committed ones only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from agents import clients, topics_admin
from agents.ends import offsets_since
from agents.folding import in_turn
from agents.settings import Settings
from agents.tail_lines import KINDS, Rendered, window_length_ms
from driftline.reader import Reader
from driftline.snapshot import snapshot
from streams.errors import ConfigError, NoAnswerError
from streams.topics import Topics

_POLL_S = 0.2
_ANSWER_S = 15.0

Place = tuple[str, int]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are shown; None means all.

    Attributes
    ----------
    window_ms
        Length of the window.
    final
        Only values that labels can change no more, and deletions.
    """

    model: str | None = None
    metric: str | None = None
    segment: str | None = None
    window_ms: int | None = None
    final: bool = False

    def takes(self, record: Mapping[str, Any], *, deleted: bool) -> bool:
        """Tell whether a record is one of them, by its fields.

        Examples
        --------
        >>> Selection(model="fraud", window_ms=1_000).takes({"model": "fraud"}, deleted=False)
        False
        """
        names = {"model": self.model, "metric": self.metric, "segment": self.segment}
        if any(wanted is not None and record.get(name) != wanted for name, wanted in names.items()):
            return False
        if self.window_ms is not None and window_length_ms(record) != self.window_ms:
            return False
        return deleted or not self.final or record.get("final") is True


def tail(
    settings: Settings,
    *,
    kind: str,
    selection: Selection,
    from_beginning: bool = False,
    since_ms: int | None = None,
    latest: bool = False,
    follow: bool = True,
    json_output: bool = False,
) -> int:
    """Print records of a kind as they come.

    Parameters
    ----------
    kind
        ``metrics``, ``alerts``, ``actions`` or ``dlq``, the dead letters of all inputs.
    since_ms
        Begin with what was written then, whatever `from_beginning` says.
    latest
        Print only the last record of each key that is there, by key, without deleted ones, and
        stop.
    follow
        Go on for ever; otherwise stop at the end of what is there.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    ConfigError, NoAnswerError
        If the topic does not exist, or the brokers refuse or do not answer.
    """
    partitions = _partitions(settings, kind)
    start: Any = "earliest" if from_beginning or latest else "latest"
    if since_ms is not None:
        places = [(name, number) for name, count in partitions.items() for number in range(count)]
        start = offsets_since(AdminClient(clients.admin(settings)), places, since_ms)
    follow = follow and not latest
    # Failures are raised, so the client logs hardly anything.
    kafka = {"log_level": 2, **settings.kafka}
    try:
        with Reader(
            settings.bootstrap_servers, list(partitions), start=start, kafka=kafka
        ) as reader:
            messages: Iterable[Message | None] = _forever(reader) if follow else snapshot(reader)
            if latest:
                messages = _last_of_keys(messages)
            shown = _selected(messages, kind, selection)
            if kind == "alerts" and not (json_output or latest):
                shown = in_turn(shown, clock=time.monotonic)
            for one in shown:
                if one is not None:
                    sys.stdout.write((one.json if json_output else one.line) + "\n")
                    sys.stdout.flush()
    except KafkaException as error:
        raise ConfigError(f"topic {', '.join(partitions)}: {error.args[0].str()}") from None
    except TimeoutError as error:
        raise NoAnswerError(str(error)) from None
    return 0


def _partitions(settings: Settings, kind: str) -> dict[str, int]:
    there = topics_admin.existing(settings)
    topics = Topics(settings.prefix)
    wanted = topics.all_dead_letters if kind == "dlq" else (f"{topics.prefix}.{kind}",)
    found = {name: there[name] for name in wanted if name in there}
    if not found:
        raise ConfigError(
            f"topic {wanted[0]} does not exist, or this user may not Describe it; see: driftline"
            " topics check"
        )
    return found


def _forever(reader: Reader) -> Iterator[Message | None]:
    """Yield what comes, and `None` after each time of asking."""
    while True:
        yield from reader.messages(_POLL_S)
        yield None


def _selected(
    messages: Iterable[Message | None], kind: str, selection: Selection
) -> Iterator[Rendered | None]:
    for message in messages:
        if message is None:
            yield None
            continue
        one = KINDS[kind](message)
        if selection.takes(one.record, deleted=message.value() is None):
            yield one


def _last_of_keys(messages: Iterable[Message | None]) -> list[Message]:
    """Return the last record of each key, without deleted ones, by topic and key.

    Keys of metrics are JSON: model, version and segment first, then the window, then the metric.
    """
    found: dict[tuple[str, bytes], Message] = {}
    for message in messages:
        if message is None:  # not "if not message": that of a deletion is false
            continue
        key = message.key() or b""
        place = (message.topic() or "", key)
        if message.value() is None:
            found.pop(place, None)
        else:
            found[place] = message
    return [found[place] for place in sorted(found)]
