"""Models that were silent for long are forgotten, the same however the stream is read."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitors import DEFAULTS, Drift, Monitors, Threshold
from tests.builders import MINUTE_MS, START_MS, Arrival, Event, delayed, label, prediction
from tests.driver import Driver, Input, as_inputs, cut, disorder_of
from tests.examples import some

FORGET_MS = 10 * MINUTE_MS
SECOND_MS = 1_000
PH = {"reference": 5, "block": 1, "threshold": 1, "delta": 0.01}
WATCHED = Monitors(
    baseline=(2 * MINUTE_MS,),
    reference=5,
    resolve_ms=3 * MINUTE_MS,
    thresholds=(
        Threshold(
            name="drop",
            metric="accuracy",
            kind="falls_by",
            given=0.01,
            minimum=3,
            window="2m",
            by="value",
        ),
        Threshold(
            name="mae", metric="mae", kind="rises_by", given=0.1, minimum=3, window="1m", by="value"
        ),
        Threshold(
            name="silent",
            metric="predictions",
            kind="below",
            given=1,
            model="b",
            window="1m",
            by="value",
        ),
        Threshold(
            name="eu",
            metric="accuracy",
            segment="region=eu",
            kind="below",
            given=0.9,
            minimum=2,
            by="value",
            window="10m",
        ),
    ),
    drifts=(
        Drift(name="loss", input="loss", detector="page_hinkley", parameters=PH),
        Drift(name="score", input="score", detector="page_hinkley", parameters=PH),
        Drift(name="inputs", input="features", detector="page_hinkley", parameters=PH),
    ),
)
KINDS: dict[str, Any] = {
    "binary": lambda rng: (int(rng.integers(2)), int(rng.integers(2))),
    "words": lambda rng: tuple(rng.choice(["a", "b", "c", "d"], 2).tolist()),
    "regression": lambda rng: (round(float(rng.normal()), 3), round(float(rng.normal()), 3)),
}


def burst(model: str, kind: str, *, start_ms: int, count: int = 12, seed: int = 0) -> list[Arrival]:
    """Make predictions of one model within a minute, most with a label soon after."""
    rng = np.random.default_rng([seed, start_ms // SECOND_MS])
    found = []
    for index, at in enumerate(np.sort(rng.integers(0, MINUTE_MS, count)).tolist()):
        guess, truth = KINDS[kind](rng)
        name, time_ms = f"{model}-{start_ms}-{index}", start_ms + at
        event = prediction(name, model=model, prediction=guess, timestamp_ms=time_ms)
        event["features"] = {"x": round(float(rng.normal()), 3)}
        event["segments"] = {"region": ("eu", "us")[index % 2]}
        found.append(Arrival(time_ms, event))
        if index % 5:
            label_ms = time_ms + int(rng.integers(MINUTE_MS // 2))
            event = label(name, label=truth, timestamp_ms=label_ms)
            found.append(Arrival(label_ms, event))
    return found


@st.composite
def bursts(draw: st.DrawFn) -> list[Event]:
    """Draw models that are silent again and again, for long or not, and come back as another."""
    seed = draw(st.integers(0, 2**16))
    arrivals = []
    for model in ("a", "b", "c"):
        at_ms = START_MS
        for _ in range(draw(st.integers(0, 3))):
            at_ms += draw(st.sampled_from([1, 8, 11, 12, 13, 25])) * MINUTE_MS
            at_ms += draw(st.integers(0, 59)) * SECOND_MS
            kind = draw(st.sampled_from(sorted(KINDS)))
            arrivals += burst(model, kind, start_ms=at_ms, seed=seed)
    if draw(st.booleans()):  # else the clock stands still where all are silent
        ends_ms = max((one.at_ms for one in arrivals), default=START_MS) + 20 * MINUTE_MS
        for at_ms in range(START_MS, ends_ms, 20 * SECOND_MS):
            name = f"clock-{at_ms}"
            event = prediction(name, model="clock", timestamp_ms=at_ms, prediction=1)
            arrivals += [
                Arrival(at_ms, event),
                Arrival(at_ms, label(name, timestamp_ms=at_ms)),
            ]
    return delayed(arrivals, seed=seed, bound_ms=draw(st.sampled_from([1, MINUTE_MS])))


def driver_of(events: list[Event], *, partitions: int = 1, **options: Any) -> Driver:
    options = {"monitors": WATCHED, "disorder_ms": disorder_of(events)} | options
    return Driver(
        partitions=partitions,
        window_ms=MINUTE_MS,
        horizon_ms=MINUTE_MS,
        forget_ms=FORGET_MS,
        **options,
    )


def run(
    events: list[Event], sizes: list[int], *, partitions: int, restarts: int = 0, windows: int = 200
) -> Driver:
    driver = driver_of(events, partitions=partitions)
    driver.monitor.least_windows = windows
    luck = random.Random(restarts)
    for records in cut(as_inputs(events), sizes):
        driver.feed(records)
        if restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


def forgotten(driver: Driver) -> list[str]:
    return sorted(said for said in driver.kinds if "forgotten" in said)


def known(driver: Driver) -> dict[str, Any]:
    """Return the models that are known, and what kind each is."""
    found: dict[str, Any] = {}
    for state in driver.monitors:
        found |= {one.model: one.kind for one in driver.monitor.kinds(state)}
    return found


@settings(max_examples=some(10))
@given(
    bursts(),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.sampled_from([1, 2, 5]),
    st.integers(0, 3),
    st.sampled_from([2, 200]),
)
def test_what_is_forgotten_does_not_depend_on_steps_partitions_or_restarts(
    events: list[Event], sizes: list[int], partitions: int, restarts: int, windows: int
) -> None:
    at_once = run(events, [max(len(events), 1)], partitions=1)

    other = run(events, sizes, partitions=partitions, restarts=restarts, windows=windows)

    assert forgotten(other) == forgotten(at_once)
    assert known(other) == known(at_once)
    assert other.result() == at_once.result()


def entries(driver: Driver) -> dict[str, int]:
    """Count what the states hold of models."""
    total: dict[str, int] = {}
    for state in driver.monitors:
        world, rules = state.world, state.rules
        for name, count in {
            "codes": len(state.codes),
            "cells": state.windows.entries + rules.entries,
            "windows": sum(pages.cells.table.live for pages in state.windows.pages),
            "subjects": int(np.count_nonzero(world.subjects.models >= 0)),
            "classes": len(world.classes._of_model),
            "courses": sum(len(one.courses) for one in rules.watches.values()),
            "heads": len(state.windows.publisher._subjects),
            "lanes": sum(len(m.lanes._numbering._lanes) for m in state.drifts._monitors.values()),
            "buckets": sum(map(len, state.silence._members.values())),
            "fates": len(state.fates._bucket_of),
            "keys": len(state.by_key._by_both),
        }.items():
            total[name] = total.get(name, 0) + count
    return total


def clock_on(driver: Driver, *, to_ms: int) -> None:
    """Let the clock come to a time, and the monitor finish."""
    driver.come_to(to_ms)
    for partition in driver.partitions:
        while driver.monitor.unfinished(driver.monitors[partition]):
            driver._evaluate(partition, [])


@pytest.mark.parametrize("partitions", [1, 3])
def test_all_that_is_known_of_a_model_goes(partitions: int) -> None:
    events = [
        one.event
        for model in ("a", "c", "d")
        for kind in KINDS
        for one in burst(model, kind, start_ms=START_MS)
    ]
    driver = driver_of(events, partitions=partitions, disorder_ms=2 * MINUTE_MS)
    driver.feed(as_inputs(events))
    clock_on(driver, to_ms=START_MS + 5 * MINUTE_MS)
    before = entries(driver)

    clock_on(driver, to_ms=START_MS + 14 * MINUTE_MS)

    assert before["codes"] == 3
    assert min(before.values()) > 0
    assert entries(driver) == dict.fromkeys(before, 0)
    left = {key for log in driver.monitor_logs for key in log if b"clock" not in key}
    assert not [key for key in left if b"seen" in key or b"shown" in key or b"lanes" in key]
    assert driver.metrics  # what was published is history, and stays


def test_codes_and_numbers_of_forgotten_models_are_given_to_others() -> None:
    """Ten times as many models as are there at once."""
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=DEFAULTS)
    sizes = []
    for turn in range(10):
        start_ms = START_MS + turn * 20 * MINUTE_MS
        for number in range(5):
            found = burst(f"m{turn}-{number}", "words", start_ms=start_ms)
            driver.feed(as_inputs([one.event for one in found]))
        clock_on(driver, to_ms=start_ms + 15 * MINUTE_MS)
        [state] = driver.monitors
        sizes.append(
            (
                len(state.names),
                len(state.world.subjects.models),
                len(state.world.classes._code),
                len(state.world.classes._codes),
            )
        )

    assert max(sizes)[0] == 5
    assert sizes[-1] == sizes[1]


def test_a_model_with_an_open_alert_is_not_forgotten() -> None:
    """The rule fires since the model is silent; it is resolved when the model is back."""
    first = burst("b", "binary", start_ms=START_MS)
    driver = driver_of([], disorder_ms=MINUTE_MS)
    driver.feed(as_inputs([one.event for one in first]))

    clock_on(driver, to_ms=START_MS + 60 * MINUTE_MS)

    assert [alert["state"] for alert in driver.alerts if alert["monitor"] == "silent"] == ["firing"]
    assert "b" in known(driver)
    assert forgotten(driver) == []


def test_who_comes_back_is_new() -> None:
    events: list[Input] = []
    for kind, at in (("regression", 0), ("words", 30)):
        found = burst("a", kind, start_ms=START_MS + at * MINUTE_MS)
        events += as_inputs([one.event for one in found])
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=DEFAULTS)

    driver.feed(events)
    driver.finish()

    metrics = {(record["metric"], record["window_start_ms"]) for record in driver.metrics.values()}
    assert ("mae", START_MS) in metrics
    assert ("accuracy", START_MS + 30 * MINUTE_MS) in metrics
    assert forgotten(driver) == ["model 'a' is forgotten: it was silent for 10m"]


def test_another_time_takes_effect_with_a_restart() -> None:
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=DEFAULTS)
    driver.feed(as_inputs([one.event for one in burst("a", "binary", start_ms=START_MS)]))
    clock_on(driver, to_ms=START_MS + 9 * MINUTE_MS)
    driver.monitor.forget_ms = 2 * FORGET_MS
    driver.restart(random.Random(1))

    clock_on(driver, to_ms=START_MS + 18 * MINUTE_MS)
    still = known(driver)
    clock_on(driver, to_ms=START_MS + 23 * MINUTE_MS)

    assert "a" in still
    assert forgotten(driver) == ["model 'a' is forgotten: it was silent for 20m"]


def test_a_state_without_times_counts_models_as_seen_when_it_is_opened() -> None:
    """A build that did not write them down has written it."""
    driver = driver_of([], disorder_ms=MINUTE_MS, monitors=DEFAULTS)
    driver.feed(as_inputs([one.event for one in burst("a", "binary", start_ms=START_MS)]))
    clock_on(driver, to_ms=START_MS + 9 * MINUTE_MS)
    [log] = driver.monitor_logs
    for key in [key for key in log if b"seen" in key]:
        del log[key]
    driver.restart(random.Random(1))

    clock_on(driver, to_ms=START_MS + 18 * MINUTE_MS)
    still = known(driver)
    clock_on(driver, to_ms=START_MS + 20 * MINUTE_MS)

    assert "a" in still
    assert known(driver) == {}
