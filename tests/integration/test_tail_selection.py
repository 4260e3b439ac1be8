"""`driftline tail metrics` and `tail alerts`: which records are shown, and how."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from agents.settings import Settings
from agents.tail import Selection, tail
from streams.metrics import Metric
from tests.brokers import Broker
from tests.sinking import alert

MS = 1_767_225_600_000
FIRST = Metric(
    model="fraud",
    version="3",
    segment="",
    window_start_ms=MS,
    window_end_ms=MS + 300_000,
    metric="accuracy",
    value=0.91,
    low=0.9,
    high=0.92,
    count=400,
    coverage=1.0,
    revision=1,
    final=False,
)


def change(**fields: Any) -> Metric:
    return msgspec.structs.replace(FIRST, **fields)


def key_of(metric: Metric) -> bytes:
    return msgspec.json.encode(msgspec.structs.astuple(metric)[:6])


def write(
    broker: Broker, topic: str, *metrics: Metric, deleted: bool = False, at_ms: int = MS
) -> None:
    producer = Producer(broker.client())
    for metric in metrics:
        value = None if deleted else msgspec.json.encode(metric)
        producer.produce(topic, value, key_of(metric), partition=0, timestamp=at_ms)
    assert producer.flush(30) == 0


@pytest.fixture
def topic(any_broker: Broker, prefix: str) -> str:
    any_broker.create_topics({f"{prefix}.metrics": 2})
    return f"{prefix}.metrics"


def shown(
    broker: Broker,
    topic: str,
    capsys: pytest.CaptureFixture[str],
    *,
    json_output: bool = False,
    since_ms: int | None = None,
    latest: bool = False,
    **chosen: Any,
) -> list[str]:
    prefix, kind = topic.rsplit(".", 1)
    code = tail(
        Settings(bootstrap_servers=broker.bootstrap_servers, prefix=prefix),
        kind=kind,
        selection=Selection(**chosen),
        from_beginning=since_ms is None,
        since_ms=since_ms,
        latest=latest,
        follow=False,
        json_output=json_output,
    )
    assert code == 0
    return capsys.readouterr().out.splitlines()


def test_a_line_says_how_long_the_window_is_and_what_was_deleted(
    any_broker: Broker, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(any_broker, topic, FIRST, change(revision=2, final=True))
    write(any_broker, topic, FIRST, deleted=True)

    lines = shown(any_broker, topic, capsys)
    whole = shown(any_broker, topic, capsys, json_output=True)

    start = f"2026-01-01 00:00:00 5m    {'fraud/3':<24} {'accuracy':<24} "
    assert lines == [
        f"{start}{'0.91':>12}  n=400 rev=1",
        f"{start}{'0.91':>12}  n=400 rev=2 final",
        f"{start}{'deleted':>12}",
    ]
    assert msgspec.json.decode(whole[0], type=Metric) == FIRST
    assert json.loads(whole[2]) == {
        **dict(zip(Metric.__struct_fields__, msgspec.json.decode(key_of(FIRST)), strict=False)),
        "deleted": True,
        "timestamp_ms": MS,
    }


@pytest.mark.parametrize(
    ("chosen", "values"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"model": "churn"}, [2]),
        ({"metric": "recall"}, [3]),
        ({"segment": ""}, [1, 2, 3, 5, 6]),
        ({"segment": "country=FR"}, [4]),
        ({"window_ms": 60_000}, [5]),
        ({"final": True}, [6]),
        ({"final": True, "model": "churn"}, []),
    ],
    ids=str,
)
def test_only_what_was_asked_for_is_shown(
    embedded_broker: Broker,
    prefix: str,
    capsys: pytest.CaptureFixture[str],
    chosen: dict[str, Any],
    values: list[int],
) -> None:
    topic = f"{prefix}.metrics"
    embedded_broker.create_topics({topic: 1})
    write(
        embedded_broker,
        topic,
        change(value=1),
        change(value=2, model="churn"),
        change(value=3, metric="recall"),
        change(value=4, segment="country=FR"),
        change(value=5, window_end_ms=MS + 60_000),
        change(value=6, final=True),
    )

    lines = shown(embedded_broker, topic, capsys, json_output=True, **chosen)

    assert [json.loads(line)["value"] for line in lines] == values


def test_the_latest_of_each_is_shown_once_and_what_was_deleted_not_at_all(
    any_broker: Broker, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, recall = change(version="2"), change(metric="recall")
    write(any_broker, topic, FIRST, gone, recall, change(revision=2))
    write(any_broker, topic, gone, deleted=True)

    lines = shown(any_broker, topic, capsys, json_output=True, latest=True)

    found = [msgspec.json.decode(line, type=Metric) for line in lines]
    assert sorted(found, key=lambda one: one.metric) == [change(revision=2), recall]


def test_what_was_written_before_is_not_shown(
    real_broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a real broker alone: the embedded one finds no record by its time."""
    topic = f"{prefix}.metrics"
    real_broker.create_topics({topic: 2})
    now_ms = time.time_ns() // 1_000_000
    write(real_broker, topic, change(value=1), at_ms=now_ms - 7_200_000)
    write(real_broker, topic, change(value=2), at_ms=now_ms - 1_800_000)

    hour = shown(real_broker, topic, capsys, json_output=True, since_ms=now_ms - 3_600_000)
    minute = shown(real_broker, topic, capsys, json_output=True, since_ms=now_ms - 60_000)

    assert [json.loads(line)["value"] for line in hour] == [2]
    assert minute == []


