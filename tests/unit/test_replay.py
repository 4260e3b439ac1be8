"""What `driftline replay` says: dead letters with their reasons, names as they are, exit codes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.replay import run_replay
from streams.categories import category, category_names, codes
from streams.errors import ConfigError

MS = 1_767_225_600_000


def event(**fields: object) -> dict[str, Any]:
    return {"prediction_id": "a", "timestamp_ms": MS, **fields}


def write(tmp_path: Path, *lines: object, name: str = "events.jsonl") -> Path:
    file = tmp_path / name
    file.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    )
    return file


def replay(*files: Path, **options: Any) -> int:
    usual: dict[str, Any] = {
        "monitors": None,
        "out": None,
        "disorder_ms": None,
        "columns": None,
        "window_ms": 3_600_000,
        "horizon_ms": 3_600_000,
        "partitions": 3,
        "json_output": False,
    }
    return run_replay(list(files), **(usual | options))


GOOD = event(model="m", prediction=1)
LABEL_WITH_A_BAD_TIME = event(label=1, timestamp_ms=MS + 0.5)
SECONDS = event(model="m", prediction=1, timestamp_ms=MS // 1_000)


def test_every_reason_is_said_with_its_first_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, GOOD, LABEL_WITH_A_BAD_TIME, SECONDS, b"{", SECONDS)

    code = replay(file)

    said = capsys.readouterr().out
    assert code == 0
    assert f"1 invalid_label, first {file}:2: `timestamp_ms` is wrong: Expected `int`, got" in said
    assert f"2 implausible_time, first {file}:3: timestamp_ms 1767225600 is before" in said
    assert f"1 invalid_json, first {file}:4: Input data was truncated" in said
    assert json.dumps(LABEL_WITH_A_BAD_TIME)[:80] in said


def test_machines_are_told_the_same_in_files_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path, b"y,t,at", b"1,1,%d" % MS, b"1,1,soon", name="rows.csv")
    lines = write(tmp_path, GOOD, LABEL_WITH_A_BAD_TIME)
    columns = "prediction=y,label=t,timestamp=at"

    replay(table, lines, columns=columns, json_output=True, out=tmp_path / "out")

    summary = json.loads(capsys.readouterr().out)
    assert summary["dead_letters"] == {"invalid_label": 1, "invalid_row": 1}
    label, row = summary["dead_letter_reasons"]
    assert (label["reason"], label["file"], label["line"]) == ("invalid_label", str(lines), 2)
    assert (row["reason"], row["file"], row["line"]) == ("invalid_row", str(table), 3)
    assert row["detail"].startswith("at: 'soon' is no time")
    assert json.loads(row["value"])["timestamp_ms"] == "soon"
    assert json.loads((tmp_path / "out" / "dead_letters.json").read_text()) == [label, row]
    assert json.loads((tmp_path / "out" / "fates.json").read_text())["dead_letter"] == 2


def test_all_dead_letters_can_be_written_down(tmp_path: Path) -> None:
    file = write(tmp_path, b"\xff", GOOD, SECONDS, SECONDS)

    replay(file, dead_letters=tmp_path / "dead.jsonl")

    first, *rest = map(json.loads, (tmp_path / "dead.jsonl").read_text().splitlines())
    assert (first["reason"], first["line"]) == ("invalid_utf8", 1)
    assert base64.b64decode(first["value_base64"]) == b"\xff"
    assert [(one["reason"], one["line"]) for one in rest] == [
        ("implausible_time", 3),
        ("implausible_time", 4),
    ]
    assert [json.loads(one["value"]) for one in rest] == [SECONDS, SECONDS]


def test_a_recording_is_not_overwritten_by_its_dead_letters(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)

    with pytest.raises(ConfigError, match=r"--dead-letters: .* is one of the recordings"):
        replay(file, dead_letters=file)

    assert json.loads(file.read_text()) == GOOD


@pytest.mark.parametrize("where", ["", "no/such/folder/dead.jsonl"], ids=["folder", "nowhere"])
def test_dead_letters_need_a_file_that_can_be_written(tmp_path: Path, where: str) -> None:
    with pytest.raises(ConfigError, match=r"--dead-letters: .* cannot be written"):
        replay(write(tmp_path, GOOD), dead_letters=tmp_path / where)


@pytest.mark.parametrize(
    ("lines", "code"),
    [([], 0), ([GOOD], 0), ([GOOD, SECONDS], 0), ([SECONDS, b"{"], 3)],
    ids=["nothing", "good", "some_bad", "all_bad"],
)
def test_the_exit_code_is_3_if_nothing_was_usable(
    tmp_path: Path, lines: list[object], code: int
) -> None:
    assert replay(write(tmp_path, *lines)) == code


def test_a_late_label_is_told_with_its_line_though_its_prediction_comes_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = event(label=1, timestamp_ms=MS + 3_600_001)

    replay(write(tmp_path, late, GOOD), json_output=True)

    [reason] = json.loads(capsys.readouterr().out)["dead_letter_reasons"]
    assert (reason["reason"], reason["line"]) == ("late_label", 1)


@pytest.mark.parametrize("retract", [True, "yes", 1, [True]], ids=repr)
def test_a_retraction_that_is_none_is_a_bad_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], retract: object
) -> None:
    replay(write(tmp_path, event(retract=retract, timestamp_ms="now")), json_output=True)

    assert json.loads(capsys.readouterr().out)["dead_letters"] == {"invalid_label": 1}


def test_one_table_in_two_files_gives_what_it_gives_in_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [b"%d,%s,%d" % (n % 3, b"NA" if n % 5 == 0 else b"1", MS + n) for n in range(20)]
    head = b"y,t,at"
    whole = write(tmp_path, head, *rows, name="whole.csv")
    parts = [
        write(tmp_path, head, *rows[:7], name="1.csv"),
        write(tmp_path, head, *rows[7:], name="2.csv"),
    ]
    columns = "prediction=y,label=t,timestamp=at"

    replay(whole, columns=columns, out=tmp_path / "whole")
    replay(*parts, columns=columns, out=tmp_path / "parts")

    for name in ("metrics.jsonl", "fates.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_table_and_the_same_rows_as_lines_have_the_same_times(tmp_path: Path) -> None:
    """20260101 is a date in a table; as a JSON number it is a moment of 1970."""
    table = write(tmp_path, b"y,t,at", b"1,1,20260101", name="rows.csv")
    lines = write(tmp_path, event(model="m", prediction=1, label=1, timestamp_ms=20260101))

    assert replay(table, columns="prediction=y,label=t,timestamp=at") == 0
    assert replay(lines) == 3


def test_a_date_of_1970_is_fine_in_a_table_and_a_number_of_seconds_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [b"1,1,1970-01-01", b"1,NA,1972-12-31", b"1,1,1767225600"]
    table = write(tmp_path, b"y,t,at", *rows, name="rows.csv")
    lines = write(tmp_path, SECONDS, GOOD)
    columns = "prediction=y,label=t,timestamp=at"

    replay(table, lines, columns=columns, json_output=True, out=tmp_path / "out")

    summary = json.loads(capsys.readouterr().out)
    starts = {
        json.loads(line)["window_start_ms"]
        for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()
    }
    assert starts == {0, 94_608_000_000, MS}
    assert summary["dead_letters"] == {"implausible_time": 2}
    assert summary["dead_letter_reasons"][0]["line"] == 4
    assert (summary["fates"]["joined"], summary["fates"]["unlabelled"]) == (1, 2)


def test_only_metrics_that_a_model_has_are_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, GOOD, event(label=1, timestamp_ms=MS))

    replay(file)

    [heads] = [line for line in capsys.readouterr().out.splitlines() if "windows" in line]
    assert "accuracy" in heads
    assert "rmse" not in heads


def test_a_table_of_probabilities_beside_words_is_judged_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text, each probability would be a class of its own, and accuracy 0."""
    rows = [f"{i / 100},{'yes' if i % 3 else 'no'},{MS + i}".encode() for i in range(1, 100)]
    file = write(tmp_path, b"y,t,at", *rows, name="rows.csv")

    replay(file, columns="prediction=y,label=t,timestamp=at")

    said = capsys.readouterr().out
    assert "binary, predicted as a probability" in said
    assert "accuracy" not in said


