"""The monitor step: windows, their revisions, and detectors in the order of event time."""

import gc
import random
from itertools import count, pairwise

import msgspec
import numpy as np
import pytest
from river import drift as river_drift

from streams.errors import StateError
from streams.monitor import Monitor
from streams.monitors import DEFAULT_DRIFTS, DEFAULTS, Monitors, Window
from streams.monitors_file import parse_monitors
from streams.outcomes import Outcomes, decode_outcomes
from streams.rules.lengths import LONG
from streams.steps import Batch, Effects
from streams.topics import Topics
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, label, prediction, retraction
from tests.driver import TOPICS, Driver, as_inputs, batch_of
from tests.golden import watching

USUAL = parse_monitors(watching.USUAL)
HOPPING = Monitors(windows=(Window(30 * MINUTE_MS, 10 * MINUTE_MS),))


def test_a_metric_that_is_no_longer_defined_is_deleted() -> None:
    driver = Driver()
    driver.feed(as_inputs([prediction("a"), label("a")]))
    assert driver.value("accuracy") == 1.0

    driver.feed(as_inputs([retraction("a")]))

    assert {record["metric"] for record in driver.metrics.values()} == {
        "predictions",
        "labels",
        "coverage",
        "error_rate",
        "prediction_share",
    }


@pytest.mark.parametrize(("end_after_ms", "final"), [(-1, False), (0, True)])
def test_a_window_is_final_a_horizon_after_its_end(end_after_ms: int, final: bool) -> None:
    driver = Driver()
    at_ms = START_MS + 10 * MINUTE_MS + HOUR_MS + end_after_ms

    driver.feed(as_inputs([prediction("a"), label("a")]))
    driver.feed(as_inputs([prediction("b", timestamp_ms=at_ms), label("b", timestamp_ms=at_ms)]))
    driver.come_to(at_ms)

    first = [r for r in driver.metrics.values() if r["window_start_ms"] == START_MS]
    assert {record["final"] for record in first} == {final}


