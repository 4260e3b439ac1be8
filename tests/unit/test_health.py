"""The worker's own counters, above all that they never fall."""

from __future__ import annotations

import pytest

from agents.health import Health
from agents.partitions import Partition
from agents.settings import FIRST_PORT, PORTS
from agents.telemetry import Telemetry
from streams.steps import DeadLetter, Effects, Record
from streams.topics import Topics
from streams.values import Dropped
from tests.builders import HOUR_MS, START_MS, prediction
from tests.driver import Driver, as_inputs


def build() -> tuple[Health, Telemetry]:
    telemetry = Telemetry(version="1")
    return Health(telemetry, topics=Topics(), host="127.0.0.1", port=0), telemetry


def joined(telemetry: Telemetry) -> float | None:
    return telemetry.registry.get_sample_value("driftline_records_total", {"fate": "joined"})


def test_a_fate_that_is_taken_back_is_held_until_later_ones_make_up_for_it() -> None:
    health, telemetry = build()
    seen = []

    for change in (5, -2, -1, 1, 0, 4):
        health.committed([Effects(fates={"joined": change})], seconds=0.1)
        seen.append(joined(telemetry))

    assert seen == [5, 5, 5, 5, 5, 7]


def test_where_no_port_was_given_the_next_free_one_is_taken_and_a_given_one_never_changes() -> None:
    def listen(port: int | None) -> Health:
        health = Health(Telemetry(version="1"), topics=Topics(), host="127.0.0.1", port=port)
        health.start()
        return health

    first = listen(None)
    second = listen(None)
    with pytest.raises(OSError, match="in use"):
        listen(first.port)
    nowhere = listen(0)

    first.stop()
    second.stop()
    assert FIRST_PORT <= first.port < second.port < FIRST_PORT + PORTS
    assert nowhere.port == 0


def test_what_a_transaction_wrote_is_counted_by_kind() -> None:
    health, telemetry = build()
    topics = Topics()
    letter = DeadLetter("t", 0, None, None, None, "invalid_json", "")
    records = [Record(topics.metrics, b"k", b"v")] * 3 + [Record(topics.alerts, b"k", b"v")]
    effects = Effects(records=records, dead_letters=[letter], late_rows=2)

    health.committed([effects], seconds=0.1)

    value = telemetry.registry.get_sample_value
    assert value("driftline_metric_records_total") == 3
    assert value("driftline_alert_records_total") == 1
    assert value("driftline_late_rows_total") == 2
    assert value("driftline_dead_letters_total", {"reason": "invalid_json"}) == 1
    assert value("driftline_commits_total") == 1


def test_readiness_and_memory_are_shown_as_gauges() -> None:
    health, telemetry = build()
    wrong: list[str] = ["opening"]
    health.answer(live=lambda: None, ready=lambda: wrong[0] if wrong else None)
    value = telemetry.registry.get_sample_value

    health.sample([], stages=["join"])
    health.memory(budget_bytes=1_000, pressure=True)
    assert (value("driftline_ready"), value("driftline_memory_pressure")) == (0, 1)

    wrong.clear()
    health.sample([], stages=["join"])
    health.memory(budget_bytes=1_000, pressure=False)
    assert (value("driftline_ready"), value("driftline_memory_pressure")) == (1, 0)
    assert value("driftline_memory_budget_bytes") == 1_000


def test_records_that_are_ahead_of_the_clock_are_shown_until_the_partition_goes() -> None:
    health, telemetry = build()
    driver = Driver()
    right = [prediction(f"p{n}", timestamp_ms=START_MS + n) for n in range(30)]
    ahead = prediction("ahead", timestamp_ms=START_MS + 20 + HOUR_MS)
    driver.feed(as_inputs([*right[:21], ahead, *right[21:]]))
    partition = Partition(driver.join, 0)
    partition.state, partition.running = driver.joins[0], True
    where = {"topic": "driftline.predictions", "partition": "0"}
    value = telemetry.registry.get_sample_value

    health.sample([partition], stages=["join"])

    assert value("driftline_clock_ahead_records", where) == 1
    assert value("driftline_clock_ahead_seconds", where) == pytest.approx(3_600, abs=0.1)
    health.forget(partition)
    assert value("driftline_clock_ahead_seconds", where) is None


def test_a_value_that_was_left_out_is_counted_by_field_and_named_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    health, telemetry = build()
    dropped = [
        Dropped("latency_ms", "-0.2", "is negative", 3, "\x1b[31mfraud\n"),
        Dropped("features", "'tags': []", "is an array, not a number", 1, "m"),
    ]

    for _ in range(2):
        health.committed([Effects(dropped=dropped)], seconds=0.1)

    value = telemetry.registry.get_sample_value
    assert value("driftline_values_dropped_total", {"field": "latency_ms"}) == 6
    assert value("driftline_values_dropped_total", {"field": "features"}) == 2
    assert value("driftline_values_dropped_total", {"field": "score"}) == 0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert r"latency_ms of model '\x1b[31mfraud\n': -0.2 is negative" in lines[0]


def test_every_number_that_a_step_says_is_counted() -> None:
    """A new one without a counter would be lost in silence."""
    health, telemetry = build()
    numbers = [name for name, kind in Effects.__annotations__.items() if kind is int]
    assert {"late_rows", "forgotten", "other_rows"} <= set(numbers)

    for place, name in enumerate(numbers, 1):
        before = total(telemetry)
        health.committed([Effects(**{name: place})], seconds=0.1)
        assert total(telemetry) - before == place, name


def total(telemetry: Telemetry) -> float:
    """Add up all counters but that of commits."""
    found = (sample for family in telemetry.registry.collect() for sample in family.samples)
    counters = (one for one in found if one.name.endswith("_total"))
    return sum(one.value for one in counters if one.name != "driftline_commits_total")
