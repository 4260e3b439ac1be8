"""What people say of alerts: read it, write it, and how precise monitors are by it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from confluent_kafka import KafkaException, Message
from rich import box
from rich.table import Table

from agents import topics_admin
from agents.printable import printable
from agents.printing import add_names, add_numbers, plain_console, print_table
from agents.settings import Settings
from agents.sinks.contract import Kind, RefusedError
from agents.sinks.decoding import decoded
from agents.topic_records import deliver, records_of
from streams.adoption_record import Adoption, adoption_key, write_adoption
from streams.alerts import Alert
from streams.errors import ConfigError, NoAnswerError
from streams.moments import time_text
from streams.nearest import nearest
from streams.precision import Precision, precision
from streams.topics import Topics
from streams.verdicts import SAID, Verdict

Read = TypeVar("Read", Alert, Verdict)

_KINDS: dict[type, Kind] = {Alert: "alerts", Verdict: "feedback"}


def read_alerts(settings: Settings) -> list[Alert]:
    """Return the last revision of every alert that the topic has, in order of time.

    Raises
    ------
    ConfigError, NoAnswerError
        If the topic does not exist, or the brokers refuse or do not answer.
    """
    found = _read(settings, Topics(settings.prefix).alerts, Alert)
    return sorted(found, key=lambda one: (one.at_ms, one.alert_id))


def read_verdicts(settings: Settings) -> list[Verdict]:
    """Return the last verdict on every alert; errors as `read_alerts`."""
    return _read(settings, Topics(settings.prefix).feedback, Verdict)


def judge(settings: Settings, given: str, verdict: str, *, by: str, note: str) -> int:
    """Write what somebody says of an alert.

    Parameters
    ----------
    given
        The id of the alert, or as much of its beginning as no other has.

    Raises
    ------
    ConfigError, NoAnswerError
        If there is no such alert or verdict, or the topic cannot be written.
    """
    if verdict not in SAID:
        raise ConfigError(f"verdict {verdict!r} must be {', '.join(SAID[:-1])} or {SAID[-1]}")
    if not by.strip():
        raise ConfigError("--by: say who judges, such as --by ann@example.com")
    alert = found_alert(read_alerts(settings), given, settings)
    plain = {
        "alert_id": alert.alert_id,
        "verdict": verdict,
        "by": by.strip(),
        "at_ms": time.time_ns() // 1_000_000,
        "model": alert.model,
        "version": alert.version,
        "segment": alert.segment,
        "monitor": alert.monitor,
        "note": note,
    }
    try:
        said = msgspec.convert(plain, Verdict)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the verdict is refused: {error}") from None
    offset = write(settings, said)
    place = f"{Topics(settings.prefix).feedback}@{offset}"
    print(printable(f"written: {place}: {alert.monitor} of {alert.model} is {verdict}, says {by}"))
    return 0


def found_alert(alerts: Sequence[Alert], given: str, settings: Settings) -> Alert:
    """Return the alert of an id, or of its beginning.

    Raises
    ------
    ConfigError
        If there is none, or several.
    """
    fits = [one for one in alerts if one.alert_id == given] or [
        one for one in alerts if given and one.alert_id.startswith(given)
    ]
    topic = Topics(settings.prefix).alerts
    if not fits:
        known = nearest(given, [one.alert_id for one in alerts])
        raise ConfigError(f"topic {topic} has no alert {given!r}{known}; see driftline alerts list")
    if len(fits) > 1:
        names = ", ".join(one.alert_id for one in fits[:3])
        raise ConfigError(f"{given!r} begins {len(fits)} alerts, such as {names}: write more of it")
    return fits[0]


def show_alerts(settings: Settings, *, every: bool, model: str | None, json_output: bool) -> None:
    """Print the alerts that fire, or all, with what was said of them."""
    alerts = [one for one in read_alerts(settings) if model in (None, one.model)]
    shown = [one for one in alerts if every or one.state == "firing"]
    verdicts = {one.alert_id: one for one in read_verdicts(settings)}
    if json_output:
        for one in shown:
            said = verdicts.get(one.alert_id)
            about = {"verdict": None if said is None else msgspec.to_builtins(said)}
            print(json.dumps(msgspec.to_builtins(one) | about, ensure_ascii=True))
        return
    if not shown:
        print("no alerts yet" if not alerts else "nothing fires; --all shows what is over")
        return
    console, table = plain_console(), Table(box=box.SIMPLE_HEAD)
    add_names(console, table, "alert", "model", "monitor")
    for title in ("state", "severity", "since", "verdict", "message"):
        table.add_column(title)
    for one in shown:
        said = verdicts.get(one.alert_id)
        names = (one.alert_id, "/".join((one.model, one.version)).rstrip("/"), one.monitor)
        judged = "-" if said is None else f"{said.verdict}, {said.by}"
        state = f"{one.state}, silenced" if one.silenced else one.state
        row = (*names, state, one.severity, time_text(one.at_ms), judged, one.message)
        table.add_row(*map(printable, row))
    print_table(console, table)


def show_precision(settings: Settings, *, json_output: bool) -> None:
    """Print how precise each monitor is."""
    of = {one.alert_id: one.monitor for one in read_alerts(settings)}
    found = precision(of, read_verdicts(settings))
    if json_output:
        print(json.dumps([msgspec.to_builtins(one) for one in found]))
        return
    if not found:
        print("no alerts yet")
        return
    console, table = plain_console(), Table(box=box.SIMPLE_HEAD)
    add_names(console, table, "monitor")
    add_numbers(table, "alerts", "true", "false", "expected", "precision", "95 % interval")
    for one in found:
        counts = (one.alerts, one.true, one.false, one.expected)
        table.add_row(printable(one.monitor), *map(str, counts), *_shares(one))
    print_table(console, table)


def _shares(one: Precision) -> tuple[str, str]:
    if one.value is None:
        return "-", "-"
    return f"{one.value:.0%}", f"{one.low:.0%} to {one.high:.0%}"


def _read(settings: Settings, topic: str, kind: type[Read]) -> list[Read]:
    _check_topic(settings, topic)
    return last_of_keys(records_of(settings, topic), kind)


def last_of_keys(messages: Iterable[Message], kind: type[Read]) -> list[Read]:
    """Return what the last record of each key says; what is none of its topic is left out.

    A verdict under another key than its alert's is none: it would stand beside those under that
    key, and outlast later ones.
    """
    known: dict[Any, Read] = {}
    for message in messages:
        _take(known, message, kind)
    return list(known.values())


def _take(known: dict[Any, Read], message: Message, kind: type[Read]) -> None:
    key, value = message.key(), message.value()
    if value is None:
        known.pop(key, None)
        return
    with suppress(RefusedError):
        found = decoded(_KINDS[kind], value)
        assert isinstance(found, kind)
        if isinstance(found, Alert) or key == found.alert_id.encode():
            known[key] = found


def _check_topic(settings: Settings, topic: str) -> None:
    if topic not in topics_admin.existing(settings):
        raise ConfigError(
            f"no topic {topic} at {settings.bootstrap_servers}, or this user may not Describe it;"
            " driftline topics create makes it"
        )


def write(settings: Settings, said: Verdict | Adoption) -> int:
    """Write a verdict, or an order to adopt, and wait until it is there; return its offset.

    Raises
    ------
    ConfigError, NoAnswerError
        If the topic does not exist, or the brokers refuse it or do not answer.
    """
    if isinstance(said, Adoption):
        key, value = adoption_key(said.alert_id), write_adoption(said)
    else:
        key, value = said.alert_id.encode(), msgspec.json.encode(said)
    topic = Topics(settings.prefix).feedback
    _check_topic(settings, topic)
    try:
        return deliver(settings, topic, key, value, partition=0)
    except KafkaException as error:
        raise ConfigError(f"topic {topic} cannot be written: {error.args[0].str()}") from None
    except TimeoutError as error:
        raise NoAnswerError(f"topic {topic}: {error}") from None