def test_without_metrics_there_is_no_table_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(write(tmp_path, SECONDS))

    assert "window" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("disorder_ms", "final"), [(None, False), (600_000, True)], ids=["measured", "told"]
)
def test_how_far_a_recording_has_come_goes_by_the_disorder_that_a_worker_would_be_told(
    tmp_path: Path, disorder_ms: int | None, final: bool
) -> None:
    """One line ten minutes ahead of all others is no end, unless lines may be so far apart."""
    lines = [{**GOOD, "prediction_id": f"p{n}", "timestamp_ms": MS + n * 1_000} for n in range(30)]
    last = {**GOOD, "prediction_id": "last", "timestamp_ms": MS + 600_000}
    file = write(tmp_path, *lines, last)
    short = {"window_ms": 60_000, "horizon_ms": 60_000}

    replay(file, out=tmp_path / "out", disorder_ms=disorder_ms, **short)

    metrics = map(json.loads, (tmp_path / "out" / "metrics.jsonl").read_text().splitlines())
    assert {one["final"] for one in metrics if one["window_start_ms"] == MS} == {final}


def test_lines_that_say_what_to_watch_take_effect_at_their_time_wherever_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = []
    for minute in range(40):
        at_ms = MS + minute * 60_000
        made = {"prediction_id": f"p{minute}", "timestamp_ms": at_ms, "model": "m"}
        events.append(made | {"prediction": 1, "label": minute % 2})
    rule = {
        "name": "floor",
        "metric": "accuracy",
        "below": 0.9,
        "minimum": 3,
        "window": "10m",
        "by": "value",
    }
    spec = {
        "effective_at": "2026-01-01T00:10:00Z",
        "monitors": {"defaults": False, "thresholds": [rule]},
    }
    back = {"effective_at": MS + 30 * 60_000, "monitors": None}
    bad = {"effective_at": MS, "monitors": {"thresholds": [{"name": "x"}]}}

    found = []
    for lines in ([spec, back, bad, *events], [*events[:20], bad, *events[20:], spec, back]):
        code = replay(write(tmp_path, *lines), window_ms=300_000, json_output=True)
        summary = json.loads(capsys.readouterr().out)
        assert (code, summary["lines"], summary["fates"]["joined"]) == (0, 40, 40)
        assert summary["dead_letters"] == {"invalid_monitors": 1}
        assert "'metric' is missing" in summary["dead_letter_reasons"][0]["detail"]
        alerts = [
            (one["monitor"], one["state"], (one["at_ms"] - MS) // 60_000)
            for one in summary["alerts"]
            if one["kind"] != "incident"
        ]
        found.append(alerts)

    # Nobody has counted windows of five minutes before; the state of rules begins with the rule.
    assert found[0] == found[1] == [("floor", "firing", 20), ("floor", "resolved", 30)]


def test_a_line_lets_a_model_be_forgotten_wherever_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = []
    for minute in range(40):
        for version in ("1", "2"):
            made = {"prediction_id": f"{version}-{minute}", "model": "m", "version": version}
            at = {"timestamp_ms": MS + minute * 60_000, "prediction": 1, "label": minute % 2}
            events.append(made | at)
    order = {"effective_at": MS + 20 * 60_000, "forget": {"model": "m", "version": "1"}}
    bad = {"effective_at": MS, "forget": {"model": 7}}

    for place in (0, 30, 80):
        file = write(tmp_path, *events[:place], order, bad, *events[place:])
        out = tmp_path / "out"
        replay(file, out=out, window_ms=300_000, horizon_ms=600_000, json_output=True)
        summary = json.loads(capsys.readouterr().out)
        assert (summary["lines"], summary["dead_letters"]) == (80, {"invalid_monitors": 1})
        metrics = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
        starts: dict[str, set[int]] = {"1": set(), "2": set()}
        for one in metrics:
            starts[one["version"]].add((one["window_start_ms"] - MS) // 300_000)
        assert starts == {"1": {4, 5, 6, 7}, "2": set(range(8))}


def test_categories_are_named_by_the_key_as_workers_name_them(tmp_path: Path) -> None:
    rows = [
        GOOD
        | {"prediction_id": f"p{n}", "timestamp_ms": MS + n * 60_000}
        | {"features": {"city": "Rome" if n % 3 else "Oslo"}}
        for n in range(200)
    ]
    file, key = write(tmp_path, *rows), b"0123456789abcdef"

    def categories(name: str, **how: Any) -> set[str]:
        replay(file, out=tmp_path / name, **how)
        lines = (tmp_path / name / "distributions.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return {one for d in found if d["feature"] == "city" for one in d["categories"]}

    texts = [codes(np.array([category(text)]))[0] for text in ("Rome", "Oslo")]
    assert categories("plain") == {f"#{code}" for code in texts}
    assert categories("keyed", category_key=key) == {category_names(key)[code] for code in texts}
