"""Models that fall silent are found by the time of the others, and composites by what fires."""

import random
from typing import Any

import pytest

from streams.errors import ConfigError
from streams.monitors_file import parse_monitors
from streams.specification import write_specification
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import BOTH, Driver, as_inputs, cut

SILENT = {"name": "silent", "metric": "predictions", "model": "m*", "absent_for": "30m"}
UNLABELLED = {"name": "unlabelled", "metric": "labels", "absent_for": "30m"}


def at(*minutes: int, model: str = "m", version: str = "1", labelled: bool = True) -> list[Event]:
    """Make a prediction, and its label, at each of these minutes."""
    events = []
    for minute in minutes:
        name, at_ms = f"{model}-{version}-{minute}", START_MS + minute * MINUTE_MS
        events.append(prediction(name, model=model, version=version, timestamp_ms=at_ms))
        if labelled:
            events.append(label(name, timestamp_ms=at_ms))
    return events


def driven(
    events: list[Event], *rules: dict[str, Any], sizes: tuple[int, ...] = (), partitions: int = 1
) -> Driver:
    monitors = parse_monitors({"thresholds": list(rules), "defaults": False})
    driver = Driver(monitors=monitors, partitions=partitions, forget_ms=40 * HOUR_MS)
    inputs = as_inputs(sorted(events, key=lambda one: one["timestamp_ms"]))
    for turn, batch in enumerate(cut(inputs, list(sizes)) if sizes else [inputs]):
        driver.feed(batch)
        if sizes and turn % 3 == 0:
            driver.restart(random.Random(turn))
    driver.finish()
    return driver


def told(driver: Driver) -> list[tuple[str, str, float]]:
    return [(a["monitor"], a["state"], (a["at_ms"] - START_MS) / MINUTE_MS) for a in driver.alerts]


OTHERS = at(*range(0, 200, 5), model="other")
CUTS = [(), (3,), (7, 50), (1000,)]


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("sizes", CUTS)
def test_one_silent_model_is_found_by_the_time_of_the_others(
    sizes: tuple[int, ...], partitions: int
) -> None:
    events = at(0, 10, 20, 90, 100) + OTHERS

    driver = driven(events, SILENT, sizes=sizes, partitions=partitions)

    assert told(driver) == [
        ("silent", "firing", 50),
        ("silent", "resolved", 90),
        ("silent", "firing", 130),
    ]
    assert driver.alerts[0]["evidence"] == {
        "metric": "predictions",
        "since_ms": START_MS + 20 * MINUTE_MS,
        "absent_for_ms": 30 * MINUTE_MS,
    }
    assert driver.alerts[0]["message"].startswith("no predictions since ")


def test_the_moment_at_which_a_row_is_in_time_is_inclusive() -> None:
    assert told(driven(at(0, 30) + at(*range(60), model="other"), SILENT)) == []
    assert told(driven(at(0, 31) + at(*range(60), model="other"), SILENT))[0][2] == 30


@pytest.mark.parametrize("sizes", CUTS)
def test_a_version_that_another_takes_over_from_is_no_silence(sizes: tuple[int, ...]) -> None:
    events = at(*range(0, 100, 10)) + at(*range(95, 150, 10), version="2") + OTHERS

    driver = driven(events, SILENT, sizes=sizes)

    assert told(driver) == [("silent", "firing", 175)]
    assert driver.alerts[0]["version"] == "2"


@pytest.mark.parametrize("sizes", CUTS)
def test_labels_that_stop_are_found_and_so_are_those_that_never_came(
    sizes: tuple[int, ...],
) -> None:
    stop = at(*range(0, 60, 5)) + at(*range(60, 200, 5), labelled=False)
    never = at(*range(2, 200, 5), model="n", labelled=False)

    driver = driven(stop + never + OTHERS, UNLABELLED, sizes=sizes)

    found = sorted((a["model"], *one) for a, one in zip(driver.alerts, told(driver), strict=True))
    assert found == [("m", "unlabelled", "firing", 85), ("n", "unlabelled", "firing", 32)]


def test_a_model_that_is_forgotten_is_silent_no_longer() -> None:
    monitors = parse_monitors({"thresholds": [SILENT], "defaults": False})
    driver = Driver(monitors=monitors, forget_ms=5 * HOUR_MS)
    driver.feed(as_inputs(at(0, 10) + at(*range(0, 1200, 5), model="other")))
    driver.finish()

    assert [(name, state) for name, state, _ in told(driver)] == [
        ("silent", "firing"),
        ("silent", "resolved"),
    ]
    assert driver.alerts[1]["message"] == "the model is forgotten"


def test_where_the_whole_stream_is_silent_ticks_tell_and_the_alert_says_so() -> None:
    monitors = parse_monitors({"thresholds": [SILENT], "defaults": False})
    driver = Driver(monitors=monitors)
    driver.feed(as_inputs(at(*range(11))))
    driver.feed([], idle=BOTH)
    before = told(driver)

    for _ in range(4):
        driver.feed([], idle=BOTH, tick_ms=15 * MINUTE_MS, quiet_ms=15 * MINUTE_MS)
    fired = told(driver)
    driver.restart(random.Random(1))
    driver.feed(as_inputs(at(120)))
    driver.finish()

    assert before == []
    assert fired == [("silent", "firing", 40)]
    assert driver.alerts[0]["evidence"]["observed"] == {"tick": True}
    assert told(driver)[1:] == [("silent", "resolved", 120)]
    replayed = driven(at(*range(11), 120), SILENT)
    assert [a["alert_id"] for a in replayed.alerts] == [a["alert_id"] for a in driver.alerts]
    assert "observed" not in replayed.alerts[0]["evidence"]


