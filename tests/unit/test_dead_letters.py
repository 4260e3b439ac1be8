"""Dead letters as records: nothing is changed, unless it does not fit."""

from __future__ import annotations

import pytest

from agents.dead_letters import KEPT_VALUE_BYTES, DeadRecord, Origin, dead_record
from streams.steps import DeadLetter
from streams.topics import Topics
from tests.integration.toy_stage import Tally

LIMIT_BYTES = 1_000_000


def record(
    value: bytes | None, *, key: bytes | None = b"key", headers: object = None
) -> DeadRecord:
    letter = DeadLetter("driftline.labels", 7, key, value, headers, "too_large", "x" * 5_000)
    origin = Origin(Tally(Topics()), 3, "worker-1")
    return dead_record(letter, origin, limit_bytes=LIMIT_BYTES)


@pytest.mark.parametrize("value", [None, b"", b"\xff\x00", bytes(900_000)])
def test_what_fits_is_kept_byte_for_byte(value: bytes | None) -> None:
    found = record(value, headers=[("a", b"\xff"), ("a", None)])

    assert found.topic == "driftline.labels.dlq"
    assert (found.key, found.value) == (b"key", value)
    assert found.headers[:2] == [("a", b"\xff"), ("a", None)]
    assert "driftline.truncated" not in dict(found.headers)


def test_the_headers_say_what_happened_where() -> None:
    said = dict(record(b"value").headers)

    assert said["__connect.errors.topic"] == b"driftline.labels"
    assert said["__connect.errors.partition"] == b"3"
    assert said["__connect.errors.offset"] == b"7"
    assert said["__connect.errors.task.id"] == b"worker-1"
    assert said["driftline.reason"] == b"too_large"
    assert len(said["__connect.errors.exception.message"] or b"") == 1_000


def test_what_does_not_fit_is_cut_and_says_so() -> None:
    value = bytes(range(256)) * 8_000

    found = record(value, headers=[("a", b"b")])

    assert found.value == value[:KEPT_VALUE_BYTES]
    assert found.headers[0] == ("a", b"b")
    assert dict(found.headers)["driftline.truncated"] == b"true"


def test_headers_and_keys_that_do_not_fit_are_cut_too() -> None:
    found = record(b"value", key=bytes(2_000_000), headers=[("a", bytes(2_000_000))])

    size = len(found.key or b"") + sum(len(text or b"") for _, text in found.headers)
    assert size < LIMIT_BYTES
    assert dict(found.headers)["driftline.reason"] == b"too_large"
