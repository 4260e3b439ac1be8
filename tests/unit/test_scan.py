"""The scan from rows to alerts: what it notices, what leaves it quiet, what else counts."""

import json
import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streams.errors import ConfigError
from streams.monitors import DEFAULT_DRIFTS, SCAN, Drift, Monitors
from streams.monitors_file import parse_monitors
from streams.noticed import Noticed
from streams.scan.inputs import INPUTS
from streams.scan.inputs import label as label_of
from streams.scan.life import Found
from streams.scan.parameters import BUDGETS, allowances
from streams.scan.watch import Scan
from streams.specification import write_specification
from streams.watchers.lanes import Input
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, How, as_inputs, cut
from tests.examples import some

DAY_MS = 24 * HOUR_MS
LOSS = Drift(name="loss", input="loss", detector=SCAN)
EVERY = DEFAULT_DRIFTS


WAYS = st.builds(
    How,
    st.lists(st.integers(20, 400), min_size=1, max_size=3),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 3),
    rows=st.sampled_from([60, 50_000]),
)
"""How records are cut, dealt out, and read again."""


# --- losses alone


def found_in(
    times_ms: np.ndarray, losses: np.ndarray, *, until_ms: int, measure: int = 1
) -> list[Found]:
    """Return what is found in the losses of one model."""
    scan = Scan(Monitors(drifts=(LOSS,)), [("m", "")])
    scan.watch(0, ["loss"])
    count = np.array([len(times_ms)])
    rows = Input("loss", np.zeros(1, np.int64), count, times_ms, losses, np.array([measure]))
    span = {"from_ms": START_MS, "until_ms": until_ms}
    every = scan.advance([], [rows], Noticed(), **span)
    return [one.found for one in every if one.detector == SCAN]


def times(days: float, *, a_day: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return START_MS + np.sort(rng.integers(0, int(days * DAY_MS), int(days * a_day)))


def wrong(times_ms: np.ndarray, rate: Any, *, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(times_ms)) < rate).astype(float)


def told(found: list[Found]) -> list[tuple[str, int]]:
    return [(one.state, one.sign) for one in found if one.state != "revised"]


def test_a_step_is_one_finding_that_stays_open_and_says_what_changed() -> None:
    at = times(12, a_day=700, seed=1)
    step_ms = START_MS + 9 * DAY_MS

    found = found_in(at, wrong(at, np.where(at < step_ms, 0.05, 0.2), seed=2), until_ms=int(at[-1]))

    assert told(found) == [("firing", 1)]
    first = found[0]
    assert step_ms < first.at_ms < step_ms + 8 * HOUR_MS
    assert first.evidence["after"] == pytest.approx(0.2, rel=0.4)
    assert first.evidence["before"] == pytest.approx(0.05, abs=0.01)
    assert first.evidence["onset_ms"] == pytest.approx(step_ms, abs=3 * HOUR_MS)
    assert first.evidence["low"] < first.evidence["after"] < first.evidence["high"]


def test_what_is_back_is_over() -> None:
    at = times(13, a_day=700, seed=3)
    hours = (at - START_MS) / HOUR_MS
    incident = (hours >= 9 * 24) & (hours < 9 * 24 + 8)

    found = found_in(at, wrong(at, np.where(incident, 0.4, 0.05), seed=4), until_ms=int(at[-1]))

    assert told(found) == [("firing", 1), ("resolved", 1)]
    over_ms = found[-1].at_ms - START_MS - (9 * 24 + 8) * HOUR_MS
    assert 6 * HOUR_MS < over_ms < 40 * HOUR_MS


def test_what_is_too_high_by_day_and_too_low_by_night_is_one_finding() -> None:
    at = times(15, a_day=1_500, seed=4)
    cycle = np.where(at >= START_MS + 9 * DAY_MS, 0.25 * np.sin(at / DAY_MS * 2 * np.pi), 0.0)

    found = found_in(at, wrong(at, 0.3 + cycle, seed=4), until_ms=int(at[-1]))

    assert [state for state, _ in told(found)] == ["firing"]


