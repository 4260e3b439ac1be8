"""Shares of records that come again, correct others or come too late."""

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from streams.chosen import Choice
from streams.errors import ConfigError
from streams.forget_record import forget_key, write_forget
from streams.monitors import Monitors, Window
from streams.monitors_file import parse_monitors
from streams.outcomes import FORMAT, decode_outcomes
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs

WINDOW_MS = 10 * MINUTE_MS
NAMES = ("duplicate_rate", "conflict_rate", "correction_rate", "late_label_rate")
MONITORS = Monitors(
    windows=(Window(WINDOW_MS, WINDOW_MS),),
    metrics=(Choice(include=NAMES),),
    thresholds=(),
    drifts=(),
)


def rows() -> list[Event]:
    """Return 200 predictions of two windows; some come again, and labels go wrong."""
    luck, found = random.Random(2), []
    for number in range(200):
        at_ms = START_MS + number * 6_000
        one = prediction(
            f"p{number}",
            timestamp_ms=at_ms,
            prediction=1,
            segments={"region": "eu" if number % 4 else "us"},
        )
        found.append(one)
        if number < 30:
            found.append(one)
        if 10 <= number < 20:
            found.append(one | {"prediction": 0})
        given = label(f"p{number}", timestamp_ms=at_ms + 1_000, label=luck.randrange(2))
        if number % 10:
            found.append(given)
        if number % 10 == 3:
            found.append(given | {"label": 1 - given["label"], "timestamp_ms": at_ms + 2_000})
        if number % 20 == 0:
            found.append(given | {"timestamp_ms": at_ms + HOUR_MS + MINUTE_MS})
    return found


def fed(**how: Any) -> Driver:
    size, restart = how.pop("size", 1_000), how.pop("restart", False)
    driver = Driver(monitors=MONITORS, disorder_ms=MINUTE_MS, horizon_ms=HOUR_MS, **how)
    events = rows()
    for start in range(0, len(events), size):
        driver.feed(as_inputs(events[start : start + size]))
        if restart:
            driver.restart(random.Random(start))
    driver.finish()
    return driver


def values(driver: Driver, segment: str = "") -> dict[tuple[str, int], tuple[float, int]]:
    return {
        (one["metric"], (one["window_start_ms"] - START_MS) // WINDOW_MS): (
            one["value"],
            one["count"],
        )
        for one in driver.metrics.values()
        if one["metric"] in NAMES and one["segment"] == segment
    }


def test_every_rate_is_of_the_predictions_of_its_window() -> None:
    found = values(fed())

    assert found == {
        ("duplicate_rate", 0): (40 / 140, 140),
        ("duplicate_rate", 1): (0.0, 100),
        ("conflict_rate", 0): (10 / 140, 140),
        ("conflict_rate", 1): (0.0, 100),
        ("correction_rate", 0): (10 / 100, 100),
        ("correction_rate", 1): (10 / 100, 100),
        ("late_label_rate", 0): (5 / 95, 95),
        ("late_label_rate", 1): (5 / 95, 95),
    }


def test_segments_have_rates_of_their_own() -> None:
    found = values(fed(), "region=us")

    assert found["duplicate_rate", 0] == (10 / 35, 35)  # 8 of 30 come again, 2 of 10 are other ones
    assert found["late_label_rate", 0] == (5 / 25, 25)


@pytest.mark.parametrize("size", [7, 90])
@pytest.mark.parametrize("partitions", [1, 3])
def test_they_are_the_same_for_any_cuts_partitions_and_restarts(size: int, partitions: int) -> None:
    again = fed(size=size, partitions=partitions, restart=True)

    assert {s: values(again, s) for s in ("", "region=eu")} == {
        s: values(fed(), s) for s in ("", "region=eu")
    }


def test_they_are_there_only_where_they_are_asked_for() -> None:
    driver = Driver(monitors=Monitors(windows=MONITORS.windows), disorder_ms=MINUTE_MS)

    driver.feed(as_inputs(rows()))
    driver.finish()

    assert not values(driver)
    assert driver.metrics


def test_rules_on_them_are_refused() -> None:
    rule = {"name": "twice", "metric": "duplicate_rate", "above": 0.1}

    with pytest.raises(ConfigError, match="come again or too late, of which rules see none"):
        parse_monitors({"thresholds": [rule]})


def test_a_record_of_the_format_before_has_fates_that_are_in_no_window() -> None:
    driver = fed()
    written = [value for part in driver.outcomes for value in part]
    at = next(v for v in written if getattr(decode_outcomes(v), "fates", None) is not None)
    now: Any = decode_outcomes(at)

    before: Any = decode_outcomes(_in_format_4(at))

    assert FORMAT.schema == 5
    for name in ("model", "fate", "count"):
        assert getattr(before.fates, name).tolist() == getattr(now.fates, name).tolist()
    assert len(now.fates.model) > 0
    assert set(before.fates.time_ms.tolist()) == {-1}
    assert np.array_equal(before.predictions.time_ms, now.predictions.time_ms)


def _in_format_4(value: bytes) -> bytes:
    parts = msgspec.msgpack.decode(value)
    return msgspec.msgpack.encode([4, *parts[1:-1], parts[-1][:3]])


@pytest.mark.parametrize("begun", [False, True])
def test_what_comes_again_of_before_a_model_was_forgotten_is_in_no_window(begun: bool) -> None:
    driver = Driver(monitors=MONITORS, disorder_ms=MINUTE_MS, horizon_ms=HOUR_MS)
    at_ms = START_MS + 2 * WINDOW_MS
    driver.specify(write_forget("m", None, effective_ms=at_ms), key=forget_key("m", None))
    events = rows()
    later = [
        prediction(f"q{n}", timestamp_ms=at_ms + WINDOW_MS + n * 10_000, prediction=1)
        for n in range(120)
    ]
    driver.feed(as_inputs([*events, *later]))
    if begun:
        driver.come_to(at_ms + WINDOW_MS)
    assert bool(driver.monitors[0].forgets.past) is begun

    again = [one for one in events if one["prediction_id"] == "p150" and "model" in one]
    driver.feed(as_inputs([*again, later[0]]))
    driver.finish()

    found = {
        start: value for (name, start), (value, _) in values(driver).items() if name == NAMES[0]
    }
    assert found == {3: 1 / 61, 4: 0.0}
