"""How `driftline tail` shows a record: a line for people, or a line of JSON.

Names and values come from producers and must not steer a terminal.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Message

from agents.printable import printable, printable_json
from streams.durations import format_duration

_SHOWN_BYTES = 120
_REASON = "driftline.reason"
_ERRORS = "__connect.errors."
_LONGEST_MS = 1_000 * 86_400_000


class Rendered(NamedTuple):
    """A record, ready to be shown, and its content, by which it is chosen.

    Attributes
    ----------
    record
        Its fields as they came; of a deletion, those of its key. Empty if it is no JSON object.
    """

    record: dict[str, Any]
    write_line: Callable[[], str]
    write_json: Callable[[], str]

    @property
    def line(self) -> str:
        """The record for people, without line breaks."""
        return printable(self.write_line())

    @property
    def json(self) -> str:
        """The record for programs, without line breaks."""
        return printable_json(self.write_json())


def metric(message: Message) -> Rendered:
    """Show a metric, or that one was deleted."""
    value = message.value()
    if value is None:
        fields = ("model", "version", "segment", "window_start_ms", "window_end_ms", "metric")
        key = _json(message.key())
        record = dict(zip(fields, key, strict=False)) if isinstance(key, list) else {}
        return _deletion(message, record, _metric_deletion)
    return _result(value, _metric_line)


def alert(message: Message) -> Rendered:
    """Show an alert, or that one was deleted."""
    value = message.value()
    if value is None:
        record = {"alert_id": (message.key() or b"").decode(errors="replace")}
        return _deletion(message, record, _alert_deletion)
    return _result(value, _alert_line)


def action(message: Message) -> Rendered:
    """Show what is to be done, or that it was deleted."""
    value = message.value()
    if value is None:
        record = {"action_id": (message.key() or b"").decode(errors="replace")}
        return _deletion(message, record, _action_deletion)
    return _result(value, _action_line)


def dead_letter(message: Message) -> Rendered:
    """Show a record that could not be used, and why."""
    return Rendered(
        _decoded(message.value()),
        lambda: _letter_line(message),
        lambda: json.dumps(_letter(message)),
    )


def window_length_ms(record: Mapping[str, Any]) -> int | None:
    """Return how long a window is; None if the record does not say."""
    start_ms, end_ms = record.get("window_start_ms"), record.get("window_end_ms")
    return end_ms - start_ms if isinstance(start_ms, int) and isinstance(end_ms, int) else None


KINDS: dict[str, Callable[[Message], Rendered]] = {
    "metrics": metric,
    "alerts": alert,
    "actions": action,
    "dlq": dead_letter,
}
"""What can be tailed, and how it is shown."""


def _result(value: bytes, line: Callable[[dict[str, Any]], str]) -> Rendered:
    record = _decoded(value)
    return Rendered(record, lambda: line(record), lambda: value.decode(errors="replace"))


def _deletion(
    message: Message, record: dict[str, Any], line: Callable[[dict[str, Any]], str]
) -> Rendered:
    deleted = {**record, "deleted": True, "timestamp_ms": _time_ms(message)}
    return Rendered(record, lambda: line(deleted), lambda: json.dumps(deleted, ensure_ascii=False))


def _letter(message: Message) -> dict[str, Any]:
    headers = _headers(message)
    return {
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
        **_text("key", message.key()),
        **_text("value", message.value()),
    }


def _letter_line(message: Message) -> str:
    facts, value = _letter(message), message.value()
    place = f"{facts['topic']}/{facts['partition']}@{facts['offset']}"
    start = "(no value)" if value is None else value[:_SHOWN_BYTES].decode(errors="replace")
    return (
        f"{_clock(facts['timestamp_ms'])}  {facts['reason']:<18} {place} {facts['detail']}: {start}"
    )


def _json(text: bytes | None) -> Any:
    try:
        return msgspec.json.decode(text or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decoded(value: bytes | None) -> dict[str, Any]:
    record = _json(value)
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


def _window(record: dict[str, Any]) -> str:
    """Say when a window begins, and how long it is."""
    start_ms, length_ms = record.get("window_start_ms"), window_length_ms(record)
    whole = length_ms is not None and 0 < length_ms < _LONGEST_MS
    return f"{_clock(start_ms)} {format_duration(length_ms or 0) if whole else '-':<4}"


def _metric_head(record: dict[str, Any]) -> str:
    who, metric = _who(record).rstrip("/"), str(record.get("metric", "-"))
    return f"{_window(record)}  {who:<24} {metric:<24}"


def _metric_line(record: dict[str, Any]) -> str:
    value = record.get("value")
    shown = f"{value:.6g}" if isinstance(value, int | float) else "-"
    final = " final" if record.get("final") else ""
    return (
        f"{_metric_head(record)} {shown:>12}  n={record.get('count', '-')}"
        f" rev={record.get('revision', '-')}{final}"
    )


def _metric_deletion(record: dict[str, Any]) -> str:
    return f"{_metric_head(record)} {'deleted':>12}"


def _alert_deletion(record: dict[str, Any]) -> str:
    return f"{_clock(record['timestamp_ms'])}  deleted   alert {record['alert_id']}"


def _action_deletion(record: dict[str, Any]) -> str:
    return f"{_clock(record['timestamp_ms'])}  deleted   action {record['action_id']}"


def _action_line(record: dict[str, Any]) -> str:
    given = record.get("parameters")
    shown = f" {json.dumps(given, ensure_ascii=False)}" if isinstance(given, dict) and given else ""
    return (
        f"{_clock(record.get('at_ms'))}  {record.get('action', '-')!s:<14}{shown} "
        f"{_who(record).rstrip('/')} since {record.get('monitor', '-')} says: "
        f"{record.get('message', '')}{_ownership(record)}"
    )


def _alert_line(record: dict[str, Any]) -> str:
    return (
        f"{_clock(record.get('at_ms'))}  {record.get('state', '-')!s:<9} "
        f"{record.get('severity', '-')!s:<8} {record.get('kind', '-')!s:<9} "
        f"{_who(record).rstrip('/')} {record.get('monitor', '-')} "
        f"({record.get('direction', '-')}): {record.get('message', '')}{_ownership(record)}"
        + (" [silenced]" if record.get("silenced") is True else "")
    )


def _ownership(record: dict[str, Any]) -> str:
    """Say whom the model belongs to, if anybody said so."""
    said, tags = [(name, record.get(name)) for name in ("owner", "runbook")], record.get("tags")
    said += tags.items() if isinstance(tags, dict) else ()
    found = ", ".join(f"{name} {value}" for name, value in said if value)
    return f" [{found}]" if found else ""
