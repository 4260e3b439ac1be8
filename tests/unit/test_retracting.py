"""Alerts of rules are taken back where labels that were wrong, or late, are why they opened."""

import json
import random
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.replay import run_replay
from streams.forget_record import forget_key, write_forget
from streams.monitors import Monitors, Threshold
from streams.monitors_file import parse_monitors
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut
from tests.examples import some
from tests.unit.test_specifications import spec

RIGHT = (1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)


def minutes(*hits: float, per_minute: int = 20, prefix: str = "", **content: Any) -> list[Event]:
    """Make labelled traffic with this share of right predictions in each minute."""
    events = []
    for minute, share in enumerate(hits):
        for i in range(per_minute):
            at_ms = START_MS + minute * MINUTE_MS + i * MINUTE_MS // per_minute
            name = f"{prefix}p{minute}-{i}"
            truth = int(i + 0.5 < share * per_minute)
            events.append(prediction(name, timestamp_ms=at_ms, **content))
            events.append(label(name, timestamp_ms=at_ms, label=truth))
    return events


def again(
    minute: int, rows: Sequence[int], *, at: float, prefix: str = "", **content: Any
) -> list[Event]:
    """Make labels of predictions of a minute that come later."""
    at_ms = int(START_MS + at * MINUTE_MS)
    return [label(f"{prefix}p{minute}-{i}", timestamp_ms=at_ms, **content) for i in rows]


def in_time(*events: list[Event]) -> list[Event]:
    return sorted(chain(*events), key=lambda one: one["timestamp_ms"])


def rule_of(**rule: Any) -> Threshold:
    told = {"name": "r", "metric": "accuracy", "kind": "below", "given": 0.8, "window": "1m"}
    return Threshold(**(told | {"minimum": 5, "by": "value"} | rule))


def watched(events: list[Event], **rule: Any) -> Driver:
    driver = Driver(monitors=Monitors(thresholds=(rule_of(**rule),)))
    driver.feed(as_inputs(events))
    driver.finish()
    return driver


def states(driver: Driver) -> list[tuple[str, float]]:
    return [(a["state"], (a["at_ms"] - START_MS) / MINUTE_MS) for a in driver.alerts]


def test_an_alert_is_taken_back_at_the_next_boundary_if_its_labels_were_wrong() -> None:
    """The window still looks bad: what came later has nothing to do with it."""
    events = in_time(minutes(*RIGHT), again(2, range(10, 18), at=4.5, label=1))

    driver = watched(events)

    assert states(driver) == [("firing", 3), ("retracted", 5), ("firing", 5)]
    fired, taken_back, _ = driver.alerts
    assert taken_back["alert_id"] == fired["alert_id"]
    assert taken_back["revision"] == 1
    assert taken_back["value"] == 0.5
    assert taken_back["evidence"]["retraction"] == {
        "labels": {"corrected": 8, "retracted": 0, "late": 0},
        "window": {
            "value": 0.9,
            "low": taken_back["evidence"]["retraction"]["window"]["low"],
            "high": taken_back["evidence"]["retraction"]["window"]["high"],
            "count": 20,
            "start_ms": START_MS + 2 * MINUTE_MS,
            "end_ms": START_MS + 3 * MINUTE_MS,
        },
    }
    assert "8 corrected" in taken_back["message"]


def test_it_stays_where_too_few_labels_were_wrong() -> None:
    """Up to the limit of 0.8: six of the ten."""
    for count, expected in ((5, False), (6, True)):
        events = in_time(minutes(*RIGHT), again(2, range(10, 10 + count), at=4.5, label=1))

        assert (("retracted", 5.0) in states(watched(events))) == expected


def test_labels_that_are_taken_back_take_it_back_too() -> None:
    """So does a window in which too few are left to say anything."""
    away = watched(in_time(minutes(*RIGHT), again(2, range(10, 20), at=4.5, retract=True)))
    few = watched(in_time(minutes(*RIGHT), again(2, range(16), at=4.5, retract=True)))

    for driver, value, count in ((away, 1.0, 10), (few, 0.0, 4)):
        [found] = [one for one in driver.alerts if one["state"] == "retracted"]
        assert found["evidence"]["retraction"]["labels"]["retracted"] == 20 - count
        assert found["evidence"]["retraction"]["window"]["value"] == value
        assert found["evidence"]["retraction"]["window"]["count"] == count


