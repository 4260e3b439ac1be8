"""The command line, as a process: what it says, and its exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agents.cli.catalogue import CATALOGUE
from agents.cli.command import Group

ROOT = Path(__file__).parents[2]
EXAMPLE = "deploy/monitors.example.yaml"
FOLDER = ROOT / "agents" / "cli"
COMMANDS = [
    (entry.name, str(command.name))
    if isinstance(entry, Group)
    else (command.name or command.run.__name__,)
    for entry in CATALOGUE
    for command in (entry.every if isinstance(entry, Group) else [entry])
]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("DRIFTLINE_")}
    return subprocess.run(
        [sys.executable, "-m", "agents.cli", *arguments],
        cwd=ROOT,
        env={**clean, "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_examples(command: tuple[str, ...]) -> None:
    done = run(*command, "--help")

    assert done.returncode == 0
    assert "Examples:" in done.stdout
    assert f"driftline {' '.join(command)}" in done.stdout


def test_every_file_that_declares_a_command_is_in_the_catalogue() -> None:
    declared = {
        path.stem
        for path in FOLDER.glob("*.py")
        if re.search(r"^(COMMAND|GROUP) = ", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    listed = {command[0].replace("-", "_") for command in COMMANDS}

    assert listed == declared
    assert ("topics", "create") in COMMANDS


def test_the_version_needs_neither_kafka_nor_numpy() -> None:
    code = (
        "import sys; sys.argv = ['driftline', 'version']; import agents.cli as c\n"
        "try: c.main()\n"
        "finally: print(sorted({'faust', 'numpy', 'confluent_kafka', 'river'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.startswith("driftline ")
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("worker", "--windw", "5m"), "--windw"),
        (("worker", "--window", "soon"), "--window: 'soon' is no duration"),
        (("worker", "--metrics-port", "x"), "--metrics-port: 'x' is no whole number"),
        (("worker", "--kafka", "nonsense"), "KEY=VALUE"),
        (("worker", "--kafka", "no.such=1"), "--kafka: "),
        (("worker", "--kafka", "group.id=1"), "'group.id' is set by driftline itself"),
        (("worker", "--monitors", "nowhere.yaml"), "'nowhere.yaml' cannot be read"),
        (("topics", "create", "--partitions", "0"), "--partitions: '0' is not between 1 and"),
        (("topics", "create", "--partitions", "x"), "--partitions: 'x' is no whole number"),
        (("replay",), "Missing argument"),
        (("tune", "x", "--monitors", EXAMPLE, "--fail-on", "los"), "--fail-on: 'los' must be one"),
        (("tune", "x", "--monitors", EXAMPLE, "--alarms", "1"), "name the rule with --propose"),
        (("demo", "--seconds", "0"), "--seconds: '0' is not between"),
        (("demo", "--json", "--report", "r.html"), "--json prints numbers alone"),
        (("status", "nonsense"), "address 'nonsense' is no host:port"),
        (("frobnicate",), "frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_plain_line_and_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("driftline: ")
    assert says in done.stderr


def test_a_mistake_in_the_environment_is_one_line_too() -> None:
    done = run("worker", DRIFTLINE_HORIZN="1h")

    assert done.returncode == 2
    assert done.stderr == (
        "driftline: DRIFTLINE_HORIZN: no such setting; did you mean DRIFTLINE_HORIZON?\n"
    )


def test_a_broker_that_does_not_answer_is_worth_another_try_and_no_mistake() -> None:
    """A supervisor that leaves mistakes alone must start the worker again."""
    done = run("worker", "--bootstrap-servers", "127.0.0.1:1")

    assert done.returncode == 70
    assert done.stderr.startswith("driftline: --bootstrap-servers: no answer from '127.0.0.1:1'")
    assert done.stderr.count("\n") == 1


def test_a_monitors_file_is_held_against_a_table_as_a_replay_reads_it(tmp_path: Path) -> None:
    """A class that is really called NA is one only where `--missing` says so, in both commands."""
    rules = tmp_path / "monitors.yaml"
    rules.write_text('thresholds: [{name: r, metric: "recall:NA", below: 0.5, minimum: 10}]')
    table = tmp_path / "rows.csv"
    rows = [
        f"{'NA' if i % 2 else 'EU'},{'ASIA' if i % 5 else 'NA'},{1_767_225_600_000 + i}"
        for i in range(50)
    ]
    table.write_text("\n".join(["pred,truth,at", *rows]))
    columns = "prediction=pred,label=truth,timestamp=at"
    check = ("monitors", "check", str(rules), "--against", str(table), "--columns", columns)

    assert run(*check).returncode == 2
    assert run(*check, "--missing", "").returncode == 0
