"""The publisher without a broker: it returns at once, never raises, and counts what it drops."""

from __future__ import annotations

import enum
import gc
import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from confluent_kafka import KafkaException

from driftline import Limits, Publisher, values
from streams.events import decode_prediction
from streams.limits import EARLIEST_MS, RecordLimits
from streams.plausible_times import LATEST_MS
from streams.values import LARGEST_NUMBER, Dropped

NOBODY = "127.0.0.1:1"  # a port that refuses connections
GOOD: dict[str, Any] = {"prediction_id": "r-1", "model": "m", "prediction": 1}


class Wire:
    """Stand in for the Kafka client where the bytes of a record are what a test is about."""

    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any], str]] = []

    def produce(self, topic: str, value: bytes, key: str) -> None:
        self.records.append((topic, msgspec.json.decode(value), key))


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher(NOBODY, flush_timeout_s=0, queue_size=1000) as made:
        yield made


@pytest.fixture
def wire(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(publisher._delivery, "_producer", wire)
    return wire


def test_a_broker_that_is_down_costs_neither_time_nor_exceptions(publisher: Publisher) -> None:
    """10,000 calls on a queue of 1,000: the first 1,000 wait, the others are dropped at once."""
    started_s = time.perf_counter()
    results = [publisher.prediction(**GOOD) for _ in range(10_000)]
    elapsed_s = time.perf_counter() - started_s

    assert elapsed_s < 2.0
    assert results == [True] * 1000 + [False] * 9000
    assert publisher.sent == 1000
    assert publisher.delivered == 0
    assert dict(publisher.dropped) == {"queue_full": 9000}


def test_no_single_call_waits_for_the_broker(publisher: Publisher) -> None:
    durations_s = []
    for _ in range(3000):
        started_s = time.perf_counter()
        publisher.label(prediction_id="r-1", label=True)
        durations_s.append(time.perf_counter() - started_s)

    assert np.percentile(durations_s, 99) < 0.005


def test_close_waits_no_longer_than_told_and_counts_what_is_lost() -> None:
    publisher = Publisher(NOBODY, flush_timeout_s=0.2)
    for _ in range(50):
        publisher.prediction(**GOOD)

    started_s = time.perf_counter()
    publisher.close()

    assert time.perf_counter() - started_s < 2.0
    assert dict(publisher.dropped) == {"delivery_failed": 50}
    assert (publisher.sent, publisher.delivered) == (50, 0)


def test_close_does_not_wait_for_a_client_that_cannot_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its destructor waits for its threads, and a name look-up holds those for minutes or ever."""
    let_go = threading.Event()

    class Stuck:
        def __init__(self, settings: dict[str, object], **_: object) -> None:
            self.brokers = settings.get("bootstrap.servers")

        def produce(self, *_: object) -> None: ...
        def purge(self) -> None: ...

        def poll(self, timeout_s: float) -> None:
            time.sleep(timeout_s)

        def flush(self, _timeout_s: float) -> int:
            return 1

        def __del__(self) -> None:
            if self.brokers:
                let_go.wait(30)

    monkeypatch.setattr("driftline.delivery.Producer", Stuck)
    publisher = Publisher(NOBODY, flush_timeout_s=0)
    publisher.prediction(**GOOD)

    started_s = time.perf_counter()
    publisher.close()
    took_s = time.perf_counter() - started_s
    let_go.set()

    assert took_s < 5


def test_a_publisher_that_published_nothing_runs_no_thread() -> None:
    """An application is often loaded before its servers are forked, in the middle of anything."""
    threads = Path("/proc/self/task")
    if not threads.exists():
        pytest.skip("this system does not list threads")
    before = len(list(threads.iterdir()))

    with Publisher(NOBODY, flush_timeout_s=0):
        assert len(list(threads.iterdir())) <= before


def test_calls_after_close_are_dropped_as_closed() -> None:
    publisher = Publisher(NOBODY, flush_timeout_s=0)
    publisher.close()
    publisher.close()

    assert not publisher.prediction(**GOOD)
    assert not publisher.label(prediction_id="r-1", label=1)
    assert not publisher.retract("r-1")
    assert dict(publisher.dropped) == {"closed": 3}


class Hostile:
    """A value whose own code fails."""

    @property
    def ndim(self) -> int:
        raise RuntimeError("hostile")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"prediction_id": ""}, id="empty id"),
        pytest.param({"prediction_id": None}, id="no id"),
        pytest.param({"prediction_id": 7}, id="number as id"),
        pytest.param({"prediction_id": "\ud800"}, id="lone surrogate"),
        pytest.param({"model": ""}, id="empty model"),
        pytest.param({"version": 3}, id="number as version"),
        pytest.param({"prediction": None}, id="no prediction"),
        pytest.param({"prediction": math.nan}, id="NaN prediction"),
        pytest.param({"prediction": np.float32("inf")}, id="infinite prediction"),
        pytest.param({"prediction": np.array([1.0])}, id="array as prediction"),
        pytest.param({"prediction": b"yes"}, id="bytes as prediction"),
        pytest.param({"prediction": 2**63}, id="more than 64 bits"),
        pytest.param({"prediction": 1e200}, id="too large a prediction"),
        pytest.param({"prediction_id": "x" * 257}, id="long id"),
        pytest.param({"model": "ä" * 129}, id="long model"),
        pytest.param({"timestamp_ms": "2026-01-01"}, id="string as time"),
        pytest.param({"timestamp_ms": math.nan}, id="NaN as time"),
        pytest.param({"timestamp_ms": True}, id="boolean as time"),
        pytest.param({"timestamp_ms": 99_999_999_999}, id="just too early"),
        pytest.param({"timestamp_ms": 1_767_225_600.25}, id="seconds as time"),
        pytest.param({"timestamp_ms": 20_260_101}, id="date as time"),
        pytest.param({"timestamp_ms": 1_767_225_600_000_000}, id="microseconds as time"),
        pytest.param({"timestamp_ms": np.datetime64("2026-01-01", "ns")}, id="nanoseconds as time"),
    ],
)
def test_a_bad_value_is_dropped_and_counted(publisher: Publisher, change: dict[str, Any]) -> None:
    assert not publisher.prediction(**{**GOOD, **change})
    assert dict(publisher.dropped) == {"invalid": 1}
    assert publisher.sent == 0


@pytest.mark.parametrize("label", [None, math.nan, [1], b"x"])
def test_a_bad_label_is_dropped_and_counted(publisher: Publisher, label: object) -> None:
    assert not publisher.label(prediction_id="r-1", label=label)
    assert dict(publisher.dropped) == {"invalid": 1}


def test_a_record_beyond_the_message_limit_is_dropped_as_too_large(publisher: Publisher) -> None:
    assert not publisher.prediction(**GOOD, features={"x": "y" * 2_000_000})
    assert dict(publisher.dropped) == {"too_large": 1}


def test_a_prediction_with_every_field_has_the_contract_s_form(
    publisher: Publisher, wire: Wire
) -> None:
    assert publisher.prediction(
        prediction_id="r-1",
        model="m",
        version="2",
        timestamp_ms=1_700_000_000_123,
        prediction="yes",
        score=0.5,
        scores={"yes": 0.5, "no": 0.5},
        features={"x": 1.5, "y": "FR", "z": None, "w": True, "n": 3},
        segments={"country": "FR"},
        latency_ms=2,
    )

    [(topic, record, key)] = wire.records
    assert (topic, key) == ("driftline.predictions", "r-1")
    assert record == {
        "prediction_id": "r-1",
        "model": "m",
        "version": "2",
        "timestamp_ms": 1_700_000_000_123,
        "prediction": "yes",
        "score": 0.5,
        "scores": {"yes": 0.5, "no": 0.5},
        "features": {"x": 1.5, "y": "FR", "z": None, "w": True, "n": 3},
        "segments": {"country": "FR"},
        "latency_ms": 2,
    }


def test_fields_that_were_not_given_are_left_out(publisher: Publisher, wire: Wire) -> None:
    before_ms = time.time_ns() // 1_000_000

    publisher.prediction(**GOOD)
    publisher.label(prediction_id="r-1", label=False)
    publisher.retract("r-1")

    [prediction, label, retraction] = [record for _, record, _ in wire.records]
    after_ms = time.time_ns() // 1_000_000
    assert all(before_ms <= r.pop("timestamp_ms") <= after_ms for _, r, _ in wire.records)
    assert prediction == GOOD
    assert label == {"prediction_id": "r-1", "label": False}
    assert retraction == {"prediction_id": "r-1", "retract": True}
    assert [topic for topic, _, _ in wire.records[1:]] == ["driftline.labels"] * 2


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        pytest.param(np.float64(0.25), 0.25, id="float64"),
        pytest.param(np.float32(0.25), 0.25, id="float32"),
        pytest.param(np.longdouble(0.25), 0.25, id="longdouble"),
        pytest.param(np.int64(3), 3, id="int64"),
        pytest.param(np.bool_(True), True, id="bool_"),
        pytest.param(np.str_("a"), "a", id="str_"),
        pytest.param(np.array(2.5), 2.5, id="array without dimensions"),
        pytest.param(Decimal("1.5"), 1.5, id="Decimal"),
        pytest.param(Colour.RED, "red", id="Enum"),
        pytest.param(Text("t"), "t", id="subclass of str"),
        pytest.param(math.nan, None, id="NaN"),
        pytest.param(math.inf, None, id="infinity"),
        pytest.param(np.float32("nan"), None, id="float32 NaN"),
        pytest.param(np.float64("-inf"), None, id="float64 infinity"),
    ],
)
def test_a_feature_is_converted_to_plain_json(
    publisher: Publisher, wire: Wire, value: object, sent: object
) -> None:
    assert publisher.prediction(**GOOD, features={"x": value, "y": 1})

    features = wire.records[0][1]["features"]
    assert features == {"x": sent, "y": 1}
    assert type(features["x"]) is type(sent)


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        pytest.param({"latency_ms": -0.2}, {}, id="negative latency"),
        pytest.param({"latency_ms": "fast"}, {}, id="string as latency"),
        pytest.param({"latency_ms": math.nan}, {}, id="NaN latency"),
        pytest.param({"latency_ms": pd.NaT}, {}, id="NaT as latency"),
        pytest.param({"score": math.nan}, {}, id="NaN score"),
        pytest.param({"score": -math.inf}, {}, id="infinite score"),
        pytest.param({"score": "85%"}, {}, id="string as score"),
        pytest.param({"score": True}, {}, id="boolean as score"),
        pytest.param({"score": pd.NA}, {}, id="NA as score"),
        pytest.param({"score": Decimal("NaN")}, {}, id="decimal NaN as score"),
        pytest.param({"score": np.array([0.1, 0.9])}, {}, id="array as score"),
        pytest.param({"scores": {"a": math.nan, "b": 0.5}}, {"b": 0.5}, id="NaN among scores"),
        pytest.param({"scores": [0.1, 0.9]}, {}, id="list of scores"),
        pytest.param({"scores": {"x" * 257: 1, "b": 1}}, {"b": 1}, id="long class"),
        pytest.param({"features": {"x": [1, 2], "y": 1}}, {"y": 1}, id="list as feature"),
        pytest.param({"features": {"x": object(), "y": 1}}, {"y": 1}, id="object as feature"),
        pytest.param({"features": {"x": pd.NA, "y": 1}}, {"y": 1}, id="NA as feature"),
        pytest.param({"features": {"x": pd.NaT, "y": 1}}, {"y": 1}, id="NaT as feature"),
        pytest.param(
            {"features": {"x": datetime(2026, 1, 1, tzinfo=UTC)}}, {}, id="time as feature"
        ),
        pytest.param({"features": {"x": np.datetime64("2026-01-01")}}, {}, id="date as feature"),
        pytest.param({"features": {"x": "\ud800", "y": 1}}, {"y": 1}, id="half a character"),
        pytest.param({"features": {1: 2.0, "y": 1}}, {"y": 1}, id="number as feature name"),
        pytest.param({"features": {"x" * 257: 2.0, "y": 1}}, {"y": 1}, id="long feature name"),
        pytest.param({"features": {"x": Hostile(), "y": 1}}, {"y": 1}, id="hostile value"),
        pytest.param({"features": 3}, {}, id="number as features"),
        pytest.param({"segments": {"age": 3, "c": "FR"}}, {"c": "FR"}, id="number as segment"),
        pytest.param({"segments": {"": "a", "c": "FR"}}, {"c": "FR"}, id="segment without name"),
        pytest.param({"segments": {"x": "y" * 257}}, {}, id="long segment"),
    ],
)
def test_a_bad_value_costs_the_value_and_not_the_prediction(
    publisher: Publisher,
    wire: Wire,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    sent: object,
) -> None:
    [field] = change

    for _ in range(2):
        assert publisher.prediction(**{**GOOD, **change})

    assert wire.records[0][1].get(field, {}) == sent
    assert dict(publisher.values_dropped) == {field: 2}
    assert dict(publisher.dropped) == {}
    named = [record.message for record in caplog.records if "left out" in record.message]
    assert len(named) == 1
    assert field in named[0]


def test_a_feature_beyond_64_bits_is_a_number(publisher: Publisher, wire: Wire) -> None:
    assert publisher.prediction(**GOOD, features={"a": 2**70, "b": np.uint64(2**64 - 1)})

    assert wire.records[0][1]["features"] == {"a": 2.0**70, "b": 2.0**64}
    assert dict(publisher.values_dropped) == {}


@pytest.mark.parametrize("field", ["features", "segments", "scores"])
def test_of_too_many_values_the_last_by_name_are_left_out(
    monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    publisher = Publisher(
        NOBODY, limits=Limits(features=2, segments=2, scores=2), flush_timeout_s=0
    )
    wire = Wire()
    monkeypatch.setattr(publisher._delivery, "_producer", wire)
    given = dict.fromkeys("dbac", "x" if field == "segments" else 1.0)

    assert publisher.prediction(**GOOD, **{field: given})

    assert sorted(wire.records[0][1][field]) == ["a", "b"]
    assert dict(publisher.values_dropped) == {field: 2}


def test_limits_and_times_are_those_of_workers() -> None:
    """They are written down twice, since a model server does not install the worker."""
    limits = msgspec.structs.asdict(RecordLimits())
    assert limits.pop("earliest_ms") == EARLIEST_MS
    assert msgspec.structs.asdict(Limits()) == limits
    assert (values._EARLIEST_MS, values._LATEST_MS) == (EARLIEST_MS, LATEST_MS)
    assert values._LARGEST_NUMBER == LARGEST_NUMBER


def test_what_is_sent_a_worker_takes_as_it_is(publisher: Publisher, wire: Wire) -> None:
    """Nothing that passes here is left out there, or refused, but numbers beyond 10^150."""
    odd = [2**64, 1e150, -0.0, "x" * 300, True, None, 10**100, pd.NA, [1], math.nan, "\ud800"]
    for value in odd:
        publisher.prediction(
            **{**GOOD, "prediction": value if isinstance(value, str) else 1},
            score=value,
            latency_ms=value,
            scores={"a": value},
            segments={"a": value},
            features={"a": value},
        )

    for _, record, _ in wire.records:
        dropped: list[Dropped] = []
        decode_prediction(json.dumps(record).encode(), dropped=dropped)
        assert dropped == []
    assert len(wire.records) == len(odd) - 1  # half a character is no prediction


def test_numpy_scalars_are_welcome_in_every_field(publisher: Publisher, wire: Wire) -> None:
    assert publisher.prediction(
        prediction_id=np.str_("r-1"),
        model=np.str_("m"),
        prediction=np.int32(2),
        timestamp_ms=np.int64(1_700_000_000_123),
        score=np.float32(0.5),
        scores={np.int64(2): np.float64(0.5), 3: 0.25, True: 0.25},  # type: ignore[dict-item]
        features=MappingProxyType({np.str_("x"): 1.0}),
        segments={"c": np.str_("FR")},
        latency_ms=np.float64("nan"),
    )
    assert publisher.label(prediction_id="r-1", label=np.bool_(False), timestamp_ms=1.7e12)

    [(_, prediction, key), (_, label, _)] = wire.records
    assert key == "r-1"
    assert prediction == {
        "prediction_id": "r-1",
        "model": "m",
        "prediction": 2,
        "timestamp_ms": 1_700_000_000_123,
        "score": 0.5,
        "scores": {"2": 0.5, "3": 0.25, "1": 0.25},
        "features": {"x": 1.0},
        "segments": {"c": "FR"},
    }
    assert label == {"prediction_id": "r-1", "label": False, "timestamp_ms": 1_700_000_000_000}


def test_the_caller_may_reuse_its_dictionary(publisher: Publisher, wire: Wire) -> None:
    features: dict[str, object] = {"x": 1}

    publisher.prediction(**GOOD, features=features)
    features["x"] = 2

    assert wire.records[0][1]["features"] == {"x": 1}


def test_drops_are_logged_once_in_ten_seconds(
    publisher: Publisher, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = iter((100.0, 100.1, 109.9, 110.0, 119.0, 119.0))
    monkeypatch.setattr("driftline.delivery.time.monotonic", lambda: next(clock_s, 119.0))

    with caplog.at_level(logging.WARNING, "driftline.publisher"):
        for _ in range(5):
            publisher.prediction(**{**GOOD, "model": ""})

    warnings = [r.message for r in caplog.records if "dropped" in r.message]
    assert len(warnings) == 2
    assert "model must not be empty" in warnings[0]
    assert "{'invalid': 4}" in warnings[1]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param({"queue_size": 0}, ValueError, id="queue size"),
        pytest.param({"flush_timeout_s": -1}, ValueError, id="flush timeout"),
        pytest.param({"kafka": {"lingr.ms": 5}}, KafkaException, id="unknown Kafka setting"),
    ],
)
def test_a_bad_setting_is_refused_at_construction(
    settings: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Publisher(NOBODY, **settings)


def test_kafka_settings_of_the_user_win(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []
    monkeypatch.setattr("driftline.delivery.Producer", lambda conf, **_: seen.append(conf))
    monkeypatch.setattr("driftline.delivery.threading.Thread.start", lambda _: None)

    publisher = Publisher(NOBODY, kafka={"linger.ms": 5, "security.protocol": "ssl"})
    publisher.prediction(**GOOD)

    assert seen[-1]["linger.ms"] == 5
    assert seen[-1]["security.protocol"] == "ssl"
    assert seen[-1]["partitioner"] == "murmur2_random"
    assert seen[-1]["bootstrap.servers"] == NOBODY


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_counts_for_itself_and_ends_in_the_ordinary_way() -> None:
    """The child inherits the client without its threads: using or freeing it would hang."""
    publisher = Publisher(NOBODY, flush_timeout_s=0)
    publisher.prediction(**GOOD)
    gc.collect()  # clients that other tests have left: to free one in the child would hang

    child = os.fork()
    if child == 0:
        gc.disable()
        counts = [publisher.sent]
        publisher.prediction(**GOOD)
        publisher.prediction(**GOOD)
        counts += [publisher.sent]
        publisher.close()
        counts += [publisher.dropped["delivery_failed"]]
        del publisher
        os._exit(0 if counts == [0, 2, 2] else 1)
    deadline_s = time.monotonic() + 20
    ended, status = 0, 0
    while not ended and time.monotonic() < deadline_s:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(child, 9)
        os.waitpid(child, 0)
    publisher.close()

    assert ended == child, "the child hung"
    assert os.waitstatus_to_exitcode(status) == 0
    assert publisher.sent == 1


def test_a_request_that_failed_is_sent_with_its_reason_and_no_answer(
    publisher: Publisher, wire: Wire
) -> None:
    why = TimeoutError("upstream " + 300 * "x")

    assert publisher.prediction(prediction_id="r-1", model="fraud", error=why)
    assert publisher.prediction(prediction_id="r-2", model="fraud", error=ValueError())
    assert not publisher.prediction(prediction_id="r-3", model="fraud")

    first, second = (record for _, record, _ in wire.records)
    assert (first["error"], "prediction" in first) == (str(why)[:200], False)
    assert second["error"] == "ValueError"
