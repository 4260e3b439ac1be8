"""When rules fire and when they are over: intervals, `for`, cooldown, `clear`, default windows."""

import random
from typing import Any

import numpy as np
import pytest

from streams.errors import ConfigError
from streams.monitors_file import parse_monitors
from streams.rules.lives import Lives, Looks
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut


def hours(*rates: tuple[float, int], model: str = "m", every_ms: int = HOUR_MS) -> list[Event]:
    """Make labelled traffic: in each hour, a share of right answers, and how many."""
    events = []
    for hour, (share, count) in enumerate(rates):
        for i in range(count):
            at_ms = START_MS + hour * every_ms + i * every_ms // count
            name, truth = f"{model}{hour}-{i}", int((i * 7919) % count < share * count)
            events.append(prediction(name, model=model, timestamp_ms=at_ms))
            events.append(label(name, timestamp_ms=at_ms, label=truth))
    return events


def driven(events: list[Event], *, size: int = 0, restarts: bool = False, **rule: Any) -> Driver:
    """Run a rule on accuracy over the events."""
    told = {"name": "r", "metric": "accuracy", **rule}
    monitors = parse_monitors({"thresholds": [told], "defaults": False, "drift": []})
    driver = Driver(monitors=monitors)
    inputs = as_inputs(events)
    for batch in cut(inputs, [size]) if size else [inputs]:
        driver.feed(batch)
        if restarts:
            driver.restart(random.Random(size))
    driver.finish()
    return driver


def states(driver: Driver, unit_ms: int = HOUR_MS) -> list[tuple[str, float]]:
    return [(a["state"], (a["at_ms"] - START_MS) / unit_ms) for a in driver.alerts]


STEP = hours(
    (0.97, 60), (0.97, 60), (0.6, 60), (0.92, 60), (0.88, 60), (0.92, 60), (1.0, 60), (1.0, 60)
)


def test_by_interval_a_rule_is_over_once_the_whole_interval_is_back() -> None:
    """At 0.92 of 60 the value is back, and the interval reaches from 0.82 to 0.97."""
    rule = {"below": 0.9, "window": "1h", "minimum": 50}

    by_interval, by_value = driven(STEP, **rule), driven(STEP, by="value", **rule)

    assert [a["state"] for a in by_interval.alerts] == ["firing", "resolved"]
    assert len(by_value.alerts) > 2
    assert by_interval.alerts[1]["evidence"]["low"] < 0.9  # that of the beginning
    assert states(by_interval)[1][1] > states(by_value)[1][1]


def test_what_is_at_the_end_of_its_range_is_back_however_few_rows_there_are() -> None:
    """Of 60 with none missing, the interval reaches to 0.06: no rule above 0 would ever be over."""
    rule = {"metric": "error_rate", "above": 0.0, "window": "1h", "minimum": 50}
    events = hours(*[(1.0, 60)] * 6)
    for number in range(300):
        failed = {"prediction": None, "error": "timeout"}
        at_ms = START_MS + 2 * HOUR_MS + number
        events.append(prediction(f"f{number}", model="m", timestamp_ms=at_ms, **failed))
    events.sort(key=lambda one: one["timestamp_ms"])

    found = states(driven(events, **rule))

    assert [state for state, _ in found] == ["firing", "resolved"]


