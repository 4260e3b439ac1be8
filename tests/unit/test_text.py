"""A model with more different classes than a classifier has is text, however it is read."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.families.family import MOST_CODES
from streams.monitors import Drift, Monitors, Threshold
from streams.shown import Shown
from streams.task import Caps, Task
from tests.builders import MINUTE_MS, START_MS, Arrival, Event, delayed, label, prediction
from tests.driver import Driver, as_inputs, cut, disorder_of
from tests.examples import some

SECOND_MS = 1_000
OF_CLASSES = ("accuracy", "precision", "recall", "f1", "log_loss", "brier", "roc_auc")
WATCHED = Monitors(
    reference=5,
    evaluate_ms=5 * SECOND_MS,
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
    ),
    drifts=(
        Drift(
            name="loss",
            input="loss",
            detector="page_hinkley",
            parameters={"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
        ),
    ),
)


def words(
    model: str, *, classes: int, count: int, seed: int = 0, right: float = 0.5
) -> list[Arrival]:
    """Make predictions of texts, one a second, each with a label."""
    rng, found = np.random.default_rng(seed), []
    for index in range(count):
        guess, other = (f"text {number}" for number in rng.integers(classes, size=2).tolist())
        time_ms, name = START_MS + index * SECOND_MS, f"{model}-{index}"
        event = prediction(name, model=model, prediction=guess, timestamp_ms=time_ms)
        found.append(Arrival(time_ms, event))
        truth = guess if rng.random() < right else other
        found.append(Arrival(time_ms, label(name, label=truth, timestamp_ms=time_ms)))
    return found


def run(events: list[Event], sizes: list[int], *, restarts: int = 0, **options: Any) -> Driver:
    driver = Driver(
        window_ms=MINUTE_MS,
        horizon_ms=MINUTE_MS,
        disorder_ms=disorder_of(events),
        **{"monitors": WATCHED, "caps": Caps(classes=20)} | options,
    )
    luck = random.Random(restarts)
    for records in cut(as_inputs(events), sizes):
        driver.feed(records)
        if restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


def kinds(driver: Driver) -> dict[str, str]:
    return {
        one.model: one.kind.partition(":")[0]
        for state in driver.monitors
        for one in driver.monitor.kinds(state)
    }


def metrics(driver: Driver, model: str) -> set[str]:
    return {one["metric"] for one in driver.metrics.values() if one["model"] == model}


@settings(max_examples=some(5))
@given(
    st.integers(0, 2**16),
    st.lists(st.integers(1, 120), min_size=1, max_size=4),
    st.sampled_from([1, 3]),
    st.integers(0, 3),
    st.sampled_from([1, MINUTE_MS]),
)
def test_what_is_text_does_not_depend_on_steps_partitions_or_restarts(
    seed: int, sizes: list[int], partitions: int, restarts: int, bound_ms: int
) -> None:
    arrivals = [
        *words("few", classes=6, count=30, seed=seed),
        *words("edge", classes=20, count=60, seed=seed),
        *words("late", classes=26, count=80, seed=seed),
        *words("text", classes=500, count=60, seed=seed),
    ]
    events = delayed(arrivals, seed=seed, bound_ms=bound_ms)
    at_once = run(events, [len(events)])

    other = run(events, sizes, partitions=partitions, restarts=restarts)

    assert kinds(at_once) | {"late": ""} == {
        "few": "multiclass",
        "edge": "multiclass",
        "late": "",
        "text": "text",
    }
    assert kinds(other) == kinds(at_once)
    assert other.result() == at_once.result()


def test_text_has_no_metrics_of_classes_but_those_of_all_models() -> None:
    events = [one.event for one in words("m", classes=500, count=100)]

    driver = run(events, [len(events)])

    found = metrics(driver, "m")
    assert {"predictions", "labels", "coverage"} <= found
    assert not {name for name in found if name.partition(":")[0] in OF_CLASSES}
    assert driver.kinds == ["model 'm' is text: it has more different classes than a classifier"]
    [state] = driver.monitors
    assert driver.monitor.gauges(state)["text_models"] == 1


def test_it_is_told_of_a_model_that_turns_out_to_be_text() -> None:
    arrivals = [*words("few", classes=6, count=80), *words("m", classes=26, count=80)]

    driver = run(delayed(arrivals, seed=0, bound_ms=1), [51])

    assert [line.partition(":")[0] for line in driver.kinds if "'m'" in line] == [
        "model 'm' is multiclass",
        "model 'm' is text",
    ]
    assert driver.models["m", ""]["task"] == "text"


@pytest.mark.parametrize(("classes", "kind"), [(20, "multiclass"), (21, "text")])
def test_one_more_than_the_most_makes_text(classes: int, kind: str) -> None:
    events = []
    for number in range(classes):
        name, at_ms = f"p{number}", START_MS + number
        events.append(prediction(name, prediction=f"text {number}", timestamp_ms=at_ms))
        events.append(label(name, label="text 0", timestamp_ms=at_ms))

    assert kinds(run(events, [7])) == {"m": kind}


def test_what_a_model_is_told_to_be_wins() -> None:
    many = [one.event for one in words("m", classes=500, count=100)]
    few = [one.event for one in words("n", classes=3, count=20)]
    told = Monitors(models={"m": Task("multiclass"), "n": Task("text")})

    driver = run(many + few, [50], monitors=told)

    assert kinds(driver) == {"m": "multiclass", "n": "text"}
    assert "accuracy" in metrics(driver, "m")
    assert "accuracy" not in metrics(driver, "n")


def test_numbers_and_probabilities_are_no_text() -> None:
    rng, events = np.random.default_rng(0), []
    for number in range(100):
        at_ms = START_MS + number
        for model, guess, truth in (
            ("real", float(rng.normal()), float(rng.normal())),
            ("chance", float(rng.uniform(0.01, 0.99)), int(rng.integers(2))),
            ("whole", number, number + 1),
        ):
            name = f"{model}-{number}"
            events.append(prediction(name, model=model, prediction=guess, timestamp_ms=at_ms))
            events.append(label(name, label=truth, timestamp_ms=at_ms))

    assert kinds(run(events, [50])) == {
        "real": "regression",
        "chance": "binary, predicted as a probability, positive class '1'",
        "whole": "regression",
    }


def test_classes_without_a_code_of_their_own_are_told_apart_as_right_and_wrong() -> None:
    """Once, all beyond 4,095 shared a code, and each of them was right for each other."""
    beyond, events = MOST_CODES + 10, []
    pairs = [(n, n) for n in range(MOST_CODES)]
    pairs += [(beyond, beyond), (beyond, beyond + 1), (beyond + 1, 0), (0, beyond + 2)]
    for number, (guess, truth) in enumerate(pairs):
        name = f"p{number}"
        events.append(prediction(name, prediction=f"text {guess}", timestamp_ms=START_MS))
        events.append(label(name, label=f"text {truth}", timestamp_ms=START_MS))
    told = Monitors(models={"m": Task("multiclass")}, thresholds=(), drifts=())

    driver = run(events, [len(events)], monitors=told)
    again = run(events, [1_000], monitors=told, restarts=3)

    assert driver.value("accuracy") == (MOST_CODES + 1) / len(pairs)
    assert again.value("accuracy") == driver.value("accuracy")
    assert driver.other_rows == len(pairs) - MOST_CODES
    assert driver.oddities == [
        "model 'm' has more than 4,094 classes: all beyond count as one, 'other'"
    ]


def test_names_of_text_are_not_remembered() -> None:
    events = [one.event for one in words("m", classes=10**9, count=6_000, right=0)]

    driver = run(events, [500], caps=Caps(classes=1_000))

    [state] = driver.monitors
    assert len(state.world.class_names.texts) < 2 * (1_000 + 500) + 10
    assert len(state.noticed.shown[0].classes) == 1_001


@settings(max_examples=some(100))
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from("abcdefghijklmno")), min_size=30, max_size=60
    ),
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_when_there_were_too_many_classes_does_not_depend_on_the_order_in_which_they_came(
    rows: list[tuple[int, str]], sizes: list[int], luck: random.Random
) -> None:
    orderly, other = (Shown(Task(), every_ms=5, caps=Caps(classes=8)) for _ in "ab")
    orderly.see_classes(sorted(rows))
    luck.shuffle(rows)

    for part in cut(rows, sizes):  # type: ignore[arg-type]
        other.see_classes(sorted(part))  # type: ignore[arg-type]

    for shown in (orderly, other):
        shown.judge()
    assert other.names_ms == orderly.names_ms
    assert [other.at(ms).kind for ms in range(70)] == [orderly.at(ms).kind for ms in range(70)]
