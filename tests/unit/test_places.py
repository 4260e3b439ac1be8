"""Of a model with more features than it may have, the first are watched, however it is read."""

import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.forget_record import forget_key, write_forget
from streams.monitors import Drift, Monitors, Threshold
from streams.task import Caps
from tests.builders import MINUTE_MS, START_MS, Arrival, Event, delayed, label, prediction
from tests.driver import Driver, How, as_inputs, cut, disorder_of
from tests.examples import some

SECOND_MS = 1_000
MOST = 4
PH = {"reference": 5, "block": 1, "threshold": 1, "delta": 0.01}
WATCHED = Monitors(
    reference=5,
    thresholds=(
        Threshold(
            name="x", metric="mean:f0", kind="above", given=0.1, window="2m", minimum=2, by="value"
        ),
        Threshold(
            name="y", metric="mean:f9", kind="above", given=0.1, window="2m", minimum=2, by="value"
        ),
    ),
    drifts=(Drift(name="inputs", input="features", detector="page_hinkley", parameters=PH),),
)


def run(events: list[Event], how: How, **options: Any) -> Driver:
    defaults: dict[str, Any] = {"monitors": WATCHED, "caps": Caps(features=MOST)}
    driver = Driver(
        partitions=how.partitions,
        disorder_ms=disorder_of(events),
        window_ms=2 * MINUTE_MS,
        horizon_ms=MINUTE_MS,
        **defaults | options,
    )
    driver.monitor.least_windows, driver.monitor.rows_at_once = how.windows, how.rows
    luck = random.Random(how.restarts)
    for records in cut(as_inputs(events), how.sizes):
        driver.feed(records)
        if how.restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


def sent(model: str, *, seed: int, features: int, minutes: range, count: int = 40) -> list[Arrival]:
    """Make predictions with some of so many features each, most with a label."""
    rng, found = np.random.default_rng(seed), []
    for index in range(count):
        span_ms = (minutes.stop - minutes.start) * MINUTE_MS
        at_ms = START_MS + minutes.start * MINUTE_MS + int(rng.integers(span_ms))
        name = f"{model}-{minutes.start}-{index}"
        chosen = rng.choice(features, size=int(rng.integers(1, 4)), replace=True)
        event = prediction(name, model=model, timestamp_ms=at_ms)
        event["features"] = {f"f{n}": round(float(rng.normal(1)), 3) for n in set(chosen.tolist())}
        event["segments"] = {"region": ("eu", "us")[index % 2]}
        found.append(Arrival(at_ms, event))
        if index % 3:
            found.append(Arrival(at_ms, label(name, timestamp_ms=at_ms)))
    return found


def clocked(arrivals: list[Arrival], *, seed: int, bound_ms: int) -> list[Event]:
    """Return events in the order of arrival, with those of a model that tells the time."""
    for at_ms in range(START_MS, START_MS + 12 * MINUTE_MS, 20 * SECOND_MS):
        name = f"clock-{at_ms}"
        arrivals.append(Arrival(at_ms, prediction(name, model="clock", timestamp_ms=at_ms)))
        arrivals.append(Arrival(at_ms, label(name, timestamp_ms=at_ms)))
    return delayed(arrivals, seed=seed, bound_ms=bound_ms)


@st.composite
def traffic(draw: st.DrawFn) -> list[Event]:
    """Draw models with as many features as they may have, one more, and many; and a clock."""
    seed, arrivals = draw(st.integers(0, 2**16)), list[Arrival]()
    for place, features in enumerate((MOST, MOST + 1, 12)):
        minutes = range(draw(st.integers(0, 3)), draw(st.integers(4, 9)))
        model = f"m{features}"
        arrivals += sent(model, seed=seed + place, features=features, minutes=minutes)
    return clocked(arrivals, seed=seed, bound_ms=draw(st.sampled_from([1, MINUTE_MS])))


def watched(driver: Driver, model: str) -> set[str]:
    """Return the features of which there are metrics."""
    found = (
        one["metric"].partition(":") for one in driver.metrics.values() if one["model"] == model
    )
    return {name for _, colon, name in found if colon and name.startswith("f")}


