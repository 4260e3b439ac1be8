"""Readings of hosts in windows and rules: whatever their batches, partitions, order, restarts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from agents.recordings import Recordings
from agents.replay import play
from streams.dryrun import DryRun
from streams.errors import ConfigError
from streams.families import CATALOGUE
from streams.metric_ranges import of_hosts
from streams.monitors import Monitors, Threshold, Window
from streams.monitors_file import parse_monitors
from streams.readings import GAUGES
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, delayed, history, prediction
from tests.driver import BOTH, TOPICS, Driver, Input, as_inputs, cut, disorder_of

WINDOW_MS = 10 * MINUTE_MS
RULES = Monitors(
    windows=(Window(WINDOW_MS, WINDOW_MS), Window(30 * MINUTE_MS, WINDOW_MS)),
    thresholds=(
        Threshold(
            name="hot",
            metric="cpu_utilization",
            kind="above",
            given=0.55,
            minimum=2,
            window="7m",
            by="value",
        ),
        Threshold(
            name="hotter",
            metric="cpu_utilization",
            kind="rises_by",
            given=0.05,
            minimum=2,
            by="value",
            window="10m",
        ),
        Threshold(
            name="worse",
            metric="accuracy",
            kind="below",
            given=0.8,
            minimum=2,
            by="value",
            window="10m",
        ),
    ),
    reference=20,
)


def reading(model: str, time_ms: int, **fields: Any) -> Input:
    value = {"model": model, "timestamp_ms": time_ms, **fields}
    return TOPICS.resources, model.encode(), json.dumps(value).encode()


def readings(seed: int, *, count: int = 150, span_ms: int = 3 * HOUR_MS) -> list[Input]:
    """Return readings of models that have predictions and of hosts that have none."""
    luck = random.Random(seed)
    found = []
    for _ in range(count):
        model = luck.choice(["churn", "fraud", "host:a"])
        fields: dict[str, Any] = {"cpu_utilization": round(luck.random(), 6)}
        if luck.random() < 0.5:
            fields |= {"gpu_power_watts": luck.uniform(-0.0, 700.0), "gpu_throttled": True}
        if luck.random() < 0.3:
            fields["gpu_ecc_errors"] = luck.randrange(5)
        found.append(reading(model, START_MS + luck.randrange(span_ms), **fields))
    return found


def events(seed: int, *, count: int) -> list[Event]:
    return delayed(history(seed, count=count), seed=seed, bound_ms=1)


def run(
    inputs: list[Input],
    *,
    sizes: list[int],
    partitions: int = 1,
    restarts: int = 0,
    disorder_ms: int = 4 * HOUR_MS,
    **how: Any,
) -> Driver:
    driver = Driver(
        partitions=partitions, disorder_ms=disorder_ms, monitors=RULES, window_ms=WINDOW_MS, **how
    )
    luck = random.Random(restarts)
    for batch in cut(inputs, sizes):
        driver.feed(batch)
        if restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


def mixed(seed: int, *, turn: int = 0) -> list[Input]:
    """Return predictions and labels in their order, with readings between them in any."""
    luck = random.Random(turn)
    rows, others = as_inputs(events(seed, count=80)), readings(seed)
    others = luck.sample(others, len(others))
    first = luck.sample([True] * len(rows) + [False] * len(others), len(rows) + len(others))
    left = iter(rows), iter(others)
    return [next(left[0] if is_row else left[1]) for is_row in first]


@pytest.mark.parametrize("seed", range(3))
def test_results_do_not_depend_on_order_batches_partitions_and_restarts(seed: int) -> None:
    inputs = mixed(seed)
    whole = run(inputs, sizes=[len(inputs)])

    again = run(mixed(seed, turn=1), sizes=[70, 1, 400])
    cut_up = run(inputs, sizes=[41, 3], partitions=3, restarts=1 + seed)
    one = run(inputs, sizes=[33, 1, 59], restarts=7 + seed, pace_ms=0)

    assert {alert["monitor"] for alert in whole.alerts} >= {"hot", "hotter"}
    for other in (again, cut_up, one):
        assert other.result() == whole.result()
    assert whole.late_rows == 0
    assert not whole.refused


def test_windows_have_the_means_of_their_readings_and_nothing_of_models_that_have_no_rows() -> None:
    inputs = [
        reading("host:a", START_MS + second * 1_000, cpu_utilization=share, gpu_ecc_errors=2)
        for second, share in ((0, 0.25), (10, 0.75), (20, 0.5), (700, 1.0))
    ]
    driver = Driver(window_ms=WINDOW_MS, monitors=RULES)

    driver.feed(inputs)

    first = {"model": "host:a", "window_start_ms": START_MS, "window_end_ms": START_MS + WINDOW_MS}
    assert driver.value("cpu_utilization", **first) == 0.5
    assert driver.value("cpu_utilization_max", **first) == pytest.approx(0.75, abs=0.004)
    assert driver.value("gpu_ecc_errors", **first) == 6
    published = {record["metric"] for record in driver.metrics.values()}
    assert published == {
        *("cpu_utilization", "cpu_utilization_p95", "cpu_utilization_max", "gpu_ecc_errors")
    }


def test_readings_stand_beside_the_metrics_of_a_model_and_take_none_away() -> None:
    inputs = as_inputs(events(3, count=60))
    alone = run(inputs, sizes=[50])

    both = run([*inputs, reading("churn", START_MS, memory_utilization=0.5)], sizes=[50])

    more = both.metrics.keys() - alone.metrics.keys()
    assert {key[-1] for key in more} == {"memory_utilization", "memory_utilization_max"}
    assert {key: both.metrics[key] for key in alone.metrics} == alone.metrics


def test_windows_of_hosts_become_final_though_no_prediction_ever_came() -> None:
    driver = Driver(window_ms=WINDOW_MS, horizon_ms=HOUR_MS, monitors=RULES)
    driver.feed([reading("host:a", START_MS, cpu_utilization=0.5)], idle=BOTH)
    assert not any(record["final"] for record in driver.metrics.values())

    driver.restart(random.Random(1))
    driver.feed([reading("host:a", START_MS + 2 * HOUR_MS, cpu_utilization=0.5)], idle=BOTH)

    final = {r["window_start_ms"] for r in driver.metrics.values() if r["final"]}
    assert START_MS in final
    assert START_MS + 2 * HOUR_MS not in final


def test_readings_neither_hold_the_clock_back_nor_push_it() -> None:
    every = events(5, count=120)
    inputs, disorder_ms = as_inputs(every), disorder_of(every)
    ahead = [reading("host:a", START_MS + 20 * HOUR_MS, cpu_utilization=0.5)]
    behind = [reading("host:a", START_MS - 20 * HOUR_MS, cpu_utilization=0.5)]
    plain = run(inputs, sizes=[20], disorder_ms=disorder_ms)

    found = run([*ahead, *behind, *inputs], sizes=[20], disorder_ms=disorder_ms)

    assert found.result()["alerts"] == plain.result()["alerts"]
    assert [s.watermark_ms for s in found.monitors] == [s.watermark_ms for s in plain.monitors]


def test_a_reading_behind_the_watermark_still_counts_in_its_window() -> None:
    driver = Driver(window_ms=WINDOW_MS, monitors=RULES, horizon_ms=HOUR_MS)
    driver.feed(as_inputs(events(5, count=50)), idle=BOTH)
    watermark_ms = driver.monitors[0].watermark_ms

    driver.feed([reading("host:a", watermark_ms - 60_000, cpu_utilization=0.5)])

    assert driver.late_rows == 1
    assert any(record["model"] == "host:a" for record in driver.metrics.values())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "invalid_json"),
        (b'{"model": "churn", "cpu_utilization": 2}', "invalid_reading"),
        (b'{"model": "churn", "cpu_utilization": 0.5, "timestamp_ms": 7}', "implausible_time"),
        (
            b'{"model": "other", "cpu_utilization": 0, "timestamp_ms": 1767225600000}',
            "misplaced_reading",
        ),
    ],
)
def test_what_cannot_be_used_is_a_dead_letter_and_harms_nothing_else(
    value: bytes, reason: str
) -> None:
    good = reading("churn", START_MS, disk_utilization=0.5)
    driver = Driver(partitions=8, window_ms=WINDOW_MS)

    driver.feed([(TOPICS.resources, b"churn", value), good])

    [letter] = driver.refused
    assert letter.topic == TOPICS.resources
    assert letter.value == value
    assert letter.reason == reason
    assert driver.value("disk_utilization", window_start_ms=START_MS) == 0.5


def test_what_waits_for_a_clock_that_stands_still_is_bounded() -> None:
    driver = Driver(window_ms=WINDOW_MS, monitors=RULES)
    every = [
        reading("host:a", START_MS + hour * HOUR_MS, cpu_utilization=0.9) for hour in range(20)
    ]

    for one in every:
        driver.feed([one])

    assert len(driver.monitors[0].hosts.waiting) == 7
    assert driver.late_rows == 13
    kept = [key for key in driver.monitor_logs[0] if b"readings" in key]
    assert len(kept) == 7


def test_hosts_alone_do_not_pile_up() -> None:
    driver = Driver(window_ms=WINDOW_MS, horizon_ms=HOUR_MS)
    sizes = []

    for minute in range(0, 40 * 60, 5):
        one = reading("host:a", START_MS + minute * MINUTE_MS, cpu_utilization=0.9)
        driver.feed([one], idle=BOTH)
        sizes.append(driver.monitors[0].windows.entries)
    driver.feed([reading("host:a", START_MS, cpu_utilization=0.1)], idle=BOTH)

    assert max(sizes[len(sizes) // 2 :]) == max(sizes[: len(sizes) // 2]) < 200
    assert driver.late_rows == 1
    assert driver.value("cpu_utilization", window_start_ms=START_MS) == 0.9


def test_models_that_nobody_asks_about_let_no_readings_wait() -> None:
    driver = Driver(window_ms=WINDOW_MS)

    driver.feed([reading("host:a", START_MS, cpu_utilization=0.9)])

    assert not driver.monitors[0].hosts.waiting
    assert not [key for key in driver.monitor_logs[0] if b"readings" in key]


def test_a_replay_finds_what_a_worker_does_wherever_readings_stand_in_the_file(
    tmp_path: Path,
) -> None:
    inputs = mixed(2)
    whole = run(inputs, sizes=[60])
    lines = [value for topic, _, value in inputs if topic != TOPICS.resources]
    hosts = [value for topic, _, value in inputs if topic == TOPICS.resources]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*lines, b'{"model": "x", "cpu_utilization": 7}', *hosts]))

    played, letters, survey = play(
        Recordings([file]),
        DryRun,
        monitors=RULES,
        window_ms=WINDOW_MS,
        horizon_ms=HOUR_MS,
        partitions=3,
        disorder_ms=4 * HOUR_MS,
    )

    assert (survey.lines, survey.readings) == (len(lines), len(hosts) + 1)
    assert letters.counts() == {"invalid_reading": 1}
    found = {tuple(json.loads(key)): json.loads(value) for key, value in played.metrics.items()}
    for one in found.values():
        del one["revision"]
    result = whole.result()
    assert found == result["metrics"]
    order = ("at_ms", "model", "version", "monitor", "segment", "alert_id", "revision")
    alerts = sorted(map(json.loads, played.alerts), key=lambda alert: [alert[n] for n in order])
    assert alerts == result["alerts"]


def test_a_recording_of_hosts_alone_is_judged_to_its_end(tmp_path: Path) -> None:
    every = [
        reading("host:a", START_MS + minute * MINUTE_MS, cpu_utilization=float(minute > 30))
        for minute in range(120)
    ]
    file = tmp_path / "hosts.jsonl"
    file.write_bytes(b"\n".join(value or b"" for _, _, value in every))

    played, _, _ = play(
        Recordings([file]),
        DryRun,
        monitors=RULES,
        window_ms=WINDOW_MS,
        horizon_ms=30 * MINUTE_MS,
        partitions=1,
        disorder_ms=None,
    )

    fired = [json.loads(alert) for alert in played.alerts]
    assert [alert["at_ms"] for alert in fired if alert["monitor"] == "hot"] == [
        START_MS + 35 * MINUTE_MS
    ]
    assert any(json.loads(metric)["final"] for metric in played.metrics.values())


@pytest.mark.parametrize("metric", [m for m in CATALOGUE.metrics if of_hosts(m)])
def test_a_rule_sees_the_value_that_is_published_of_its_window(metric: str) -> None:
    rule = Threshold(
        name="r", metric=metric, kind="above", given=-1e9, minimum=1, window="10m", by="value"
    )
    gauges: dict[str, Any] = dict.fromkeys(GAUGES, 1.0)
    every = [
        reading(
            "host:a",
            START_MS + second * 1_000,
            **{name: round(second / 700, 3) for name in gauges}
            | {"gpu_throttled": second % 3 == 0, "gpu_ecc_errors": second % 5},
        )
        for second in range(0, 600, 7)
    ]
    later = as_inputs([prediction("z", timestamp_ms=START_MS + HOUR_MS)])
    monitors = Monitors(thresholds=(rule,), evaluate_ms=WINDOW_MS)
    driver = Driver(monitors=monitors, window_ms=WINDOW_MS)

    driver.feed([*every, *later])
    driver.finish()

    [published] = [one for one in driver.metrics.values() if one["metric"] == metric]
    [alert] = [one for one in driver.alerts if one["at_ms"] == START_MS + WINDOW_MS]
    assert published["count"] > 10
    assert alert["value"] == published["value"]
    evidence = alert["evidence"]
    for name in ("low", "high", "count"):
        assert evidence[name] == published[name]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"segment": "region=eu"}, "segment: 'region=eu': cpu_utilization is of hosts"),
        ({"version": "3"}, "version: '3': cpu_utilization is of hosts"),
        ({"above": 90}, "above: 90 .* did you mean 0.9"),
    ],
)
def test_rules_that_no_reading_could_violate_are_refused(rule: dict[str, Any], says: str) -> None:
    given = {"name": "hot", "metric": "cpu_utilization", "above": 0.9} | rule

    with pytest.raises(ConfigError, match=says):
        parse_monitors({"thresholds": [given]})


def test_a_rule_on_hosts_waits_for_one_reading_unless_it_says_otherwise() -> None:
    hot = {"name": "hot", "metric": "cpu_utilization", "above": 0.9}
    rules = [hot, hot | {"name": "b", "minimum": 7}, {"name": "c", "metric": "mae", "above": 1}]

    found = parse_monitors({"thresholds": rules, "defaults": False}).thresholds

    assert [rule.minimum for rule in found] == [1, 7, 100]
