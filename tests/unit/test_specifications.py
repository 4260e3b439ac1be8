"""Specifications that come while workers run: when they take effect, what stays or is refused."""

import random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitors import Monitors
from streams.monitors_file import parse_monitors
from streams.specification import write_specification
from tests.builders import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Event,
    delayed,
    history,
    label,
    multiclass,
    prediction,
)
from tests.driver import TOPICS, Driver, as_inputs, cut, disorder_of
from tests.examples import some

ACCURACY = {
    "name": "floor",
    "metric": "accuracy",
    "below": 0.9,
    "window": "10m",
    "minimum": 3,
    "by": "value",
}
PAGE_HINKLEY = {
    "name": "ph",
    "input": "score",
    "detector": "page_hinkley",
    "parameters": {"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
}


def spec(at_ms: int, **content: Any) -> bytes:
    return write_specification({"defaults": False, **content}, effective_ms=at_ms)


def wrong(first: int, last: int, *, model: str = "fraud", region: str = "eu") -> list[Event]:
    """Return predictions of minutes, one every 20 s, whose labels all differ."""
    events = []
    for minute in range(first, last):
        for i in range(3):
            at_ms, name = START_MS + minute * MINUTE_MS + i * 20_000, f"{model}{minute}-{i}"
            segments = {"region": region}
            made = prediction(name, timestamp_ms=at_ms, model=model, segments=segments)
            events += [made, label(name, timestamp_ms=at_ms, label=1 - made["prediction"])]
    return events


def run(events: list[Event], *specs: bytes | None, before: int = 0, **how: Any) -> Driver:
    """Feed events minute by minute; specifications come before one of the batches."""
    driver = Driver(**{"monitors": Monitors()} | how)
    for place, batch in enumerate(cut(as_inputs(events), [6])):
        if place == before:
            for one in specs:
                driver.specify(one)
        driver.feed(batch)
    driver.finish()
    return driver


def states(driver: Driver) -> list[tuple[str, str, int]]:
    """Return monitor, state and minute of every alert."""
    found = [(a["at_ms"], a["monitor"], a["state"]) for a in driver.alerts]
    return [(name, state, (at_ms - START_MS) // MINUTE_MS) for at_ms, name, state in sorted(found)]


def test_a_rule_takes_effect_at_the_first_pane_boundary_after_its_time() -> None:
    given_ms = START_MS + 12 * MINUTE_MS

    driver = run(wrong(0, 60), spec(given_ms, thresholds=[ACCURACY]))

    # The pane ends at 20; from then on, the first window that lies wholly after it ends at 30.
    assert driver.monitors[0].specifications.holding.from_ms == START_MS + 20 * MINUTE_MS
    assert states(driver) == [("floor", "firing", 30)]


def test_what_comes_later_than_the_clock_takes_effect_at_the_next_pane_and_is_said() -> None:
    driver = run(wrong(0, 60), spec(START_MS, thresholds=[ACCURACY]), before=33)

    assert driver.monitors[0].specifications.holding.from_ms == START_MS + 40 * MINUTE_MS
    assert states(driver) == [("floor", "firing", 50)]
    [said] = [one for one in driver.kinds if "later than the records" in one]
    assert (
        "partition 0 it takes effect at 2024-06-01T00:40:00Z, not at 2024-06-01T00:00:00Z" in said
    )


def test_a_rule_that_stays_goes_on_with_its_reference_its_counts_and_its_alert() -> None:
    [floor] = parse_monitors({"thresholds": [ACCURACY], "defaults": False}).thresholds
    other = {"name": "eu", "metric": "predictions", "segment": "region=eu", "above": 1e9}
    same = spec(START_MS + 30 * MINUTE_MS, thresholds=[ACCURACY, other])

    plain = run(wrong(0, 60), monitors=Monitors(thresholds=(floor,)))
    driver = run(wrong(0, 60), same, monitors=Monitors(thresholds=(floor,)))

    assert states(driver) == states(plain) == [("floor", "firing", 1)]


def test_a_rule_that_changes_or_goes_resolves_its_alert() -> None:
    [floor] = parse_monitors({"thresholds": [ACCURACY], "defaults": False}).thresholds
    at_ms = START_MS + 30 * MINUTE_MS
    gone = run(wrong(0, 60), spec(at_ms), monitors=Monitors(thresholds=(floor,)))
    changed = spec(at_ms, thresholds=[ACCURACY | {"below": 0.8}])
    driver = run(wrong(0, 60), changed, monitors=Monitors(thresholds=(floor,)))

    assert states(gone) == [("floor", "firing", 1), ("floor", "resolved", 30)]
    assert states(driver)[1:] == [("floor", "resolved", 30), ("floor", "firing", 31)]
    assert gone.alerts[-1]["message"] == "the monitor has changed, or is gone"


@pytest.mark.parametrize("time_ms", [START_MS + 30 * MINUTE_MS, 0])
def test_a_tombstone_takes_a_specification_back(time_ms: int) -> None:
    driver = Driver(monitors=Monitors())
    driver.specify(spec(START_MS, thresholds=[ACCURACY]))
    for place, batch in enumerate(cut(as_inputs(wrong(0, 60)), [6])):
        if place == 25:
            driver.specify(None, time_ms=time_ms)
        driver.feed(batch)

    assert states(driver) == [("floor", "firing", 1), ("floor", "resolved", 30)]
    assert driver.monitors[0].monitors.thresholds == ()
    assert any("no specification holds any more" in one for one in driver.kinds)


def test_the_last_one_that_comes_replaces_what_waits_for_the_same_time_or_later() -> None:
    early, late = START_MS + 20 * MINUTE_MS, START_MS + 40 * MINUTE_MS
    one = spec(late, thresholds=[ACCURACY])
    both = run(wrong(0, 60), one, spec(early, thresholds=[]))
    in_order = run(wrong(0, 60), spec(early), one)

    assert states(both) == []
    assert states(in_order) == [("floor", "firing", 50)]


REFUSED = {
    "not json": (b"{", "truncated"),
    "no time": (b'{"monitors": {}}', "effective_at"),
    "a time in seconds": (b'{"effective_at": 1700000000, "monitors": {}}', "milliseconds"),
    "no date": (b'{"effective_at": "soon", "monitors": {}}', "'soon' is no time"),
    "another key": (b'{"effective_at": 1700000000000, "monitor": {}}', "unknown field"),
    "settings": (spec(START_MS, settings={}), "belong to workers"),
    "windows": (spec(START_MS, windows=["1m"]), "cannot change while workers run"),
    "features": (spec(START_MS, features=False), "cannot change while workers run"),
    "a misspelt rule": (spec(START_MS, threshold=[]), "did you mean thresholds"),
    "no such metric": (
        spec(START_MS, thresholds=[{"name": "x", "metric": "acuracy", "below": 0.5}]),
        "did you mean accuracy",
    ),
}


@pytest.mark.parametrize(("value", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_invalid_is_refused_with_its_reason_and_the_one_before_stays(
    value: bytes, said: str
) -> None:
    driver = run(wrong(0, 30), spec(START_MS, thresholds=[ACCURACY]), value, partitions=3)

    [letter] = driver.refused
    assert (letter.topic, letter.offset, letter.value) == (TOPICS.monitors, 1, value)
    assert letter.reason == "invalid_monitors"
    assert said in letter.detail
    assert states(driver) == [("floor", "firing", 1)]


def test_a_record_with_another_key_is_refused() -> None:
    driver = Driver()
    driver.specify(spec(START_MS), key=b"mine")
    driver.feed([])

    [letter] = driver.refused
    assert letter.detail == "the key is b'mine'; it must be 'monitors'"


def test_for_how_long_panes_are_kept_cannot_change_either() -> None:
    given: dict[str, Any] = {"windows": ["10m", {"size": "1d", "hop": "1h"}], "coarse": True}
    own = parse_monitors(given)

    driver = run(wrong(0, 30), spec(START_MS, **given), monitors=own)
    other = run(wrong(0, 30), spec(START_MS, **given | {"coarse": {"days": "40d"}}), monitors=own)
    none = run(wrong(0, 30), spec(START_MS), monitors=own)

    assert driver.refused == none.refused == []
    [letter] = other.refused
    assert "coarse: how long finished panes are kept cannot change" in letter.detail
    assert none.monitors[0].monitors.coarse == own.coarse


def test_windows_that_are_those_of_the_worker_are_no_change() -> None:
    driver = run(wrong(0, 30), spec(START_MS, windows=["10m"], features=True))

    assert not driver.refused
    assert driver.monitors[0].specifications.holding is not None


def test_a_model_that_is_told_what_it_is_is_that_from_then_on() -> None:
    """Whole numbers as classes; then as a regression."""
    at_ms = START_MS + 30 * MINUTE_MS
    events = []
    for minute in range(60):
        name, now_ms = f"p{minute}", START_MS + minute * MINUTE_MS
        events += [
            prediction(name, timestamp_ms=now_ms, prediction=minute % 3, score=None),
            label(name, timestamp_ms=now_ms, label=minute % 3 + minute % 2),
        ]

    driver = run(events, spec(at_ms, models={"m": {"task": "regression"}}))

    windows: dict[int, set[str]] = {}
    for one in driver.metrics.values():
        start = (one["window_start_ms"] - START_MS) // MINUTE_MS
        windows.setdefault(start, set()).add(one["metric"])
    assert {start for start, names in windows.items() if "mae" in names} >= {30, 40, 50}
    assert not any("accuracy" in windows[start] for start in (30, 40, 50))


@pytest.mark.parametrize("restarts", [False, True])
def test_a_label_that_is_corrected_is_taken_back_as_it_was_counted(restarts: bool) -> None:
    """Which class is positive has changed meanwhile."""
    at_ms, early_ms = START_MS + 10 * MINUTE_MS, START_MS + 5 * MINUTE_MS
    made = [prediction("a", timestamp_ms=early_ms, prediction=1, score=0.9)]
    late = [label("a", timestamp_ms=at_ms + 5 * MINUTE_MS, label=1)]
    briers = []
    for labels in (late, [label("a", timestamp_ms=early_ms + 1, label=0), *late]):
        driver = Driver(monitors=ONE)
        driver.specify(spec(at_ms, models={"m": {"task": "binary", "positive": 0}}))
        driver.feed(as_inputs([*made, *labels[:-1]]))
        driver.come_to(at_ms + MINUTE_MS)
        if restarts:
            driver.restart(random.Random(1))
        driver.feed(as_inputs(labels[-1:]))
        driver.finish()
        briers.append(driver.value("brier", window_start_ms=START_MS))

    assert briers[0] == briers[1]


# --- what does not depend on batches, partitions and restarts

ONE = parse_monitors(
    {
        "defaults": False,
        "reference": 10,
        "resolve_after": "15m",
        "thresholds": [
            ACCURACY | {"below": 0.85},
            {
                "name": "drop",
                "metric": "accuracy",
                "falls_by": 0.01,
                "minimum": 3,
                "by": "value",
                "window": "10m",
            },
            {
                "name": "cover",
                "metric": "coverage",
                "below": 0.9,
                "minimum": 2,
                "window": "20m",
                "by": "value",
            },
        ],
        "drift": [PAGE_HINKLEY, {"name": "loss", "input": "loss", "parameters": {"delta": 0.4}}],
    }
)
RULES = [
    ACCURACY | {"below": 0.85},
    ACCURACY | {"below": 0.95, "window": "7m"},
    {
        "name": "drop",
        "metric": "accuracy",
        "falls_by": 0.01,
        "minimum": 3,
        "by": "value",
        "window": "10m",
    },
    {
        "name": "eu",
        "metric": "recall",
        "segment": "region=eu",
        "below": 0.9,
        "minimum": 2,
        "by": "value",
        "window": "10m",
    },
    {"name": "mae", "metric": "mae", "rises_by": 0.1, "minimum": 3, "window": "1m", "by": "value"},
    {
        "name": "slow",
        "metric": "latency_p50_ms",
        "above": 20.0,
        "minimum": 2,
        "window": "90s",
        "by": "value",
    },
    {
        "name": "cover",
        "metric": "coverage",
        "below": 0.9,
        "minimum": 2,
        "window": "20m",
        "by": "value",
    },
    {"name": "quiet", "metric": "predictions", "falls_by": 0.1, "window": "5m"},
]
DETECTORS = [
    PAGE_HINKLEY,
    PAGE_HINKLEY | {"input": "features"},
    PAGE_HINKLEY | {"input": "loss", "severity": "critical"},
    {"name": "loss", "input": "loss", "parameters": {"delta": 0.4}},
]


def named(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what has a name that came before."""
    return list({one["name"]: one for one in entries}.values())


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    models = st.sampled_from(
        [
            {},
            {"fraud": {"task": "regression"}},
            {"topic": {"task": "regression"}},
            {"fraud": {"task": "multiclass"}},
            {"fraud": {"task": "binary", "positive": 0}},
        ]
    )
    return {
        "defaults": draw(st.booleans()),
        "evaluate_every": draw(st.sampled_from(["1m", "1m", "2m", "5m"])),
        "reference": draw(st.sampled_from([10, 10, 25])),
        "resolve_after": draw(st.sampled_from(["15m", "5m"])),
        "thresholds": named(draw(st.lists(st.sampled_from(RULES), max_size=6))),
        "drift": named(draw(st.lists(st.sampled_from(DETECTORS), max_size=3))),
        "models": draw(models),
    }


class Plan(NamedTuple):
    """What a run does beside the events.

    Attributes
    ----------
    changes
        What comes in advance: rising times, and contents; `None` takes back.
    """

    first: Monitors
    changes: list[tuple[int, dict[str, Any] | None]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    times = draw(st.lists(st.integers(-10, 80), min_size=1, max_size=3))
    return Plan(
        draw(st.sampled_from([ONE, ONE, Monitors()])),
        [(START_MS + minute * MINUTE_MS, draw(contents() | st.none())) for minute in sorted(times)],
    )


class How(NamedTuple):
    """In what way the same is run."""

    sizes: list[int]
    partitions: int = 1
    restarts: int = 0
    rows_at_once: int = 50_000


def planned(events: list[Event], plan: Plan, how: How) -> Driver:
    driver = Driver(partitions=how.partitions, disorder_ms=disorder_of(events), monitors=plan.first)
    driver.monitor.rows_at_once = how.rows_at_once
    for at_ms, content in plan.changes:
        driver.specify(write_specification(content, effective_ms=at_ms))
    luck = random.Random(how.restarts)
    for batch in cut(as_inputs(events), how.sizes):
        driver.feed(batch)
        if how.restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


ways = st.builds(
    How,
    st.lists(st.integers(1, 90), min_size=1, max_size=5),
    st.sampled_from([1, 2, 3]),
    st.integers(0, 9),
    st.sampled_from([5, 50_000]),
)


@settings(max_examples=some(12))
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, MINUTE_MS, HOUR_MS]), plans(), ways)
def test_results_do_not_depend_on_batches_partitions_or_restarts(
    seed: int, bound_ms: int, plan: Plan, how: How
) -> None:
    made = history(seed, count=80)
    if not seed % 3:
        made = multiclass(seed, count=80, classes=("a", "", "c d", 4, "True"))
    events = delayed(made, seed=seed, bound_ms=bound_ms)
    at_once = planned(events, plan, How([len(events)]))

    other = planned(events, plan, how)

    assert other.result() == at_once.result()
    assert at_once.late_rows == 0
    assert not at_once.refused


def test_the_changes_above_are_seen_in_alerts() -> None:
    """The property above would show little without."""
    found: set[str] = set()
    for seed in range(6):
        events = delayed(history(seed, count=300), seed=seed, bound_ms=1)
        content = {
            "defaults": False,
            "reference": 10,
            "thresholds": RULES[2:],
            "drift": DETECTORS[2:],
        }
        driver = planned(events, Plan(ONE, [(START_MS + HOUR_MS, content)]), How([50]))
        found |= {a["monitor"] for a in driver.alerts if a["state"] == "firing"}
        found |= {a["message"] for a in driver.alerts if a["state"] == "resolved"}

    assert found >= {
        "floor",
        "drop",
        "eu",
        "slow",
        "ph",
        "the monitor has changed, or is gone",
    }