def test_a_rule_on_absence_may_be_applied_and_withdrawn_while_workers_run() -> None:
    driver = Driver(monitors=parse_monitors({"defaults": False}))
    rule = {"defaults": False, "thresholds": [SILENT]}
    driver.specify(write_specification(rule, effective_ms=START_MS))
    driver.specify(write_specification(None, effective_ms=START_MS + 80 * MINUTE_MS))
    driver.feed(as_inputs(at(0, 10, 20) + at(*range(0, 100, 5), model="other")))
    driver.finish()

    assert told(driver) == [("silent", "firing", 50), ("silent", "resolved", 80)]


# --- composites


def rates(model: str, *hits: float, latency_ms: float = 10) -> list[Event]:
    """Make 20 labelled predictions in each minute, with a share of right ones."""
    events = []
    for minute, share in enumerate(hits):
        for i in range(20):
            at_ms = START_MS + minute * MINUTE_MS + i * 3_000
            slow = latency_ms if 4 <= minute < 7 else 10
            name = f"{model}{minute}-{i}"
            events.append(prediction(name, model=model, timestamp_ms=at_ms, latency_ms=slow))
            events.append(label(name, timestamp_ms=at_ms, label=int(i < share * 20)))
    return events


WRONG = {"name": "wrong", "metric": "accuracy", "below": 0.8, "by": "value", "window": "1m"}
SLOW = {"name": "slow", "metric": "latency_p50_ms", "above": 50, "by": "value", "window": "1m"}
RULES = [WRONG | {"minimum": 5}, SLOW | {"minimum": 5}]


@pytest.mark.parametrize(
    ("composite", "spans"),
    [
        ({"all": ["wrong", "slow"]}, [(5, 6)]),
        ({"any": ["wrong", "slow"]}, [(3, 8)]),
        ({"any": ["wrong"], "none": ["slow"]}, [(3, 5)]),
        ({"at_least": {"of": ["wrong", "slow", "silent"], "count": 2}}, [(5, 6)]),
        ({"all": ["wrong"], "any": ["slow", "silent"]}, [(5, 6)]),
    ],
)
@pytest.mark.parametrize("sizes", [(), (11,), (77,)])
def test_a_composite_fires_while_what_it_says_of_others_holds(
    composite: dict[str, Any], spans: list[tuple[int, int]], sizes: tuple[int, ...]
) -> None:
    """Wrong from minute 2 to 5, slow from 4 to 7; each is seen at the end of its minute."""
    events = rates("m", 1, 1, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, latency_ms=90)
    one = {"name": "both", "severity": "critical", **composite}

    driver = driven(events, *RULES, SILENT, one, sizes=sizes)

    found = [(state, minute) for name, state, minute in told(driver) if name == "both"]
    assert found == [pair for a, b in spans for pair in (("firing", a), ("resolved", b))]


def test_members_that_notify_nobody_are_seen_by_composites_alone() -> None:
    events = rates("m", 1, 1, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, latency_ms=90)
    quiet = [one | {"notify": False} for one in RULES]

    driver = driven(events, *quiet, {"name": "both", "all": ["wrong", "slow"]}, sizes=(13,))

    assert told(driver) == [("both", "firing", 5), ("both", "resolved", 6)]
    assert driver.alerts[0]["evidence"]["firing"] == ["slow", "wrong"]


def test_a_detector_may_be_a_member() -> None:
    loss = {"name": "loss", "input": "loss", "parameters": {"delta": 0.4}}
    both = {"name": "both", "all": ["wrong", "loss"]}
    content = {"thresholds": [RULES[0], both], "drift": [loss], "defaults": False}
    driver = Driver(monitors=parse_monitors(content | {"resolve_after": "3m"}))

    driver.feed(as_inputs(rates("m", *[0.95] * 20, *[0.2] * 10, *[1.0] * 10)))
    driver.finish()

    every = reversed(driver.alerts)
    firing = {a["monitor"]: a["at_ms"] for a in every if a["state"] == "firing"}
    assert firing["both"] == max(firing["loss"], firing["wrong"])
    assert [s for n, s, _ in told(driver) if n == "both"] == ["firing", "resolved"]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"all": []}, "threshold 'c': it names no monitors: give all, any or at_least"),
        ({"none": ["wrong"]}, "none alone would fire all the time"),
        ({"any": ["wrnog"]}, "threshold 'c': 'wrnog' is no monitor; did you mean wrong?"),
        ({"any": ["c"]}, "'c' is made of others itself"),
        ({"all": ["wrong"], "none": ["wrong"]}, "'wrong' must fire and must not: it never does"),
        ({"at_least": {"of": ["wrong", "wrong"], "count": 2}}, "at_least: 2 of 1 never fire"),
        ({"all": ["wrong"], "below": 3}, "no such key 'below'"),
        ({"metric": "accuracy", "absent_for": "1h"}, "metric: 'accuracy' is unknown; known are"),
        ({"metric": "labels", "absent_for": "soon"}, "absent_for: 'soon' is no duration"),
        ({"metric": "labels", "absent_for": "1h", "window": "1h"}, "no such key 'window'"),
        (
            {"metric": "labels", "absent_for": "1h", "for": "5m"},
            r"'c': no such key 'for' beside absent_for: it is of rules with a limit \(below, above,"
            r" .*, outside_season\); leave it out; absent_for itself says for how long",
        ),
        ({"metric": "labels", "absent_for": "1h", "models": "m"}, "'models'; did you mean model?"),
        ({"name": "wrong", "all": ["slow"]}, "the name 'wrong' is used twice"),
    ],
)
def test_what_can_never_fire_is_refused_by_name(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_monitors({"thresholds": [*RULES, {"name": "c", **rule}]})
