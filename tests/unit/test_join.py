"""The join: every row of its table, times at the horizon, and what is written of it."""

import json

import pytest

from streams.join import Join
from streams.limits import EARLIEST_MS
from streams.outcomes import Outcomes, decode_outcomes
from streams.plausible_times import MAX_FUTURE_MS
from streams.steps import LARGEST_VALUE_BYTES, Batch
from tests.builders import HOUR_MS, JOIN_CASES, MINUTE_MS, START_MS, Case, label, prediction
from tests.driver import BOTH, NOW_MS, TOPICS, Driver, as_inputs, contents


def outcomes_of(driver: Driver) -> list[Outcomes]:
    found = [
        decode_outcomes(value) for topic, _, value in driver.written if topic == TOPICS.outcomes
    ]
    return [rows for rows in found if isinstance(rows, Outcomes)]


def forgotten_ms(join: Join) -> int:
    """Return when a prediction of START_MS is forgotten."""
    end_ms = (START_MS // join.bucket_ms + 1) * join.bucket_ms
    return end_ms + join.horizon_ms + join.grace_ms


@pytest.mark.parametrize("case", JOIN_CASES.values(), ids=JOIN_CASES.keys())
def test_each_record_ends_in_its_fate(case: Case) -> None:
    driver = Driver()

    for record in as_inputs(case.events):
        driver.feed([record])
    driver.finish()

    assert driver.fates == case.fates
    if case.accuracy is not None:
        assert driver.value("accuracy") == case.accuracy


@pytest.mark.parametrize(
    ("after_ms", "fate"),
    [(HOUR_MS, "joined"), (HOUR_MS + 1, "late_label"), (2 * HOUR_MS, "late_label")],
)
def test_the_horizon_is_inclusive(after_ms: int, fate: str) -> None:
    driver = Driver()

    driver.feed(as_inputs([prediction("a"), label("a", timestamp_ms=START_MS + after_ms)]))

    assert driver.fates.get(fate, 0) >= 1
    assert driver.dead == (["late_label"] if fate == "late_label" else [])


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize(("early_ms", "fate"), [(1, "late_label"), (0, "orphan_label")])
def test_a_label_is_no_longer_late_but_orphan_when_its_prediction_may_be_forgotten(
    remembered: bool, early_ms: int, fate: str
) -> None:
    """It must not matter whether the clock has in fact come so far."""
    driver = Driver(disorder_ms=0)
    at_ms = forgotten_ms(driver.join) - early_ms
    other = [prediction("b", timestamp_ms=at_ms), label("b", timestamp_ms=at_ms)]
    driver.feed(as_inputs([prediction("a")]))

    if not remembered:
        driver.feed(as_inputs(other))
    driver.feed(as_inputs([label("a", timestamp_ms=at_ms)]))
    driver.finish()

    assert driver.fates[fate] == 1


def test_late_labels_move_the_clock() -> None:
    driver = Driver()
    at_ms = START_MS + 90 * MINUTE_MS

    driver.feed(as_inputs([prediction(f"a{i}") for i in range(20)]))
    driver.feed(as_inputs([prediction(f"b{i}", timestamp_ms=at_ms) for i in range(20)]))
    driver.feed(as_inputs([label(f"a{i}", timestamp_ms=at_ms) for i in range(20)]))

    assert driver.joins[0].clock_ms == at_ms


def test_a_label_from_before_its_prediction_takes_its_place_with_the_prediction() -> None:
    """At its own time the detectors may have gone on: it could not count before."""
    driver = Driver()
    said = label("a", timestamp_ms=START_MS - MINUTE_MS)
    others = [prediction("b"), label("b", timestamp_ms=START_MS)]

    driver.feed(as_inputs([said, *others]))
    driver.feed(as_inputs([prediction("a")]))
    driver.finish()

    at_ms = [time for rows in outcomes_of(driver) for time in rows.outcomes.at_ms.tolist()]
    assert min(at_ms) == START_MS
    assert driver.late_rows == 0


@pytest.mark.parametrize("time_ms", [NOW_MS + MAX_FUTURE_MS + 1, 2**62, 10**30])
def test_a_time_from_the_far_future_is_a_dead_letter_and_moves_no_clock(time_ms: int) -> None:
    driver = Driver()

    driver.feed(
        as_inputs([prediction("a", timestamp_ms=time_ms), label("b", timestamp_ms=time_ms)])
    )
    driver.feed([], idle=BOTH)

    assert len(driver.dead) == 2
    assert driver.joins[0].clock_ms == -1


@pytest.mark.parametrize("time_ms", [EARLIEST_MS - 1, 1_767_225_600, 20_260_101, 0])
@pytest.mark.parametrize("said", [True, False], ids=["in the record", "of the record"])
def test_seconds_and_dates_are_no_times_in_milliseconds(time_ms: int, said: bool) -> None:
    """They would be counted in January 1970, and labels of now would be orphans."""
    driver = Driver()
    event = prediction("a", timestamp_ms=time_ms)
    if not said:
        del event["timestamp_ms"]
    plain = [prediction("b"), label("b")]

    driver.feed(as_inputs([event, *plain]), time_ms=time_ms)

    assert driver.dead == ["implausible_time"]
    assert driver.fates == {"dead_letter": 1, "joined": 2}


def test_a_record_without_any_time_is_a_dead_letter() -> None:
    driver = Driver()
    event = prediction("a")
    del event["timestamp_ms"]

    driver.feed(as_inputs([event]), time_ms=-1)

    assert driver.dead == ["implausible_time"]


@pytest.mark.parametrize(
    ("guess", "truth", "accuracy"),
    [
        (2**53 + 1, 2**53, 0.0),
        (2**53 + 1, str(2**53 + 1), 1.0),
        (2**63 - 1, 2**63 - 2, 0.0),
        (-(2**63), -float(2**63), 1.0),
        (10**18, 1e18, 1.0),
    ],
)
def test_classes_are_whole_numbers_of_any_size(
    guess: int, truth: float | str, accuracy: float
) -> None:
    """As floats the first two are the same number."""
    driver = Driver()

    driver.feed(as_inputs([prediction("a", prediction=guess), label("a", label=truth)]))

    assert driver.value("accuracy") == accuracy


@pytest.mark.parametrize(
    "events",
    [
        [label("a", note="x" * 900_000) for _ in range(6)],
        [label(f"a{i}", note="x" * 900_000) for i in range(6)],
        [
            prediction(f"a{i}", scores={"x" * 1000 + str(j): 0.5 for j in range(900)})
            for i in range(6)
        ],
        [prediction(f"a{i}", features={f"f{j}": 0.5 for j in range(1000)}) for i in range(400)],
        [prediction(f"a{i}", features={f"f{i}-{j}": 0.5 for j in range(20)}) for i in range(300)],
        [prediction(f"a{i}", label="x" * 1000 + str(i)) for i in range(1500)],
    ],
    ids=["early labels", "labels", "scores", "features", "sparse features", "classes"],
)
def test_nothing_is_written_that_a_broker_would_refuse(events: list[dict]) -> None:
    driver = Driver()
    records = as_inputs(events)
    twin = driver.join.new_state(0)

    keys, values = [record[1] for record in records], [record[2] for record in records]
    batch = Batch(
        topic=records[0][0],
        offsets=range(len(records)),
        keys=keys,
        values=values,
        times_ms=[0] * len(records),
        next_offset=len(records),
    )
    effects = driver.join.step(driver.joins[0], [batch], now_ms=NOW_MS)
    for key, value in effects.state:
        driver.join.fold(twin, key, value)

    written = [*(value for _, value in effects.state), *(r.value for r in effects.records)]
    assert max(len(value or b"") for value in written) < 2 * LARGEST_VALUE_BYTES
    assert not effects.dead_letters
    assert contents(twin) == contents(driver.joins[0])


def test_the_text_of_a_feature_may_be_long() -> None:
    driver = Driver()

    driver.feed(as_inputs([prediction("a", features={"comment": "x" * 5000})]))

    assert json.loads(json.dumps(driver.fates)) == {"unlabelled": 1}
