"""Reading distributions: each once, those that were asked for."""

from __future__ import annotations

import msgspec
import pytest
from confluent_kafka import Producer

from driftline import Distribution, Distributions
from tests.brokers import Broker

MS = 1_767_225_600_000
FIRST = Distribution(
    *("fraud", "3", "", "feature", "amount", "window", MS, MS + 3_600_000, 30),
    edges=[0.0, 1.0],
    counts=[30],
)
NEXT = msgspec.structs.replace(FIRST, start_ms=MS + 3_600_000, end_ms=MS + 7_200_000)
REFERENCE = msgspec.structs.replace(FIRST, role="reference")
SCORE = msgspec.structs.replace(FIRST, series="score", feature="")


def write(broker: Broker, prefix: str, *records: Distribution, deleted: bool = False) -> None:
    producer = Producer(broker.client())
    for one in records:
        key = msgspec.json.encode([*msgspec.structs.astuple(one)[:6], one.start_ms])
        value = None if deleted else msgspec.json.encode(one)
        producer.produce(f"{prefix}.distributions", value, key)
    assert producer.flush(30) == 0


@pytest.fixture
def prefix(any_broker: Broker, prefix: str) -> str:
    """Extend the common fixture: this prefix has its topic."""
    any_broker.create_topics({f"{prefix}.distributions": 2})
    return prefix


def test_hours_are_read_in_their_order_without_those_that_were_deleted(
    any_broker: Broker, prefix: str
) -> None:
    write(any_broker, prefix, NEXT, FIRST, SCORE, REFERENCE)
    write(any_broker, prefix, SCORE, deleted=True)

    with Distributions(any_broker.bootstrap_servers, prefix=prefix) as hours:
        assert list(hours) == [REFERENCE, FIRST, NEXT]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"model": "other"}, []),
        ({"series": "score"}, [SCORE]),
        ({"feature": "amount", "role": "window"}, [FIRST, NEXT]),
        ({"role": "reference"}, [REFERENCE]),
    ],
    ids=str,
)
def test_only_what_was_asked_for_is_read(
    any_broker: Broker, prefix: str, asked: dict[str, str], found: list[Distribution]
) -> None:
    write(any_broker, prefix, FIRST, NEXT, REFERENCE, SCORE)

    with Distributions(any_broker.bootstrap_servers, prefix=prefix, **asked) as hours:  # type: ignore[arg-type]
        assert list(hours) == found


def test_records_that_are_no_distributions_are_skipped_and_counted(
    any_broker: Broker, prefix: str
) -> None:
    write(any_broker, prefix, FIRST)
    producer = Producer(any_broker.client())
    key = msgspec.json.encode(["m", "", "", "score", "", "window", 1])
    deep = msgspec.json.encode(["m", "", "", "score", "", "window", 2]), b'{"x":' + b"[" * 100_000
    for bad_key, value in ((b"\xff", b"{}"), (None, b"{}"), (key, b"\xff"), deep):
        producer.produce(f"{prefix}.distributions", value, bad_key)
    assert producer.flush(30) == 0

    with Distributions(any_broker.bootstrap_servers, prefix=prefix) as hours:
        assert list(hours) == [FIRST]
        assert hours.invalid == 4