@pytest.mark.parametrize("seed", [5])
def test_clusters_days_and_weekends_are_no_findings(seed: int) -> None:
    """Sessions of about 20 rows share a rate of errors; days and weekends differ."""
    at = times(10, a_day=1_000, seed=seed)
    rng = np.random.default_rng(seed)
    session = np.cumsum(rng.random(len(at)) < 1 / 20)
    shared = rng.beta(0.5, 9.5, session[-1] + 1)[session]
    hours = at // HOUR_MS
    weekend = (hours // 24 + 3) % 7 >= 5
    rates = shared, 0.05 + 0.02 * np.sin(hours / 24 * 2 * np.pi), np.where(weekend, 0.08, 0.05)

    found = [found_in(at, wrong(at, rate, seed=seed), until_ms=int(at[-1])) for rate in rates]

    assert found == [[], [], []]


def test_before_a_reference_only_gross_changes_count() -> None:
    at = times(1.5, a_day=2_000, seed=7)
    late = at > START_MS + DAY_MS
    small, gross = (wrong(at, np.where(late, rate, 0.05), seed=8) for rate in (0.1, 0.6))

    quiet, loud = (found_in(at, one, until_ms=int(at[-1])) for one in (small, gross))

    assert (quiet, told(loud)) == ([], [("firing", 1)])
    assert loud[0].at_ms < START_MS + DAY_MS + 3 * HOUR_MS


@pytest.mark.parametrize("hour", [6, 12])
def test_a_gross_change_on_the_first_day_is_found_within_hours(hour: int) -> None:
    """At 20,000 predictions a month, when a few hours say how much the loss varies."""
    at = times(1.0, a_day=667, seed=1)
    change_ms = START_MS + hour * HOUR_MS

    found = found_in(at, wrong(at, np.where(at < change_ms, 0.05, 0.5), seed=101), until_ms=at[-1])

    assert told(found) == [("firing", 1)]
    assert found[0].at_ms - change_ms < 4 * HOUR_MS


def test_distances_are_judged_alike_in_any_unit() -> None:
    at = times(9, a_day=700, seed=9)
    distance = np.abs(np.random.default_rng(10).standard_t(3, len(at)))
    distance *= np.where(at < START_MS + 7 * DAY_MS, 1.0, 2.0)

    found = [
        found_in(at, distance * unit, until_ms=int(at[-1]), measure=3)
        for unit in (2.0**-10, 1.0, 2.0**10)
    ]

    plain = [[(one.state, one.at_ms, one.evidence.get("z")) for one in own] for own in found]
    assert plain[0] == plain[1] == plain[2]
    assert told(found[1]) == [("firing", 1)]
    after = [own[0].evidence["after"] for own in found]
    assert after[2] / after[1] == pytest.approx(2.0**10)


# --- whole models


def traffic(days: float, *, a_day: int, model: str = "m", seed: int = 0) -> list[Event]:
    """Make predictions of a classifier, and labels some minutes later."""
    rng = np.random.default_rng([seed, *model.encode()])
    events: list[Event] = []
    for number, at_ms in enumerate(times(days, a_day=a_day, seed=seed).tolist()):
        truth = int(rng.random() < 0.3)
        name = f"{model}-{number}"
        age, size = rng.normal(50, 10), rng.normal(170, 5)
        features = {"age": age, "city": "Rome", "debt": rng.exponential(), "size": size}
        events.append(
            prediction(
                name,
                model=model,
                timestamp_ms=at_ms,
                prediction=truth ^ int(rng.random() < 0.05),
                features=features,
                segments={"site": "abc"[int(rng.integers(3))]},
                score=float(rng.random()),
                latency_ms=float(rng.lognormal(3, 0.3)),
            )
        )
        events.append(label(name, label=truth, timestamp_ms=at_ms + 3 * MINUTE_MS))
    return sorted(events, key=lambda one: one["timestamp_ms"])


def driven(events: list[Event], how: How, *, drifts: tuple[Drift, ...] = EVERY) -> Driver:
    driver = Driver(partitions=how.partitions, monitors=Monitors(drifts=drifts))
    driver.monitor.rows_at_once = how.rows
    luck = random.Random(how.restarts)
    for records in cut(as_inputs(events), how.sizes):
        driver.feed(records)
        if how.restarts and luck.random() < 0.2:
            driver.restart(luck)
    driver.finish()
    return driver


def alerts_of(driver: Driver) -> list[str]:
    return sorted(json.dumps(one, sort_keys=True) for one in driver.alerts)


def names_of(driver: Driver) -> dict[str, set[str]]:
    """Return by model what the scan looks at."""
    found: dict[str, set[str]] = {}
    for monitor in driver.monitors:
        for name in monitor.scan.lanes.names:
            if name is not None:
                found.setdefault(name[0], set()).add(label_of(*name[1:]) + INPUTS[name[1]].name)
    return found


def after_ms(event: Event, day: float) -> bool:
    return bool(event["timestamp_ms"] >= START_MS + day * DAY_MS)


def shifted(events: list[Event], day: float, **features: Any) -> list[Event]:
    """Let features be others from a day on."""
    return [
        one | {"features": one["features"] | features}
        if "features" in one and after_ms(one, day)
        else one
        for one in events
    ]


@settings(max_examples=some(4), phases=(Phase.generate,))  # to shrink it takes minutes
@given(
    WAYS,
    st.integers(0, 50),
)
def test_findings_do_not_depend_on_steps_partitions_or_restarts(how: How, seed: int) -> None:
    events = traffic(2.3, a_day=260, seed=seed) + traffic(2.3, a_day=60, model="n", seed=seed)
    others = {"debt": None, "age": 900.0, "city": "Oslo", "size": "n/a"}
    events = shifted(sorted(events, key=lambda one: one["timestamp_ms"]), 2.0, **others)
    at_once = driven(events, How([len(events)]))

    other = driven(events, how)

    assert alerts_of(other) == alerts_of(at_once)
    inputs = {one["evidence"]["input"] for one in at_once.alerts}
    assert {"missing:debt", "unseen:city", "type:size"} & inputs
    assert names_of(other) == names_of(at_once)
    assert "loss:segment:site=asegment wrong" in names_of(at_once)["m"]


@pytest.mark.parametrize("seed", [1, 2])
def test_specified_monitors_go_on_after_a_restart(seed: int) -> None:
    """Records of the state come in any order: the specification before most models, or after."""
    events = traffic(1.5, a_day=300) + traffic(1.5, a_day=200, model="n")
    events = shifted(sorted(events, key=lambda one: one["timestamp_ms"]), 1.3, debt=None)
    drift = [msgspec.to_builtins(one) for one in EVERY]
    found = []

    for restarts in (0, 3):
        driver, luck = Driver(monitors=Monitors()), random.Random(seed)
        driver.specify(
            write_specification({"defaults": False, "drift": drift}, effective_ms=START_MS)
        )
        for number, records in enumerate(cut(as_inputs(events), [200])):
            driver.feed(records)
            if restarts and number % restarts == 0:
                driver.restart(luck)
        driver.finish()
        found.append(alerts_of(driver))

    assert found[0] == found[1]
    assert any("missing:debt" in one for one in found[0])


def test_what_becomes_null_text_or_another_number_is_noticed_and_told_in_its_unit() -> None:
    events = traffic(4.5, a_day=400, seed=1)
    events = shifted(events, 4.2, age=5_000.0, debt="none")

    found = driven(events, How([500])).alerts

    first = {one["evidence"]["input"]: one for one in reversed(found)}
    assert first["feature:age"]["value"] == pytest.approx(5_000, rel=0.02)
    assert first["feature:age"]["threshold"] == pytest.approx(50, abs=2)
    assert first["type:debt"]["value"] >= 0.5
    assert "missing:debt" not in first
    assert not any("city" in one for one in first)
    assert {one["detector"] for one in found} == {"scan"}


def test_a_silent_model_is_found_by_the_clock_of_the_others() -> None:
    events = [one for one in traffic(4.5, a_day=400, seed=2) if not after_ms(one, 4.2)]
    events += traffic(4.5, a_day=100, model="clock", seed=3)
    events.sort(key=lambda one: one["timestamp_ms"])

    found = driven(events, How([500])).alerts

    silent = [one for one in found if one["evidence"]["input"] == "traffic"]
    assert [(one["model"], one["state"], one["value"]) for one in silent] == [("m", "firing", 0.0)]
    assert not [one for one in found if one["model"] == "clock"]


def test_a_version_that_is_bad_from_its_first_row_is_compared_with_the_one_before() -> None:
    rng = np.random.default_rng(4)
    events = [
        one | {"version": "2" if after_ms(one, 4.2) else "1"} if "model" in one else one
        for one in traffic(4.6, a_day=400, seed=4)
    ]
    events = [
        one | {"prediction": 1 - one["prediction"]}
        if "model" in one and after_ms(one, 4.2) and rng.random() < 0.4
        else one
        for one in events
    ]

    found = [
        one for one in driven(events, How([500]), drifts=(LOSS,)).alerts if one["revision"] == 0
    ]

    assert [(one["version"], one["monitor"], one["direction"]) for one in found] == [
        ("2", "loss", "worse")
    ]


def test_a_model_that_is_forgotten_leaves_nothing() -> None:
    events = [one for one in traffic(3.0, a_day=60, seed=5) if not after_ms(one, 0.5)]
    events += traffic(3.0, a_day=60, model="clock", seed=6)
    events.sort(key=lambda one: one["timestamp_ms"])
    driver = Driver(monitors=Monitors(drifts=EVERY), forget_ms=DAY_MS)

    for records in cut(as_inputs(events), [50]):
        driver.feed(records)
    driver.finish()
    driver.restart(random.Random(1))

    names = driver.monitors[0].scan.lanes.names
    assert {name[0] for name in names if name is not None} == {"clock"}


# --- what is said of it


def test_a_model_that_nobody_described_gets_the_scan_of_everything() -> None:
    found = parse_monitors({})

    assert {one.input for one in found.drifts} == set(BUDGETS)
    assert {one.detector for one in found.drifts} == {"scan"}
    assert found == Driver().monitor.monitors
    assert not found.thresholds


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"input": "los"}, r"drift 'x': input: 'los' is unknown; did you mean loss\?"),
        ({"input": "loss", "version": "1"}, "goes by model alone; leave it out"),
        ({"input": "loss", "parameters": {"delta": 0.1}}, "it has false_alarms_per_year"),
        ({"input": "unsen"}, r"input: 'unsen' is unknown; did you mean unseen\?"),
        (
            {"input": "loss", "parameters": {"false_alarms_per_year": 0}},
            "false_alarms_per_year 0 is out of range: more than 0, at most 365",
        ),
        ({"input": "traffic", "detector": "adwin"}, "input: 'traffic' is unknown"),
    ],
)
def test_what_the_scan_cannot_watch_is_refused(given_: dict[str, Any], said: str) -> None:
    drift = {"name": "x", "detector": "scan", **given_}

    with pytest.raises(ConfigError, match=said):
        parse_monitors({"drift": [drift]})


@pytest.mark.parametrize("given_", [0, -1, 31])
def test_a_budget_that_no_monitor_can_keep_is_refused(given_: float) -> None:
    said = f"false_alarms_per_month: {given_} is out of range: more than 0, at most 30.4;.*as 0.1"

    with pytest.raises(ConfigError, match=said):
        parse_monitors({"false_alarms_per_month": given_})


def test_all_warnings_of_a_model_share_one_budget_and_infos_another() -> None:
    found = allowances(DEFAULT_DRIFTS, per_month=1.0)
    tenth = allowances(DEFAULT_DRIFTS, per_month=0.1)

    warnings = [found[one.name] for one in DEFAULT_DRIFTS if one.severity != "info"]
    assert sum(warnings) == pytest.approx(12)
    assert sum(found.values()) - sum(warnings) <= 60
    assert tenth == pytest.approx({name: one / 10 for name, one in found.items()})
