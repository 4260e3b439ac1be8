"""What a record of `metrics` or `alerts` says, or why it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from agents.sinks.contract import Kind, RefusedError, Upsert
from driftline.reader import Entry
from streams.alerts import Alert
from streams.metrics import Metric
from streams.topics import Topics

_DECODE: Mapping[Kind, Callable[[bytes], Metric | Alert]] = {
    "metrics": msgspec.json.Decoder(Metric).decode,
    "alerts": msgspec.json.Decoder(Alert).decode,
}


_LAST_MS = 253_402_300_799_999
"""The end of the year 9999: later times can be neither shown nor written down."""


class Decoding:
    """Decode entries of the topics of an installation."""

    def __init__(self, topics: Topics) -> None:
        self._kinds: dict[str, Kind] = {topics.metrics: "metrics", topics.alerts: "alerts"}

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
        record = None
        if value is not None:
            try:
                record = _DECODE[kind](value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise RefusedError("undecodable", str(error)) from None
        _check_times(timestamp_ms, record)
        return Upsert(kind, topic, partition, offset, timestamp_ms, key, value, record)


def _check_times(timestamp_ms: int, record: Metric | Alert | None) -> None:
    times = [timestamp_ms]
    if isinstance(record, Metric):
        times += (record.window_start_ms, record.window_end_ms)
    elif record is not None:
        times.append(record.at_ms)
    for time_ms in times:
        if not 0 <= time_ms <= _LAST_MS:
            raise RefusedError("implausible_time", f"{time_ms} is no time in milliseconds")
