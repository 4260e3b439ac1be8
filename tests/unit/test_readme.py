"""The README says what is true: its commands, lists and examples are checked against the code."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
from pathlib import Path

import msgspec
import pytest
import typer
import yaml

from agents.acls import Grant, grants
from agents.cli import app
from agents.options import OPTIONS
from agents.replay import run_replay
from agents.settings import Settings, resolve
from agents.tables import parse_columns
from agents.telemetry import WORKER
from driftline import Alert, Alerts, Publisher
from streams import monitors as specification
from streams import monitors_file as layout
from streams.events import decode_label, decode_prediction, kind_of
from streams.join import FATES
from streams.metrics import Metric
from streams.monitors import DEFAULTS
from streams.monitors_file import parse_monitors

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "deploy" / "monitors.example.yaml"


def section(title: str) -> str:
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL
    )
    assert found, f"the README has no section {title!r}"
    return found.group(1)


def rows(title: str) -> list[list[str]]:
    """Return the cells of the section's tables, without heads and rules."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def names(title: str) -> list[str]:
    """Return the first column."""
    return [row[0].strip("`") for row in rows(title)]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return every `driftline …` command of the README and of the example file."""
    comments = EXAMPLE.read_text(encoding="utf-8").replace("\n#   ", "\n    ")
    shell = "".join(blocks("sh"))
    whole = re.findall(r"^(driftline [^\n#]+)", shell, re.MULTILINE)
    whole += re.findall(r"^ {4}(driftline [^\n#]+)", README + comments, re.MULTILINE)
    inline = re.findall(r"`(driftline [a-z][^`\n]*)`", README)
    return [command for command in whole + inline if "COMMAND" not in command]


@pytest.mark.parametrize("command", commands())
def test_every_command_has_known_subcommands_and_options(command: str) -> None:
    words = shlex.split(command)[1:]
    node = typer.main.get_command(app)
    while words and hasattr(node, "commands"):
        assert words[0] in node.commands, command
        node = node.commands[words.pop(0)]
    known = {option for parameter in node.params for option in parameter.opts}

    used = {word.split("=")[0] for word in words if word.startswith("--")}

    assert used <= known


def test_there_are_commands_to_check() -> None:
    assert {command.split()[1] for command in commands()} >= {"worker", "topics", "tail", "replay"}


def test_columns_of_the_table_example_are_understood() -> None:
    given = re.findall(r"--columns (\S+)", README)

    assert given
    assert all(parse_columns(text) for text in given)


def test_fates_are_those_of_the_join() -> None:
    assert names("Fates") == list(FATES)


def test_reasons_are_those_that_the_code_gives() -> None:
    folders = (ROOT / "streams", ROOT / "agents")
    code = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    given = set(re.findall(r'RecordError\(\s*"(\w+)"', code))
    # `_Members` makes a slug from what it decodes
    given |= {f"invalid_{kind}" for kind in re.findall(r'_Members\([^()]*, kind="(\w+)"', code)}

    assert set(names("Dead letters")) == given


def test_settings_have_their_flags_variables_and_defaults() -> None:
    chosen = {"monitors": "none", "worker_id": "random"}
    expected = [
        [
            f"`{option.flag}`",
            f"`{option.variable}`",
            chosen.get(option.name, f"`{option.show(Settings())}`"),
        ]
        for option in OPTIONS
    ]

    assert [row[:3] for row in rows("Settings")] == expected


def test_prometheus_names_and_labels_are_those_of_the_catalogue() -> None:
    expected = [[f"`{e.name}`", ", ".join(f"`{label}`" for label in e.labels)] for e in WORKER]

    assert [row[:2] for row in rows("Prometheus")] == expected


def test_access_rights_are_those_that_the_tests_run_with() -> None:
    listed = [
        Grant(
            part.strip("`"),
            resource.removesuffix(", by prefix"),
            name,
            tuple(operations.split(", ")),
            prefixed=resource.endswith(", by prefix"),
        )
        for part, resource, found, operations in rows("Access rights")
        for name in re.findall(r"`([^`]+)`", found)
    ]

    assert sorted(listed) == sorted(grants("driftline", alerts_group="pager"))


def test_metrics_are_those_that_a_replay_of_every_task_computes(tmp_path: Path) -> None:
    answers = {"binary": ("1", "0"), "several": ("cat", "dog"), "real": (1.5, 2.5)}
    with (tmp_path / "events.jsonl").open("w") as file:
        for number, (model, pair) in enumerate(list(answers.items()) * 4):
            label, other = pair if number % 2 else pair[::-1]
            event = {
                "prediction_id": f"r{number}",
                "model": model,
                "timestamp_ms": 1_700_000_001_000 + number,
                "prediction": label if number % 3 else other,
                "features": {"amount": number},
                "latency_ms": 3,
            }
            if model != "real":
                event |= {"score": 0.7, "scores": {pair[0]: 0.4, pair[1]: 0.6}}
            file.write(json.dumps(event) + "\n")
            given = {
                "prediction_id": f"r{number}",
                "label": label,
                "timestamp_ms": 1_700_000_002_000,
            }
            file.write(json.dumps(given) + "\n")

    run_replay(
        [tmp_path / "events.jsonl"],
        monitors=None,
        out=tmp_path,
        window_ms=60_000,
        horizon_ms=60_000,
        partitions=1,
        disorder_ms=None,
        columns=None,
        json_output=True,
    )

    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    found = {json.loads(line)["metric"] for line in lines}
    general = {re.sub(r"(missing_rate|mean):.*", r"\1:<feature>", name) for name in found}
    assert set(names("Metrics")) == {re.sub(r":(cat|dog)$", ":<class>", name) for name in general}


def test_default_monitors_are_those_of_the_code() -> None:
    listed = {row[0].strip("`"): row[2] for row in rows("Alerts and `monitors.yaml`")}

    assert listed == {m.name: m.severity for m in (*DEFAULTS.thresholds, *DEFAULTS.drifts)}


def test_yaml_examples_parse() -> None:
    examples = blocks("yaml")

    assert examples
    for example in examples:
        assert parse_monitors(yaml.safe_load(example)).thresholds


def test_the_example_file_parses_and_its_settings_are_accepted() -> None:
    assert parse_monitors(yaml.safe_load(EXAMPLE.read_text())).thresholds
    assert resolve({"monitors": str(EXAMPLE)}, environ={}).horizon_ms == 86_400_000


def test_the_example_file_shows_every_option() -> None:
    shown = set(re.findall(r"^[\s-]*(\w+):", EXAMPLE.read_text(), re.MULTILINE))
    kinds = (
        layout._File,
        layout._Model,
        layout._Window,
        specification.Threshold,
        specification.Drift,
    )

    assert {name for kind in kinds for name in kind.__struct_fields__} <= shown


def test_json_examples_are_what_the_code_reads_and_writes() -> None:
    kinds = set()
    for line in "".join(blocks("json")).splitlines():
        names_found = json.loads(line).keys()
        if "alert_id" in names_found:
            kinds.add("alert")
            assert set(names_found) == set(Alert.__struct_fields__)
            msgspec.json.decode(line, type=Alert)
        elif "metric" in names_found:
            kinds.add("metric")
            assert set(names_found) == set(Metric.__struct_fields__)
        else:
            kinds.add(kind_of(line.encode()))
            decode = decode_label if kind_of(line.encode()) == "label" else decode_prediction
            decode(line.encode())

    assert kinds == {"prediction", "label", "metric", "alert"}


def test_python_examples_compile_and_call_what_there_is() -> None:
    methods = {
        "Publisher": Publisher,
        "Alerts": Alerts,
        "prediction": Publisher.prediction,
        "label": Publisher.label,
    }
    called = set()
    for example in blocks("python"):
        for call in ast.walk(ast.parse(example)):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in methods:
                called.add(name)
                known = inspect.signature(methods[name]).parameters
                assert {keyword.arg for keyword in call.keywords} <= known.keys()

    assert called == methods.keys()


def test_files_that_the_readme_links_to_exist() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)

    assert links
    assert all((ROOT / link).exists() for link in links)
