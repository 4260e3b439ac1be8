"""Baselines: the first days of a model, with which later windows are compared."""

import random
from collections.abc import Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from streams.categories import CATEGORIES, are_texts, category, codes
from streams.events import ABSENT
from streams.families.distribution import Distribution
from streams.features import Block, blocks_of
from streams.monitor import forgetting
from streams.monitors import Monitors, Threshold, Window
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs

WINDOW_MS, SPAN_MS = 10 * MINUTE_MS, 30 * MINUTE_MS
MONITORS = Monitors(
    windows=(Window(WINDOW_MS, WINDOW_MS),), baseline=(SPAN_MS,), thresholds=(), drifts=()
)


def rows_of(
    from_minute: int,
    until_minute: int,
    *,
    shift: float = 0.0,
    version: str = "v1",
    minutes: int = 1,
    each: int = 20,
) -> list[Event]:
    """Make so many rows a minute; `amount` is normal, and moves by a shift."""
    rng = np.random.default_rng([from_minute, until_minute, len(version)])
    return [
        prediction(
            f"{version}-{minute}-{n}",
            version=version,
            timestamp_ms=START_MS + minute * MINUTE_MS + n * 1_000,
            prediction=int(rng.random() < 0.3),
            score=float(rng.uniform()),
            features={"amount": float(rng.normal(3 + shift)), "steady": float(rng.normal(9))},
        )
        for minute in range(from_minute, until_minute, minutes)
        for n in range(each)
    ]


def fed(events: Sequence[Event], *, monitors: Monitors = MONITORS, size: int = 200) -> Driver:
    driver = Driver(monitors=monitors, disorder_ms=MINUTE_MS)
    feed(driver, events, size=size)
    driver.finish()
    return driver


def feed(driver: Driver, events: Sequence[Event], *, size: int = 200) -> None:
    """Feed predictions, each with its label a second later."""
    for start in range(0, len(events), size):
        some = events[start : start + size]
        labels = [
            label(one["prediction_id"], timestamp_ms=one["timestamp_ms"] + 1_000) for one in some
        ]
        driver.feed(as_inputs([*some, *labels]))


def in_order(*parts: Sequence[Event]) -> list[Event]:
    return sorted(chain.from_iterable(parts), key=lambda event: event["timestamp_ms"])


def found(driver: Driver, metric: str, *, version: str = "v1") -> dict[int, dict[str, Any]]:
    """Return a metric by the minute with which its window begins."""
    return {
        (one["window_start_ms"] - START_MS) // MINUTE_MS: one
        for one in driver.metrics.values()
        if one["metric"] == metric and one["version"] == version
    }


def values(driver: Driver, metric: str) -> dict[int, float]:
    return {minute: one["value"] for minute, one in found(driver, metric).items()}


def amounts(events: Sequence[Event]) -> list[float]:
    return [event["features"]["amount"] for event in events]


def test_windows_after_the_baseline_are_compared_with_it() -> None:
    first, later = rows_of(0, 30), rows_of(30, 50, shift=2.0)

    driver = fed([*first, *later])

    assert sorted(found(driver, "psi:amount")) == [30, 40]
    for minute, one in found(driver, "ks:amount").items():
        own = [
            e for e in later if minute <= (e["timestamp_ms"] - START_MS) // MINUTE_MS < minute + 10
        ]
        expected = ks_2samp(amounts(own), amounts(first)).statistic
        assert one["value"] == pytest.approx(expected, abs=0.005)
        assert one["low"] > 0.4
        assert one["count"] == 200
    assert found(driver, "psi:amount")[30]["low"] > 1
    assert found(driver, "ks:steady")[30]["low"] == 0
    assert found(driver, "score_psi")[30]["low"] == 0
    assert sorted(found(driver, "prediction_ks")) == [30, 40]