def test_a_window_without_any_label_left_takes_it_back() -> None:
    driver = watched(in_time(minutes(*RIGHT), again(2, range(20), at=4.5, retract=True)))

    [found] = [one for one in driver.alerts if one["state"] == "retracted"]
    assert found["evidence"]["retraction"]["window"]["value"] is None
    assert found["message"].endswith("accuracy is no longer there, limit 0.8")


def test_rows_that_come_later_resolve_it_and_take_nothing_back() -> None:
    assert states(watched(minutes(1, 1, 0.5, 1, 1))) == [("firing", 3), ("resolved", 4)]


def test_corrections_of_other_windows_take_nothing_back() -> None:
    events = in_time(minutes(*RIGHT), again(3, range(10, 20), at=4.5, label=1))

    assert states(watched(events)) == [("firing", 3)]


def test_a_correction_that_makes_its_window_well_takes_back_and_does_not_resolve() -> None:
    """The window of the next boundary still holds the labels: without them it would be over."""
    events = in_time(minutes(1, 1, 0.5, 1, 1, 1), again(2, range(10, 20), at=3.5, label=1))

    assert states(watched(events, window="3m", given=0.9)) == [("firing", 3), ("retracted", 4)]


def test_what_was_corrected_the_wrong_way_takes_nothing_back() -> None:
    """The corrected labels leave their panes, but not the window that the alert opened on."""
    events = in_time(minutes(*RIGHT), again(2, range(8), at=4.5, label=0))

    driver = watched(events, minimum=15)

    assert states(driver) == [("firing", 3)]


def test_a_correction_of_a_correction_of_one_moment_counts_as_its_last() -> None:
    at = {"at": 4.5}
    events = minutes(*RIGHT)
    twice = again(2, range(10, 20), label=1, **at) + again(2, range(10, 20), label=0, **at)

    driver = watched(in_time(events, twice))

    assert states(driver) == [("firing", 3)]


def test_labels_that_came_too_late_take_it_back() -> None:
    events = minutes(1, 1, 0.5, 0.5, 0.5)
    more = [prediction(f"q{i}", timestamp_ms=START_MS + 2 * MINUTE_MS + i) for i in range(60)]
    driver = Driver(monitors=Monitors(thresholds=(rule_of(),)))
    driver.feed(as_inputs(in_time(events, more)))
    late = [label(f"q{i}", timestamp_ms=START_MS + 2 * MINUTE_MS + i) for i in range(60)]
    driver.feed(as_inputs(late))
    driver.feed(as_inputs(minutes(*[1.0] * 8)[200:]))
    driver.finish()

    assert driver.late_rows == 60
    [found] = [one for one in driver.alerts if one["state"] == "retracted"]
    assert found["evidence"]["retraction"]["labels"] == {"corrected": 0, "retracted": 0, "late": 60}


@pytest.mark.parametrize("restarts", [False, True])
def test_an_alert_says_how_many_labels_of_its_window_came_late(restarts: bool) -> None:
    """The window of five minutes is fine until labels come that belong to its third minute."""
    events = minutes(*[1.0] * 5)
    wrong = [
        prediction(f"q{i}", timestamp_ms=START_MS + 2 * MINUTE_MS + i, segments={"at": "home"})
        for i in range(60)
    ]
    early = [prediction("e", timestamp_ms=START_MS - MINUTE_MS)]
    rules = [rule_of(window="5m"), rule_of(name="home", window="5m", segment="at=home")]
    driver = Driver(monitors=Monitors(thresholds=tuple(rules)))
    driver.feed(as_inputs(in_time(early, events, wrong)))
    late = [label(f"q{i}", timestamp_ms=START_MS + 2 * MINUTE_MS + i, label=0) for i in range(60)]
    driver.feed(as_inputs([*late, label("e", timestamp_ms=START_MS - MINUTE_MS, label=0)]))
    if restarts:
        driver.restart(random.Random(1))
    driver.feed(as_inputs(minutes(*[1.0] * 8)[200:]))
    driver.finish()

    found = {a["monitor"]: a["evidence"] for a in driver.alerts if a["state"] == "firing"}
    assert found["r"]["late_labels"] == found["home"]["late_labels"] == 60
    assert (found["r"]["count"], found["home"]["count"]) == (160, 60)


