"""Prometheus is told the last final values and what fires, of bounded series."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from prometheus_client import generate_latest

from agents.sinks.contract import Upsert
from agents.sinks.prometheus import Prometheus, PrometheusOptions
from agents.sinks.telemetry import SINK, SinkHealth
from streams.errors import ConfigError
from streams.metrics import Metric
from tests import debian
from tests.sinking import MINUTE_MS, START_MS, TOPICS, Log, alert, metric, metric_key, run

VALUE = "driftline_metric_value"


def exporter(log: Log, folder: Path, *, now_ms: int = START_MS, **options: str) -> SinkHealth:
    sink = Prometheus(PrometheusOptions(**options), clock=lambda: now_ms)  # type: ignore[arg-type]
    health = SinkHealth("prometheus", version="1")
    for collector in sink.collectors():
        health.export(collector)
    return run(sink, log, folder, health=health)


def sample(health: SinkHealth, name: str, **labels: str) -> float | None:
    return health.telemetry.registry.get_sample_value(name, labels)


def of(record: Metric) -> dict[str, str]:
    return {name: getattr(record, name) for name in ("model", "version", "segment", "metric")}


def window(number: int, **changes: object) -> Metric:
    start_ms = START_MS + number * MINUTE_MS
    times = {"window_start_ms": start_ms, "window_end_ms": start_ms + MINUTE_MS}
    return metric(**{"final": True, "value": float(number), **times, **changes})  # type: ignore[arg-type]


def test_the_last_final_value_is_shown_with_its_window_and_coverage(tmp_path: Path) -> None:
    log = Log()
    log.add(window(2), window(1), window(3, final=False), metric(1, metric="recall"))

    health = exporter(log, tmp_path)

    labels = of(window(2))
    assert sample(health, VALUE, **labels) == 2.0
    ends = sample(health, "driftline_metric_window_end_timestamp_seconds", **labels)
    assert ends == (START_MS + 3 * MINUTE_MS) / 1_000
    assert sample(health, "driftline_metric_coverage_ratio", **labels) == 0.9
    assert sample(health, VALUE, **{**labels, "metric": "recall"}) is None


def test_a_final_window_that_is_revised_or_deleted_is_shown_so(tmp_path: Path) -> None:
    log = Log()
    log.add(window(1), window(1, value=9.0), window(1, metric="recall"), window(2, metric="f1"))
    log.delete(window(1, metric="recall"))
    log.delete(window(1, metric="f1"))
    for key in (b"5", b"[1, 2, 3, 4, 5, []]", b"\xff"):
        log.put(TOPICS.metrics, key, None)

    health = exporter(log, tmp_path)

    shown = [sample(health, VALUE, **of(window(1, metric=m))) for m in ("accuracy", "recall", "f1")]
    assert shown == [9.0, None, 2.0]


def test_alerts_are_counted_by_monitor_and_stay_at_zero(tmp_path: Path) -> None:
    log = Log()
    log.add(alert(alert_id="a1"), alert(alert_id="a2"), alert(alert_id="b", monitor="other"))
    log.add(alert("retracted", 1, alert_id="a1"), alert("resolved", 1, alert_id="b"))
    log.put(TOPICS.alerts, b"unknown", None)

    health = exporter(log, tmp_path)

    who = {"model": "fraud", "version": "3", "segment": "", "severity": "critical"}
    firing = {
        name: sample(health, "driftline_alerts_firing", monitor=name, **who)
        for name in ("accuracy-drop", "other")
    }
    assert firing == {"accuracy-drop": 1.0, "other": 0.0}


def test_series_are_bounded_and_what_is_over_is_counted(tmp_path: Path) -> None:
    log = Log()
    log.add(*(window(1, model=f"m{number}") for number in range(5)), window(2, model="m0"))
    log.add(alert(alert_id="a", model="m0"), alert("resolved", 1, alert_id="a", model="m0"))
    log.add(*(alert(alert_id=f"a{number}", model=f"m{number}") for number in range(4)))

    health = exporter(log, tmp_path, max_series="3")

    shown = [sample(health, VALUE, **of(window(1, model=f"m{number}"))) for number in range(5)]
    assert shown == [2.0, 1.0, 1.0, None, None]
    left_out = "driftline_results_left_out_total"
    assert sample(health, left_out, kind="metrics") == 2
    assert sample(health, left_out, kind="alerts") == 1


def test_what_ended_long_ago_is_forgotten(tmp_path: Path) -> None:
    log = Log()
    log.add(window(1), window(5, metric="recall"))

    health = exporter(log, tmp_path, now_ms=START_MS + 10 * MINUTE_MS, forget="6m")

    assert sample(health, VALUE, **of(window(1))) is None
    assert sample(health, VALUE, **of(window(1, metric="recall"))) == 5.0


def test_nothing_is_shown_before_all_was_read() -> None:
    sink = Prometheus(PrometheusOptions(), clock=lambda: START_MS)
    record = window(1)
    place = (TOPICS.metrics, 0, 0, START_MS, metric_key(record), msgspec.json.encode(record))
    sink.write([Upsert("metrics", *place, record)])

    def shown() -> list[object]:
        return list(next(family for family in sink.collect() if family.name == VALUE).samples)

    before = shown()
    sink.caught_up()
    after = shown()

    assert (len(before), len(after)) == (0, 1)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_exposition(tmp_path: Path) -> None:
    log = Log()
    log.add(window(1, model="o'brien \"/<b>\\\n\x1b[31m"), alert())
    log.put(TOPICS.metrics, b"bad", b"{")

    health = exporter(log, tmp_path)
    health.away("asleep")
    health.missing(TOPICS.metrics, 3)
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(health.telemetry.registry).decode(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert len(generate_latest(health.telemetry.registry)) > 100 * len(SINK)


def test_a_real_prometheus_answers_with_what_it_was_told(tmp_path: Path) -> None:
    log, name = Log(), "o'brien \"/<b>\\ ünï"
    now_ms = time.time_ns() // 1_000_000
    end_ms = now_ms // MINUTE_MS * MINUTE_MS
    times = {"window_start_ms": end_ms - MINUTE_MS, "window_end_ms": end_ms}
    log.add(window(1, model=name, value=0.875, **times), alert(model=name))
    health = exporter(log, tmp_path, now_ms=now_ms)
    port, stop = health.telemetry.serve(port=0)
    try:
        with debian.run_prometheus(tmp_path, target=f"127.0.0.1:{port}") as running:

            def asked() -> list[dict[str, object]]:
                return list(running.ask("/api/v1/query", query=VALUE)["data"]["result"])

            debian.wait_until(lambda: bool(asked()), what="no value")
            [value] = asked()
            query = "driftline_alerts_firing > 0"
            [firing] = running.ask("/api/v1/query", query=query)["data"]["result"]
    finally:
        stop()

    assert value["metric"]["model"] == name  # type: ignore[index]
    assert value["value"][1] == "0.875"  # type: ignore[index]
    assert firing["metric"]["monitor"] == "accuracy-drop"


def test_a_number_of_series_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="--max-series: 'many' is no number"):
        Prometheus(PrometheusOptions(max_series="many"))
