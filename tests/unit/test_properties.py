"""What must hold for any traffic: no result depends on batches, no record stops a step."""

import json
import random
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.chosen import ALL, Choice
from streams.hash_index import SEED_BYTES
from streams.monitors import Drift, Monitors, Threshold, Window
from tests import examples
from tests.builders import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Event,
    delayed,
    history,
    multiclass,
    regression,
)
from tests.driver import BOTH, NOW_MS, TOPICS, Driver, Input, as_inputs, cut, disorder_of
from tests.examples import some

COUNT = 80 if examples.ALL else 50
QUICK = settings(max_examples=some(12))
SENSITIVE = Monitors(
    baseline=(20 * MINUTE_MS, 40 * MINUTE_MS),
    windows=(Window(10 * MINUTE_MS, 10 * MINUTE_MS), Window(30 * MINUTE_MS, 10 * MINUTE_MS)),
    metrics=(Choice(include=(ALL,)),),
    reference=10,
    resolve_ms=15 * MINUTE_MS,
    thresholds=(
        Threshold(
            name="floor",
            metric="accuracy",
            kind="below",
            given=0.85,
            minimum=3,
            window="7m",
            by="value",
        ),
        Threshold(
            name="drop",
            metric="accuracy",
            kind="falls_by",
            given=0.01,
            minimum=3,
            by="value",
            window="10m",
        ),
        Threshold(
            name="eu",
            metric="recall",
            segment="region=eu",
            kind="below",
            given=0.9,
            minimum=2,
            by="value",
            window="10m",
        ),
        Threshold(
            name="mae", metric="mae", kind="rises_by", given=0.1, minimum=3, window="1m", by="value"
        ),
        Threshold(
            name="slow",
            metric="latency_p50_ms",
            kind="above",
            given=20.0,
            minimum=2,
            window="90s",
            by="value",
        ),
        Threshold(
            name="gaps",
            metric="missing_rate:amount",
            kind="above",
            given=0.01,
            minimum=2,
            by="value",
            window="10m",
        ),
        Threshold(
            name="cover",
            metric="coverage",
            kind="below",
            given=0.9,
            minimum=2,
            by="value",
            window="10m",
        ),
    ),
    drifts=(
        Drift(name="loss", input="loss", parameters={"delta": 0.4}),
        Drift(
            name="loss-ph",
            input="loss",
            detector="page_hinkley",
            parameters={"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
        ),
        Drift(
            name="inputs",
            input="features",
            detector="page_hinkley",
            parameters={"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
        ),
        Drift(
            name="score",
            input="score",
            detector="page_hinkley",
            parameters={"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
        ),
    ),
)


@st.composite
def traffic(draw: st.DrawFn) -> list[Event]:
    """Draw a history of one kind of model, in an order of arrival."""
    seed = draw(st.integers(0, 2**32 - 1))
    arrivals = {
        "binary": lambda: history(seed, count=COUNT),
        "multiclass": lambda: multiclass(seed, count=COUNT, classes=("a", "", "c d", 4, "True")),
        "regression": lambda: regression(seed, count=COUNT),
    }[draw(st.sampled_from(["binary", "multiclass", "regression"]))]()
    bound_ms = draw(st.sampled_from([1, MINUTE_MS, HOUR_MS]))
    return delayed(arrivals, seed=seed, bound_ms=bound_ms)


sizes = st.lists(st.integers(1, 90), min_size=1, max_size=5)


def run(
    events: list[Event], batches: list[int], partitions: int, restarts: int = 0, **how: int
) -> Driver:
    disorder_ms, least_windows = disorder_of(events), how.pop("least_windows", 200)
    rows_at_once = how.pop("rows_at_once", 50_000)
    driver = Driver(partitions=partitions, disorder_ms=disorder_ms, monitors=SENSITIVE, **how)
    driver.monitor.least_windows = least_windows
    driver.monitor.rows_at_once = rows_at_once
    luck = random.Random(restarts)
    for batch in cut(as_inputs(events), batches):
        driver.feed(batch)
        if restarts and luck.random() < 0.4:
            driver.restart(luck)
    driver.finish()
    return driver


@QUICK
@given(traffic(), sizes, st.sampled_from([1, 2, 3, 8]))
def test_results_do_not_depend_on_batches_or_partitions(
    events: list[Event], batches: list[int], partitions: int
) -> None:
    at_once = run(events, [len(events)], 1)

    other = run(events, batches, partitions)

    assert other.result() == at_once.result()
    assert at_once.late_rows == 0


@QUICK
@given(traffic(), sizes, st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES))
def test_nothing_that_is_written_depends_on_the_secret_of_the_process(
    events: list[Event], batches: list[int], seed: bytes
) -> None:
    plain, secret = Driver(), Driver(seed=seed)

    for batch in cut(as_inputs(events), batches):
        plain.feed(batch)
        secret.feed(batch)

    assert secret.join_logs == plain.join_logs
    assert secret.written == plain.written


@QUICK
@given(traffic(), sizes, st.sampled_from([1, 3]), st.integers(1, 5), st.booleans())
def test_results_do_not_depend_on_how_much_a_step_puts_off(
    events: list[Event], batches: list[int], partitions: int, windows: int, restarts: bool
) -> None:
    """Few windows a step, and a clock that stands still, so that rows wait to be more."""
    at_once = run(events, batches, partitions)

    slow = run(events, batches, partitions, int(restarts), least_windows=windows, pace_ms=0)

    assert slow.result() == at_once.result()


@QUICK
@given(traffic(), sizes, st.sampled_from([1, 3]), st.sampled_from([1, 5, 30]), st.integers(0, 9))
def test_results_do_not_depend_on_how_many_rows_of_a_backlog_a_step_takes(
    events: list[Event], batches: list[int], partitions: int, rows: int, restarts: int
) -> None:
    """Some restarts come while rows of the one before are still to be restored."""
    at_once = run(events, batches, partitions)

    with (
        patch("streams.monitor.pace.ROWS_PER_MODEL", 1),
        patch("streams.monitor.pace.COUNTED_ROWS_PER_MODEL", 1),
    ):
        slow = run(events, batches, partitions, restarts, rows_at_once=rows)

    assert slow.result() == at_once.result()


@QUICK
@given(traffic(), sizes, st.sampled_from([1, 3]), st.integers(1, 1000), st.integers(0, 30))
def test_a_restart_from_the_written_state_changes_nothing(
    events: list[Event], batches: list[int], partitions: int, seed: int, tighter: int
) -> None:
    disorder_ms = disorder_of(events) * tighter // 30  # late records are welcome here
    luck = random.Random(seed)
    plain, restarted = (
        Driver(partitions=partitions, disorder_ms=disorder_ms, monitors=SENSITIVE) for _ in "ab"
    )
    for driver in (plain, restarted):
        driver.monitor.least_windows = 10_000  # else a restart changes which go first

    for batch in cut(as_inputs(events), batches):
        idle = luck.choice([frozenset(), frozenset(), frozenset({TOPICS.labels}), BOTH])
        plain.feed(batch, idle=idle)
        restarted.restart(luck)
        restarted.feed(batch, idle=idle)

    # What was written of a window last is known in memory alone: after a restart, all of it is.
    alerts, others = (
        sorted((record for record in one.written if record[0] == TOPICS.alerts), key=repr)
        for one in (restarted, plain)
    )
    assert alerts == others
    assert restarted.result() == plain.result()
    assert restarted.dead == plain.dead


def test_the_histories_raise_and_resolve_alerts_of_every_rule() -> None:
    """The properties above would show little without."""
    found: set[tuple[str, str]] = set()

    for seed in range(2):
        events = delayed(history(seed, count=600), seed=seed, bound_ms=MINUTE_MS)
        found |= {(a["monitor"], a["state"]) for a in run(events, [200], 1).alerts}
    events = delayed(regression(0, count=600), seed=0, bound_ms=MINUTE_MS)
    found |= {(a["monitor"], a["state"]) for a in run(events, [200], 1).alerts}

    names = {m.name for m in (*SENSITIVE.thresholds, *SENSITIVE.drifts)}
    assert {name for name, state in found if state == "firing"} == names
    assert {name for name, state in found if state == "resolved"} == names


# --- anything that decodes

texts = st.text(st.characters(codec="utf-8"), max_size=5)
names = (
    st.sampled_from(["", "a", "b", "\u0130", "\U0001f600", "=", ":", "1", "True", "NaN"]) | texts
)
numbers = (
    st.sampled_from([0, -0.0, 1, 0.5, 1e150, -1e150, 5e-324, 2**53 + 1, -(2**63), 2.0**498, 1e16])
    | st.floats(-1e150, 1e150)
    | st.integers(-(2**63), 2**63 - 1)
)
scalars = names | numbers | st.booleans()
times = st.sampled_from([0, 1, START_MS, START_MS + 1, START_MS + HOUR_MS, NOW_MS]) | st.integers(
    START_MS, START_MS + 3 * HOUR_MS
)
ids = st.sampled_from(["a", "b", "c", "\u00e9"])
features = st.dictionaries(names, numbers | names | st.booleans() | st.none(), max_size=4)
predictions = st.fixed_dictionaries(
    {"prediction_id": ids, "model": st.sampled_from(["m", "n\u00e9"]), "prediction": scalars},
    optional={
        "version": names,
        "timestamp_ms": times,
        "score": numbers | st.floats(0, 1),
        "scores": st.dictionaries(names, numbers | st.floats(0, 1), max_size=3),
        "features": features,
        "segments": st.dictionaries(names, names, max_size=2),
        "latency_ms": st.floats(0, 1e150),
        "label": scalars,
    },
)
labels = st.fixed_dictionaries(
    {"prediction_id": ids, "timestamp_ms": times},
    optional={"label": scalars, "retract": st.booleans(), "prediction": scalars, "model": names},
)


@st.composite
def records(draw: st.DrawFn) -> Input:
    """Draw a record of either topic, mostly with the right key."""
    event: dict[str, Any] = draw(predictions | labels)
    topic = draw(st.sampled_from([TOPICS.predictions, TOPICS.labels]))
    if draw(st.integers(0, 9)):
        topic = TOPICS.labels if {"label", "retract"} & set(event) else TOPICS.predictions
    key = event["prediction_id"].encode()
    oddity = draw(st.integers(0, 40))
    if oddity == 0:
        return topic, draw(st.sampled_from([None, b"", b"\xff\xfe", b"other"])), b"{}"
    if oddity == 1:
        return topic, draw(st.sampled_from([None, b"", b"\xff\xfe", key])), None
    if oddity == 2:
        return topic, key, draw(st.binary(max_size=20))
    return topic, key, json.dumps(event, ensure_ascii=draw(st.booleans())).encode()


@settings(QUICK, max_examples=some(150))
@given(
    st.lists(st.lists(records(), max_size=12), min_size=1, max_size=6),
    st.sampled_from([-1, 0, START_MS, 2**62]),
    st.sampled_from([0, MINUTE_MS, HOUR_MS]),
    st.integers(0, 1000),
)
def test_no_record_stops_a_step_and_each_has_one_fate(
    batches: list[list[Input]], time_ms: int, disorder_ms: int, seed: int
) -> None:
    driver = Driver(partitions=2, disorder_ms=disorder_ms, monitors=SENSITIVE)
    luck = random.Random(seed)

    for batch in batches:
        driver.feed(batch, time_ms=time_ms, idle=luck.choice([frozenset(), BOTH]))
        driver.restart(luck)
    driver.finish()

    assert sum(driver.fates.values()) == sum(map(len, batches))
    assert len(driver.dead) == driver.fates.get("dead_letter", 0) + driver.fates.get(
        "late_label", 0
    )
