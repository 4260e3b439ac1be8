"""The monitor knows of every model how many records were repeated, corrected or late; each once."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import row_collector
from streams.model_fates import BUCKETS
from streams.monitors import DEFAULTS, Monitors
from streams.outcomes import MODEL_FATES, Outcomes, decode_outcomes
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, delayed, history, label, prediction
from tests.builders import retraction as taken_back
from tests.driver import TOPICS, Driver, as_inputs, cut, disorder_of
from tests.examples import some

LATE_MS = START_MS + HOUR_MS + 1
UNWATCHED = Monitors(thresholds=(), drifts=())


def fates_of(events: list[Event]) -> dict[str, int]:
    """Return what becomes of these records alone, of what models can be asked for."""
    driver = Driver(disorder_ms=disorder_of(events))
    driver.feed(as_inputs(events))
    driver.finish()
    return {fate: count for fate, count in driver.fates.items() if fate in MODEL_FATES}


def by_model(events: list[Event]) -> dict[tuple[str, str], list[Event]]:
    """Return the events of every model version; labels go with the prediction of their id."""
    owner = {e["prediction_id"]: (e["model"], e.get("version", "")) for e in events if "score" in e}
    found: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event["prediction_id"] in owner:
            found.setdefault(owner[event["prediction_id"]], []).append(event)
    return found


@settings(max_examples=some(20))
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 150), min_size=1, max_size=5),
    st.sampled_from([1, 3]),
    st.sampled_from([DEFAULTS, UNWATCHED]),
    st.booleans(),
)
def test_fates_of_a_model_are_those_of_its_records_alone(
    seed: int, batches: list[int], partitions: int, monitors: Monitors, restarts: bool
) -> None:
    events = delayed(history(seed, count=150), seed=seed, bound_ms=MINUTE_MS)
    expected = {name: fates_of(own) for name, own in by_model(events).items()}
    driver = Driver(partitions=partitions, disorder_ms=disorder_of(events), monitors=monitors)
    luck = random.Random(seed)

    for batch in cut(as_inputs(events), batches):
        driver.feed(batch)
        if restarts and luck.random() < 0.5:
            driver.restart(luck)
    driver.finish()

    assert driver.model_fates == {name: fates for name, fates in expected.items() if fates}


@pytest.mark.parametrize(
    ("event", "fate"),
    [
        (prediction("a", model="m"), "duplicate_prediction"),
        (prediction("a", model="other"), "conflicting_prediction"),
        (label("a"), "duplicate_label"),
        (label("a", label=0, timestamp_ms=START_MS + 2_000), "correction"),
        (taken_back("a"), "retraction"),
        (label("a", timestamp_ms=LATE_MS), "late_label"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
def test_a_record_that_is_not_the_first_counts_for_the_model_of_the_first(
    event: Event, fate: str, together: bool
) -> None:
    driver, usual = Driver(), [prediction("a"), label("a")]

    for records in [[*usual, event, event]] if together else [usual, [event], [event]]:
        driver.feed(as_inputs(records))
    driver.finish()

    assert driver.model_fates[("m", "")].pop(fate) in (1, 2)
    assert {f: driver.fates[f] for f in MODEL_FATES if f in driver.fates} == {
        f: n for f, n in sum_of(driver).items() if n
    }


def sum_of(driver: Driver) -> Counter[str]:
    return sum((Counter(fates) for fates in driver.model_fates.values()), Counter[str]())


def test_usual_traffic_writes_no_fates_and_no_record_for_them() -> None:
    driver = Driver()
    driver.feed(as_inputs([prediction("a"), label("a")]))
    driver.feed([])
    [value] = [v for topic, _, v in driver.written if topic == TOPICS.outcomes]

    found = decode_outcomes(value or b"")

    assert isinstance(found, Outcomes)
    assert not len(found.fates.model)
    assert driver.model_fates == {}


def test_repeated_records_of_many_models_are_written_down_in_few_records() -> None:
    events = [prediction(f"p{i}", model=f"m{i}") for i in range(600)]
    driver = Driver(monitors=UNWATCHED)
    driver.feed(as_inputs(events))

    driver.feed(as_inputs(events))

    assert len(driver.model_fates) == 600
    assert sum(b"fates" in key for key in driver.monitor_logs[0]) <= BUCKETS


def test_fates_that_do_not_fit_into_one_record_are_cut_like_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_collector, "LARGEST_VALUE_BYTES", 2_000)
    events = [prediction(f"p{i}", model=f"model {i}") for i in range(300)]
    driver = Driver(monitors=UNWATCHED)
    driver.feed(as_inputs(events))
    driver.written.clear()

    driver.feed(as_inputs(events * 2))

    values = [v or b"" for topic, _, v in driver.written if topic == TOPICS.outcomes]
    assert len(values) > 1
    assert max(map(len, values)) <= 2_000
    assert sum_of(driver) == {"duplicate_prediction": 600}
