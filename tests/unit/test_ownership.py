"""Whom a model belongs to is checked, and every record of its alerts says it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from agents import tail_lines
from agents.replay import run_replay
from streams.errors import ConfigError
from streams.monitors import Monitors
from streams.monitors_changes import changes
from streams.monitors_file import parse_monitors
from streams.ownership import Ownership
from streams.specification import write_specification
from streams.task import Task
from tests.builders import MINUTE_MS, START_MS, Event, label, prediction
from tests.driver import Driver, as_inputs, cut

RISK = {"owner": "risk", "runbook": "https://wiki.example.com/fraud", "tags": {"tier": "1"}}
OPS = {"owner": "ops"}
FLOOR = {
    "name": "floor",
    "metric": "accuracy",
    "below": 0.9,
    "window": "10m",
    "minimum": 3,
    "by": "value",
}
WATCHED: dict[str, Any] = {
    "defaults": False,
    "thresholds": [FLOOR],
    "drift": [
        {
            "name": "ph",
            "input": "score",
            "detector": "page_hinkley",
            "parameters": {"reference": 5, "block": 1, "threshold": 1, "delta": 0.01},
        }
    ],
    "resolve_after": "5m",
}


def said(alert: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
    return alert["owner"], alert["runbook"], alert["tags"]


ALL, NONE = ("risk", "https://wiki.example.com/fraud", {"tier": "1"}), ("", "", {})


def events(*turns: str, model: str = "fraud") -> list[Event]:
    """Return ten minutes of predictions a turn, all right or all wrong, with scores that jump."""
    found: list[Event] = []
    for number, turn in enumerate(turns):
        for i in range(30):
            at_ms, name = START_MS + number * 10 * MINUTE_MS + i * 20_000, f"{model}{number}-{i}"
            score = {"right": 0.9, "wrong": 0.1}[turn] + i % 3 / 100
            made = prediction(name, timestamp_ms=at_ms, model=model, score=score)
            truth = made["prediction"] if turn == "right" else 1 - made["prediction"]
            found += [made, label(name, timestamp_ms=at_ms, label=truth)]
    return found


# ------------------------------------------------------------------ the file
def model(**fields: object) -> dict[str, object]:
    return {"models": {"m": fields}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (model(ownr="a"), "model 'm': no such key 'ownr'; did you mean owner?"),
        (model(owner=7), "model 'm': owner: 7: expected str"),
        (model(owner=" "), "model 'm': owner: ' ' is empty; leave it out"),
        (model(owner="a\nb"), r"model 'm': owner: 'a\nb' has characters that cannot be shown"),
        (model(owner="a" * 257), "has over 256 bytes"),
        (model(runbook="wiki/fraud"), "model 'm': runbook: 'wiki/fraud' is no URL such as https"),
        (model(runbook="ftp://a/b"), "is no URL such as"),
        (model(runbook="https://me:pw@a/b"), "is no URL such as"),
        (model(tags=["a"]), "model 'm': tags: ['a']: expected object, got array"),
        (model(tags={"tier": 1}), "model 'm': tags: tier: 1 is no text; write it in quotes"),
        (model(tags={"tier": ""}), "model 'm': tags: tier: '' is empty"),
        (model(tags={"cost-center": "1"}), "model 'm': tags: 'cost-center' is no name of up to 64"),
        (model(tags={"1a": "1"}), "tags: '1a' is no name"),
        (
            {"models": {"m*": OPS | {"task": "text"}}},
            "a pattern may say owner, runbook, tags and b",
        ),
        (model(tags={"a" * 65: "1"}), "is no name"),
        (model(tags={f"t{i}": "1" for i in range(33)}), "tags: 33 are too many; at most 32"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(data: object, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_monitors(data, file="m.yaml")

    assert str(error.value).startswith("m.yaml: model 'm")
    assert says in str(error.value)


def test_a_model_may_say_what_it_is_whom_it_belongs_to_or_both() -> None:
    given = {"a": RISK, "b": {"task": "text"}, "c": OPS | {"positive": "yes"}, "d": {}}

    found = parse_monitors({"models": given})

    assert found.owned == {"a": Ownership(*ALL), "c": Ownership("ops")}
    assert found.models == {"b": Task("text"), "c": Task("auto", "yes"), "d": Task()}


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("fraud-eu", "exact"),
        ("fraud-us", "first"),
        ("Fraud-us", "last"),
        ("a[1]", "brackets"),
    ],
)
def test_a_model_belongs_to_whom_its_name_says_or_the_first_pattern_that_fits(
    name: str, owner: str
) -> None:
    said = {"fraud-*": "first", "fraud-?s": "second", "fraud-eu": "exact", "a[1]": "brackets"}
    given = {pattern: {"owner": one} for pattern, one in {**said, "*": "last"}.items()}
    monitors = parse_monitors({"models": given})

    found = monitors.owner_of(name)

    assert found is not None
    assert found.owner == owner


def test_nobody_owns_a_model_that_nothing_fits() -> None:
    assert parse_monitors({"models": {"fraud-*": OPS}}).owner_of("fraud") is None


def test_who_owns_a_model_is_among_the_changes() -> None:
    before = parse_monitors({"models": {"a": RISK, "b": {"task": "text"}}})
    after = parse_monitors(
        {"models": {"a": {**OPS, "tags": {"tier": "2"}}, "b": {"task": "text"} | OPS}}
    )

    assert [line for line in changes(before, after) if "model" in line] == [
        "~ model 'a': owner risk → ops, runbook https://wiki.example.com/fraud → as usual,"
        " tag tier 1 → 2",
        "~ model 'b': owner as usual → ops",
    ]
    assert "+ model 'b': task text, owner ops" in changes(Monitors(), after)


# ------------------------------------------------------------------ alerts
def test_every_record_of_an_alert_says_whom_its_model_belongs_to() -> None:
    driver = Driver(monitors=parse_monitors({**WATCHED, "models": {"fra*": RISK}}))
    other = events("right", "wrong", "right", model="churn")

    driver.feed(as_inputs(events("right", "wrong", "right") + other))
    driver.finish()

    found = {(a["monitor"], a["state"], a["model"], str(said(a))) for a in driver.alerts}
    assert found == {
        (monitor, state, name, str(what))
        for monitor in ("floor", "ph")
        for state in ("firing", "resolved")
        for name, what in (("fraud", ALL), ("churn", NONE))
    }


@pytest.mark.parametrize("restarts", [False, True])
def test_an_alert_keeps_what_was_said_when_it_began(restarts: bool) -> None:
    driver = Driver(monitors=parse_monitors({**WATCHED, "models": {"fraud": RISK}}))
    later = write_specification(
        {**WATCHED, "models": {"fraud": OPS}}, effective_ms=START_MS + 15 * MINUTE_MS
    )
    driver.specify(later)

    for batch in cut(as_inputs(events("right", "wrong", "right", "wrong")), [6]):
        driver.feed(batch)
        if restarts:
            driver.restart(random.Random(1))
    driver.finish()

    floor = sorted((a["at_ms"], a["state"], a) for a in driver.alerts if a["monitor"] == "floor")
    assert [(state, said(alert)) for _, state, alert in floor[:3]] == [
        ("firing", ALL),
        ("resolved", ALL),
        ("firing", ("ops", "", {})),
    ]


def test_a_replay_says_it_too(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events("right", "wrong")))
    monitors = tmp_path / "monitors.yaml"
    monitors.write_text(json.dumps({**WATCHED, "models": {"fraud": RISK}}))

    run_replay(
        [file],
        monitors=monitors,
        out=tmp_path / "out",
        window_ms=10 * MINUTE_MS,
        horizon_ms=10 * MINUTE_MS,
        partitions=1,
        disorder_ms=None,
        columns=None,
        json_output=True,
    )

    lines = (tmp_path / "out" / "alerts.jsonl").read_text().splitlines()
    alerts = [json.loads(line) for line in lines]
    assert alerts
    assert {str(said(alert)) for alert in alerts} == {str(ALL)}


# ------------------------------------------------------------------ on a terminal
@pytest.mark.parametrize(
    ("fields", "end"),
    [
        (RISK, "oh [owner risk, runbook https://wiki.example.com/fraud, tier 1]"),
        ({"owner": "risk", "tags": {"owner": "x"}}, "oh [owner risk, owner x]"),
        ({"owner": "", "runbook": "", "tags": {}}, "oh"),
        ({"owner": None, "tags": ["a"]}, "oh"),
        ({"owner": "\x1b[31m"}, r"oh [owner \x1b[31m]"),
    ],
)
def test_a_line_of_an_alert_says_it(fields: dict[str, object], end: str) -> None:
    class Message:
        def value(self) -> bytes:
            return json.dumps({"message": "oh", **fields}).encode()

    line = tail_lines.alert(Message()).line  # type: ignore[arg-type]

    assert line.endswith(f": {end}")
