"""What a collector is sent is OTLP, with the times of windows; what it rejects is set aside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agents.sinks.otlp import Otlp, OtlpOptions
from tests.otlp import Collector, attributes
from tests.receivers import Receiver, receiving
from tests.sinking import MINUTE_MS, OWNED, START_MS, Log, alert, letters, metric, run

NAME = "o'brien \"/<b>\\ ünï \x1b[31m"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def collector(receiver: Receiver) -> Collector:
    made = Collector()
    receiver.respond = made
    return made


def sent(log: Log, receiver: Receiver, folder: Path) -> None:
    run(Otlp(OtlpOptions(target=receiver.url + "/")), log, folder)


def test_final_values_are_gauges_at_the_end_of_their_window(
    receiver: Receiver, collector: Collector, tmp_path: Path
) -> None:
    log = Log()
    log.add(metric(1), metric(2, final=True, model=NAME, segment="country=de"))

    sent(log, receiver, tmp_path)

    points = list(collector.points())
    assert [(name, point.as_double) for name, _, point in points] == [
        ("driftline.accuracy", 0.52),
        ("driftline.accuracy.low", 0.4),
    ]
    for _, _, point in points:
        assert point.start_time_unix_nano == START_MS * 1_000_000
        assert point.time_unix_nano == (START_MS + MINUTE_MS) * 1_000_000
        told = {"model": NAME, "version": "3", "segment": "country=de", "window": "1m"}
        assert attributes(point) == told


def test_metrics_of_features_share_a_name_and_units_are_ucums(
    receiver: Receiver, collector: Collector, tmp_path: Path
) -> None:
    log = Log()
    for name in ("mean:a:b", "mean:c", "latency_p50_ms", "gpu_power_watts"):
        log.add(metric(1, final=True, metric=name, low=None))

    sent(log, receiver, tmp_path)

    found = [(name, unit, attributes(one).get("of")) for name, unit, one in collector.points()]
    assert found == [
        ("driftline.mean", "", "a:b"),
        ("driftline.mean", "", "c"),
        ("driftline.latency_p50_ms", "ms", None),
        ("driftline.gpu_power_watts", "W", None),
    ]


def test_every_revision_of_an_alert_is_a_log_record(
    receiver: Receiver, collector: Collector, tmp_path: Path
) -> None:
    log = Log()
    log.add(
        alert(model=NAME, evidence={"trace_id": TRACE.upper(), "n": 1}, incident_id="i1", **OWNED)
    )
    log.add(alert("resolved", 1, value=None, evidence={"trace_id": "00" * 16}), at_ms=START_MS + 5)

    sent(log, receiver, tmp_path)

    fires, over = collector.logs()
    told = attributes(fires)
    assert (fires.event_name, fires.severity_number, fires.severity_text) == (
        "driftline.alert",
        17,
        "critical",
    )
    assert fires.time_unix_nano == START_MS * 1_000_000
    assert fires.body.string_value == "accuracy is 0.4, below 0.8"
    assert (told["model"], told["owner"], told["tag.a.b"]) == (NAME, "risk", "x")
    assert told["incident_id"] == "i1"
    assert (told["value"], told["threshold"], told["revision"]) == (0.4, 0.8, 0)
    assert msgspec.json.decode(told["evidence"])["n"] == 1
    assert f'"traceId":"{TRACE}"'.encode() in receiver.posts[0].body
    assert receiver.posts[0].body.count(b"traceId") == 1
    assert (over.severity_number, attributes(over)["state"]) == (9, "resolved")
    assert over.observed_time_unix_nano == (START_MS + 5) * 1_000_000
    assert "value" not in attributes(over)


def test_what_is_rejected_in_part_is_set_aside_and_never_sent_again(
    receiver: Receiver, collector: Collector, tmp_path: Path
) -> None:
    log = Log()
    log.add(metric(1, final=True), metric(1, final=True, metric="recall"), alert())
    partial = {"rejectedDataPoints": "1", "errorMessage": "too\x1bold"}
    collector.answers = [{}, {"partialSuccess": partial}]

    sent(log, receiver, tmp_path)

    assert len(receiver.posts) == 2
    assert [one["reason"] for one in letters(tmp_path)] == ["partial_success"] * 2
    assert letters(tmp_path)[0]["detail"] == r"1 of 2 records were rejected: too\x1bold"


def test_a_warning_beside_success_sets_nothing_aside(
    receiver: Receiver, collector: Collector, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log()
    log.add(alert())
    collector.answers = [{"partialSuccess": {"errorMessage": "slow down"}}]

    sent(log, receiver, tmp_path)

    assert letters(tmp_path) == []
    assert "127.0.0.1 warns: slow down" in "".join(capfd.readouterr())


def test_a_record_that_the_collector_refuses_is_found_and_the_rest_is_taken(
    receiver: Receiver, collector: Collector, tmp_path: Path
) -> None:
    log = Log()
    log.add(*(metric(1, final=True, metric=name) for name in ("recall", "f1", "precision")))
    receiver.refused = [b"driftline.f1"]

    sent(log, receiver, tmp_path)

    [letter] = letters(tmp_path)
    assert (letter["reason"], letter["offset"]) == ("http_422", 1)
    assert {name for name, *_ in collector.points() if not name.endswith("low")} == {
        "driftline.recall",
        "driftline.precision",
    }


def test_a_time_that_does_not_fit_is_set_aside(
    receiver: Receiver, collector: Collector, tmp_path: Path
) -> None:
    log, last_ms = Log(), (2**64 - 1) // 1_000_000
    log.add(metric(1, final=True, window_end_ms=last_ms))
    log.add(metric(1, final=True, window_end_ms=last_ms + 1), alert(at_ms=last_ms + 1))

    sent(log, receiver, tmp_path)

    assert [one["reason"] for one in letters(tmp_path)] == ["implausible_time"] * 2
    assert len(list(collector.points())) == 2
