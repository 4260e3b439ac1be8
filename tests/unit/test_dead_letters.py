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


@pytest.mark.parametrize(
    "name",
    [
        *("driftline.reason", "driftline.truncated", "Driftline.Reason", "driftline.anything"),
        *("__connect.errors.topic", "__connect.errors.exception.message", "__CONNECT.errors.x"),
    ],
)
def test_a_producer_cannot_write_our_headers(name: str) -> None:
    """A tool that reads `driftline.reason` would believe it, the first as well as the last one."""
    found = record(b"value", headers=[("a", b"b"), (name, b"forged"), ("a", None)])

    assert found.headers[:3] == [("a", b"b"), (f"original.{name}", b"forged"), ("a", None)]
    ours = [(n, text) for n, text in found.headers if n.lower() == name.lower()]
    assert all(text != b"forged" for _, text in ours)
    assert dict(found.headers)["driftline.reason"] == b"too_large"


def test_a_header_that_is_kept_may_be_kept_again() -> None:
    """Dead letters that are sent again and die again must not lose what they had."""
    once = record(b"value", headers=[("driftline.reason", b"forged")])

    twice = record(b"value", headers=once.headers)

    assert [name for name, _ in twice.headers].count("driftline.reason") == 1
    assert ("original.driftline.reason", b"forged") in twice.headers
    assert ("original.driftline.reason", b"too_large") in twice.headers
