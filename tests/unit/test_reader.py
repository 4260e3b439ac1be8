"""What the poll thread makes of messages; everything else of it needs a broker."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from agents.deliveries import Backlog, batch_of
from agents.fetching import Failure
from agents.reader import Reader, _sorted, why_of

LABELS = ("labels", 0)


def said(at: int, *, end: bool = False) -> Message:
    """Make a message as librdkafka hands it over: a record, or the report of the end."""
    error = KafkaError(KafkaError._PARTITION_EOF) if end else None
    return Message(*LABELS, at, key=b"key", value=b"key", timestamp=(1, 0), error=error)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Make a reader that was told of 12 offsets in the input, and reaches no broker."""
    it = Reader(
        {"bootstrap.servers": "localhost:1", "group.id": "g", "log_level": 0},
        topics=["labels"],
        watched=["labels"],
        idle_s=5.0,
        ask_ends=lambda _: {},
        backlog=Backlog(),
        listener=None,  # type: ignore[arg-type]  # nothing is delivered here
    )
    monkeypatch.setattr(it, "_behind", lambda _source, position: 12 - position)
    it._idleness.start(LABELS, position=0, now_s=0.0)
    return it


@pytest.mark.parametrize(
    ("messages", "ended"),
    [
        ([said(10)], set()),
        ([said(11)], {LABELS}),
        ([said(9), said(12, end=True)], {LABELS}),
        ([said(9, end=True), said(10)], set()),
        ([said(12, end=True)], {LABELS}),
    ],
    ids=[
        "a record is left",
        "the last record",
        "markers behind the last record, and the end reported",
        "an end that has moved",
        "the end alone",
    ],
)
def test_when_an_input_is_read_to_its_end(
    reader: Reader, messages: list[Any], ended: set[tuple[str, int]]
) -> None:
    reader._noted(*_sorted(messages), 0.0)

    assert reader._ended == ended


def test_records_that_come_after_the_end_take_it_back(reader: Reader) -> None:
    reader._noted(*_sorted([said(5, end=True)]), 0.0)

    reader._noted(*_sorted([said(5)]), 0.0)

    assert reader._ended == set()


class Headed(Message):
    """A message with a header whose name is no UTF-8, as confluent-kafka answers then."""

    def headers(self) -> Any:
        raise SystemError from UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def test_headers_that_confluent_cannot_decode_are_left_out() -> None:
    batch = batch_of("labels", [Headed(*LABELS, 0, key=b"key", value=b"key", timestamp=(1, 0))])

    assert batch.headers is not None
    assert batch.headers[0] is None


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (KafkaError._AUTO_OFFSET_RESET, "Success", "Local: No offset to automatically reset to"),
        (KafkaError._AUTO_OFFSET_RESET, "", "Local: No offset to automatically reset to"),
        (
            KafkaError._AUTO_OFFSET_RESET,
            "cannot reset: Success (broker 1)",
            "cannot reset (broker 1): Local: No offset to automatically reset to",
        ),
        (KafkaError._ALL_BROKERS_DOWN, "3/3 brokers are down", "3/3 brokers are down"),
        (0, "Success", "an error without a code"),
    ],
)
def test_success_is_no_reason(code: int, reason: str, said: str) -> None:
    assert why_of(Failure("t", 0, 7, code, reason, True)) == said
