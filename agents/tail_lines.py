"""How `driftline tail` shows a record: a line for people, or a line of JSON.

Names and values come from producers and must not steer a terminal.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from confluent_kafka import Message

from agents.printable import printable, printable_json

_SHOWN_BYTES = 120
_REASON = "driftline.reason"
_ERRORS = "__connect.errors."


class Rendered(msgspec.Struct):
    """A record, ready to be shown.

    Attributes
    ----------
    model
        The model that it is about; None if it says none.
    line, json
        Without line breaks.
    """

    model: Any
    line: str
    json: str


def metric(message: Message) -> Rendered:
    """Show a metric."""
    return _result(message, _metric_line)


def alert(message: Message) -> Rendered:
    """Show an alert."""
    return _result(message, _alert_line)


def dead_letter(message: Message) -> Rendered:
    """Show a record that could not be used, and why."""
    headers = _headers(message)
    value, key = message.value(), message.key()
    facts = {
        "reason": headers.get(_REASON, "-"),
        "detail": headers.get(f"{_ERRORS}exception.message", ""),
        "topic": headers.get(f"{_ERRORS}topic", "-"),
        "partition": _number(headers.get(f"{_ERRORS}partition")),
        "offset": _number(headers.get(f"{_ERRORS}offset")),
        "dead_letter_topic": message.topic(),
        "dead_letter_partition": message.partition(),
        "dead_letter_offset": message.offset(),
        "timestamp_ms": _time_ms(message),
        "headers": headers,
        **_text("key", key),
        **_text("value", value),
    }
    place = f"{facts['topic']}/{facts['partition']}@{facts['offset']}"
    start = "(no value)" if value is None else value[:_SHOWN_BYTES].decode(errors="replace")
    line = (
        f"{_clock(facts['timestamp_ms'])}  {facts['reason']:<18} {place} {facts['detail']}: {start}"
    )
    return Rendered(_decoded(value).get("model"), printable(line), json.dumps(facts))


KINDS: dict[str, Callable[[Message], Rendered]] = {
    "metrics": metric,
    "alerts": alert,
    "dlq": dead_letter,
}
"""What can be tailed, and how it is shown."""


def _result(message: Message, line: Callable[[dict[str, Any]], str]) -> Rendered:
    value = message.value() or b""
    record = _decoded(value)
    whole = printable_json(value.decode(errors="replace"))
    return Rendered(record.get("model"), printable(line(record)), whole)


def _decoded(value: bytes | None) -> dict[str, Any]:
    try:
        record = msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        record = None
    return record if isinstance(record, dict) else {}


def _headers(message: Message) -> dict[str, str]:
    try:
        pairs: list[tuple[str, bytes | None]] = list(message.headers() or [])  # type: ignore[arg-type]
    except UnicodeDecodeError:  # a name that is no UTF-8: none of them can be had
        return {}
    # Of two with one name the last is ours, see `agents.dead_letters`.
    return {name: (text or b"").decode(errors="replace") for name, text in pairs}


def _text(name: str, data: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data or b"").decode()}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _time_ms(message: Message) -> int | None:
    time_ms = message.timestamp()[1]
    return time_ms if time_ms >= 0 else None


def _clock(time_ms: Any) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (TypeError, ValueError, OverflowError, OSError):
        return "-"


def _who(record: dict[str, Any]) -> str:
    return "/".join(str(record.get(name, "")) for name in ("model", "version", "segment"))


def _metric_line(record: dict[str, Any]) -> str:
    value = record.get("value")
    shown = f"{value:.6g}" if isinstance(value, int | float) else "-"
    final = " final" if record.get("final") else ""
    return (
        f"{_clock(record.get('window_start_ms'))}  {_who(record).rstrip('/'):<24} "
        f"{record.get('metric', '-')!s:<24} {shown:>12}  n={record.get('count', '-')}"
        f" rev={record.get('revision', '-')}{final}"
    )


def _alert_line(record: dict[str, Any]) -> str:
    return (
        f"{_clock(record.get('at_ms'))}  {record.get('state', '-')!s:<9} "
        f"{record.get('severity', '-')!s:<8} {record.get('kind', '-')!s:<9} "
        f"{_who(record).rstrip('/')} {record.get('monitor', '-')} "
        f"({record.get('direction', '-')}): {record.get('message', '')}"
    )
