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
        return Upsert(kind, topic, partition, offset, timestamp_ms, key, value, record)