def test_late_labels_of_segments_that_no_rule_looks_at_are_not_kept() -> None:
    """Segments may be many, and each of their panes would be written down."""
    segments = {"at": "home", "team": "a"}
    early = [prediction("e", timestamp_ms=START_MS, segments=segments)]
    driver = Driver(monitors=Monitors(thresholds=(rule_of(window="5m", segment="at=home"),)))
    driver.feed(as_inputs(in_time(early, minutes(1, 1, 1))))
    driver.feed(as_inputs([label("e", timestamp_ms=START_MS, label=0)]))

    watches = driver.monitors[0].rules.watches.values()
    known = [one.late_labels.pack(code, since_ms=0) for one in watches for code in one.courses]
    assert [name for own in known for name, _, _ in own] == ["at=home"]


def test_late_labels_of_a_model_without_rules_are_not_kept() -> None:
    rule = {"name": "r", "metric": "accuracy", "below": 0.8, "window": "30m"}
    driver = Driver(monitors=Monitors())
    driver.specify(spec(START_MS, thresholds=[rule]))
    early = [prediction("e", timestamp_ms=START_MS)]
    driver.feed(as_inputs(in_time(early, minutes(1, 1, 1))))
    driver.feed(as_inputs([label("e", timestamp_ms=START_MS, label=0)]))
    watches = driver.monitors[0].rules.watches.values()
    assert any(one.late_labels.pack(0, since_ms=0) for one in watches)

    driver.specify(spec(START_MS + 5 * MINUTE_MS, thresholds=[]))
    driver.feed(as_inputs(minutes(*[1.0] * 90, per_minute=2)[6:]))
    driver.finish()

    assert not any(one.late_labels.pack(0, since_ms=0) for one in watches)


def test_an_alert_without_late_labels_says_nothing_of_them() -> None:
    assert "late_labels" not in watched(minutes(*RIGHT)).alerts[0]["evidence"]


def test_a_relative_rule_goes_by_the_limit_that_it_opened_on() -> None:
    events = in_time(minutes(1, 1, 0.5, 0.5, 0.5, 0.5), again(2, range(10, 20), at=4.5, label=1))
    threshold = rule_of(kind="falls_by", given=0.2)
    driver = Driver(monitors=Monitors(thresholds=(threshold,), reference=40))
    driver.feed(as_inputs(events))
    driver.finish()

    assert states(driver)[:2] == [("firing", 3), ("retracted", 5)]


def test_a_rule_of_a_segment_goes_by_labels_of_that() -> None:
    for region, expected in (("eu", [("firing", 3), ("retracted", 5)]), ("us", [("firing", 3)])):
        rest = minutes(*RIGHT, segments={"region": "eu"})
        other = minutes(*RIGHT, prefix="o", segments={"region": "us"})
        corrected = again(2, range(10, 20), at=4.5, label=1, prefix="" if region == "eu" else "o")

        driver = watched(in_time(rest, other, corrected), segment="region=eu")

        assert states(driver)[:2] == expected


@pytest.mark.parametrize("metric", ["predictions", "label_delay_p50_ms"])
def test_what_does_not_go_by_what_labels_say_is_never_taken_back(metric: str) -> None:
    events = in_time(minutes(*RIGHT), again(2, range(20), at=4.5, label=1))
    driver = watched(events, metric=metric, kind="above", given=-10)

    assert driver.alerts
    assert {state for state, _ in states(driver)} <= {"firing", "resolved"}
    assert all(not one.rules.grounds.known for one in driver.monitors)


