"""Actions: what alerts that begin ask for, once, at most so often, and the same after a restart."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.replay import run_replay
from streams.alerts import Alert, alert_id
from streams.consequences import consequences
from streams.errors import ConfigError
from streams.monitor.acting import Acting
from streams.monitors_file import parse_monitors
from streams.specification import write_specification
from tests.builders import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Event,
    as_lines,
    label,
    prediction,
    write_lines,
)
from tests.driver import TOPICS, Driver, as_inputs, cut

DAY_MS = 24 * HOUR_MS
BAD, GOOD = 5, 20
SAME = (
    *("alert_id", "incident_id", "model", "version", "segment", "monitor"),
    *("severity", "message", "at_ms", "evidence", "owner", "tags"),
)


def minutes(*right: int, per_minute: int = 20) -> Iterator[Event]:
    """Make labelled traffic with so many right answers in each minute."""
    for minute, count in enumerate(right):
        for i in range(per_minute):
            at_ms = START_MS + minute * MINUTE_MS + i * MINUTE_MS // per_minute
            name = f"p{minute}-{i}"
            yield prediction(name, timestamp_ms=at_ms)
            yield label(name, timestamp_ms=at_ms, label=int(i < count))


def rule(**more: Any) -> dict[str, Any]:
    usual = {"name": "r", "metric": "accuracy", "below": 0.5, "window": "1m", "minimum": 10}
    return usual | {"by": "value"} | more


def driven(*right: int, sizes: int = 0, restarts: bool = False, **watched: Any) -> Driver:
    driver = Driver(monitors=parse_monitors({"defaults": False, **watched}))
    inputs = as_inputs(minutes(*right))
    for batch in cut(inputs, [sizes]) if sizes else [inputs]:
        driver.feed(batch)
        if restarts:
            driver.restart(random.Random(7))
    driver.finish()
    return driver


def times(driver: Driver) -> list[tuple[str, int]]:
    return [(one["action"], (one["at_ms"] - START_MS) // MINUTE_MS) for one in driver.actions]


def test_an_action_names_its_alert_and_says_what_that_rests_on() -> None:
    then = {"action": "rollback", "parameters": {"to": "2", "fast": True}}
    owned = {"m": {"owner": "risk", "tags": {"tier": "1"}}}

    driver = driven(GOOD, BAD, BAD, thresholds=[rule(then=then)], models=owned)

    [action], [alert, *_] = driver.actions, driver.alerts
    assert action == {
        "action_id": alert_id(alert["alert_id"], "rollback"),
        "action": "rollback",
        "parameters": {"to": "2", "fast": True},
        **{
            name: alert[name] for name in ("alert_id", "incident_id", "model", "version", "segment")
        },
        **{name: alert[name] for name in ("monitor", "severity", "message", "at_ms", "evidence")},
        **{name: alert[name] for name in ("owner", "tags")},
    }
    assert (action["owner"], action["incident_id"] != "") == ("risk", True)
    keys = [key for topic, key, _ in driver.written if topic == TOPICS.actions]
    assert keys == [action["action_id"].encode()]


def test_the_same_is_asked_for_again_once_the_cooldown_is_over() -> None:
    wave = (*(GOOD, BAD) * 4, GOOD)
    five, six = (
        {"action": "retrain", "cooldown": "5m"},
        {"action": "retrain", "cooldown": "4m"},
    )

    later, in_time = (driven(*wave, thresholds=[rule(then=then)]) for then in (five, six))

    assert len([one for one in in_time.alerts if one["state"] == "firing"]) == 4
    assert times(in_time) == [("retrain", 2), ("retrain", 6)]
    assert times(later) == [("retrain", 2), ("retrain", 8)]


def test_a_cooldown_is_of_the_model_and_action_whichever_monitor_asks() -> None:
    others = [
        rule(name="a", then=["rollback", {"action": "retrain", "cooldown": "1m"}]),
        rule(name="b", below=0.4, then=["rollback", "retrain", "request_labels"]),
    ]

    driver = driven(GOOD, BAD, GOOD, thresholds=others)

    assert sorted((one["monitor"], one["action"]) for one in driver.actions) == [
        ("a", "retrain"),
        ("a", "rollback"),
        ("b", "request_labels"),
    ]


@pytest.mark.parametrize("sizes", [1, 7, 40])
def test_cooldowns_outlast_restarts_and_cuts(sizes: int) -> None:
    watched = {"thresholds": [rule(then={"action": "retrain", "cooldown": "5m"})]}
    wave = (*(GOOD, BAD) * 4, GOOD)

    whole = driven(*wave, **watched)
    parts = driven(*wave, sizes=sizes, restarts=True, **watched)

    assert times(whole) == [("retrain", 2), ("retrain", 8)]
    assert parts.result()["actions"] == whole.result()["actions"]


def test_what_rests_is_deleted_a_day_after_it_no_longer_matters() -> None:
    driver = Driver(
        monitors=parse_monitors({"defaults": False, "thresholds": [rule(then="retrain")]})
    )
    driver.feed(as_inputs(minutes(GOOD, BAD, GOOD)))
    driver.come_to(START_MS + HOUR_MS)
    begun = _resting(driver)
    for day in (1, 2, 3):
        at_ms = START_MS + day * DAY_MS + HOUR_MS
        driver.feed(as_inputs([prediction(f"x{day}", timestamp_ms=at_ms)]))
        driver.come_to(at_ms + HOUR_MS)

    assert len(begun) == 1
    assert _resting(driver) == []


def _resting(driver: Driver) -> list[bytes]:
    return [key for log in driver.monitor_logs for key in log if b"acting" in key]


@pytest.mark.parametrize(
    ("direction", "asked"),
    [
        pytest.param("worse", ["rollback", "retrain"], id="worse"),
        pytest.param("changed", ["rollback", "retrain"], id="changed"),
        pytest.param("better", ["promote"], id="better"),
    ],
)
def test_a_change_for_the_better_is_a_reason_to_promote_and_for_nothing_else(
    direction: str, asked: list[str]
) -> None:
    alert = an_alert(direction=direction)
    then = {(alert.alert_id, 0): consequences(("rollback", "promote", "retrain"))}

    assert [one.action for one in Acting().of([alert], then)] == asked


def test_later_revisions_and_monitors_without_consequences_ask_for_nothing() -> None:
    then = {("a1", 0): consequences("retrain")}
    others = [an_alert(revision=1), an_alert(alert_id="other")]

    assert list(Acting().of(others, then)) == []


def test_what_begins_in_a_silence_asks_for_nothing_before_it_is_told_of() -> None:
    silences = [{"between": "00:01-00:04", "why": "maintenance"}]
    watched: dict[str, Any] = {"thresholds": [rule(then="rollback")], "silences": silences}

    over_by_then = driven(GOOD, BAD, GOOD, GOOD, GOOD, GOOD, **watched)
    still_bad = driven(GOOD, *[BAD] * 5, GOOD, **watched)

    assert [one["silenced"] for one in over_by_then.alerts] == [True, True]
    assert over_by_then.actions == []
    assert times(still_bad) == [("rollback", 4)]
    in_parts = driven(GOOD, *[BAD] * 5, GOOD, **watched, sizes=3, restarts=True)
    assert in_parts.result()["actions"] == still_bad.result()["actions"]


def an_alert(**more: Any) -> Alert:
    usual: dict[str, Any] = {
        "alert_id": "a1",
        "state": "firing",
        "model": "m",
        "version": "",
        "segment": "",
        "monitor": "loss",
        "kind": "drift",
        "severity": "info",
        "at_ms": START_MS,
        "value": 1.0,
        "threshold": 0.0,
        "direction": "worse",
        "detector": "adwin",
        "message": "",
        "revision": 0,
        "evidence": {},
    }
    return Alert(**(usual | more))


def test_every_kind_of_monitor_has_consequences() -> None:
    watched = {
        "thresholds": [
            rule(name="limit", then="rollback"),
            {"name": "both", "all": ["limit"], "then": "request_labels"},
            {
                "name": "slo",
                "slo": {"metric": "accuracy", "objective": 0.9, "minimum": 10},
                "then": {"action": "retrain", "cooldown": "1ms"},
            },
        ],
        "drift": [{"name": "loss", "input": "loss", "then": "promote"}],
    }

    driver = driven(*[GOOD] * 3, *[BAD] * 20, *[GOOD] * 60, **watched)

    assert {(one["monitor"].partition("/")[0], one["action"]) for one in driver.actions} >= {
        ("limit", "rollback"),
        ("both", "request_labels"),
        ("slo", "retrain"),
        ("loss", "promote"),
    }


def test_consequences_may_come_while_workers_run() -> None:
    driver = Driver(monitors=parse_monitors({"defaults": False, "thresholds": [rule()]}))
    told = {"defaults": False, "thresholds": [rule(then="rollback")]}
    driver.specify(write_specification(told, effective_ms=START_MS + 3 * MINUTE_MS))

    driver.feed(as_inputs(minutes(GOOD, BAD, GOOD, GOOD, *[GOOD] * 6, GOOD, BAD, GOOD)))
    driver.finish()

    assert len([one for one in driver.alerts if one["state"] == "firing"]) == 2
    assert times(driver) == [("rollback", 12)]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param({"then": "fix"}, "then: 'fix'", id="unknown"),
        pytest.param({"then": ["retrain", "retrain"]}, "retrain is there twice", id="twice"),
        pytest.param(
            {"then": "retrain", "notify": False}, "leave one of the two out", id="not published"
        ),
        pytest.param(
            {"then": {"action": "retrain", "cooldown": "soon"}},
            "then: retrain: cooldown: 'soon' is no duration",
            id="no duration",
        ),
        pytest.param(
            {"then": {"action": "retrain", "parameters": {"a": float("nan")}}},
            "then: retrain: a: nan is no number",
            id="not a number",
        ),
        pytest.param(
            {"then": {"action": "retrain", "parameters": {"a": 10**30}}},
            "expected int <= 9223372036854775807",
            id="too large",
        ),
        pytest.param(
            {"then": {"action": "retrain", "parameters": {"k" * 201: 1}}},
            "expected str of length <= 200",
            id="long name of a parameter",
        ),
        pytest.param(
            {"then": {"action": "retrain", "parameters": {str(n): n for n in range(33)}}},
            "33 parameters are too many; at most 32",
            id="too many parameters",
        ),
    ],
)
def test_consequences_that_make_no_sense_are_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_monitors({"thresholds": [rule(**more)]})


def test_a_detector_of_what_is_never_better_cannot_promote() -> None:
    with pytest.raises(ConfigError, match="drift 's': then: promote never comes of this detector"):
        parse_monitors({"drift": [{"name": "s", "input": "score", "then": "promote"}]})


def test_what_changes_is_told_in_the_words_of_the_file() -> None:
    from streams.monitors_changes import changes  # noqa: PLC0415

    before, after = (
        parse_monitors({"defaults": False, "thresholds": [rule(**more)]})
        for more in ({}, {"then": {"action": "retrain", "cooldown": "5m"}})
    )

    [line] = changes(before, after)

    assert line.startswith("~ threshold 'r': then as usual → ")
    assert json.dumps("retrain").strip('"') in line


def test_a_replay_writes_them_down_and_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = write_lines(tmp_path / "e.jsonl", as_lines(list(minutes(GOOD, BAD, GOOD))))
    monitors = tmp_path / "monitors.yaml"
    monitors.write_text(yaml.safe_dump({"defaults": False, "thresholds": [rule(then="retrain")]}))
    how: dict[str, Any] = {"window_ms": MINUTE_MS, "horizon_ms": HOUR_MS, "partitions": 2}
    how |= {"monitors": monitors, "disorder_ms": None, "columns": None}

    run_replay([events], out=tmp_path / "out", json_output=True, **how)
    summary = json.loads(capsys.readouterr().out)
    run_replay([events], out=None, json_output=False, **how)

    [line] = (tmp_path / "out" / "actions.jsonl").read_text().splitlines()
    assert [json.loads(line)] == summary["actions"]
    assert summary["actions"][0]["action"] == "retrain"
    assert "action   2024-06-01 00:02:00 m retrain: r: accuracy is 0.25" in capsys.readouterr().out
