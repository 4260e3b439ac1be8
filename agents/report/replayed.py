"""A history in memory of what a replay found, so that screens answer from it as from any other.

Nothing of it is exactly once, revised or kept: a replay has last values alone. They become visible
at the end of their windows and hours, alerts at their own times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from agents.history.tables import METADATA
from agents.history.writing import written
from agents.sinks.contract import Upsert
from streams.alerts import Alert
from streams.distributions import Distribution
from streams.metrics import Metric
from streams.topics import Topics

_AT_ONCE = 10_000


@contextmanager
def history_of(
    metrics: Sequence[bytes], alerts: Sequence[dict[str, Any]], distributions: Sequence[bytes] = ()
) -> Iterator[Connection]:
    """Connect to a history of these records for as long as the block lasts.

    Parameters
    ----------
    metrics, alerts, distributions
        As they would be on the topics; each revision of an alert comes after those before.
    """
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.begin() as connection:
            METADATA.create_all(connection)
            upserts = [*_metrics(metrics), *_alerts(alerts), *_distributions(distributions)]
            for first in range(0, len(upserts), _AT_ONCE):
                written(connection, upserts[first : first + _AT_ONCE])
            yield connection
    finally:
        engine.dispose()


def _metrics(records: Sequence[bytes]) -> Iterator[Upsert]:
    decode, topic = msgspec.json.Decoder(Metric).decode, Topics().metrics
    for number, value in enumerate(records):
        record = decode(value)
        at_ms = record.window_end_ms
        yield Upsert("metrics", topic, 0, number, at_ms, b"", value, record)


def _distributions(records: Sequence[bytes]) -> Iterator[Upsert]:
    decode, topic = msgspec.json.Decoder(Distribution).decode, Topics().distributions
    for number, value in enumerate(records):
        record = decode(value)
        yield Upsert("distributions", topic, 0, number, record.end_ms, record.key, value, record)


def _alerts(records: Sequence[dict[str, Any]]) -> Iterator[Upsert]:
    topic = Topics().alerts
    for number, one in enumerate(records):
        record = msgspec.convert(one, Alert)
        key = record.alert_id.encode()
        yield Upsert("alerts", topic, 0, number, record.at_ms, key, b"", record)
