"""Many labels of one prediction id: what they mean does not depend on batches, and they are few."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.join_state import MOST_EARLY
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction, retraction
from tests.driver import BOTH, Driver, as_inputs, contents, cut
from tests.unit.test_properties import QUICK, sizes

SCORES = {"scores": {"a": 0.1, "b": 0.2, "1": 0.7}}


def folded(driver: Driver) -> dict[str, Any]:
    state = driver.join.new_state(0)
    for key, value in driver.join_logs[0]:
        driver.join.fold(state, key, value)
    return contents(state)


@st.composite
def disputed(draw: st.DrawFn) -> list[Event]:
    """Draw labels and retractions of few ids, at few times, about predictions of any kind."""
    events: list[Event] = [
        prediction("p", prediction="a", **SCORES),
        prediction("q", prediction=1, score=0.7, features={"amount": 2.5}),
    ]
    for _ in range(draw(st.integers(1, 40))):
        name = draw(st.sampled_from("ppqr"))
        at_ms = START_MS + draw(st.integers(-3, 3)) * 40 * MINUTE_MS
        if draw(st.integers(0, 4)):
            value = draw(st.sampled_from(["a", "b", "1", 1, 0, 1.0, 0.5, True, 2**60, 2**60 + 1]))
            events.append(label(name, timestamp_ms=at_ms, label=value))
        else:
            events.append(retraction(name, timestamp_ms=at_ms))
    return draw(st.permutations(events))


@given(disputed(), sizes)
def test_disputed_labels_mean_the_same_at_once_and_one_by_one(
    events: list[Event], batches: list[int]
) -> None:
    one_by_one, other = Driver(), Driver()

    for event in as_inputs(events):
        one_by_one.feed([event])
    for batch in cut(as_inputs(events), batches):
        other.feed(batch)
        assert folded(other) == contents(other.joins[0])

    for driver in (one_by_one, other):
        driver.finish()
    assert other.result()["metrics"] == one_by_one.result()["metrics"]
    assert other.fates == one_by_one.fates


@given(st.lists(st.sampled_from(["a", 1, 0.5]), min_size=1, max_size=9), st.booleans())
def test_labels_with_their_own_prediction_mean_the_same_at_once_and_one_by_one(
    values: list[Any], poison: bool
) -> None:
    events = [
        label(
            *(f"j{n}",),
            label=value,
            model="m",
            prediction=values[0],
            latency_ms=n,
            **(SCORES if n % 2 else {"score": 0.3, "features": {"amount": n}}),
        )
        for n, value in enumerate(values)
    ]
    if poison:
        events.insert(1, label("k", model="", prediction=1))
    one_by_one, at_once = Driver(), Driver()

    for event in as_inputs(events):
        one_by_one.feed([event])
    at_once.feed(as_inputs(events))

    for driver in (one_by_one, at_once):
        driver.finish()
    assert at_once.result() == one_by_one.result()
    assert at_once.dead == one_by_one.dead == ["invalid_prediction"] * poison


def test_of_many_labels_that_wait_for_one_prediction_the_newest_are_kept() -> None:
    """An upstream fault: every label names the id "None"."""
    labels = [label("None", timestamp_ms=START_MS + n, label=n % 2) for n in range(500)]
    random.Random(1).shuffle(labels)
    driver = Driver()

    for batch in cut(as_inputs(labels), [90, 7]):
        driver.feed(batch)
        assert folded(driver) == contents(driver.joins[0])

    state = driver.joins[0]
    kept = [item.label_ms - START_MS for item in state.early[b"None"]]
    assert sorted(kept) == list(range(500 - MOST_EARLY, 500))
    assert driver.joins[0].fates["orphan_label"] == 500 - MOST_EARLY
    assert [list(ids) for ids in state.early_buckets.values()] == [[b"None"]]

    driver.feed(as_inputs([prediction("None", prediction=1)]))
    driver.finish()

    assert driver.value("accuracy") == 1.0
    assert driver.fates["joined"] == 2


def test_of_labels_of_one_moment_that_wait_those_read_last_are_kept() -> None:
    driver = Driver()

    driver.feed(as_inputs([label("x", label=n) for n in range(MOST_EARLY + 2)]))

    assert [item.offset for item in driver.joins[0].early[b"x"]] == list(range(2, MOST_EARLY + 2))


def test_labels_older_than_all_that_wait_leave_nothing_in_the_log() -> None:
    driver = Driver()
    driver.feed(as_inputs([label("x") for _ in range(MOST_EARLY)]))

    driver.feed(as_inputs([label("x", timestamp_ms=START_MS)]))

    assert driver.joins[0].early_labels == MOST_EARLY
    assert folded(driver) == contents(driver.joins[0])


@QUICK
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300)), max_size=60), sizes)
def test_the_log_tells_which_labels_wait(
    arrivals: list[tuple[str, int]], batches: list[int]
) -> None:
    """With predictions in between, a clock that passes, and marks."""
    events = [
        prediction(name, timestamp_ms=START_MS + minute * MINUTE_MS)
        if number % 7 == 3
        else label(name, timestamp_ms=START_MS + minute * MINUTE_MS)
        for number, (name, minute) in enumerate(arrivals)
    ]
    driver = Driver(log_bytes=300)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.join_state.MOST_EARLY", 3)
        for batch in cut(as_inputs(events), batches):
            driver.feed(batch)
            assert folded(driver) == contents(driver.joins[0])
        driver.feed([], idle=BOTH)
        assert folded(driver) == contents(driver.joins[0])
        assert all(len(waiting) <= 3 for waiting in driver.joins[0].early.values())


@pytest.mark.parametrize("given", ["word", "Dear Sir, " * 900, 1, True, 0.5, 2**60 + 1])
def test_a_long_label_that_waits_takes_no_more_than_counts_of_it(given: Any) -> None:
    long = label("x", label=given, remark="y" * 900_000)
    driver, other = Driver(), Driver()

    driver.feed(as_inputs([long]))
    held = sum(len(value or b"") for _, value in driver.join_logs[0])
    driver.restart(random.Random(1))
    driver.feed(as_inputs([prediction("x", prediction=given), long]))
    driver.finish()
    other.feed(as_inputs([prediction("x", prediction=given)]))
    other.feed(as_inputs([long]))
    other.feed(as_inputs([long]))
    other.finish()

    assert held < 1_000
    assert driver.result() == other.result()
    assert driver.fates == {"joined": 2, "duplicate_label": 1}