def test_a_window_is_compared_with_the_longest_baseline_that_was_complete_as_it_began() -> None:
    two = Monitors(
        windows=MONITORS.windows, baseline=(SPAN_MS, 2 * SPAN_MS), thresholds=(), drifts=()
    )
    same, moved = rows_of(0, 30), rows_of(30, 80, shift=2.0)

    ks = found(fed([*same, *moved], monitors=two), "ks:amount")

    assert sorted(ks) == [30, 40, 50, 60, 70]
    assert ks[60]["value"] < ks[50]["value"] - 0.2


def test_a_baseline_never_changes_once_it_is_complete() -> None:
    late = prediction(
        "late",
        version="v1",
        timestamp_ms=START_MS + 5 * MINUTE_MS,
        features={"amount": 1e6, "steady": 1e6},
    )
    plain = fed([*rows_of(0, 50), *rows_of(50, 60)])

    revised = fed([*rows_of(0, 50), late, *rows_of(50, 60)])

    assert values(revised, "mean:amount")[0] > values(plain, "mean:amount")[0] + 100
    assert values(revised, "ks:amount") == values(plain, "ks:amount")


def test_what_a_restart_restores_is_the_same_baseline() -> None:
    events = [*rows_of(0, 30), *rows_of(30, 70, shift=0.5)]
    plain, restarted = (Driver(monitors=MONITORS, disorder_ms=MINUTE_MS) for _ in "ab")
    for start in range(0, len(events), 130):
        for driver in (plain, restarted):
            feed(driver, events[start : start + 130])
        restarted.restart(random.Random(start))
    for driver in (plain, restarted):
        driver.finish()

    assert restarted.result() == plain.result()
    assert len(found(restarted, "psi:amount")) == 4


def test_a_new_version_goes_by_the_baseline_of_the_one_before_until_it_has_its_own() -> None:
    old, new = rows_of(0, 50), rows_of(50, 100, shift=2.0, version="v2")

    ks = found(fed([*old, *new]), "ks:amount", version="v2")

    assert sorted(ks) == [50, 60, 70, 80, 90]
    assert min(ks[minute]["low"] for minute in (50, 60, 70)) > 0.4
    assert ks[80]["low"] == ks[90]["low"] == 0


def test_a_version_goes_by_the_one_with_most_traffic() -> None:
    rare = rows_of(0, 60, shift=-5.0, version="rare", each=4)
    usual = rows_of(0, 60, version="usual")
    new = rows_of(50, 70, version="v3")

    ks = found(fed(in_order(rare, usual, new)), "ks:amount", version="v3")

    assert ks[50]["value"] < 0.2


def test_few_rows_are_no_baseline() -> None:
    driver = fed([*rows_of(0, 30, minutes=29, each=10), *rows_of(30, 50)])

    assert not found(driver, "psi:amount")


def test_without_a_span_nothing_is_compared() -> None:
    driver = fed([*rows_of(0, 60)], monitors=Monitors(windows=MONITORS.windows, baseline=()))

    assert not found(driver, "psi:amount")


def test_a_rule_on_a_distance_fires() -> None:
    rule = Threshold(
        name="moved",
        metric="psi:amount",
        kind="above",
        given=0.2,
        minimum=50,
        window="10m",
        by="value",
    )
    monitors = Monitors(
        windows=MONITORS.windows, baseline=(SPAN_MS,), thresholds=(rule,), drifts=()
    )

    events = [*rows_of(0, 45), *rows_of(45, 70, shift=2.0)]
    driver = fed(events, monitors=monitors)

    # A batch may hold all: the rule goes by the baseline that is complete within it.
    assert fed(events, monitors=monitors, size=5_000).result() == driver.result()
    [alert] = [one for one in driver.alerts if one["state"] == "firing"]
    assert alert["monitor"] == "moved"
    assert START_MS + 45 * MINUTE_MS < alert["at_ms"] <= START_MS + 56 * MINUTE_MS


def test_steps_of_hours_for_baselines_of_days() -> None:
    driver = Driver(monitors=Monitors(baseline=(72 * HOUR_MS,)))

    assert driver.monitors[0].windows.baselines.step_ms == HOUR_MS


