"""`driftline tune`: what alarms of two sets of monitors differ in, and limits that are proposed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from sqlalchemy import Connection, insert

from agents.history import schema
from agents.history.tables import feedback
from agents.replay import run_replay
from agents.settings import Settings
from agents.tuning import Limits, Wish, broken, run_tune
from agents.verdicts_read import verdicts_of
from streams.alarms import Alarm, alarms, counts, differences
from streams.errors import ConfigError
from streams.verdicts import Said, Verdict
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
from tests.golden.streams import STREAMS
from tests.histories import ask

DAY_MS = 24 * HOUR_MS


def rule(name: str, **more: Any) -> dict[str, Any]:
    usual = {"name": name, "metric": "accuracy", "window": "1m", "minimum": 20, "by": "value"}
    return usual | more


OLD = {"thresholds": [rule("floor", below=0.85), rule("gone", above=0.9)]}
NEW = {
    "thresholds": [rule("floor", below=0.85, window="2m", minimum=700), rule("come", above=0.75)]
}


def in_file(place: Path, content: object) -> Path:
    place.write_text(yaml.safe_dump(content))
    return place


def tune(tmp_path: Path, events: Path, *, new: object = NEW, **options: Any) -> int:
    usual: dict[str, Any] = {
        "against": in_file(tmp_path / "old.yaml", options.pop("old", OLD)),
        "verdicts": {},
        "within_ms": DAY_MS,
        "limits": Limits(),
        "wish": None,
        "columns": None,
        "missing": (),
        "json_output": True,
    }
    monitors = in_file(tmp_path / "new.yaml", new)
    settings = Settings(monitors=monitors, window_ms=MINUTE_MS, horizon_ms=HOUR_MS)
    return run_tune([events], settings=settings, **(usual | options))


def told(tmp_path: Path, events: Path, capsys: Any, **options: Any) -> dict[str, Any]:
    tune(tmp_path, events, **options)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def replayed(events: Path, monitors: Path, out: Path) -> dict[str, int]:
    """Return when the alarms of a replay began, by id."""
    run_replay(
        [events],
        monitors=monitors,
        out=out,
        disorder_ms=None,
        columns=None,
        window_ms=MINUTE_MS,
        horizon_ms=HOUR_MS,
        partitions=3,
        json_output=True,
    )
    lines = [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]
    return {
        one["alert_id"]: one["at_ms"]
        for one in lines
        if one["revision"] == 0 and one["kind"] != "incident"
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = [value for _, _, value in STREAMS["demo"]().inputs]
    return write_lines(tmp_path_factory.mktemp("demo") / "demo.jsonl", values)


def test_what_is_gained_lost_and_moved_is_the_difference_of_two_replays(
    tmp_path: Path, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(tmp_path, demo, capsys)

    before = replayed(demo, tmp_path / "old.yaml", tmp_path / "before")
    after = replayed(demo, tmp_path / "new.yaml", tmp_path / "after")
    moved = [(one["before"]["alert_id"], one["after"]["alert_id"]) for one in found["moved"]]
    gained, lost = ({one["alert_id"] for one in found[name]} for name in ("gained", "lost"))
    assert gained
    assert lost
    assert moved
    assert gained | {new for _, new in moved} == after.keys() - before.keys()
    assert lost | {old for old, _ in moved} == before.keys() - after.keys()
    assert [one["later_ms"] for one in found["moved"]] == [after[b] - before[a] for a, b in moved]
    assert (found["before"], found["after"]) == (len(before), len(after))
    assert found["same"] == len(before.keys() & after.keys())
    assert sum(one["gained"] for one in found["monitors"]) == len(gained)


def alarm(at_ms: int, **fields: Any) -> Alarm:
    usual: dict[str, Any] = {
        "alert_id": f"{fields.get('monitor', 'a')}-{at_ms}",
        "model": "m",
        "version": "",
        "segment": "",
        "monitor": "a",
        "input": "",
        "direction": "worse",
        "severity": "info",
        "at_ms": at_ms,
        "message": "",
    }
    return Alarm(**(usual | fields))


@pytest.mark.parametrize(
    ("after", "moved"),
    [
        pytest.param(alarm(110), [10], id="later"),
        pytest.param(alarm(80), [-20], id="sooner"),
        pytest.param(alarm(150), [50], id="as far as it may"),
        pytest.param(alarm(151), [], id="too far"),
        pytest.param(alarm(49), [], id="too far before"),
        pytest.param(alarm(110, monitor="b"), [], id="another monitor"),
        pytest.param(alarm(110, input="feature:f"), [], id="another input"),
        pytest.param(alarm(110, direction="better"), [], id="another direction"),
    ],
)
def test_an_alarm_has_moved_if_its_monitor_raises_it_not_too_far_away(
    after: Alarm, moved: list[int]
) -> None:
    found = differences([alarm(100)], [after], within_ms=50)

    assert [one.later_ms for one in found.moved] == moved
    assert len(found.gained) == len(found.lost) == 1 - len(moved)


def test_of_several_the_nearest_are_taken_for_the_same_and_each_once() -> None:
    before = [alarm(100), alarm(200), alarm(300)]
    after = [alarm(104), alarm(195), alarm(205)]

    found = differences(before, after, within_ms=1_000)

    # 100 and 104 first, then 200 with one of two that are as near.
    assert sorted(one.later_ms for one in found.moved) == [-95, -5, 4]


def test_what_was_said_of_lost_alarms_is_counted_by_monitor() -> None:
    verdicts: dict[str, Said] = {"a-1": "true", "a-2": "false", "a-3": "expected", "b-9": "true"}
    before = [alarm(at, verdict=verdicts.get(f"a-{at}")) for at in (1, 2, 3, 4)]
    kept = alarm(9, monitor="b", verdict="true")

    [one, other] = counts(differences([*before, kept], [kept], within_ms=5))

    assert (one.lost, one.lost_true, one.lost_false, one.lost_expected) == (4, 1, 1, 1)
    assert (other.lost, other.lost_true, other.same) == (0, 0, 1)


def test_incidents_and_later_revisions_are_no_alarms() -> None:
    plain = msgspec.to_builtins(alarm(5)) | {"evidence": {"input": "loss"}, "kind": "drift"}
    first = plain | {"state": "firing", "revision": 0}
    others = [
        first | {"kind": "incident"},
        first | {"revision": 1},
        first | {"state": "resolved", "revision": 2},
    ]

    assert [one.input for one in alarms([first, *others], {})] == ["loss"]


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        pytest.param(Limits(), [], id="nothing"),
        pytest.param(Limits(frozenset({"gained"})), ["1 gained"], id="gained"),
        pytest.param(Limits(frozenset({"lost"})), ["2 lost"], id="lost"),
        pytest.param(Limits(frozenset({"moved"})), [], id="moved"),
        pytest.param(Limits(frozenset({"changed"})), ["3 changed"], id="changed"),
        pytest.param(Limits(frozenset({"lost-true"})), ["1 lost-true"], id="a true one lost"),
        pytest.param(Limits(most_gained=1, most_lost=2), [], id="as many as may be"),
        pytest.param(Limits(most_gained=0), ["1 gained"], id="more gained"),
        pytest.param(Limits(most_lost=1), ["2 lost"], id="more lost"),
        pytest.param(Limits(frozenset({"lost"}), most_lost=9), ["2 lost"], id="the stricter"),
    ],
)
def test_what_there_is_more_of_than_may_be_is_said(limits: Limits, says: list[str]) -> None:
    lost = [alarm(1, verdict="true"), alarm(2, verdict="false")]

    found = broken(differences(lost, [alarm(1_000)], within_ms=5), limits)

    assert [one.partition(",")[0] for one in found] == says


def test_the_exit_code_is_4_then_and_people_are_told_what_and_why(
    tmp_path: Path, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = replayed(demo, in_file(tmp_path / "old.yaml", OLD), tmp_path / "before")
    verdicts: dict[str, Said] = dict.fromkeys(before, "true")
    capsys.readouterr()

    code = tune(
        tmp_path,
        demo,
        limits=Limits(frozenset({"lost-true"})),
        verdicts=verdicts | {"unheard-of": "false"},
        json_output=False,
    )

    said = capsys.readouterr().out
    assert code == 4
    assert "gone [true]: accuracy is" in said
    assert "1 verdicts are on alarms that neither has raised" in said
    assert "failed: 1 lost-true, and at most 0 may be" in said


# --- proposals


def minutes(*hits: int, per_minute: int = 20) -> list[Event]:
    """Make labelled traffic with so many right answers in each minute."""
    events = []
    for minute, right in enumerate(hits):
        for i in range(per_minute):
            at_ms = START_MS + minute * MINUTE_MS + i * MINUTE_MS // per_minute
            name = f"p{minute}-{i}"
            events.append(prediction(name, timestamp_ms=at_ms))
            events.append(label(name, timestamp_ms=at_ms, label=int(i < right)))
    return events


DIPS = [19, 20, 12, 20, 18, 20, 15, 20, 19, 9, 9, 20, 17, 20, 20, 15, 20, 20, 16, 20]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"below": 0.99}, id="below"),
        pytest.param({"falls_by": 0.01}, id="falls_by"),
        pytest.param({"above": 0.01}, id="above"),
        pytest.param({"below": 0.95, "by": "interval"}, id="by the interval"),
        pytest.param({"below": 0.95, "clear": 0.96, "for": "1m"}, id="with clear and for"),
        pytest.param({"below": 0.95, "cooldown": "4m"}, id="with a cooldown"),
    ],
)
@pytest.mark.parametrize("wanted", [0, 1, 3])
def test_the_proposed_limit_raises_as_many_alarms_as_it_says_in_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], wanted: int
) -> None:
    some = [20 - right for right in DIPS] if "above" in more else DIPS
    events = write_lines(tmp_path / "events.jsonl", as_lines(minutes(*some)))
    given = rule("r", **({"minimum": 10} | more))
    monitors = {"defaults": False, "reference": 60, "thresholds": [given]}
    a_month = wanted * 30 * DAY_MS // (len(DIPS) * MINUTE_MS) + wanted * 300

    found = told(tmp_path, events, capsys, new=monitors, wish=Wish("r", a_month))["proposal"]

    [key] = given.keys() & {"below", "above", "falls_by"}
    monitors["thresholds"] = [given | {key: found["proposed"]}]
    file = in_file(tmp_path / "proposed.yaml", monitors)
    assert len(replayed(events, file, tmp_path / "out")) == found["alarms"]
    assert found["alarms"] <= found["wanted"]
    before = in_file(tmp_path / "as-it-was.yaml", monitors | {"thresholds": [given]})
    assert len(replayed(events, before, tmp_path / "out-before")) == found["before"]
    assert found["alarms"] > 0 or wanted < 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param(
            "flooor", "--propose: 'flooor' is no monitor of --monitors; did you mean floor?"
        ),
        pytest.param("loss-scan", "'loss-scan' has no limit of its own"),
        pytest.param("never", "'never' was never judged"),
    ],
)
def test_what_no_limit_can_be_proposed_for_is_said(
    tmp_path: Path, demo: Path, name: str, says: str
) -> None:
    never = {"name": "never", "metric": "accuracy", "below": 0.5, "minimum": 1_000_000}
    new = {"thresholds": [*NEW["thresholds"], never]}

    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        tune(tmp_path, demo, new=new, wish=Wish(name, 1))


# --- verdicts


def verdict(alert_id: str, said: Said) -> Verdict:
    return Verdict(alert_id=alert_id, verdict=said, by="ann", at_ms=1, model="m", monitor="a")


def test_verdicts_are_read_from_lines_as_they_are_and_as_the_sink_of_files_writes_them(
    tmp_path: Path,
) -> None:
    plain = [msgspec.to_builtins(verdict(*one)) for one in (("a", "true"), ("b", "false"))]
    later = {"key": "b", "record": msgspec.to_builtins(verdict("b", "expected"))}
    taken_back = {"key": "c"}
    some: list[Any] = [*plain, later, {"key": "c", "record": plain[0] | {"alert_id": "c"}}]
    lines = [msgspec.json.encode(one) for one in [*some, taken_back, {"prediction_id": "p"}, 7]]

    found = verdicts_of(str(write_lines(tmp_path / "said.jsonl", [*lines, b"{"])))

    assert found == {"a": "true", "b": "expected"}
    assert verdicts_of(str(tmp_path)) == found


def test_a_file_without_verdicts_is_refused(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "events.jsonl", [b"{}"])

    with pytest.raises(ConfigError, match="there is no verdict in it"):
        verdicts_of(str(file))


def test_verdicts_are_read_from_a_history(tmp_path: Path) -> None:
    url = str(tmp_path / "history.db")
    said = msgspec.to_builtins(verdict("a", "expected")) | {"visible_at_ms": 1}

    def write(connection: Connection) -> None:
        schema.prepare(connection)
        connection.execute(insert(feedback).values(said))

    ask(url, write)

    assert verdicts_of(url) == {"a": "expected"}
