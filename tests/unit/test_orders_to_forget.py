"""Models are forgotten by an order, at its event time, the same however the stream is read."""

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.chosen import Choice
from streams.errors import RecordError
from streams.forget_record import forget_key, read_forget, write_forget
from streams.monitors import DEFAULTS, Monitors, Threshold
from tests.builders import MINUTE_MS, START_MS, Arrival, Event, delayed, label, prediction
from tests.driver import TOPICS, Driver, How, as_inputs, cut, disorder_of
from tests.examples import some
from tests.unit.test_forgetting import KINDS, WATCHED, burst, clock_on, entries, forgotten, known

COUNTED = msgspec.structs.replace(WATCHED, metrics=(Choice(include=("correction_rate",)),))
Order = tuple[int, str, str | None]
"""Minute, model, version."""


def driver_of(orders: list[Order], **options: Any) -> Driver:
    defaults = {"window_ms": 2 * MINUTE_MS, "horizon_ms": MINUTE_MS, "monitors": COUNTED}
    driver = Driver(**defaults | options)
    for minute, model, version in orders:
        order(driver, minute, model, version)
    return driver


def order(driver: Driver, minute: float, model: str, version: str | None = None) -> None:
    effective_ms = START_MS + round(minute * MINUTE_MS)
    value = write_forget(model, version, effective_ms=effective_ms)
    driver.specify(value, key=forget_key(model, version))


def run(events: list[Event], orders: list[Order], how: How, **options: Any) -> Driver:
    options |= {"partitions": how.partitions, "disorder_ms": disorder_of(events)}
    driver = driver_of(orders, **options)
    driver.monitor.least_windows, driver.monitor.rows_at_once = how.windows, how.rows
    luck = random.Random(how.restarts)
    for records in cut(as_inputs(events), how.sizes):
        driver.feed(records)
        if how.restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


@st.composite
def traffic(draw: st.DrawFn) -> list[Event]:
    """Draw models with labels that come later than their predictions, and corrections."""
    seed = draw(st.integers(0, 2**16))
    arrivals: list[Arrival] = []
    for model in ("a", "b"):
        kind = draw(st.sampled_from(sorted(KINDS)))
        for minute in draw(st.sets(st.integers(0, 12), min_size=1, max_size=5)):
            arrivals += burst(model, kind, start_ms=START_MS + minute * MINUTE_MS, seed=seed)
    for one in list(arrivals)[::7]:
        if "label" in one.event:
            at_ms = one.at_ms + MINUTE_MS // 2
            arrivals.append(Arrival(at_ms, one.event | {"timestamp_ms": at_ms, "label": 0}))
    for at_ms in range(START_MS, START_MS + 20 * MINUTE_MS, 20_000):
        name = f"clock-{at_ms}"
        arrivals.append(Arrival(at_ms, prediction(name, model="clock", timestamp_ms=at_ms)))
        arrivals.append(Arrival(at_ms, label(name, timestamp_ms=at_ms)))
    return delayed(arrivals, seed=seed, bound_ms=draw(st.sampled_from([1, MINUTE_MS])))


orders_drawn = st.lists(
    st.tuples(st.integers(-1, 15), st.sampled_from(["a", "b", "no"]), st.sampled_from([None, ""])),
    min_size=1,
    max_size=3,
)


sizes_drawn = st.lists(st.integers(1, 60), min_size=1, max_size=4)
ways = st.builds(
    How,
    sizes_drawn,
    st.sampled_from([1, 2, 5]),
    st.integers(0, 3),
    st.sampled_from([2, 200]),
    st.sampled_from([5, 50_000]),
)


@settings(max_examples=some(8))
@given(traffic(), orders_drawn, ways)
def test_what_is_forgotten_does_not_depend_on_steps_partitions_or_restarts(
    events: list[Event], orders: list[Order], how: How
) -> None:
    at_once = run(events, orders, How([len(events)]))

    other = run(events, orders, how)

    assert forgotten(other) == forgotten(at_once)
    assert known(other) == known(at_once)
    assert other.result() == at_once.result()


