"""Rules of every kind find the same, however a stream is cut, dealt out and read again."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitors_file import parse_monitors
from tests.builders import MINUTE_MS, START_MS, Event, delayed, history, prediction
from tests.driver import Driver, as_inputs, cut, disorder_of
from tests.examples import some

MONITORS = parse_monitors(
    {
        "defaults": False,
        "reference": 20,
        "resolve_after": "15m",
        "thresholds": [
            {
                "name": "usual",
                "metric": "accuracy",
                "below": 0.85,
                "minimum": 8,
                "then": "rollback",
            },
            {"name": "drop", "metric": "accuracy", "falls_by": 0.01, "minimum": 12, "by": "value"},
            {
                "name": "held",
                "metric": "accuracy",
                "below": 0.9,
                "minimum": 2,
                "window": "5m",
                "by": "value",
                "for": "2m",
                "cooldown": "7m",
                "clear": 0.95,
                "then": ["request_labels", {"action": "retrain", "cooldown": "20m"}],
            },
            {
                "name": "slow",
                "metric": "latency_p50_ms",
                "above": 20,
                "minimum": 2,
                "window": "3m",
                "by": "value",
                "notify": False,
            },
            {
                "name": "silent",
                "metric": "predictions",
                "absent_for": "2m",
                "then": {"action": "retrain", "cooldown": "5m"},
            },
            {"name": "unlabelled", "metric": "labels", "absent_for": "4m"},
            {
                "name": "level",
                "slo": {"metric": "accuracy", "objective": 0.995, "minimum": 2},
                "severity": "info",
            },
            {"name": "both", "any": ["held", "loss"], "none": ["slow"], "then": "rollback"},
            {
                "name": "two",
                "at_least": {"of": ["silent", "unlabelled", "held", "usual"], "count": 2},
            },
        ],
        "drift": [
            {
                "name": "loss",
                "input": "loss",
                "parameters": {"delta": 0.4},
                "then": [
                    {"action": "retrain", "cooldown": "1m"},
                    {"action": "promote", "cooldown": "30m"},
                ],
            }
        ],
        "silences": [
            {"monitor": "[hl]*", "between": "00:01-00:04", "why": "some, for a while"},
            {"between": "00:06-00:09", "why": "all"},
            {"model": "f*", "until": "2024-06-01T00:12:30Z", "why": "one"},
        ],
    }
)


def traffic(seed: int) -> list[Event]:
    """Make labelled traffic that others outlast, so that models fall silent."""
    events = delayed(history(seed, count=150), seed=seed, bound_ms=MINUTE_MS)
    newest_ms = max(one["timestamp_ms"] for one in events)
    times_ms = range(START_MS, newest_ms + 30 * MINUTE_MS, MINUTE_MS)
    more = [prediction(f"o{t}", model="other", timestamp_ms=t) for t in times_ms]
    return sorted([*events, *more], key=lambda one: one["timestamp_ms"])


def run(events: list[Event], sizes: list[int], *, partitions: int = 1, restarts: int = 0) -> Driver:
    driver = Driver(partitions=partitions, monitors=MONITORS, disorder_ms=disorder_of(events))
    shuffle = random.Random(restarts)
    for turn, batch in enumerate(cut(as_inputs(events), sizes)):
        driver.feed(batch)
        if restarts and turn % restarts == 0:
            driver.restart(shuffle)
    driver.finish()
    return driver


@settings(max_examples=some(12))
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 90), min_size=1, max_size=4),
    st.sampled_from([1, 2, 5]),
    st.integers(0, 3),
)
def test_alerts_do_not_depend_on_cuts_partitions_or_restarts(
    seed: int, sizes: list[int], partitions: int, restarts: int
) -> None:
    events = traffic(seed)

    whole = run(events, [100_000])
    parts = run(events, sizes, partitions=partitions, restarts=restarts)

    for what in ("alerts", "actions"):
        assert parts.result()[what] == whole.result()[what]


def test_rules_of_every_kind_fire_in_this_traffic() -> None:
    """The property above would show little without."""
    found: set[tuple[str, str]] = set()
    actions: set[tuple[str, str]] = set()
    for seed in range(4):
        driver = run(traffic(seed), [100_000])
        found |= {(a["monitor"], a["state"]) for a in driver.alerts}
        actions |= {(a["monitor"], a["action"]) for a in driver.actions}

    names = {"usual", "drop", "held", "silent", "unlabelled", "both", "two", "level/1h"}
    assert found >= {(name, "firing") for name in names}
    assert found >= {(name, "resolved") for name in ("held", "silent", "both", "two")}
    assert found >= {("held", "retracted"), ("level/3d", "retracted")}
    assert actions >= {("held", "retrain"), ("silent", "retrain"), ("both", "rollback")}
    assert "slow" not in {name for name, _ in found}


def test_some_of_them_are_silenced_and_told_of_later() -> None:
    found = [alert for seed in range(4) for alert in run(traffic(seed), [100_000]).alerts]

    silenced = {(a["alert_id"], a["state"]) for a in found if a["silenced"]}
    later = {a["alert_id"] for a in found if a["revision"] and a["state"] == "firing"}
    assert {state for _, state in silenced} == {"firing", "resolved"}
    assert later & {name for name, _ in silenced}
