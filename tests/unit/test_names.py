"""Names are shown as they are by every command that prints them, whatever they are."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Message
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from agents import tail_lines
from agents.demo_model import Scenario
from agents.demo_oracle import AlertRecord, Board
from agents.demo_views import LineView, render
from agents.exits import say
from agents.printable import printable, printable_json
from agents.printing import add_names, add_numbers, print_table
from agents.replay import run_replay
from agents.status import ModelCost, MonitorCost, Status, Work, show
from tests.examples import some

MS = 1_767_225_600_000
NASTY = (
    *("[/a]", "[prod] fraud", "[bold red]", "[link=http://x]y[/link]", r"\[", ":fire:", "{0}"),
    *("\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "\r", "\n", "\t", "\x00", "\x7f", "\u2028"),
    *("\u202ecod.exe", "\u2066", "\u200f", "\u200d", "\ufeff", "\U000e0041", "\ud800"),
    *("é", "詐欺", "🔥", "%s"),
)
names = st.lists(
    st.one_of(st.sampled_from(NASTY), st.text(max_size=8)), min_size=1, max_size=4
).map("".join)


def is_unicode(name: str) -> bool:
    """Tell whether a name can be sent: it has no halves of characters."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def assert_is_harmless(said: str, *shown: str) -> None:
    """Check that there is nothing but characters that show, and each name, but for spaces."""
    odd = [c for c in said if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl")]
    assert odd == []
    for name in shown:
        assert "".join(printable(name).split()) in "".join(said.split())


def message(value: object, **fields: Any) -> Message:
    data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    if isinstance(data, str):
        data = data.encode(errors="surrogatepass")
    return Message(topic="t", partition=0, offset=1, value=data, timestamp=(1, MS), **fields)


@settings(max_examples=some(30))
@given(name=names.filter(is_unicode))
@example(name="[/a]")
@example(name="\x1b[31m" + "x" * 300)
def test_replay(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("replay")
    rules = {
        "thresholds": [
            {
                "name": "floor",
                "metric": "accuracy",
                "below": 0.9,
                "minimum": 1,
                "by": "value",
                "window": "5m",
            }
        ]
    }
    (folder / "monitors.yaml").write_text(json.dumps(rules))
    event = {
        "prediction_id": "a",
        "model": name,
        "version": name,
        "timestamp_ms": MS,
        "prediction": name,
        "label": "x",
        "features": {name: 1},
        "segments": {name: name},
    }
    lines = [event, {**event, "score": name}, {"prediction_id": name, "timestamp_ms": name}]
    file = folder / "events.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", said := io.StringIO())
        run_replay(
            [file],
            monitors=folder / "monitors.yaml",
            out=None,
            window_ms=60_000,
            horizon_ms=60_000,
            partitions=1,
            disorder_ms=None,
            columns=None,
            json_output=False,
        )

    known = len(name.encode()) <= 256
    assert_is_harmless(said.getvalue(), *([name] if known else []))


@given(name=names)
def test_tail(name: str) -> None:
    who = {"model": name, "version": name, "segment": name}
    result = {**who, "metric": name, "monitor": name, "message": name, "value": 1.0, "state": name}
    headers = [
        ("driftline.reason", name.encode(errors="replace")),
        ("__connect.errors.exception.message", name.encode(errors="replace")),
    ]

    for shown in (
        tail_lines.metric(message(result)),
        tail_lines.alert(message(result)),
        tail_lines.dead_letter(message(result, headers=headers, key=name.encode(errors="replace"))),
    ):
        assert_is_harmless(shown.line)
        assert_is_harmless(shown.json)
        assert "\n" not in shown.line + shown.json
    if is_unicode(name):
        assert_is_harmless(tail_lines.metric(message(result)).line, name)
        assert json.loads(tail_lines.metric(message(result)).json) == result
        key = json.dumps([name, name, name, MS, MS + 1, name], ensure_ascii=False).encode()
        gone = tail_lines.metric(Message(topic="t", partition=0, key=key, timestamp=(1, MS)))
        assert_is_harmless(gone.line, name)
        assert_is_harmless(gone.json)
        assert json.loads(gone.json)["metric"] == name


@given(name=names)
def test_status(name: str) -> None:
    status = Status(
        worker_id=name,
        version=name,
        unready=name,
        uptime_s=1.0,
        cpu_s=1.0,
        records=1_000,
        models=1,
        pending_predictions=0,
        partitions={name: [0]},
        work=[Work(name, 1.0)],
        monitor_costs=[MonitorCost(name, 1.0, 1)],
        model_costs=[ModelCost(name, name, 1.0, 1, 1, 1)],
        warnings=[name],
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", said := io.StringIO())
        show([status], costs=True, json_output=False)

    assert_is_harmless(said.getvalue(), name)


@given(name=names)
def test_demo(name: str) -> None:
    board = Board()
    fields = {"alert_id": "a", "state": "firing", "kind": "drift", "severity": "warning"}
    board.news.append(msgspec.convert({**fields, "at_ms": MS, "message": name}, AlertRecord))
    scenario = Scenario((), MS, MS, MS, 0.0, 0.0)
    lines, live = io.StringIO(), io.StringIO()

    view = LineView(Console(file=lines))
    view.scenario = scenario
    view.update(board, sent=0)
    Console(file=live, width=10_000).print(render(board, scenario, sent=0))

    assert_is_harmless(lines.getvalue(), name)
    assert_is_harmless(live.getvalue(), name)


@given(name=names)
def test_printable_json_means_the_same(name: str) -> None:
    text = json.dumps({name: [name]}, ensure_ascii=False)

    assert json.loads(printable_json(text)) == json.loads(text)
    assert_is_harmless(printable_json(text))


def test_a_line_of_the_log_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    say("model x\n2026-01-01T00:00:00Z driftline[1] all is well\x1b[2J")

    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert_is_harmless(said)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_no_column_is_cut_however_narrow_the_terminal(terminal: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, width=20, force_terminal=terminal, markup=False)
    table = Table()
    add_names(console, table, "model")
    add_numbers(table, "windows", "accuracy")
    table.add_row("m" * 100, "1234567", "0.9123 → 0.8765")

    print_table(console, table)

    said = file.getvalue()
    assert "…" not in said
    assert said.replace("model", "").count("m") >= 100
    assert "0.9123 → 0.8765" in said


def test_a_name_that_the_terminal_cannot_show_is_no_reason_to_end(tmp_path: Path) -> None:
    from tests.unit.test_cli import run  # noqa: PLC0415

    event = {"prediction_id": "a", "model": "詐欺", "timestamp_ms": MS, "prediction": 1}
    (tmp_path / "events.jsonl").write_text(json.dumps(event))

    done = run("replay", str(tmp_path / "events.jsonl"), PYTHONIOENCODING="ascii")

    assert done.returncode == 0, done.stderr
    assert r"\u8a50\u6b3a" in done.stdout
