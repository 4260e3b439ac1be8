"""Models are listed from records of the state: as the states themselves know them."""

import random

import pytest

from streams.comparisons import OfVersion
from streams.errors import StateError
from streams.monitor.known_models import KnownModel, KnownModels
from streams.monitors import DEFAULTS, Monitors
from tests.builders import MINUTE_MS, START_MS
from tests.driver import Driver, as_inputs
from tests.unit.test_forgetting import SECOND_MS, burst, clock_on, driver_of


def listed(driver: Driver, *, seed: int = 0) -> list[KnownModel]:
    models = KnownModels()
    for partition, log in enumerate(driver.monitor_logs):
        records = list(log.items())
        random.Random(seed).shuffle(records)
        for key, value in records:
            models.fold(partition, key, value)
    return models.models()


@pytest.mark.parametrize("partitions", [1, 3])
def test_models_are_listed_with_task_and_when_they_were_last_seen(partitions: int) -> None:
    driver = driver_of([], partitions=partitions, disorder_ms=MINUTE_MS, monitors=DEFAULTS)
    for model, kind in (("b", "binary"), ("r", "regression"), ("w", "words")):
        arrivals = burst(model, kind, start_ms=START_MS)
        driver.feed(as_inputs([one.event for one in arrivals]))
    clock_on(driver, to_ms=START_MS + 2 * MINUTE_MS + 30 * SECOND_MS)

    found = listed(driver)

    assert [(one.model, one.version, one.task) for one in found] == [
        ("b", "", "binary"),
        ("r", "", "regression"),
        ("w", "", "multiclass"),
    ]
    assert all(START_MS <= one.last_seen_ms < START_MS + 2 * MINUTE_MS for one in found)


def test_of_who_has_no_window_left_it_is_told_about_when_it_was_seen() -> None:
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=DEFAULTS)
    found = burst("a", "binary", start_ms=START_MS)
    driver.feed(as_inputs([one.event for one in found]))
    clock_on(driver, to_ms=START_MS + 9 * MINUTE_MS)

    [one] = listed(driver)

    newest_ms = max(arrival.at_ms for arrival in found)
    assert newest_ms - 6 * SECOND_MS < one.last_seen_ms <= newest_ms


def test_forgotten_models_are_not_listed() -> None:
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=DEFAULTS)
    driver.feed(as_inputs([one.event for one in burst("a", "binary", start_ms=START_MS)]))
    clock_on(driver, to_ms=START_MS + 14 * MINUTE_MS)

    assert listed(driver) == []


def test_what_driftline_did_not_write_is_refused() -> None:
    with pytest.raises(StateError, match="damaged"):
        KnownModels().fold(0, b"\x92\xa5shown\x01", b"other")


def test_it_is_told_since_when_a_model_has_a_baseline_and_whose_it_goes_by() -> None:
    monitors = Monitors(baseline=(2 * MINUTE_MS,))
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=monitors)
    for minute, version in ((0, "1"), (4, "2")):
        found = burst("a", "binary", start_ms=START_MS + minute * MINUTE_MS)
        driver.feed(as_inputs([one.event | {"version": version} for one in found]))
        clock_on(driver, to_ms=START_MS + (minute + 3) * MINUTE_MS)

    old, new = listed(driver)

    assert (old.baseline_since_ms, old.inherits) == (START_MS, None)
    assert (new.baseline_since_ms, new.inherits) == (START_MS + 4 * MINUTE_MS, "1")
    assert (old.compared_with, old.baseline_rows) == ("first 2m", 12)
    assert (new.compared_with, new.baseline_rows) == ("first 2m", 12)


def test_it_is_told_whose_baseline_a_version_is_compared_with() -> None:
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=Monitors(baseline=(2 * MINUTE_MS,)))
    for minute, version in ((0, "1"), (4, "2")):
        found = burst("a", "binary", start_ms=START_MS + minute * MINUTE_MS)
        driver.feed(as_inputs([one.event | {"version": version} for one in found]))
        clock_on(driver, to_ms=START_MS + (2 * minute - 2) * MINUTE_MS)

    _, new = listed(driver)

    assert (new.compared_with, new.baseline_rows) == ("first 2m of version 1", 12)


def test_it_is_told_what_a_model_is_compared_with_if_not_with_how_it_began() -> None:
    monitors = Monitors(baseline=(2 * MINUTE_MS,), compared={"a": OfVersion("1")})
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=monitors)
    driver.feed(as_inputs([one.event for one in burst("a", "binary", start_ms=START_MS)]))
    clock_on(driver, to_ms=START_MS + 4 * MINUTE_MS)

    [one] = listed(driver)

    assert one.compared_with == "version 1"
