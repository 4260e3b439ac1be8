"""What the join writes down of its state: exact, short, and enough after the log was cut."""

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import StateError
from streams.join import Join
from streams.steps import MARK, Batch
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import NOW_MS, TOPICS, Driver, as_inputs, contents, cut, disorder_of
from tests.unit.test_properties import QUICK, sizes, traffic

LITTLE = 300


def folded(driver: Driver, partition: int, first: int = 0) -> dict[str, object]:
    """Return what the log says from its record number `first` on."""
    state = driver.join.new_state(partition)
    for key, value in driver.join_logs[partition][first:]:
        driver.join.fold(state, key, value)
    return contents(state)


@QUICK
@given(traffic(), sizes, st.sampled_from([1, 3]))
def test_what_is_left_of_the_log_tells_the_whole_state(
    events: list[Event], batches: list[int], partitions: int
) -> None:
    driver = Driver(partitions=partitions, disorder_ms=disorder_of(events) // 3, log_bytes=LITTLE)

    for batch in cut(as_inputs(events), batches):
        driver.feed(batch)
        for partition in range(partitions):
            assert folded(driver, partition) == contents(driver.joins[partition])

    assert any(log and log[0][0] == MARK for log in driver.join_logs) or len(events) < 200


def busy(seed: int, *, minutes: int, label_delay_ms: int = 10 * MINUTE_MS) -> list[list[Event]]:
    """Return ten predictions a minute, nine of ten with a label, one batch a minute."""
    rng, waiting, batches = random.Random(seed), [], []
    for minute in range(minutes):
        batch = []
        for number in range(10):
            name, at_ms = f"{minute}-{number}", START_MS + minute * MINUTE_MS + number
            batch.append(prediction(name, timestamp_ms=at_ms, score=rng.random()))
            waiting.append(label(name, timestamp_ms=at_ms + label_delay_ms))
        due = [e for e in waiting if e["timestamp_ms"] <= START_MS + minute * MINUTE_MS]
        waiting = [e for e in waiting if e not in due]
        batches.append([*batch, *(e for e in due if rng.random() < 0.9)])
    return batches


def test_the_log_is_kept_to_twice_the_state_and_a_little() -> None:
    driver = Driver(log_bytes=20_000)
    fullest = 0

    for batch in busy(1, minutes=500):
        driver.feed(as_inputs(batch))
        fullest = max(fullest, sum(len(value) for _, value in driver.join_logs[0]))

    live = sum(len(v) for k, v in driver.join_logs[0] if k == MARK)
    assert len(driver.joins[0].held) > 1_000
    assert fullest < 2 * live + 2 * 20_000
    assert folded(driver, 0) == contents(driver.joins[0])


def test_the_log_shrinks_when_predictions_are_forgotten_though_little_is_written() -> None:
    driver = Driver(log_bytes=20_000)
    for batch in busy(1, minutes=60):
        driver.feed(as_inputs(batch))

    for minute in range(200, 300):
        at_ms = START_MS + minute * MINUTE_MS
        driver.feed(as_inputs([prediction(f"p{minute}", timestamp_ms=at_ms)]))
        driver.feed(as_inputs([label(f"p{minute}", timestamp_ms=at_ms)]))
    driver.come_to(START_MS + 600 * MINUTE_MS)

    assert len(driver.joins[0].held) < 5
    assert sum(len(value) for _, value in driver.join_logs[0]) < 40_000


def test_a_matched_prediction_costs_few_bytes_in_the_log_and_in_memory() -> None:
    """Ten thousand predictions in one step, their labels in the next."""
    driver = Driver()
    rng = random.Random(1)
    events = [
        prediction(f"request-{i}", timestamp_ms=START_MS + i, score=rng.random(), version="7")
        for i in range(10_000)
    ]
    labels = [
        label(f"request-{i}", timestamp_ms=START_MS + i + rng.randrange(MINUTE_MS))
        for i in range(10_000)
    ]
    state = driver.join.new_state(0)
    written = []
    for topic, batch in ((TOPICS.predictions, events), (TOPICS.labels, labels)):
        effects = driver.join.step(state, [_batch(topic, batch)], now_ms=NOW_MS)
        written.append(sum(len(value or b"") for key, value in effects.state if key != MARK))

    assert written[0] / 10_000 < 35
    assert written[1] / 10_000 < 25
    assert state.held.size_bytes / 10_000 < 150


def _batch(topic: str, events: list[Event]) -> Batch:
    records = as_inputs(events)
    return Batch(
        topic=topic,
        offsets=range(len(records)),
        keys=[key for _, key, _ in records],
        values=[value for *_, value in records],
        times_ms=[0] * len(records),
        next_offset=len(records),
    )


@pytest.fixture(scope="module")
def worn() -> Driver:
    """A driver whose log was cut."""
    driver = Driver(log_bytes=5_000)
    for batch in busy(2, minutes=200):
        driver.feed(as_inputs(batch))
    assert driver.join_logs[0][0][0] == MARK
    return driver


@pytest.mark.parametrize(
    ("first", "message"),
    [(1, "in the middle"), (-1, "in the middle")],
    ids=["one record too many deleted", "all but the last deleted"],
)
def test_a_log_that_begins_in_the_middle_is_refused(worn: Driver, first: int, message: str) -> None:
    with pytest.raises(StateError, match=message):
        folded(worn, 0, first)


def test_a_log_that_begins_with_a_later_mark_is_refused_once_it_is_to_be_used(
    worn: Driver,
) -> None:
    log = worn.join_logs[0]
    second = [index for index, (key, _) in enumerate(log) if key == MARK][1]
    state = worn.join.new_state(0)
    for key, value in log[second:]:
        worn.join.fold(state, key, value)

    with pytest.raises(StateError, match="before it has told the whole state"):
        worn.join.step(state, [], now_ms=NOW_MS)


def test_a_log_with_a_gap_is_refused(worn: Driver) -> None:
    state = worn.join.new_state(0)
    before, (key, value) = worn.join_logs[0][:3], worn.join_logs[0][4]
    for record in before:
        worn.join.fold(state, *record)

    with pytest.raises(StateError, match="jumps from"):
        worn.join.fold(state, key, value)


def test_state_of_another_version_is_refused_by_name() -> None:
    join = Join(TOPICS, partitions=1, horizon_ms=HOUR_MS, disorder_ms=0)

    with pytest.raises(StateError, match="in format 1, an older one"):
        join.fold(join.new_state(0), None, msgspec.msgpack.encode((1, 1, {}, {}, 0, {}, 0, [], [])))


def test_classes_that_no_prediction_has_any_more_are_forgotten() -> None:
    """Texts of a language model are classes, too: each comes once."""
    driver = Driver()

    for step in range(40):
        at_ms = START_MS + step * HOUR_MS
        driver.feed(
            as_inputs(
                [
                    event
                    for i in range(500)
                    for event in (
                        prediction(f"{step}-{i}", prediction=f"{step}-{i}", timestamp_ms=at_ms),
                        label(f"{step}-{i}", label=f"no {step}-{i}", timestamp_ms=at_ms),
                    )
                ]
            )
        )

    assert len(driver.joins[0].held) < 3_000
    assert len(driver.joins[0].strings) < 20_000
    assert folded(driver, 0) == contents(driver.joins[0])


def test_memory_of_a_burst_is_given_back() -> None:
    driver = Driver()
    burst = [prediction(f"b-{i}") for i in range(20_000)]
    driver.feed([(t, k, v) for t, k, v in as_inputs(burst)])
    full = driver.joins[0].held.size_bytes

    for hour in range(1, 5):
        at_ms = START_MS + hour * HOUR_MS
        driver.feed(as_inputs([prediction(f"{hour}", timestamp_ms=at_ms)]))
        driver.feed(as_inputs([label(f"{hour}", timestamp_ms=at_ms)]))
    driver.come_to(START_MS + 4 * HOUR_MS)

    assert len(driver.joins[0].held) < 5
    assert driver.joins[0].held.size_bytes < full / 5
    assert np.count_nonzero(driver.joins[0].held.find(_unknown()) >= 0) == 0


def _unknown() -> object:
    from streams.held import hash_ids  # noqa: PLC0415

    return hash_ids([b"b-%d" % i for i in range(20_000)])


def test_state_of_another_number_of_partitions_is_refused(worn: Driver) -> None:
    join = Join(TOPICS, partitions=6, horizon_ms=HOUR_MS, disorder_ms=0)

    with pytest.raises(StateError, match=r"number of partitions .* was 1 .* now it is 6"):
        join.fold(join.new_state(0), *worn.join_logs[0][0])


def test_lives_that_each_write_little_shorten_the_log_all_the_same() -> None:
    driver, luck = Driver(log_bytes=20_000), random.Random(1)

    for batch in busy(3, minutes=115):  # nothing is forgotten yet
        driver.feed(as_inputs(batch))
        driver.restart(luck)

    assert driver.join_logs[0][0][0] == MARK


def test_rows_that_take_many_bytes_are_swept_as_seldom_as_others() -> None:
    """Scores of a hundred classes: what is swept is no more than what is new."""
    driver = Driver(log_bytes=20_000)
    swept = new = 0

    for batch in range(150):
        scores = {f"class-{n}": 0.01 for n in range(100)}
        events = [prediction(f"{batch}-{i}", scores=scores) for i in range(20)]
        driver.feed(as_inputs(events))
        for key, value in driver.join_logs[0][-2:]:
            swept, new = (swept + len(value), new) if key == MARK else (swept, new + len(value))

    assert len(driver.joins[0].held) == 3_000
    assert swept < 2 * new
