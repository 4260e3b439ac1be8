"""Rules that learn from earlier windows what is usual, and rules that ask for a least effect."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import ConfigError
from streams.monitors_file import parse_monitors
from streams.rule_kinds.learnt import Usual
from streams.rule_kinds.outside_season import HOUR_MS, WEEK_MS, OutsideSeason
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut
from tests.examples import some


def minutes(*hits: int, per_minute: int = 20) -> list[Event]:
    """Make labelled traffic with so many right predictions in each minute."""
    events = []
    for minute, right in enumerate(hits):
        for i in range(per_minute):
            at = {"timestamp_ms": START_MS + minute * MINUTE_MS + i * MINUTE_MS // per_minute}
            name = f"p{minute}-{i}"
            events += [prediction(name, **at), label(name, label=int(i < right), **at)]
    return events


def monitors(**rule: Any) -> Any:
    usual = {"name": "r", "metric": "accuracy", "window": "1m", "minimum": 5, "by": "value"}
    return parse_monitors({"defaults": False, "reference": 40, "thresholds": [usual | rule]})


def watched(events: list[Event], *, sizes: tuple[int, ...] = (), **rule: Any) -> Driver:
    driver = Driver(monitors=monitors(**rule))
    last = {"timestamp_ms": max(one["timestamp_ms"] for one in events) + MINUTE_MS}
    events = [*events, prediction("last", **last), label("last", **last)]
    if not sizes:
        driver.feed(as_inputs(events))
    for turn, batch in enumerate(cut(as_inputs(events), list(sizes)) if sizes else ()):
        driver.feed(batch)
        driver.restart(random.Random(turn))
    driver.finish()
    return driver


def states(driver: Driver) -> list[tuple[str, float]]:
    return [(a["state"], (a["at_ms"] - START_MS) / MINUTE_MS) for a in driver.alerts]


def refused(**rule: Any) -> str:
    with pytest.raises(ConfigError) as found:
        monitors(**rule)
    return str(found.value)


# --- the least effect


@pytest.mark.parametrize(
    ("effect", "expected"), [(None, [4, 5]), (0.19, [4, 5]), (0.2, [4, 5]), (0.21, [5])]
)
def test_a_rule_fires_where_the_difference_is_at_least_so_large(
    effect: float | None, expected: list[int]
) -> None:
    """From 0.9, minute by minute: 0.7, then 0.6; by the value, and 0.2 are 0.2."""
    rule = {} if effect is None else {"minimum_effect": effect}
    driver = watched(minutes(18, 18, 18, 14, 12, 18), falls_by=0.05, **rule)

    assert states(driver) == [("firing", expected[0]), ("resolved", 6)]


def test_a_least_effect_needs_a_reference_and_must_be_possible() -> None:
    assert "minimum_effect: below has no reference" in refused(below=0.9, minimum_effect=0.1)
    assert "1 never fires: accuracy is between 0 and 1" in refused(falls_by=0.1, minimum_effect=1)
    assert "minimum_effect" in refused(falls_by=0.1, minimum_effect=0)


def test_an_alert_is_taken_back_where_less_than_the_least_effect_is_left() -> None:
    events = minutes(18, 18, 18, 14, 14, 14)
    at_ms = START_MS + 5 * MINUTE_MS + 1
    wrong = [label(f"p3-{i}", timestamp_ms=at_ms) for i in (14, 15)]
    events = sorted([*events, *wrong], key=lambda one: one["timestamp_ms"])

    taken = watched(events, falls_by=0.05, minimum_effect=0.15)
    kept = watched(events, falls_by=0.05, minimum_effect=0.05)

    assert states(taken)[:2] == [("firing", 4), ("retracted", 6)]
    assert states(kept) == [("firing", 4)]


# --- standard deviations, quantiles


def usual(count: int, *, seed: int = 1) -> list[int]:
    dice = random.Random(seed)
    return [dice.randint(14, 20) for _ in range(count)]


@pytest.mark.parametrize("sigma", [1.5, 3.0])
@pytest.mark.parametrize("sizes", [(), (700, 90)])
def test_beyond_sigma_is_about_the_first_thirty_windows(
    sigma: float, sizes: tuple[int, ...]
) -> None:
    """Later ones change nothing: thirty bad ones do not become usual."""
    hits = usual(30) + [19, 17, 5, 5, 5, 17] + [5] * 6
    shares = np.array(hits) / 20
    mean, wide = shares[:30].mean(), shares[:30].std(ddof=1) * np.sqrt(31 / 30)

    driver = watched(minutes(*hits), beyond_sigma=sigma, sizes=sizes)

    beyond = [n + 1 for n in range(30, len(hits)) if abs(shares[n] - mean) > sigma * wide]
    assert [at for state, at in states(driver) if state == "firing"] == [
        at for at in beyond if at - 1 not in beyond
    ]
    fired = driver.alerts[0]
    assert fired["threshold"] == pytest.approx(mean - sigma * wide)
    assert fired["evidence"]["reference"] == pytest.approx(mean)


def test_windows_that_are_learnt_do_not_overlap() -> None:
    """Thirty windows of two minutes take an hour."""
    hits = [10, 11] * 20

    early = watched(minutes(*hits, 0, 0), beyond_sigma=4, window="2m")
    late = watched(minutes(*hits, *hits[:20], 0, 0), beyond_sigma=4, window="2m")

    assert states(early) == []
    assert [state for state, _ in states(late)] == ["firing"]


def test_beyond_sigma_has_two_sides() -> None:
    hits = [10, 11] * 15

    assert states(watched(minutes(*hits, 14, 10, 6), beyond_sigma=4)) == [
        ("firing", 31),
        ("resolved", 32),
        ("firing", 33),
    ]


@pytest.mark.parametrize(
    ("key", "worst", "good"), [("below_quantile", 2, 3), ("above_quantile", 19, 18)]
)
def test_a_quantile_is_one_of_the_windows(key: str, worst: int, good: int) -> None:
    """Of thirty, with 0.05 the second: that itself is not beyond it."""
    hits = list(range(3, 18)) * 2 if key == "below_quantile" else list(range(4, 19)) * 2
    share = 0.05 if key == "below_quantile" else 0.95

    driver = watched(minutes(*hits, good, worst, good), **{key: share})

    assert states(driver) == [("firing", 32), ("resolved", 33)]


def test_a_hundredth_is_learnt_from_a_hundred_windows() -> None:
    early = watched(minutes(*[15] * 99, 5, 15, per_minute=20), below_quantile=0.01)
    late = watched(minutes(*[15] * 100, 5, 15, per_minute=20), below_quantile=0.01)

    assert states(early) == []
    assert states(late) == [("firing", 101), ("resolved", 102)]


def test_windows_with_too_little_are_not_learnt() -> None:
    hits = [10, 11] * 14
    some = minutes(*hits)
    few = [one | {"prediction_id": f"f{one['prediction_id']}"} for one in minutes(0, per_minute=4)]
    later = [one | {"timestamp_ms": one["timestamp_ms"] + 28 * MINUTE_MS} for one in few]
    rest = [
        one | {"timestamp_ms": one["timestamp_ms"] + 29 * MINUTE_MS, "prediction_id": f"g{n // 2}"}
        for n, one in enumerate(minutes(10, 11, 20, 20))
    ]

    driver = watched([*some, *later, *rest], beyond_sigma=4)

    assert states(driver) == [("firing", 32)]


def test_kinds_that_learn_refuse_what_they_cannot_learn() -> None:
    assert "needs 10,000 windows" in refused(below_quantile=0.0001)
    assert "goes by hours of the week" in refused(outside_season=4, window="1m")
    assert "goes by hours of the week" in refused(outside_season=4, window=None)
    assert "beyond_sigma" in refused(beyond_sigma=0)
    assert "above_quantile" in refused(above_quantile=1)
    assert "compares windows with a baseline" in refused(metric="psi:x", beyond_sigma=3)
    monitors(metric="predictions", outside_season=4, window=None)


EVERY = parse_monitors(
    {
        "defaults": False,
        "reference": 40,
        "thresholds": [
            {"name": name, "metric": metric, "minimum": 3, "window": "1m", "by": "value"} | kind
            for name, metric, kind in (
                ("sigma", "accuracy", {"beyond_sigma": 1.5, "clear": 1.0}),
                ("high", "label_delay_p50_ms", {"above_quantile": 0.9}),
                ("low", "predictions", {"below_quantile": 0.1, "window": "2m"}),
                ("effect", "accuracy", {"falls_by": 0.01, "minimum_effect": 0.2}),
            )
        ],
    }
)


def some_traffic(seed: int) -> list[Event]:
    dice, events = random.Random(seed), []
    for minute in range(66):
        for i in range(dice.randint(2, 6)):
            at_ms = START_MS + minute * MINUTE_MS + i * 9_000
            name, later_ms = f"p{minute}-{i}", at_ms + dice.randint(0, 8_000)
            events.append(prediction(name, timestamp_ms=at_ms))
            said = int(dice.random() < (0.5 if minute % 9 == 8 else 0.9))
            events.append(label(name, timestamp_ms=later_ms, label=said))
    return sorted(events, key=lambda one: one["timestamp_ms"])


def alerts_of(
    seed: int, sizes: list[int], *, partitions: int = 1, restarts: int = 0
) -> list[Event]:
    driver = Driver(partitions=partitions, monitors=EVERY)
    for turn, batch in enumerate(cut(as_inputs(some_traffic(seed)), sizes)):
        driver.feed(batch)
        if restarts and turn % restarts == 0:
            driver.restart(random.Random(turn))
    driver.finish()
    return driver.alerts


@settings(max_examples=some(4))
@given(
    st.integers(0, 3),
    st.lists(st.integers(5, 200), min_size=1, max_size=3),
    st.sampled_from([1, 3]),
    st.integers(0, 3),
)
def test_what_is_learnt_depends_on_no_cuts_partitions_or_restarts(
    seed: int, sizes: list[int], partitions: int, restarts: int
) -> None:
    whole = alerts_of(seed, [100_000])

    assert alerts_of(seed, sizes, partitions=partitions, restarts=restarts) == whole


def test_rules_that_learn_fire_in_that_traffic() -> None:
    """The property above would show little without."""
    found = {one["monitor"] for seed in range(4) for one in alerts_of(seed, [100_000])}

    assert found == {"sigma", "high", "low", "effect"}


# --- seasons


def test_a_season_is_learnt_by_hour_of_the_week() -> None:
    """A slow twin: by hand, hour by hour."""
    dice = np.random.default_rng(7)
    ends = np.arange(1, 3 * 168 + 1) * HOUR_MS
    level = 100 + 50 * np.sin(np.arange(3 * 168) * 2 * np.pi / 24)
    values = level + dice.normal(0, 5, len(ends))
    known = Usual(ends, values, HOUR_MS, counts=False)

    assert OutsideSeason().is_complete(4.0, known)
    assert not OutsideSeason().is_complete(4.0, known._replace(ends_ms=ends[:-1]))
    at_ms = np.array([ends[0] + 5 * WEEK_MS, ends[5] + 5 * WEEK_MS + HOUR_MS // 2])
    (low, high), reference = OutsideSeason().limits(2.0, known, at_ms)

    weeks = values.reshape(3, 168)
    mean = weeks.mean(axis=0)
    variance = ((weeks - mean) ** 2).sum() / (3 * 168 - 168)
    wide = 2.0 * np.sqrt(variance * (1 + 1 / 3))
    assert reference == pytest.approx([mean[0], (mean[5] + mean[6]) / 2])
    assert high - reference == pytest.approx([wide, wide])
    assert reference - low == pytest.approx([wide, wide])


def test_counts_differ_at_least_as_chance_makes_it_and_more_the_larger_they_are() -> None:
    dice = np.random.default_rng(3)
    level = np.tile(np.where(np.arange(168) % 24 < 12, 20.0, 500.0), 3)
    ends = np.arange(1, 3 * 168 + 1) * HOUR_MS

    def width(values: np.ndarray, hour: int) -> float:
        known = Usual(ends, values, HOUR_MS, counts=True)
        (_, high), reference = OutsideSeason().limits(1.0, known, ends[hour : hour + 1])
        return float((high - reference)[0] / np.sqrt(4 / 3) / np.sqrt(reference[0]))

    chance = dice.poisson(level).astype(float)
    more = dice.poisson(level * dice.gamma(25, 1 / 25, len(level))).astype(float)
    assert width(chance, 20) == pytest.approx(1.0, abs=0.25)
    assert width(more, 20) == pytest.approx(np.sqrt(1 + 500 / 25), rel=0.25)
    assert width(more, 2) == pytest.approx(np.sqrt(1 + 20 / 25), rel=0.25)


def test_traffic_that_is_usual_by_day_is_not_by_night() -> None:
    """Twelve rows by day and three by night; in the fourth week, twelve in one night."""
    events, half_ms = [], 12 * HOUR_MS
    for half in range(3 * 14 + 6):
        many = 12 if half % 2 == 0 or half == 3 * 14 + 3 else 3
        events += [
            prediction(f"{half}-{i}", timestamp_ms=START_MS + half * half_ms + i * HOUR_MS)
            for i in range(many)
        ]
    rule = {"name": "r", "metric": "predictions", "outside_season": 4, "window": "12h"}
    said = {"evaluate_every": "12h", "defaults": False, "thresholds": [rule]}

    driver = Driver(monitors=parse_monitors(said), window_ms=half_ms)
    driver.feed(as_inputs(events))
    driver.finish()

    halves = [(a["state"], (a["at_ms"] - START_MS) / half_ms) for a in driver.alerts]
    assert halves == [("firing", 3 * 14 + 4), ("resolved", 3 * 14 + 5)]
    assert driver.alerts[0]["evidence"]["reference"] == pytest.approx(3)


def test_what_is_learnt_of_a_rule_is_forgotten_with_it() -> None:
    driver = watched(minutes(*[10, 11] * 10), beyond_sigma=4)
    usuals = driver.monitors[0].rule_states.judge.usuals

    assert usuals.remembered() == [(0, "r")]
    usuals.end(0, "other")
    assert list(usuals.changes()) == []
    usuals.end(0, "r")
    assert usuals.remembered() == []
    assert list(usuals.changes()) == [(0, None)]