def test_clear_is_another_limit_to_come_back_within() -> None:
    rule = {"below": 0.9, "by": "value", "window": "1h", "minimum": 50}

    plain, wider = driven(STEP, **rule), driven(STEP, clear=0.96, **rule)

    assert len(plain.alerts) > 2
    assert [a["state"] for a in wider.alerts] == ["firing", "resolved"]
    assert states(wider)[1][1] > states(plain)[-1][1]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"below": 0.9, "clear": 0.8}, "threshold 'r': clear: 0.8 is beyond below: 0.9"),
        ({"falls_by": 0.1, "clear": 0.2}, "clear: 0.2 is beyond falls_by: 0.1"),
        ({"below": 0.9, "clear": 1.5}, "clear: 1.5 is never reached: accuracy is between 0 and 1"),
        ({"below": 0.9, "for": "soon"}, "threshold 'r': for: 'soon' is no duration"),
        ({"below": 0.9, "fors": "1m"}, "no such key 'fors'; did you mean for?"),
    ],
)
def test_what_could_never_be_meant_is_refused(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_monitors({"thresholds": [{"name": "r", "metric": "accuracy", **rule}]})


# --- for and cooldown, look by look


def looked(levels: list[int], *, cuts: bool = False, **rule: Any) -> list[int]:
    """Return the minutes at which a rule turns; told in parts, with a restart after each."""
    one = {"name": "r", "metric": "accuracy", "below": 0.5, "window": "1m", **rule}
    [threshold] = parse_monitors({"thresholds": [one], "defaults": False}).thresholds
    lives, firing, found = Lives(), False, []
    records: dict[int, Any] = {}
    for part in np.split(np.arange(len(levels)), list(range(1, len(levels))) if cuts else []):
        said = np.array([levels[i] for i in part], np.int8)
        looks = Looks(np.zeros(len(part), np.int64), part * MINUTE_MS, said)
        turned = lives.turns(threshold, looks, is_firing=lambda *_, now=firing: now)
        firing ^= bool(len(turned) % 2)
        found += part[turned].tolist()
        records.update(lives.changes())
        lives = Lives()
        for code, content in records.items():
            if content is not None:
                lives.restore(code, content)
    return found


@pytest.mark.parametrize(
    ("levels", "rule", "turns"),
    [
        ([1, 1, 1, 1, -1], {"for": "2m"}, [2, 4]),
        ([1, 1, -1, 1, 1, 1], {"for": "2m"}, [5]),
        ([1, 0, 1, 1], {"for": "2m"}, []),
        ([1, -1, 1, 1, 1, 1], {"cooldown": "3m"}, [0, 1, 4]),
        ([1, -1, 1, -1, -1, 1], {"cooldown": "3m"}, [0, 1, 5]),
        ([1, 0, 0, -1, 0, 1], {}, [0, 3, 5]),
        ([1, 1, -1, 1, 1, 1, 1], {"for": "1m", "cooldown": "3m"}, [1, 2, 5]),
    ],
)
@pytest.mark.parametrize("cuts", [False, True])
def test_for_and_cooldown_go_by_every_look(
    levels: list[int], rule: dict[str, Any], turns: list[int], cuts: bool
) -> None:
    assert looked(levels, cuts=cuts, **rule) == turns


# --- the default window


@pytest.mark.parametrize(
    ("per_hour", "window_ms"), [(120, HOUR_MS), (30, 6 * HOUR_MS), (6, 24 * HOUR_MS)]
)
def test_a_rule_without_a_window_looks_at_the_shortest_that_holds_enough(
    per_hour: int, window_ms: int
) -> None:
    good, bad = [(1.0, per_hour)] * 30, [(0.3, per_hour)] * 30

    driver = driven(hours(*good, *bad), below=0.8)

    [fired] = driver.alerts
    assert fired["evidence"]["window_ms"] == window_ms
    assert fired["evidence"]["count"] >= 100


def test_what_a_default_window_finds_does_not_depend_on_cuts_or_restarts() -> None:
    rates = [(1.0, 130)] * 4 + [(0.5, 130)] * 3 + [(0.9, 20)] * 20 + [(0.3, 8)] * 30
    events = hours(*rates, *[(1.0, 130)] * 4)

    whole = driven(events, below=0.8)
    parts = [
        driven(events, below=0.8, size=n, restarts=restarts) for n, restarts in ((97, 1), (400, 0))
    ]

    assert {a["evidence"]["window_ms"] for a in whole.alerts} > {HOUR_MS}
    assert [a["state"] for a in whole.alerts][-1] == "resolved"
    for one in parts:
        assert one.result()["alerts"] == whole.result()["alerts"]