def first(events: list[Event], model: str, most: int = MOST) -> set[str]:
    """Return the first features that a model has sent: obviously right."""
    sent_ms: dict[str, int] = {}
    for one in events:
        if one.get("model") == model:
            for name in one.get("features", {}):
                sent_ms[name] = min(sent_ms.get(name, 2**62), one["timestamp_ms"])
    return set(sorted(sent_ms, key=lambda name: (sent_ms[name], name))[:most])


ways = st.builds(
    How,
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.sampled_from([1, 2, 5]),
    st.integers(0, 3),
    st.sampled_from([2, 200]),
    st.sampled_from([5, 50_000]),
)


@settings(max_examples=some(8))
@given(traffic(), ways)
def test_which_features_are_watched_does_not_depend_on_steps_partitions_or_restarts(
    events: list[Event], how: How
) -> None:
    at_once = run(events, How([len(events)]))

    other = run(events, how)

    for model in ("m4", "m5", "m12"):
        assert watched(at_once, model) == first(events, model)
    assert other.result() == at_once.result()
    assert sorted(set(other.oddities)) == sorted(set(at_once.oddities))


def test_what_is_left_out_is_counted_and_said_once() -> None:
    events = [one.event for one in sent("m", seed=1, features=30, minutes=range(6), count=400)]
    events.sort(key=lambda one: one.get("timestamp_ms", 0))

    driver = run(events, How([50]))

    assert driver.left_out_features > 100
    assert driver.oddities == [
        "model 'm' has more than 4 features: all beyond the first are left out"
    ]


def test_windows_that_were_published_before_lose_metrics_of_what_has_no_place() -> None:
    """A prediction of an earlier moment comes later, with other features."""
    names = ("a", "b", "c", "d", "e")
    events = [
        prediction(name, timestamp_ms=START_MS + 100 + place, features={f"f{name}": 1.0})
        for place, name in enumerate(names[1:])
    ]
    events.append(prediction("a", timestamp_ms=START_MS, features={"fa": 1.0}))
    driver = Driver(window_ms=2 * MINUTE_MS, disorder_ms=MINUTE_MS, caps=Caps(features=4))

    driver.feed(as_inputs(events))
    before = watched(driver, "m")
    driver.come_to(START_MS + 3 * MINUTE_MS)
    driver.finish()

    assert before == {"fa", "fb", "fc", "fd", "fe"}
    assert watched(driver, "m") == {"fa", "fb", "fc", "fd"}


def test_a_model_that_is_forgotten_has_all_places_again() -> None:
    names = [f"f{number}" for number in range(10)]
    driver = Driver(window_ms=MINUTE_MS, horizon_ms=MINUTE_MS, caps=Caps(features=4))
    for minute, own in ((0, names[:5]), (10, names[5:9])):
        at_ms = START_MS + minute * MINUTE_MS
        if minute:
            value = write_forget("m", None, effective_ms=at_ms - MINUTE_MS)
            driver.specify(value, key=forget_key("m", None))
        features = dict.fromkeys(own, 1.0)
        events = [prediction(str(minute), timestamp_ms=at_ms, features=features)]
        driver.feed(as_inputs(events))
        driver.come_to(at_ms + 2 * MINUTE_MS)
    driver.finish()

    found = {
        one["metric"].partition(":")[2]
        for one in driver.metrics.values()
        if one["window_start_ms"] == START_MS + 10 * MINUTE_MS
    }
    assert found - {""} == set(names[5:9])


def test_detectors_see_no_feature_without_a_place() -> None:
    events = [one.event for one in sent("m", seed=1, features=8, minutes=range(8), count=400)]
    events.sort(key=lambda one: one.get("timestamp_ms", 0))
    places = {f"feature:{name}" for name in first(events, "m")}

    some, every = (run(events, How([50]), caps=Caps(features=most)) for most in (MOST, 8))

    def drifted(driver: Driver) -> set[str]:
        """Return inputs of which a change was found after the first pane."""
        late = (one for one in driver.alerts if one["at_ms"] >= START_MS + 2 * MINUTE_MS)
        return {one["evidence"]["input"] for one in late if one["kind"] == "drift"}

    assert drifted(some) <= places
    assert drifted(every) - places