def test_an_incident_of_which_all_was_taken_back_is_taken_back() -> None:
    events = in_time(minutes(1, 1, 0.5, 1, 1, 1), again(2, range(10, 20), at=3.5, label=1))

    driver = watched(events, window="3m", given=0.9)

    assert [one["state"] for one in driver.incidents] == ["firing", "retracted"]


@pytest.mark.parametrize(("sizes", "every"), [([3], 0), ([11, 4], 5), ([40], 1)])
def test_cuts_and_restarts_make_no_difference(sizes: list[int], every: int) -> None:
    events = in_time(
        minutes(*RIGHT),
        again(2, range(10, 14), at=4.2, label=1),
        again(2, range(14, 17), at=4.9, retract=True),
        again(4, range(10, 20), at=6.1, label=1),
    )
    whole = watched(events)
    parts = Driver(monitors=whole.monitor.monitors)
    for turn, batch in enumerate(cut(as_inputs(events), sizes)):
        parts.feed(batch)
        if every and turn % every == 0:
            parts.restart(random.Random(turn))
    parts.finish()

    assert [s for s, _ in states(whole)] == ["firing", "retracted", "firing", "retracted", "firing"]
    assert parts.alerts == whole.alerts


def test_a_worker_takes_back_what_a_replay_of_its_records_takes_back(tmp_path: Path) -> None:
    """Field for field; the one is cut and read again, the other reads a file."""
    events, rule = turned(1), {"name": "r", "metric": "accuracy", "below": 0.7, "minimum": 5}
    said = {"defaults": False, "thresholds": [rule | {"window": "2m", "by": "value"}]}
    driver = Driver(partitions=2, monitors=parse_monitors(said), disorder_ms=5_000)
    for turn, batch in enumerate(cut(as_inputs(events), [13])):
        driver.feed(batch)
        driver.restart(random.Random(turn))
    driver.finish()
    recording, watched_by = tmp_path / "events.jsonl", tmp_path / "monitors.yaml"
    recording.write_text("\n".join(map(json.dumps, events)))
    watched_by.write_text(json.dumps(said))

    run_replay(
        [recording],
        monitors=watched_by,
        out=tmp_path / "out",
        disorder_ms=5_000,
        columns=None,
        window_ms=10 * MINUTE_MS,
        horizon_ms=60 * MINUTE_MS,
        partitions=3,
        json_output=False,
    )

    lines = (tmp_path / "out" / "alerts.jsonl").read_text().splitlines()
    found = sorted(map(json.loads, lines), key=in_order)
    assert found == sorted([*driver.alerts, *driver.incidents], key=in_order)
    assert {one["state"] for one in found} == {"firing", "resolved", "retracted"}


def in_order(alert: Event) -> tuple[str, int]:
    return alert["alert_id"], alert["revision"]


def test_nothing_is_kept_once_it_is_over() -> None:
    events = in_time(minutes(1, 1, 0.5, 1, 1, 1), again(2, range(10, 20), at=3.5, label=1))

    driver = watched(events, window="3m", given=0.9)

    for one in driver.monitors:
        assert not one.rules.grounds.known
        assert not any(side.table.live for side in one.rules.grounds.grid.sides)
    assert not any(b"ground" in key[:10] for log in driver.monitor_logs for key in log)


def test_a_model_that_is_forgotten_leaves_nothing_that_its_alerts_rest_on() -> None:
    """Nor what its rules have learnt."""
    learns = Threshold(name="l", metric="accuracy", kind="beyond_sigma", given=3, window="1m")
    rules = rule_of(), msgspec.structs.replace(learns, minimum=5)
    driver = Driver(monitors=Monitors(thresholds=rules))
    at_ms = START_MS + 6 * MINUTE_MS
    driver.specify(write_forget("m", None, effective_ms=at_ms), key=forget_key("m", None))
    events = minutes(*RIGHT, model="m")
    driver.feed(as_inputs(events[:220]))
    tables = {msgspec.msgpack.decode(key)[0] for log in driver.monitor_logs for key in log}
    assert {"ground", "opened", "usual"} <= tables
    clock = [
        prediction(f"n{i}", model="n", timestamp_ms=START_MS + i * MINUTE_MS) for i in range(14)
    ]

    driver.feed(as_inputs([*events[220:240], *clock]))
    driver.finish()

    tables = {msgspec.msgpack.decode(key)[0] for log in driver.monitor_logs for key in log}
    assert not {"ground", "opened", "usual"} & tables
    assert not any(one.rules.grounds.known for one in driver.monitors)
    driver.restart(random.Random(1))
    assert not any(one.rules.grounds.known for one in driver.monitors)


