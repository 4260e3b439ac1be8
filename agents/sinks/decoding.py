"""What a record of a topic of results says, or why it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from agents.sinks.contract import Kind, RefusedError, Told, Upsert
from agents.sinks.kinds import KINDS
from driftline.reader import Entry
from streams.actions import Action
from streams.adoption_record import is_adoption
from streams.alerts import Alert
from streams.distributions import Distribution
from streams.metrics import Metric
from streams.models_told import ModelRecord
from streams.topics import Topics
from streams.verdicts import Verdict

_DECODE: Mapping[Kind, Callable[[bytes], Told]] = {
    kind: msgspec.json.Decoder(known.record).decode for kind, known in KINDS.items()
}


_LAST_MS = 253_402_300_799_999
"""The end of the year 9999: later times can be neither shown nor written down."""

_64_BITS = 2**63

_MOST_LEVELS = 32
"""Of evidence: what is deeper may be decoded here, and overflow the stack of who reads it next."""

_MOST_ALERT_BYTES = 262_144
"""An incident with all that it lists has some 10 kB; the page holds thousands of alerts."""


class Decoding:
    """Decode entries of the topics of an installation."""

    def __init__(self, topics: Topics) -> None:
        self._kinds: dict[str, Kind] = {getattr(topics, kind): kind for kind in KINDS}

    def is_meant(self, entry: Entry) -> bool:
        """Tell whether an entry is of what its topic has beside what workers alone read."""
        return self._kinds.get(entry.topic) != "feedback" or not is_adoption(entry.key)

    def __call__(self, entry: Entry) -> Upsert:
        """Return what an entry says.

        Raises
        ------
        RefusedError
            If it is not what belongs on its topic.
        """
        topic, partition, offset, timestamp_ms, key, value = entry
        if key is None:
            raise RefusedError("no_key", "the record has no key")
        kind = self._kinds[topic]
        record = None if value is None else decoded(kind, value)
        _check_time(timestamp_ms)
        return Upsert(kind, topic, partition, offset, timestamp_ms, key, value, record)


def decoded(kind: Kind, value: bytes) -> Told:
    """Return what a value says.

    Raises
    ------
    RefusedError
        If it is not what belongs on its topic.
    """
    try:
        record = _DECODE[kind](value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("undecodable", str(error)) from None
    _check_times(record)
    if any(not -_64_BITS <= number < _64_BITS for number in _numbers(record)):
        raise RefusedError("out_of_range", "a number has more than 64 bits")
    if isinstance(record, Alert | Action):
        _check_size(record, value)
    return record


def _check_size(record: Alert | Action, value: bytes) -> None:
    if len(value) > _MOST_ALERT_BYTES:
        what = "alert" if isinstance(record, Alert) else "action"
        raise RefusedError("too_large", f"{len(value)} bytes are no {what}")
    level: list[Any] = [record.evidence]
    level += [record.parameters] if isinstance(record, Action) else []
    for _ in range(_MOST_LEVELS):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        raise RefusedError("too_deep", f"evidence has more than {_MOST_LEVELS} levels")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _numbers(record: Told) -> tuple[int, ...]:
    """Return what has 64 bits in files and databases, and may have any number of digits in JSON."""
    match record:
        case Metric():
            return record.count, record.revision
        case Alert():
            return (record.revision,)
        case ModelRecord():
            return record.numbers, record.categories, record.texts, record.reference_rows
        case Distribution():
            outside = record.below, record.above, record.other
            return record.count, record.missing or 0, *outside
        case _:
            return ()


def _check_times(record: Told) -> None:
    times: tuple[int, ...] = ()
    match record:
        case Metric():
            times = record.window_start_ms, record.window_end_ms
        case Alert() | Action() | Verdict():
            times = (record.at_ms,)
        case ModelRecord():
            since_ms = max(record.reference_since_ms, 0)  # it may be -1
            times = record.first_seen_ms, record.last_seen_ms, since_ms
        case Distribution():
            times = record.start_ms, record.end_ms
    if isinstance(record, Metric) and record.window_end_ms <= record.window_start_ms:
        raise RefusedError("implausible_time", "the window ends before it begins")
    for time_ms in times:
        _check_time(time_ms)


def _check_time(time_ms: int) -> None:
    if not 0 <= time_ms <= _LAST_MS:
        raise RefusedError("implausible_time", f"{time_ms} is no time in milliseconds")