def test_a_deleted_alert_is_named(
    embedded_broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"{prefix}.alerts"
    embedded_broker.create_topics({topic: 1})
    producer = Producer(embedded_broker.client())
    producer.produce(topic, None, "081e6acaa1ab8a32", timestamp=MS)
    assert producer.flush(30) == 0

    assert shown(embedded_broker, topic, capsys) == [
        "2026-01-01 00:00:00  deleted   alert 081e6acaa1ab8a32"
    ]


def test_actions_are_shown_with_why_and_for_whom(
    embedded_broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"{prefix}.actions"
    embedded_broker.create_topics({topic: 1})
    producer = Producer(embedded_broker.client())
    told = {"model": "fraud", "version": "3", "segment": "", "monitor": "floor", "at_ms": MS}
    retrain = told | {"action": "retrain", "message": "accuracy is 0.8, below 0.9"}
    for record in (
        retrain | {"parameters": {"dataset": "last-30d"}, "owner": "risk"},
        told | {"action": "rollback", "message": "\x1b[2J", "model": "price"},
    ):
        producer.produce(topic, json.dumps(record).encode(), record["action"].encode())
    producer.produce(topic, None, "retrain", timestamp=MS)
    assert producer.flush(30) == 0

    assert shown(embedded_broker, topic, capsys) == [
        '2026-01-01 00:00:00  retrain        {"dataset": "last-30d"} fraud/3 since floor says: '
        "accuracy is 0.8, below 0.9 [owner risk]",
        "2026-01-01 00:00:00  rollback       price/3 since floor says: \\x1b[2J",
        "2026-01-01 00:00:00  deleted   action retrain",
    ]
    [line] = shown(embedded_broker, topic, capsys, latest=True)
    assert "price/3" in line


def test_an_incident_of_the_alert_before_it_has_a_line_for_programs_alone(
    any_broker: Broker, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"{prefix}.alerts"
    any_broker.create_topics({topic: 1})
    producer = Producer(any_broker.client())
    for record in (
        alert(incident_id="i"),
        alert(alert_id="i", kind="incident", monitor="incident", evidence={"alerts": 1}),
    ):
        producer.produce(topic, msgspec.json.encode(record), record.alert_id.encode())
    assert producer.flush(30) == 0

    (line,) = shown(any_broker, topic, capsys)

    assert "accuracy-drop" in line
    assert len(shown(any_broker, topic, capsys, json_output=True)) == 2
    assert len(shown(any_broker, topic, capsys, latest=True)) == 2
