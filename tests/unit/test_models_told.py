"""What is told of models: what they are taken for, what they send, what they go by."""

import random
from typing import Any

import pytest

from streams.cells.hour_windows import kind_of
from streams.monitors import Monitors, Window
from streams.task import Task
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import TOPICS, Driver, as_inputs

PANES = Monitors(windows=(Window(5 * MINUTE_MS, 5 * MINUTE_MS),), baseline=(2 * HOUR_MS,))


def events(
    *, hours: float = 5, every_ms: int = MINUTE_MS, model: str = "m", version: str = "1"
) -> list[Event]:
    """Return predictions of two classes, with labels a minute later, from the beginning on."""
    luck = random.Random(model + version)
    found: list[Event] = []
    for number in range(int(hours * HOUR_MS / every_ms)):
        at_ms = START_MS + number * every_ms
        name = f"{model}-{version}-{number}"
        features = {
            "age": luck.gauss(40, 10),
            "city": luck.choice(["Rome", "Oslo"]),
            "mail": f"{luck.random()}@example.com",
        }
        found.append(
            prediction(
                name,
                model=model,
                version=version,
                timestamp_ms=at_ms,
                features=features,
                prediction=luck.choice(["cat", "dog"]),
            )
        )
        found.append(label(name, label="cat", timestamp_ms=at_ms + MINUTE_MS))
    return sorted(found, key=lambda event: event["timestamp_ms"])


def ran(found: list[Event], *, size: int = 10_000, restarts: int = 0, **how: Any) -> Driver:
    driver = Driver(**{"disorder_ms": MINUTE_MS, "monitors": PANES, "horizon_ms": HOUR_MS, **how})
    luck = random.Random(restarts)
    records = as_inputs(found)
    for start in range(0, len(records), size):
        driver.feed(records[start : start + size])
        if restarts:
            driver.restart(luck)
    driver.finish()
    return driver


def test_a_record_says_what_a_model_is_taken_for_what_it_sends_and_its_reference() -> None:
    driver = ran(events())

    [one] = driver.models.values()

    assert one["reason"] == "its classes are 'cat' and 'dog'"
    assert one["features"] == {"age": "number", "city": "category", "mail": "text"}
    assert [one[kind] for kind in ("numbers", "categories", "texts")] == [1, 1, 1]
    assert one["first_seen_ms"] == START_MS
    assert one["last_seen_ms"] == START_MS + 4 * HOUR_MS
    assert (one["reference"], one["reference_version"]) == ("first 2h", None)
    assert one["reference_since_ms"] == START_MS + 2 * HOUR_MS
    assert one["reference_rows"] == 120
    assert one["classes"] == ["cat", "dog"]


def test_a_record_says_whose_reference_a_new_version_goes_by() -> None:
    late = events(hours=1, version="2")
    for event in late:
        event["timestamp_ms"] += 4 * HOUR_MS
    found = sorted([*events(hours=5.5), *late], key=lambda event: event["timestamp_ms"])

    driver = ran(found)

    one = driver.models["m", "2"]
    assert (one["reference"], one["reference_version"]) == ("first 2h", "1")
    assert one["reference_since_ms"] == START_MS + 2 * HOUR_MS


@pytest.mark.parametrize(
    ("size", "restarts", "partitions"),
    [pytest.param(7, 0, 1, marks=pytest.mark.long), (50, 3, 2), (1_000, 5, 3)],
)
def test_records_do_not_depend_on_steps_restarts_or_partitions(
    size: int, restarts: int, partitions: int
) -> None:
    found = [*events(), *events(model="n"), *events(hours=3, version="2")]
    found.sort(key=lambda event: event["timestamp_ms"])

    driver = ran(found, size=size, restarts=restarts, partitions=partitions)

    assert driver.models == ran(found).models


def test_a_record_is_written_once_unless_something_of_it_changes() -> None:
    driver = ran(events(hours=8), size=20, restarts=1)

    written = [value for topic, _, value in driver.written if topic == TOPICS.models]

    assert len(written) == len(set(written))
    assert len(written) <= 8 + 5  # an hour each, and what it was found to be


def test_what_a_model_is_told_to_be_is_said_before_any_label() -> None:
    told = Monitors(windows=PANES.windows, models={"m": Task("regression")})
    found = [event for event in events(hours=2) if "label" not in event]

    driver = ran(found, monitors=told)

    [one] = driver.models.values()
    assert (one["task"], one["reason"]) == ("regression", "it is told so")


@pytest.mark.parametrize(
    ("numbers", "texts", "distinct", "kind"),
    [
        (0, 0, 0, None),
        (1, 0, 0, "number"),
        (5, 5, 1, "category"),
        (0, 40, 20, "category"),
        (0, 41, 21, "text"),
        (0, 42, 21, "category"),
        (0, 1_000, 100, "category"),
        (0, 1_000, 101, "text"),
    ],
)
def test_the_kind_of_a_feature_goes_by_how_many_different_texts_it_has(
    numbers: int, texts: int, distinct: int, kind: str | None
) -> None:
    assert kind_of(numbers, texts, distinct=distinct) == kind