def turned(seed: int) -> list[Event]:
    """Make traffic of two models, of which a third of the labels are replaced or taken back."""
    dice, events = random.Random(seed), []
    for at_ms in range(START_MS, START_MS + 8 * MINUTE_MS, 4_000):
        name, later_ms = f"p{at_ms}", int(at_ms + dice.uniform(0, 5) * MINUTE_MS)
        model = dice.choice("mn")
        events.append(prediction(name, model=model, timestamp_ms=at_ms))
        said = int(dice.random() < 0.6)
        events.append(label(name, label=said, timestamp_ms=at_ms))
        kind = dice.choice(["", "", "retract", "label", "label"])
        if kind:
            content = {"retract": True} if kind == "retract" else {"label": 1 - said}
            events.append(label(name, timestamp_ms=later_ms, **content))
    return in_time(events)


def expected(events: list[Event], alert: Event, over_ms: int) -> tuple[int, float | None] | None:
    """Work out from labels alone when an alert is taken back, and what its window is like then."""
    models = {e["prediction_id"]: e["model"] for e in events if "prediction" in e}
    start_ms, end_ms = alert["at_ms"] - 2 * MINUTE_MS, alert["at_ms"]
    said: dict[str, list[Event]] = {}
    for event in events:
        if "prediction" not in event and models[event["prediction_id"]] == alert["model"]:
            said.setdefault(event["prediction_id"], []).append(event)
    # A label that has been replaced by then is in the window in which the other came.
    own = [
        labels
        for labels in said.values()
        if start_ms
        <= [e["timestamp_ms"] for e in labels if e["timestamp_ms"] < end_ms or e is labels[0]][-1]
        < end_ms
    ]
    before: list[Event] = []
    for at_ms in range(end_ms, over_ms + 1, MINUTE_MS):
        now = [[e for e in labels if e["timestamp_ms"] < at_ms][-1] for labels in own]
        kept = [e["label"] for e in now if not e.get("retract")]
        value = sum(kept) / len(kept) if kept else None
        if now != before and before and (len(kept) < 5 or value is None or value >= 0.7):
            return at_ms, value
        before = now
    return None


@settings(max_examples=some(6))
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 90), min_size=1, max_size=3),
    st.sampled_from([1, 2, 5]),
    st.integers(0, 3),
)
def test_what_is_taken_back_is_what_labels_alone_say_in_any_cuts(
    seed: int, sizes: list[int], partitions: int, restarts: int
) -> None:
    events = turned(seed)
    driver = Driver(
        partitions=partitions,
        monitors=Monitors(thresholds=(rule_of(window="2m", given=0.7),)),
    )
    for turn, batch in enumerate(cut(as_inputs(events), sizes)):
        driver.feed(batch)
        if restarts and turn % restarts == 0:
            driver.restart(random.Random(turn))
    driver.finish()

    ends = {a["alert_id"]: a for a in driver.alerts if a["state"] != "firing"}
    for alert in driver.alerts:
        if alert["state"] == "firing":
            end = ends.get(alert["alert_id"])
            last_ms = START_MS + 9 * MINUTE_MS if end is None else end["at_ms"]
            found = None
            if end is not None and end["state"] == "retracted":
                found = end["at_ms"], end["evidence"]["retraction"]["window"]["value"]
            assert found == expected(events, alert, last_ms)


def test_alerts_of_that_traffic_are_taken_back_and_resolved() -> None:
    """The property above would show little without."""
    states = [
        alert["state"]
        for seed in range(4)
        for alert in watched(turned(seed), window="2m", given=0.7).alerts
    ]

    assert states.count("retracted") >= 3
    assert states.count("resolved") >= 5
