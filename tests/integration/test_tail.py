"""`driftline tail dlq` shows dead letters of all inputs, with where they were and why."""

from __future__ import annotations

import base64
import json

import pytest
from confluent_kafka import Producer

from agents.dead_letters import Origin, dead_record
from agents.settings import Settings
from agents.tail import Selection, tail
from streams.errors import ConfigError
from streams.steps import DeadLetter
from streams.topics import Topics
from streams.topology import build
from tests.brokers import Broker

PARTITIONS = 2
FORGED = [("driftline.reason", b"forged"), ("mine", b"\xff")]


def bury(broker: Broker, prefix: str, letter: DeadLetter) -> None:
    """Write a dead letter as a worker does."""
    join, _ = build(Topics(prefix), window_ms=1_000, horizon_ms=1_000, disorder_ms=0, partitions=1)
    record = dead_record(letter, Origin(join, 1, "w-1"), limit_bytes=1_000_000)
    producer = Producer(broker.client())
    producer.produce(record.topic, record.value, record.key, headers=record.headers)
    assert producer.flush(30) == 0


def shown(
    broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str], *, model: str | None = None
) -> list[str]:
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, prefix=prefix)
    lines = []
    for json_output in (False, True):
        code = tail(
            settings,
            kind="dlq",
            selection=Selection(model=model),
            from_beginning=True,
            follow=False,
            json_output=json_output,
        )
        assert code == 0
        lines.append(capsys.readouterr().out)
    return lines


def test_dead_letters_of_all_inputs_are_shown(
    embedded_broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = Topics(prefix)
    embedded_broker.create_topics(dict.fromkeys(topics.all_dead_letters[:2], PARTITIONS))
    label = b'{"model": "[m]\xc2\x9b", "label": {}}'
    why = ("invalid_label", "`label` is wrong")
    bury(embedded_broker, prefix, DeadLetter(topics.labels, 7, b"a", label, FORGED, *why))
    why = ("invalid_utf8", "byte 0xff")
    bury(embedded_broker, prefix, DeadLetter(topics.predictions, 9, b"\xff", b"\xff", None, *why))

    lines, whole = shown(embedded_broker, prefix, capsys)
    only, _ = shown(embedded_broker, prefix, capsys, model="[m]\x9b")

    assert f"invalid_label      {topics.labels}/1@7 `label` is wrong: " in lines
    assert r'{"model": "[m]\x9b", "label": {}}' in lines
    assert f"invalid_utf8       {topics.predictions}/1@9 byte 0xff: \ufffd" in lines
    assert only.count("\n") == 1
    by_reason = {one["reason"]: one for one in map(json.loads, whole.splitlines())}
    assert by_reason["invalid_label"]["value"].encode() == label
    assert by_reason["invalid_label"]["headers"]["original.driftline.reason"] == "forged"
    assert base64.b64decode(by_reason["invalid_utf8"]["value_base64"]) == b"\xff"


def test_an_installation_without_dead_letter_topics_is_refused(
    embedded_broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=rf"topic {prefix}\.predictions\.dlq does not exist"):
        shown(embedded_broker, prefix, capsys)