def texts_of(from_minute: int, until_minute: int, names: Sequence[str]) -> list[Event]:
    rows = rows_of(from_minute, until_minute)
    for place, one in enumerate(rows):
        one["features"] = {"city": names[place % len(names)], "amount": place % 7}
    return rows


def test_texts_are_compared_as_categories() -> None:
    usual = ["Rome", "Rome", "Oslo", "Bern"]
    moved = ["Rome", "Oslo", "Oslo", "Lyon"]

    driver = fed([*texts_of(0, 40, usual), *texts_of(40, 60, moved)])

    assert values(driver, "unseen_rate:city") == {30: 0.0, 40: 0.25, 50: 0.25}
    psi = found(driver, "psi:city")
    assert psi[30]["low"] == 0
    shares = np.array([[1, 2, 1, 0], [2, 1, 0, 1]]) / 4 + 1e-3
    expected = np.sum((shares[0] - shares[1]) * np.log(shares[0] / shares[1]))
    assert psi[40]["value"] == pytest.approx(expected, rel=0.1)
    assert not found(driver, "ks:city")
    assert not found(driver, "mean:city")
    assert values(driver, "missing_rate:city")[40] == 0


def test_a_number_that_becomes_a_text_shows() -> None:
    usual, broken = rows_of(0, 40), rows_of(40, 60)
    for one in broken[::2]:
        one["features"]["amount"] = str(one["features"]["amount"])

    driver = fed([*usual, *broken])

    assert values(driver, "text_rate:amount") == {40: 0.5, 50: 0.5}
    assert found(driver, "psi:amount")[40]["low"] > 1
    assert found(driver, "psi:amount")[30]["low"] < 0.02
    assert not found(driver, "unseen_rate:amount")


def test_ever_new_texts_take_no_more_than_some_bins() -> None:
    values = np.array([category(f"user-{n}") for n in range(100_000)])

    assert CATEGORIES - 100 < len(np.unique(codes(values))) <= CATEGORIES
    assert are_texts(values).all()


def test_baselines_of_many_models_grow_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    events = in_order(
        *(
            [
                one | {"model": f"m{n}", "prediction_id": f"{n}-{one['prediction_id']}"}
                for one in rows
            ]
            for n, rows in enumerate([rows_of(0, 60, each=4)] * 9)
        )
    )
    plain = fed(events)
    monkeypatch.setattr(forgetting, "MERGED_CELLS", 1)
    slow = Driver(monitors=MONITORS, disorder_ms=MINUTE_MS)
    for start in range(0, len(events), 300):
        feed(slow, events[start : start + 300])
        if start % 900 == 0:
            slow.restart(random.Random(start))
    slow.finish()

    assert slow.result() == plain.result()
    assert sum(one["metric"] == "psi:amount" for one in slow.metrics.values()) == 9 * 3


def test_of_predictions_with_very_many_features_nothing_is_counted() -> None:
    narrow, wide = {f"f{n}": 1.0 for n in range(256)}, {f"f{n}": 1.0 for n in range(257)}
    [few] = blocks_of([narrow] * 3)
    [many] = blocks_of([wide] * 3)
    united = Block(many.names, np.arange(6), np.full((6, 257), ABSENT))
    united.values[:3, :256], united.values[3:] = few.values, many.values

    for block, counted in ((few, 3 * 256), (many, 0), (united, 3 * 256)):
        found = Distribution().observe(SimpleNamespace(block=block))

        assert np.count_nonzero(found["bins"] >= 0) == counted


@pytest.mark.parametrize("backwards", [False, True])
def test_whom_a_version_goes_by_does_not_depend_on_which_came_first(backwards: bool) -> None:
    """Both begin in one step of the watermark, each in a bucket of its own."""
    parts = [rows_of(0, 30), rows_of(40, 60, version="v2")]
    driver = Driver(monitors=MONITORS, disorder_ms=2 * HOUR_MS)

    for events in reversed(parts) if backwards else parts:
        feed(driver, events)
    driver.come_to(START_MS + 5 * HOUR_MS)
    driver.finish()

    assert sorted(found(driver, "psi:amount", version="v2")) == [40, 50]
