"""Differences and ratios between the segments of a key, against plain formulas."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from streams.chosen import Choice
from streams.monitors import Monitors, Window
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs
from tests.plain_intervals import wilson

WINDOW_MS = 10 * MINUTE_MS
NAMES = (
    "selection_rate_difference",
    "selection_rate_ratio",
    "recall_difference",
    "error_difference",
)
MONITORS = Monitors(
    windows=(Window(WINDOW_MS, WINDOW_MS),),
    metrics=(Choice(include=NAMES),),
    thresholds=(),
    drifts=(),
)
SHARES = {"DE": 0.5, "FR": 0.3, "IT": 0.4, "MT": 0.9}
"""How often the model says yes; there are few rows of MT."""


def rows(count: int, *, classes: Sequence[Any] = (1, 0), seed: int = 4) -> list[Event]:
    rng = random.Random(seed)
    events: list[Event] = []
    for number in range(count):
        country = rng.choices(list(SHARES), [4, 3, 3, 0.4])[0]
        segments = {"country": country, "team": "ab"[number % 2], "all": "one"}
        said = classes[0] if rng.random() < SHARES[country] else rng.choice(classes[1:])
        true = said if rng.random() < (0.9 if country != "IT" else 0.6) else rng.choice(classes)
        at_ms = START_MS + number * 2 * WINDOW_MS // count
        event = prediction(f"p{number}", timestamp_ms=at_ms, prediction=said, segments=segments)
        given = label(f"p{number}", timestamp_ms=at_ms + 1_000, label=true)
        events += [event, given]
    return events


def fed(
    events: Sequence[Event], *, size: int = 300, partitions: int = 1, restart: bool = False
) -> Driver:
    driver = Driver(monitors=MONITORS, disorder_ms=MINUTE_MS, partitions=partitions)
    for start in range(0, len(events), size):
        driver.feed(as_inputs(events[start : start + size]))
        if restart:
            driver.restart(random.Random(start))
    driver.finish()
    return driver


def published(driver: Driver, name: str) -> dict[int, dict[str, Any]]:
    found = [one for one in driver.metrics.values() if one["metric"] == name]
    assert {one["segment"] for one in found} <= {""}
    return {one["window_start_ms"]: one for one in found}


def by_segment(
    events: Sequence[Event], key: str, start_ms: int
) -> dict[str, list[tuple[Any, Any]]]:
    truth = {one["prediction_id"]: one["label"] for one in events if "label" in one}
    found: dict[str, list[tuple[Any, Any]]] = {}
    for one in events:
        if "prediction" in one and start_ms <= one["timestamp_ms"] < start_ms + WINDOW_MS:
            pair = one["prediction"], truth[one["prediction_id"]]
            found.setdefault(one["segments"][key], []).append(pair)
    return found


def shares(metric: str, pairs: Sequence[tuple[Any, Any]]) -> tuple[int, int]:
    if metric.startswith("selection"):
        return sum(said == 1 for said, _ in pairs), len(pairs)
    if metric.startswith("error"):
        return sum(said != true for said, true in pairs), len(pairs)
    real = [said for said, true in pairs if true == 1]
    return sum(said == 1 for said in real), len(real)


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("key", ["country", "team"])
def test_the_two_segments_that_are_furthest_apart_are_compared(metric: str, key: str) -> None:
    events = rows(1_200)

    found = published(fed(events), f"{metric}:{key}")

    assert sorted(found) == [START_MS, START_MS + WINDOW_MS]
    for start_ms, one in found.items():
        known = [shares(metric, pairs) for pairs in by_segment(events, key, start_ms).values()]
        known = sorted((h / n, n, h) for h, n in known if n >= 30)
        (low, n_low, h_low), (high, n_high, h_high) = known[0], known[-1]
        assert one["count"] == n_low + n_high
        if metric.endswith("ratio"):
            assert one["value"] == pytest.approx(low / high, rel=1e-12)
            spread = 1.96 * math.sqrt((1 - low) / h_low + (1 - high) / h_high)
            assert one["low"] == pytest.approx(low / high * math.exp(-spread), rel=1e-4)
            assert one["high"] == pytest.approx(min(low / high * math.exp(spread), 1), rel=1e-4)
            continue
        assert one["value"] == pytest.approx(high - low, rel=1e-12)
        upper, lower = wilson(h_high, n_high), wilson(h_low, n_low)
        below = math.hypot(high - upper[0], lower[1] - low)
        above = math.hypot(upper[1] - high, low - lower[0])
        assert one["low"] == pytest.approx(max(high - low - below, 0), abs=1e-12)
        assert one["high"] == pytest.approx(high - low + above, abs=1e-12)


def test_small_segments_and_keys_of_one_segment_are_not_compared() -> None:
    driver = fed(rows(1_200))

    assert published(driver, "selection_rate_difference:country")[START_MS]["value"] < 0.35
    assert not published(driver, "selection_rate_difference:all")
    assert not published(fed(rows(60)), "error_difference:country")


def test_errors_of_several_classes_are_compared() -> None:
    events = rows(1_200, classes=("ant", "bee", "cow"))

    driver = fed(events)

    one = published(driver, "error_difference:country")[START_MS]
    known = [shares("error", pairs) for pairs in by_segment(events, "country", START_MS).values()]
    errors = [h / n for h, n in known if n >= 30]
    assert one["value"] == pytest.approx(max(errors) - min(errors), rel=1e-12)
    assert not published(driver, "recall_difference:country")
    assert not published(driver, "selection_rate_difference:country")


def test_nothing_of_it_is_published_where_nobody_asks() -> None:
    driver = Driver(monitors=Monitors(windows=MONITORS.windows), disorder_ms=MINUTE_MS)
    driver.feed(as_inputs(rows(400)))
    driver.finish()

    assert not [one for one in driver.metrics.values() if "_difference" in one["metric"]]


@pytest.mark.parametrize(
    ("size", "partitions", "restart"), [(50, 1, False), (2_400, 3, False), (200, 2, True)]
)
def test_it_is_the_same_in_any_order_and_however_it_is_cut(
    size: int, partitions: int, *, restart: bool
) -> None:
    """With labels that are corrected, and one that is taken back."""
    events = rows(600)
    some = [one for one in events if "label" in one][:40]
    late = [
        one | {"label": 1 - one["label"], "timestamp_ms": one["timestamp_ms"] + 9} for one in some
    ]
    whole = fed([*events, *late])
    rng = np.random.default_rng(size)
    mixed = [
        events[n] for n in np.argsort(np.arange(len(events)) + rng.uniform(0, 40, len(events)))
    ]

    driver = fed([*mixed, *late], size=size, partitions=partitions, restart=restart)

    for name in NAMES:
        for key in ("country", "team"):
            expected = published(whole, f"{name}:{key}")
            found = published(driver, f"{name}:{key}")
            assert expected
            for start_ms, one in expected.items():
                assert {n: found[start_ms][n] for n in ("value", "low", "high", "count")} == {
                    n: one[n] for n in ("value", "low", "high", "count")
                }