def test_hopping_windows_overlap() -> None:
    driver = Driver(monitors=HOPPING)

    driver.feed(as_inputs([prediction("a"), prediction("b", timestamp_ms=START_MS + HOUR_MS // 6)]))

    counts = {
        (r["window_start_ms"] - START_MS) // MINUTE_MS: r["value"]
        for r in driver.metrics.values()
        if r["metric"] == "predictions"
    }
    assert counts == {-20: 1, -10: 2, 0: 2, 10: 1}


@pytest.mark.parametrize("late_minutes", range(125, 175, 5))
def test_a_late_prediction_never_makes_a_window_forget_earlier_ones(late_minutes: int) -> None:
    """What a window holds can only grow while predictions come."""
    driver = Driver(monitors=HOPPING)
    driver.feed(as_inputs([prediction(f"a{i}") for i in range(5)]))
    now_ms = START_MS + late_minutes * MINUTE_MS
    now = [prediction("z", timestamp_ms=now_ms), label("z", timestamp_ms=now_ms)]
    driver.feed(as_inputs(now))
    driver.feed(as_inputs([prediction("z2", timestamp_ms=now_ms)]))

    driver.feed(as_inputs([prediction("late", timestamp_ms=START_MS + 10 * MINUTE_MS)]))

    shared = driver.value("predictions", window_start_ms=START_MS)
    assert shared in (5, 6)


def test_the_loss_drifts_at_the_index_of_bare_river_in_the_order_of_label_time() -> None:
    rng = np.random.default_rng(11)
    wrong = np.concatenate([rng.random(800) < 0.1, rng.random(400) < 0.6])
    delays = rng.integers(1, HOUR_MS, size=len(wrong))
    made = [prediction(f"p{i}", timestamp_ms=START_MS + i * 10_000) for i in range(len(wrong))]
    said = [
        label(event["prediction_id"], timestamp_ms=event["timestamp_ms"] + int(d), label=1 - int(w))
        for event, d, w in zip(made, delays, wrong, strict=True)
    ]
    driver = Driver(partitions=3, disorder_ms=2 * HOUR_MS, monitors=USUAL)
    events = sorted([*made, *said], key=lambda _: rng.random())

    driver.feed(as_inputs(events))
    driver.finish()

    order = np.argsort([event["timestamp_ms"] for event in said], kind="stable")
    bare, expected = river_drift.ADWIN(), []
    for index, value in enumerate(wrong[order].tolist()):
        bare.update(value)
        if bare.drift_detected:
            expected.append(index)
    found = [
        alert
        for alert in driver.alerts
        if alert["monitor"] == "loss-drift" and alert["state"] == "firing"
    ]
    assert found[0]["evidence"]["outcome_index"] == expected[0]
    assert found[0]["direction"] == "worse"
    assert found[0]["at_ms"] == said[order[expected[0]]]["timestamp_ms"]


@pytest.mark.parametrize("partitions", [1, 3])
def test_labels_of_one_moment_are_taken_in_the_order_of_their_predictions(partitions: int) -> None:
    """A nightly job stamps them alike: the model went wrong at noon, not a bit all day long."""
    rng = np.random.default_rng(3)
    wrong = np.concatenate([rng.random(1_000) < 0.05, rng.random(1_000) < 0.4])
    night_ms = START_MS + 4 * HOUR_MS
    events = []
    for i, miss in enumerate(wrong.tolist()):
        events.append(prediction(f"r{i}", timestamp_ms=START_MS + i * 5_000))
        events.append(label(f"r{i}", timestamp_ms=night_ms, label=1 - int(miss)))
    driver = Driver(
        partitions=partitions, disorder_ms=5 * HOUR_MS, horizon_ms=24 * HOUR_MS, monitors=USUAL
    )

    driver.feed(as_inputs(sorted(events, key=lambda _: rng.random())))
    driver.finish()

    bare = river_drift.ADWIN()
    fires = [i for i, miss in enumerate(wrong.tolist()) if _fires(bare, float(miss))]
    found = [a for a in driver.alerts if (a["monitor"], a["state"]) == ("loss-drift", "firing")]
    assert [alert["evidence"]["outcome_index"] for alert in found] == fires[:1]


def _fires(detector: river_drift.ADWIN, value: float) -> bool:
    detector.update(value)
    return bool(detector.drift_detected)


@pytest.mark.parametrize(("monitors", "wait"), [(DEFAULTS, True), (Monitors(), False)])
def test_rows_wait_only_where_somebody_looks_at_them_in_order(
    monitors: Monitors, wait: bool
) -> None:
    driver = Driver(monitors=monitors, disorder_ms=HOUR_MS)

    driver.feed(as_inputs([prediction("a"), label("a")]))

    kept = [key for key in driver.monitor_logs[0] if b"rows" in key]
    assert bool(kept) == wait
    assert bool(driver.monitors[0].waiting) == wait
    assert driver.value("accuracy") == 1.0


def test_rows_that_wait_are_not_written_down_again_but_read_again() -> None:
    driver = Driver(disorder_ms=HOUR_MS)
    for name in "abc":
        driver.feed(as_inputs([prediction(name), label(name)]))
    log, outcomes = driver.monitor_logs[0], driver.outcomes[0]
    waiting = [value for key, value in log.items() if b"rows" in key]
    rows = [v for v in outcomes if isinstance(decode_outcomes(v), Outcomes)]
    assert max(map(len, waiting)) < 20 < min(map(len, rows))

    fresh = driver.monitor.new_state(0)
    for record in log.items():
        driver.monitor.fold(fresh, *record)

    recalled = driver.monitor.recalls(fresh)[TOPICS.outcomes]
    assert len(recalled) == len(waiting) == 3
    with pytest.raises(StateError, match="not read again"):
        driver.monitor.step(fresh, [], now_ms=0)
    with pytest.raises(StateError, match="has no rows"):
        driver.monitor.recall(fresh, _outcomes_batch({recalled[0]: None}))
    driver.monitor.recall(fresh, _outcomes_batch({n: outcomes[n] for n in recalled}))
    assert not driver.monitor.recalls(fresh)
    driver.monitor.step(fresh, [], now_ms=0)
    assert [n for one in fresh.waiting for n in one.offsets] == list(recalled)


def _outcomes_batch(values: dict[int, bytes | None]) -> Batch:
    rows = [(TOPICS.outcomes, None, value) for value in values.values()]
    return batch_of(TOPICS.outcomes, rows, offsets=list(values))


def test_a_step_publishes_some_windows_and_later_steps_the_rest() -> None:
    driver = Driver()
    driver.monitor.least_windows = 3
    counts = []

    driver.feed(as_inputs([prediction(f"p{n}", model=f"m{n}") for n in range(8)]))
    while driver.monitor.unfinished(driver.monitors[0]):
        counts.append(_published_models(driver))
        driver.feed([])

    assert [*counts, _published_models(driver)] == [3, 6, 8]
    assert {record["revision"] for record in driver.metrics.values()} == {1}


def test_what_was_not_published_yet_is_published_after_a_restart() -> None:
    driver = Driver()
    driver.monitor.least_windows = 3
    driver.feed(as_inputs([prediction(f"p{n}", model=f"m{n}") for n in range(8)]))

    driver.restart(random.Random(1))
    driver.finish()

    assert _published_models(driver) == 8
    assert {record["revision"] for record in driver.metrics.values()} == {1}


def test_windows_that_become_final_are_put_off_too() -> None:
    driver = Driver()
    late_ms = START_MS + 5 * HOUR_MS
    driver.feed(as_inputs([prediction(f"p{n}", model=f"m{n}") for n in range(8)]))
    driver.monitor.least_windows = 3

    later = prediction("z", model="z", timestamp_ms=late_ms)
    driver.feed(as_inputs([later, label("z", timestamp_ms=late_ms)]))
    first = _published_models(driver, final=True)
    driver.finish()

    assert first < 8
    assert _published_models(driver, final=True) == 8


def test_windows_that_become_final_later_than_they_could_are_still_whole() -> None:
    """The clock leaps so far that their panes could be dropped at once."""
    driver = Driver()
    starts_ms = [START_MS + n * 10 * MINUTE_MS for n in range(8)]
    names = [(f"p{n}", ms) for n, ms in enumerate(starts_ms)]
    said = [prediction(name, timestamp_ms=ms) for name, ms in names]
    driver.feed(as_inputs([*said, *(label(name, timestamp_ms=ms) for name, ms in names)]))
    driver.monitor.least_windows = 1
    late_ms = START_MS + 24 * HOUR_MS

    driver.feed(as_inputs([prediction("z", timestamp_ms=late_ms)]))
    driver.come_to(late_ms)
    driver.finish()

    finals = {
        (record["window_start_ms"], record["metric"]): record["value"]
        for record in driver.metrics.values()
        if record["final"] and record["metric"] in ("predictions", "labels")
    }
    assert finals == {(ms, metric): 1.0 for ms in starts_ms for metric in ("predictions", "labels")}


@pytest.mark.parametrize("late", [False, True])
def test_a_window_that_became_final_is_published_with_what_came_until_then(late: bool) -> None:
    driver = Driver()
    driver.feed(as_inputs([prediction("a"), prediction("b"), label("a")]))
    first = driver.value("labels")
    later_ms = START_MS + 3 * HOUR_MS
    later = [prediction("c", timestamp_ms=later_ms), label("c", timestamp_ms=later_ms)]
    more = [label("b", timestamp_ms=START_MS + HOUR_MS)] if late else []

    driver.feed(as_inputs([*more, *later]))
    driver.come_to(later_ms)

    final = [r for r in driver.metrics.values() if r["metric"] == "labels" and r["final"]]
    assert [record["value"] for record in final] == [first + late]
    assert final[0]["coverage"] == (1.0 if late else 0.5)


def _published_models(driver: Driver, **where: bool) -> int:
    records = driver.metrics.values()
    return len({r["model"] for r in records if all(r[k] == v for k, v in where.items())})


def test_rows_of_many_models_are_taken_in_order_once_they_are_some_or_have_waited() -> None:
    driver = Driver(pace_ms=10)
    pairs = [(f"p{n}", f"m{n}") for n in range(20)]
    frontiers = []

    driver.feed([])
    for _ in range(30):
        at_ms = START_MS + len(frontiers) * 1_000
        ids = [(f"{name}-{len(frontiers)}", model) for name, model in pairs]
        said = [prediction(i, model=model, timestamp_ms=at_ms) for i, model in ids]
        driver.feed(as_inputs([*said, *(label(i, timestamp_ms=at_ms) for i, _ in ids)]))
        frontiers.append(driver.monitors[0].watermark_ms)

    moves = [n for n, (a, b) in enumerate(pairwise(frontiers)) if a != b]
    assert 2 <= len(moves) <= 6
    assert driver.monitor.unfinished(driver.monitors[0])
    driver.feed([])
    assert not driver.monitor.unfinished(driver.monitors[0])


@pytest.mark.parametrize(("pace_ms", "steps"), [(0, [31, 1]), (7, [1, 1, 1])])
@pytest.mark.parametrize("restart", [False, True])
def test_rows_of_many_models_are_counted_once_they_are_some_or_have_waited(
    pace_ms: int, steps: list[int], restart: bool
) -> None:
    driver = Driver(pace_ms=pace_ms)
    ids = (f"p{n}" for n in count())
    models = [f"m{n}" for n in range(20)]
    counts = []

    for rows in [1, *steps]:
        if restart and len(counts) == len(steps):
            driver.restart(random.Random(1))
        driver.feed(as_inputs([prediction(next(ids), model=m) for m in models * rows]))
        counts.append(driver.value("predictions", model="m0"))

    assert counts == [1] * len(steps) + [1 + sum(steps)]


def rule_panes(driver: Driver) -> dict[int, bytes]:
    """Return what rules have counted of one model, by pane."""
    found = {}
    for grid in driver.monitors[0].rules.watches[LONG].grids.values():
        cells = grid.outcomes
        rows = cells.every_row()
        data, ends = cells.table.pack(rows)
        starts = [0, *ends.tolist()]
        for place, key in enumerate(cells.table.key[rows].tolist()):
            found[key] = bytes(data[starts[place] : starts[place + 1]])
    return found


@pytest.mark.parametrize("more", [15, 40])
def test_late_labels_are_counted_once_whatever_was_taken_before_a_restart(more: int) -> None:
    """With 15 rows each they are not taken yet, with 40 they are, but not written into panes."""
    drivers = [Driver(pace_ms=0, monitors=USUAL) for _ in range(2)]
    first = [prediction(f"p{n}", timestamp_ms=START_MS + n * MINUTE_MS) for n in range(20)]
    late = [label(f"p{n}", timestamp_ms=START_MS + n * MINUTE_MS, label=1) for n in range(more)]
    after = [prediction(f"q{n}", timestamp_ms=START_MS + 20 * MINUTE_MS) for n in range(more)]
    for driver in drivers:
        driver.feed(as_inputs([*first, label("p19", timestamp_ms=START_MS + 19 * MINUTE_MS)]))
        driver.come_to(START_MS + 19 * MINUTE_MS)
        driver.feed(as_inputs([*late[:19], *after]))
        assert bool(driver.monitors[0].backlog) == (more < 32 / 2)
    taken = drivers[0].late_rows

    drivers[1].restart(random.Random(1))
    for driver in drivers:
        driver.feed([])

    plain, restarted = (rule_panes(driver) for driver in drivers)
    assert restarted == plain
    assert plain
    assert drivers[0].result() == drivers[1].result()
    assert drivers[0].late_rows > 0
    assert bool(taken) == (more == 40)


def test_a_step_that_has_nothing_to_do_writes_nothing() -> None:
    driver = Driver(pace_ms=0)
    driver.feed(as_inputs([prediction("a"), prediction("b")]))
    state = driver.monitors[0]

    assert driver.monitor.step(state, [], now_ms=driver.now_ms) == Effects()
    assert driver.monitor.unfinished(state)
    driver.now_ms += 1_000
    assert driver.monitor.step(state, [], now_ms=driver.now_ms) == Effects()
    assert not driver.monitor.unfinished(state)


def test_panes_are_written_down_with_the_rows_that_were_taken_and_counted_again_till_then() -> None:
    driver = Driver(pace_ms=0)
    driver.feed(as_inputs([prediction("first")]))
    log = driver.monitor_logs[0]
    before = {key: value for key, value in log.items() if b"predictions" in key}

    for n in range(5):
        driver.feed(as_inputs([prediction(f"p{n}"), label(f"p{n}")]))

    assert before == {key: value for key, value in log.items() if b"predictions" in key}
    driver.restart(random.Random(1))
    driver.finish()
    assert driver.value("predictions") == 6
    assert driver.value("labels") == 5
    assert before != {key: value for key, value in log.items() if b"predictions" in key}


def test_what_was_done_for_a_model_is_counted_as_its_cost() -> None:
    driver = Driver(monitors=msgspec.structs.replace(USUAL, drifts=USUAL.drifts + DEFAULT_DRIFTS))
    events = [prediction(f"p{n}", model="big" if n % 4 else "small") for n in range(40)]
    driver.feed(as_inputs([*events, *(label(f"p{n}") for n in range(40))]))
    driver.finish()

    costs, names = driver.monitor.costs(driver.monitors[0])

    seconds = {names[code][0]: spent for code, spent in costs.of_models().items()}
    rows = {names[code][0]: count for code, count in costs.rows.items()}
    assert rows == {"big": 60, "small": 20}
    assert seconds["big"] > seconds["small"] > 0
    assert sum(seconds.values()) <= sum(costs.seconds.values()) * 1.001
    assert costs.monitors["loss-drift"][1] == 40
    assert costs.monitors["scan"][1] == 80


def test_a_state_record_of_another_schema_is_refused() -> None:
    driver = Driver()
    driver.feed(as_inputs([prediction("a")]))
    key = next(iter(driver.monitor_logs[0]))

    with pytest.raises(StateError, match="in format 99, a newer one"):
        driver.monitor.fold(driver.monitor.new_state(0), key, b"\x92\x63\xc0")
    with pytest.raises(StateError, match="jumps"):
        driver.join.fold(driver.joins[0], *driver.join_logs[0][0])


def test_state_of_other_windows_is_refused_by_name() -> None:
    """Panes of five minutes cannot be counted on as panes of one minute."""
    five = Monitor(Topics(), window_ms=300_000, horizon_ms=3_600_000)
    one = Monitor(Topics(), window_ms=60_000, horizon_ms=3_600_000)
    nothing = Batch(topic="", offsets=[], keys=[], values=[], times_ms=[], next_offset=0)
    [(key, value)] = five.step(five.new_state(0), [nothing], now_ms=0).state

    with pytest.raises(StateError, match=r"windows of 5m, the settings say 1m; "):
        one.fold(one.new_state(0), key, value)


def test_what_a_step_has_made_is_not_held_by_cycles() -> None:
    """A worker looks for cycles once in millions of events: all their records would stay."""
    driver = Driver()
    driver.feed(as_inputs([prediction("a"), label("a")]))
    at_ms = START_MS + 10 * MINUTE_MS
    events = [prediction("b", timestamp_ms=at_ms), label("b", timestamp_ms=at_ms), label("a")]
    gc.collect()
    gc.disable()
    try:
        driver.feed(as_inputs(events))
        found = gc.collect()
    finally:
        gc.enable()

    assert found == 0
