"""Alerts that begin in a silence are recorded, and told of once it is over, if they still fire."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agents import tail_lines
from agents.cli import app
from agents.sinks.notifying import ALERTS, INCIDENTS, is_told
from agents.sinks.webhook import example_alert
from streams.alerts import Alert
from streams.errors import ConfigError
from streams.moments import time_text
from streams.monitor.incidents import Incidents
from streams.monitors import Monitors
from streams.monitors_changes import changes
from streams.monitors_file import parse_monitors
from streams.silences import Silences, over_by, read_silences
from streams.specification import write_specification
from tests.builders import HOUR_MS, MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import BOTH, Driver, as_inputs, cut
from tests.unit.test_incidents import alert, of_incidents

FLOOR = {
    "name": "floor",
    "metric": "accuracy",
    "below": 0.9,
    "window": "10m",
    "minimum": 3,
    "by": "value",
}


def at(minute: float) -> str:
    return time_text(START_MS + round(minute * MINUTE_MS))


def silence(first: float, until: float, **fields: object) -> dict[str, object]:
    return {"from": at(first), "until": at(until), "why": "planned", **fields}


# ------------------------------------------------------------------ the file
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (silence(5, 5), f"until: {at(5)} is not after from: {at(5)}"),
        (silence(0, 5) | {"why": " "}, "why: ' ' is empty"),
        ({"until": at(5)}, "the key 'why' is missing"),
        (silence(0, 5, mdel="a"), "no such key 'mdel'; did you mean model?"),
        (silence(0, 5) | {"until": "soon"}, "until: 'soon' is no time; write it as"),
        (silence(0, 5) | {"until": 5}, "until: 5 is no time in milliseconds"),
        ({"why": "x"}, "it never ends; give until, weekdays or between"),
        ({"why": "x", "from": at(5)}, "it never ends"),
        ({"why": "x", "between": "00:00-24:00"}, "it never ends"),
        ({"why": "x", "weekdays": []}, "weekdays: [] are none"),
        ({"why": "x", "weekdays": ["son"]}, "weekdays: ['son']: invalid enum value 'son'"),
        ({"why": "x", "between": "2-4"}, "between: '2-4' is no span of a day"),
        ({"why": "x", "between": "02:00-02:00"}, "is no span of a day"),
        ({"why": "x", "between": "24:00-02:00"}, "is no span of a day"),
        ({"why": "x", "between": "02:00-24:01"}, "is no span of a day"),
        ({"why": "x", "between": "02:60-04:00"}, "is no span of a day"),
        (silence(0, 5, monitor="flr"), "no monitor is called 'flr'; did you mean floor?"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_monitors({"thresholds": [FLOOR], "silences": [given]})

    assert str(error.value).startswith("monitors.yaml: silence 1: ")
    assert says in str(error.value)


def test_dates_of_yaml_are_times() -> None:
    text = "silences: [{from: 2026-12-24, until: 2026-12-27T00:00:00Z, why: x}]"

    [found] = parse_monitors(yaml.safe_load(text)).silences

    assert str(found).endswith("from 2026-12-24T00:00:00Z, until 2026-12-27T00:00:00Z")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


NIGHTS = {"between": "22:00-04:00", "weekdays": ["sat"], "why": "batch"}


@pytest.mark.parametrize(
    ("given", "moment", "ends"),
    [
        (NIGHTS, "2026-01-03T22:00", "2026-01-04T04:00"),
        (NIGHTS, "2026-01-03T21:59", None),
        (NIGHTS, "2026-01-04T03:59", "2026-01-04T04:00"),
        (NIGHTS, "2026-01-04T04:00", None),
        (NIGHTS, "2026-01-03T02:00", None),  # of Friday's night
        (NIGHTS, "2026-01-04T22:30", None),
        (NIGHTS | {"until": "2026-01-04T01:00"}, "2026-01-04T00:59", "2026-01-04T01:00"),
        (NIGHTS | {"until": "2026-01-04T01:00"}, "2026-01-04T01:00", None),
        (NIGHTS | {"from": "2026-01-04T01:00"}, "2026-01-04T00:59", None),
        ({"weekdays": ["sun"], "why": "x"}, "2026-01-04T13:00", "2026-01-05T00:00"),
        ({"between": "23:00-24:00", "why": "x"}, "2026-01-06T23:59", "2026-01-07T00:00"),
        ({"until": "2026-01-05", "why": "x"}, "1970-01-02", "2026-01-05T00:00"),
    ],
)
def test_a_silence_has_spans(given: dict[str, Any], moment: str, ends: str | None) -> None:
    found = read_silences([given]).until_ms("m", "floor", ms(moment))

    assert found == (-1 if ends is None else ms(ends))


def test_patterns_say_of_what() -> None:
    silences = read_silences([silence(0, 5, model="fraud*", monitor="*-scan")])

    def silent(model: str, monitor: str) -> bool:
        return silences.until_ms(model, monitor, START_MS) >= 0

    assert silent("fraud-eu", "loss-scan")
    assert not silent("Fraud", "loss-scan")
    assert not silent("fraud", "floor")


def test_what_has_ended_is_said_by_name() -> None:
    silences = read_silences([silence(0, 5), silence(0, 6), NIGHTS])

    [said] = over_by(silences, START_MS + 5 * MINUTE_MS)

    assert said.startswith(f"silence 1 (planned) ended at {at(5)}: it silences nothing")


def test_a_check_says_what_has_ended_and_passes(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(json.dumps({"silences": [silence(0, 5)]}))

    found = CliRunner().invoke(app, ["monitors", "check", str(file)])

    assert found.exit_code == 0, found.output
    assert f"silence 1 (planned) ended at {at(5)}" in found.output.replace("\n", " ")


def test_a_difference_is_shown() -> None:
    after = parse_monitors({"silences": [NIGHTS]})

    line = "silence: model '*', monitor '*', on sat, between 22:00-04:00: batch"
    assert f"+ {line}" in changes(Monitors(), after)
    assert f"- {line}" in changes(after, Monitors())


# ------------------------------------------------------------------ alerts
def events(*turns: str, model: str = "m") -> list[Event]:
    """Return ten minutes of predictions a turn, all right or all wrong."""
    found: list[Event] = []
    for number, turn in enumerate(turns):
        for i in range(10):
            at_ms, name = START_MS + number * 10 * MINUTE_MS + i * MINUTE_MS, f"{model}{number}-{i}"
            made = prediction(name, timestamp_ms=at_ms, model=model)
            truth = made["prediction"] if turn == "right" else 1 - made["prediction"]
            found += [made, label(name, timestamp_ms=at_ms, label=truth)]
    return found


def driven(*silences: dict[str, object], sizes: tuple[int, ...] = (), later: Any = None) -> Driver:
    said = {"defaults": False, "thresholds": [FLOOR]}
    driver = Driver(monitors=parse_monitors({**said, "silences": list(silences)}))
    if later is not None:
        minute, others = later
        told_ms = START_MS + minute * MINUTE_MS
        driver.specify(write_specification({**said, "silences": others}, effective_ms=told_ms))
    inputs = as_inputs(events("right", "wrong", "wrong", "right", "right"))
    for turn, batch in enumerate(cut(inputs, list(sizes)) if sizes else [inputs]):
        driver.feed(batch)
        if sizes and turn % 3 == 0:
            driver.restart(random.Random(1))
    driver.finish()
    return driver


def told(alerts: list[dict[str, Any]]) -> list[tuple[str, float, bool]]:
    return [(a["state"], (a["at_ms"] - START_MS) / MINUTE_MS, a["silenced"]) for a in alerts]


BEGINS, ENDS = 12, 39
CUTS = [(), (5, 2)]


@pytest.mark.parametrize("sizes", CUTS)
@pytest.mark.parametrize(
    ("silences", "want"),
    [
        ([], [("firing", BEGINS, False), ("resolved", ENDS, False)]),
        # It is over in its silence: nobody is told, ever.
        ([silence(5, 60)], [("firing", BEGINS, True), ("resolved", ENDS, True)]),
        # It still fires afterwards.
        (
            [silence(5, 30.5)],
            [("firing", BEGINS, True), ("firing", 30.5, False), ("resolved", ENDS, False)],
        ),
        # Both ends: the first moment is in it, the last one is not.
        ([silence(BEGINS, 60)], [("firing", BEGINS, True), ("resolved", ENDS, True)]),
        ([silence(5, BEGINS)], [("firing", BEGINS, False), ("resolved", ENDS, False)]),
        # One that is over as its silence ends was never told of.
        ([silence(5, ENDS)], [("firing", BEGINS, True), ("resolved", ENDS, True)]),
        # People know already.
        ([silence(13, 60)], [("firing", BEGINS, False), ("resolved", ENDS, False)]),
        # One silence after the other.
        (
            [silence(5, 20), silence(19, 25), silence(25, 31)],
            [("firing", BEGINS, True), ("firing", 31, False), ("resolved", ENDS, False)],
        ),
        ([silence(5, 60, model="x")], [("firing", BEGINS, False), ("resolved", ENDS, False)]),
    ],
)
def test_an_alert_is_silenced_by_the_time_at_which_it_begins(
    silences: list[dict[str, object]], want: list[tuple[str, float, bool]], sizes: tuple[int, ...]
) -> None:
    driver = driven(*silences, sizes=sizes)

    assert told(driver.alerts) == want
    assert told(driver.incidents) == want
    assert [one["revision"] for one in driver.alerts] == list(range(len(want)))
    assert {one["message"] for one in driver.alerts[:-1]} == {"accuracy is 0.8, below 0.9"}


@pytest.mark.parametrize("sizes", CUTS)
@pytest.mark.parametrize(
    ("others", "until"), [([], 20), ([silence(0, 25)], 25), ([silence(18, 33)], 33)]
)
def test_other_silences_take_effect_with_their_specification(
    others: list[dict[str, object]], until: float, sizes: tuple[int, ...]
) -> None:
    driver = driven(silence(5, 60), sizes=sizes, later=(20, others))

    want = [("firing", BEGINS, True), ("firing", until, False), ("resolved", ENDS, False)]
    assert told(driver.alerts) == want


def test_a_worker_that_is_started_without_a_silence_tells_of_what_fires() -> None:
    said = {"defaults": False, "thresholds": [FLOOR], "silences": [silence(5, 60)]}
    driver = Driver(monitors=parse_monitors(said))
    driver.feed(as_inputs(events("right", "wrong", "wrong")))
    driver.monitor.monitors = parse_monitors(said | {"silences": []})
    driver.restart(random.Random(1))
    driver.finish()

    assert [one[::2] for one in told(driver.alerts)] == [("firing", True), ("firing", False)]


def test_a_silent_model_is_told_of_though_nothing_comes_any_more() -> None:
    """Else a silence by night would hide for ever that all has stopped."""
    silent = {"name": "silent", "metric": "predictions", "absent_for": "30m"}
    said = {"defaults": False, "thresholds": [silent], "silences": [silence(10, 60)]}
    driver = Driver(monitors=parse_monitors(said))
    driver.feed(as_inputs(events("right")))
    for _ in range(20):
        driver.feed([], idle=BOTH, tick_ms=5 * MINUTE_MS)

    assert [one[0::2] for one in told(driver.alerts)] == [("firing", True), ("firing", False)]
    assert driver.alerts[1]["at_ms"] == START_MS + 60 * MINUTE_MS
    assert driver.alerts[1]["evidence"]["observed"] == {"tick": True}


# ------------------------------------------------------------------ incidents
def hushed(name: str, at_ms: int = 1_000, **fields: Any) -> Alert:
    return alert(name, at_ms, silenced=True, **fields)


def test_an_incident_is_silenced_as_long_as_all_its_alerts_are() -> None:
    incidents = Incidents()

    [first] = of_incidents(incidents.group([hushed("a", severity="critical")]))
    [second] = of_incidents(incidents.group([alert("b", 2_000, severity="warning")]))

    assert (first.silenced, first.severity) == (True, "critical")
    assert (second.silenced, second.severity) == (False, "warning")
    assert (second.evidence["alerts"], second.evidence["silenced"]) == (2, 1)


def test_silenced_alerts_make_no_news_of_an_incident_that_others_have_made() -> None:
    incidents = Incidents()
    incidents.group([alert("a")])

    found = incidents.group([hushed(f"b{n}", 2_000, severity="critical") for n in range(5)])

    assert of_incidents(found) == []


def test_silenced_alerts_alone_make_news_as_others_do() -> None:
    incidents = Incidents()
    grown = [len(of_incidents(incidents.group([hushed(f"a{n}", 1_000 + n)]))) for n in range(5)]

    assert grown == [1, 1, 0, 1, 0]


def test_an_incident_that_was_told_of_stays_so() -> None:
    incidents = Incidents()
    one = alert("a")
    incidents.group([one, hushed("b")])
    over = [alert(n, 3_000, state="resolved", revision=1) for n in ("a", "b")]

    [last] = of_incidents(incidents.group(over))

    assert (last.state, last.silenced) == ("resolved", False)


# ------------------------------------------------------------------ who is told
@pytest.mark.parametrize("notify", [INCIDENTS, ALERTS])
def test_what_notifies_tells_of_nothing_that_is_silenced(notify: str) -> None:
    fields = {name: getattr(example_alert(0), name) for name in Alert.__struct_fields__}

    assert is_told(Alert(**fields), notify)
    assert not is_told(Alert(**{**fields, "silenced": True}), notify)


def test_a_line_of_an_alert_says_it() -> None:
    class Message:
        def value(self) -> bytes:
            return json.dumps({"message": "oh", "silenced": True}).encode()

    assert tail_lines.alert(Message()).line.endswith("oh [silenced]")  # type: ignore[arg-type]


def test_no_silences_silence_nothing() -> None:
    assert Silences().until_ms("m", "floor", START_MS + HOUR_MS) == -1