# ---------------------------------------------------------------------- segments
def customers(
    model: str, *, seed: int, segments: int, minutes: range, count: int = 40
) -> list[Arrival]:
    """Make predictions in some of so many segments each, most with a label."""
    found = sent(model, seed=seed, features=2, minutes=minutes, count=count)
    rng = np.random.default_rng(seed)
    for one in found:
        if "features" in one.event:
            names = rng.choice(segments, size=int(rng.integers(1, 3)), replace=False).tolist()
            one.event["segments"] = {f"k{n % 3}": f"v{n}" for n in names}
    return found


@st.composite
def segmented(draw: st.DrawFn) -> list[Event]:
    """Draw models with as many segments as they may have, one more, and many; and a clock."""
    seed, arrivals = draw(st.integers(0, 2**16)), list[Arrival]()
    for place, segments in enumerate((MOST, MOST + 1, 15)):
        minutes = range(draw(st.integers(0, 3)), draw(st.integers(4, 9)))
        arrivals += customers(f"m{segments}", seed=seed + place, segments=segments, minutes=minutes)
    return clocked(arrivals, seed=seed, bound_ms=draw(st.sampled_from([1, MINUTE_MS])))


def segments_of(driver: Driver, model: str) -> set[str]:
    """Return the segments of which there are metrics."""
    found = {one["segment"] for one in driver.metrics.values() if one["model"] == model}
    return found - {""}


def first_segments(events: list[Event], model: str, most: int = MOST) -> set[str]:
    """Return the first segments that a model has sent: obviously right."""
    sent_ms: dict[str, int] = {}
    for one in events:
        if one.get("model") == model:
            for key, value in one.get("segments", {}).items():
                name = f"{key}={value}"
                sent_ms[name] = min(sent_ms.get(name, 2**62), one["timestamp_ms"])
    return set(sorted(sent_ms, key=lambda name: (sent_ms[name], name))[:most])


BY_SEGMENT = Monitors(
    reference=5,
    thresholds=(
        Threshold(
            name="s",
            metric="predictions",
            kind="above",
            given=1,
            window="2m",
            minimum=2,
            segment="k1=v1",
            by="value",
        ),
    ),
    drifts=(Drift(name="inputs", input="features", detector="page_hinkley", parameters=PH),),
)


@settings(max_examples=some(8))
@given(segmented(), ways)
def test_which_segments_are_watched_does_not_depend_on_steps_partitions_or_restarts(
    events: list[Event], how: How
) -> None:
    options = {"monitors": BY_SEGMENT, "caps": Caps(segments=MOST)}
    at_once = run(events, How([len(events)]), **options)

    other = run(events, how, **options)

    for model in ("m4", "m5", "m15"):
        assert segments_of(at_once, model) == first_segments(events, model)
    assert other.result() == at_once.result()
    assert sorted(set(other.oddities)) == sorted(set(at_once.oddities))


def test_a_model_with_ever_new_segments_is_watched_as_a_whole() -> None:
    events = [one.event for one in customers("m", seed=1, segments=90, minutes=range(6), count=400)]
    events.sort(key=lambda one: one.get("timestamp_ms", 0))

    some, every = (run(events, How([50]), caps=Caps(segments=most)) for most in (4, 100))

    def whole(driver: Driver) -> dict[object, object]:
        return {
            (one["window_start_ms"], one["metric"]): (one["value"], one["count"])
            for one in driver.metrics.values()
            if one["model"] == "m" and not one["segment"]
        }

    assert some.left_out_segments > 100
    assert some.oddities == [
        "model 'm' has more than 4 segments: all beyond the first are left out"
    ]
    assert whole(some) == whole(every)
    assert len(segments_of(every, "m")) > 80
