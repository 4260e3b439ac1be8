"""Reading the latest values of metrics: each once, without what was deleted."""

from __future__ import annotations

from typing import Any

import msgspec
import pandas as pd
import pytest
from confluent_kafka import Producer

from driftline import Metric, Metrics
from tests.brokers import Broker

MS = 1_767_225_600_000
FIRST = Metric("fraud", "3", "", MS, MS + 300_000, "accuracy", 0.91, 0.9, 0.92, 400, 1.0, 1, False)


def change(**fields: Any) -> Metric:
    return msgspec.structs.replace(FIRST, **fields)


def write(broker: Broker, prefix: str, *metrics: Metric, deleted: bool = False) -> None:
    producer = Producer(broker.client())
    for metric in metrics:
        key = msgspec.json.encode(msgspec.structs.astuple(metric)[:6])
        producer.produce(f"{prefix}.metrics", None if deleted else msgspec.json.encode(metric), key)
    assert producer.flush(30) == 0


@pytest.fixture
def prefix(any_broker: Broker, prefix: str) -> str:
    """Extend the common fixture: this prefix has its topic."""
    any_broker.create_topics({f"{prefix}.metrics": 3})
    return prefix


def test_the_last_revision_of_each_is_read_and_read_again_when_it_has_changed(
    any_broker: Broker, prefix: str
) -> None:
    recall, gone = change(metric="recall"), change(version="2")
    write(any_broker, prefix, recall, FIRST, change(revision=2), gone)

    with Metrics(any_broker.bootstrap_servers, prefix=prefix) as metrics:
        first = list(metrics)
        write(any_broker, prefix, gone, deleted=True)
        write(any_broker, prefix, change(revision=3))
        second = list(metrics)

    assert first == [gone, change(revision=2), recall]
    assert second == [change(revision=3), recall]


def test_of_a_topic_without_records_nothing_is_read(any_broker: Broker, prefix: str) -> None:
    with Metrics(any_broker.bootstrap_servers, prefix=prefix) as metrics:
        assert list(metrics) == []


def test_only_what_was_asked_for_is_read(any_broker: Broker, prefix: str) -> None:
    others = [
        change(model="churn"),
        change(metric="recall"),
        change(segment="country=FR"),
        change(window_end_ms=MS + 60_000),
        change(window_start_ms=MS + 1, window_end_ms=MS + 300_001),
    ]
    wanted = change(final=True)
    write(any_broker, prefix, wanted, *others)

    with Metrics(
        any_broker.bootstrap_servers,
        prefix=prefix,
        model="fraud",
        metric="accuracy",
        segment="",
        window_ms=300_000,
        final=True,
    ) as metrics:
        assert list(metrics) == [wanted]


def test_a_data_frame_has_a_column_for_each_field(any_broker: Broker, prefix: str) -> None:
    write(any_broker, prefix, FIRST, change(metric="recall", low=None))

    with Metrics(any_broker.bootstrap_servers, prefix=prefix) as metrics:
        frame = metrics.to_pandas()
    with Metrics(any_broker.bootstrap_servers, prefix=prefix, model="none") as metrics:
        empty = metrics.to_pandas()

    assert list(frame.columns) == list(empty.columns) == list(Metric.__struct_fields__)
    assert frame["value"].tolist() == [0.91, 0.91]
    assert pd.isna(frame["low"][1])
    assert empty.empty


def test_records_that_are_no_metrics_are_skipped_and_counted(
    any_broker: Broker, prefix: str
) -> None:
    write(any_broker, prefix, FIRST)
    producer = Producer(any_broker.client())
    key = msgspec.json.encode(["x", "", "", 0, 1, "y"])
    deep = msgspec.json.encode(["y", "", "", 0, 1, "y"]), b'{"x":' + b"[" * 100_000
    bad = (b"\xff", b"{}"), (None, b"{}"), (key, b"\xff"), (b"[1]", None), deep
    for bad_key, value in bad:
        producer.produce(f"{prefix}.metrics", value, bad_key)
    assert producer.flush(30) == 0

    with Metrics(any_broker.bootstrap_servers, prefix=prefix) as metrics:
        assert list(metrics) == [FIRST]
        assert metrics.invalid == 5


def test_brokers_that_never_answer_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline.snapshot._QUIET_S", 0.0)
    with (
        Metrics("127.0.0.1:1") as metrics,
        pytest.raises(TimeoutError, match=r"driftline\.metrics"),
    ):
        list(metrics)