@settings(max_examples=some(6))
@given(traffic(), st.integers(1, 14), sizes_drawn)
def test_what_comes_after_is_as_of_a_new_model(
    events: list[Event], minute: int, sizes: list[int]
) -> None:
    """Against a run that never saw the predictions before."""
    from_ms = START_MS + -(-minute // 2) * 2 * MINUTE_MS
    before = {
        one["prediction_id"]
        for one in events
        if one.get("model") == "a" and one["timestamp_ms"] < from_ms
    }
    rest = [one for one in events if one["prediction_id"] not in before]

    driver, new = run(events, [(minute, "a", None)], How(sizes)), run(rest, [], How([len(rest)]))

    def of_model(one: Driver) -> list[Any]:
        found = [m for m in one.result()["metrics"].values() if m["model"] == "a"]
        late = [m for m in found if m["window_end_ms"] > from_ms - 4 * MINUTE_MS]
        return sorted(late, key=json.dumps)

    assert of_model(driver) == of_model(new)
    assert known(driver) == known(new)
    own = [a for a in driver.alerts if a["model"] == "a" and a["at_ms"] > from_ms]
    assert own == [a for a in new.alerts if a["model"] == "a"]


def clock(driver: Driver, minute: int) -> None:
    """Let the clock come to a minute, and the monitor finish."""
    clock_on(driver, to_ms=START_MS + minute * MINUTE_MS + driver.join.limits.disorder_ms)


def fed(*models: str, **options: Any) -> Driver:
    driver = driver_of([], disorder_ms=2 * MINUTE_MS, **options)
    events = [
        one.event
        for model in models
        for kind in KINDS
        for one in burst(model, kind, start_ms=START_MS)
    ]
    driver.feed(as_inputs(events))
    clock(driver, 2)
    return driver


@pytest.mark.parametrize("partitions", [1, 3])
def test_all_that_is_known_of_a_model_goes_and_what_was_published_is_deleted(
    partitions: int,
) -> None:
    driver = fed("a", "c", partitions=partitions)
    before = entries(driver)
    assert {one["model"] for one in driver.metrics.values()} == {"a", "c"}
    for model in ("a", "c"):
        order(driver, 3, model)

    clock(driver, 8)

    assert min(before.values()) > 0
    assert entries(driver) == dict.fromkeys(before, 0)
    assert driver.metrics == {}
    parts = {key for log in driver.monitor_logs for key in log}
    of_all = (b"clock", b"fates", b"hours")
    assert {key for key in parts if not any(name in key for name in of_all)} == set()
    assert driver.models == {}
    assert forgotten(driver) == [
        f"model {model!r} is forgotten: {TOPICS.monitors}@{place} says so"
        for place, model in enumerate("ac")
    ]


def test_metrics_of_windows_that_ended_long_ago_stay() -> None:
    driver = fed("a")
    clock(driver, 9)
    order(driver, 9, "a")

    clock(driver, 12)

    assert known(driver) == {}
    assert {one["window_start_ms"] for one in driver.metrics.values()} == {START_MS}


SILENT = Monitors(
    thresholds=(
        Threshold(
            name="silent", metric="predictions", kind="below", given=1, window="1m", by="value"
        ),
    )
)


def test_open_alerts_are_resolved_also_of_a_model_that_is_gone() -> None:
    """A rule on traffic keeps a silent model from being forgotten, and fires for ever."""
    driver = fed("a", monitors=SILENT)
    clock(driver, 60)
    assert [one["state"] for one in driver.alerts] == ["firing"]
    order(driver, 61, "a")

    clock(driver, 90)

    assert [one["state"] for one in driver.alerts] == ["firing", "resolved"]
    assert driver.alerts[-1]["message"] == "the model is forgotten"
    assert driver.alerts[-1]["at_ms"] == START_MS + 62 * MINUTE_MS
    assert known(driver) == {}


def test_only_the_version_that_is_named_is_forgotten() -> None:
    driver = driver_of([], disorder_ms=MINUTE_MS)
    for version in ("1", "2"):
        driver.feed(as_inputs([prediction(version, version=version), label(version)]))
    clock(driver, 1)
    order(driver, 2, "m", "1")

    clock(driver, 5)

    [state] = driver.monitors
    assert list(state.codes) == [("m", "2")]


def test_an_order_that_comes_late_forgets_what_was_counted_until_then_and_says_so() -> None:
    driver = fed("a", "b")
    order(driver, -30, "a")

    clock(driver, 3)

    assert "a" not in known(driver)
    [said] = [one for one in driver.kinds if "later than the records" in one]
    assert "'a' is forgotten at 2024-06-01T00:02:00Z, not at 2024-05-31T23:30:00Z" in said


def test_rows_of_later_are_put_off_until_the_order_takes_effect() -> None:
    driver = driver_of([(2, "m", None)], disorder_ms=10 * MINUTE_MS, monitors=DEFAULTS)
    for minute in (0, 5):
        at_ms = START_MS + minute * MINUTE_MS
        driver.feed(as_inputs([prediction(str(minute), timestamp_ms=at_ms)]))
    before = {one["window_start_ms"] for one in driver.metrics.values()}
    driver.restart(random.Random(1))

    clock(driver, 5)

    assert before == {START_MS}
    assert {one["window_start_ms"] for one in driver.metrics.values()} == {START_MS + 4 * MINUTE_MS}


def test_an_order_is_done_with_once_no_rows_can_come_any_more() -> None:
    driver = fed("a")
    order(driver, 3, "a")
    clock(driver, 5)
    [state] = driver.monitors
    assert [one.begun for one in state.forgets.past] == [True]
    driver.restart(random.Random(1))
    [state] = driver.monitors
    assert [one.begun for one in state.forgets.past] == [True]

    clock(driver, 8)

    assert state.forgets.past == []
    assert not [key for log in driver.monitor_logs for key in log if b"forget" in key]


REFUSED = {
    "no time": (b'{"forget": {"model": "m"}}', "effective_at"),
    "no model": (b'{"effective_at": 1700000000000, "forget": {}}', "model"),
    "another key": (write_forget("b", None, effective_ms=START_MS), "the key is"),
    "too large": (write_forget("b" * 10_000, None, effective_ms=START_MS), "10,000 bytes"),
}


@pytest.mark.parametrize(("value", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_invalid_is_refused_with_its_reason(value: bytes, said: str) -> None:
    driver = Driver(partitions=2)
    driver.specify(value, key=forget_key("m", None))
    driver.specify(None, key=forget_key("m", None))
    driver.feed([])

    [letter] = driver.refused
    assert letter.reason == "invalid_monitors"
    assert said in letter.detail
    with pytest.raises(RecordError):
        read_forget(value, key=forget_key("m", None))


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("restarts", [True, False])
def test_labels_of_predictions_before_the_order_go_whenever_they_come(
    early: bool, restarts: bool
) -> None:
    """Of what was predicted before, whether they come before it takes effect or after."""
    two = Threshold(name="two", metric="labels", kind="above", given=1.5, window="2m", by="value")
    driver = driver_of([(2, "m", None)], monitors=Monitors(evaluate_ms=30_000, thresholds=(two,)))
    before, after = (START_MS + second * 1_000 for second in (110, 150))
    made = [prediction("a", timestamp_ms=before), prediction("b", timestamp_ms=after)]
    true = [label("a", timestamp_ms=after), label("b", timestamp_ms=after)]

    driver.feed(as_inputs([made[0], *(true[:1] if early else [])]))
    clock(driver, 2)
    if restarts:
        driver.restart(random.Random(1))
    driver.feed(as_inputs([made[1], *(true[1:] if early else true)]))
    clock(driver, 6)
    driver.finish()

    assert {one["window_start_ms"] for one in driver.metrics.values()} == {START_MS + 2 * MINUTE_MS}
    assert driver.value("labels") == 1
    assert driver.alerts == []
    assert "accuracy" in {one["metric"] for one in driver.metrics.values()}


@settings(max_examples=4)
@given(st.integers(0, 2**16), st.integers(6, 11), ways, st.sampled_from([1, MINUTE_MS]))
def test_versions_that_are_compared_with_the_one_that_goes_are_so_until_then(
    seed: int, minute: int, how: How, bound_ms: int
) -> None:
    """What the first minutes of version 1 were like is what version 2 is compared with."""
    arrivals: list[Arrival] = []
    for version, start in (("1", 0), ("2", 5)):
        for minutes in range(start, start + 6):
            for one in burst("a", "binary", start_ms=START_MS + minutes * MINUTE_MS, seed=seed):
                event = dict(one.event)
                event["prediction_id"] = f"{version}{event['prediction_id']}"
                if "model" in event:
                    event["version"] = version
                arrivals.append(Arrival(one.at_ms, event))
    for at_ms in range(START_MS, START_MS + 16 * MINUTE_MS, 20_000):
        name = f"clock-{at_ms}"
        arrivals.append(Arrival(at_ms, prediction(name, model="clock", timestamp_ms=at_ms)))
        arrivals.append(Arrival(at_ms, label(name, timestamp_ms=at_ms)))
    events = delayed(arrivals, seed=seed, bound_ms=bound_ms)
    monitors = Monitors(baseline=(2 * MINUTE_MS,))

    at_once = run(events, [(minute, "a", "1")], How([len(events)]), monitors=monitors)
    other = run(events, [(minute, "a", "1")], how, monitors=monitors)

    assert other.result() == at_once.result()
