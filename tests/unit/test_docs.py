"""README and docs say what is true: commands, links and examples are checked against the code."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
import typer
import yaml

from agents.cli import app
from agents.profiles_read import with_profiles
from agents.settings import resolve
from agents.tables import parse_columns
from driftline import Action, Actions, Alert, Alerts, Publisher
from streams import monitors as specification
from streams import monitors_file as layout
from streams.adoption_record import read_adoption
from streams.consequences import Consequence
from streams.distributions import Distribution
from streams.events import decode_label, decode_prediction
from streams.heads import kind_of
from streams.metrics import Metric
from streams.models_told import ModelRecord
from streams.monitors_file import parse_monitors
from streams.plausible_times import LATEST_MS
from streams.profiles import Part, Profile, write_profile
from streams.readings import GAUGES, Reading, decode_reading
from streams.rule_kinds import OTHER_KINDS
from streams.rule_kinds.slo import Objective
from streams.rules_file import threshold_type
from streams.verdicts import Verdict
from tests.pages import DOCS, EXAMPLE, PAGES, ROOT, blocks, commands, name

_HERE = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def headings(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as a forge makes them."""
    prose = re.sub(
        r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    broken = []
    for target, anchor in _HERE.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve() if target else page
        if not path.is_file() or (anchor and anchor not in headings(path)):
            broken.append(f"{target}#{anchor}")

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_of_the_project_that_a_page_names_exist(page: Path) -> None:
    code = re.findall(r"`([a-z_]+/[\w/.-]+)`", page.read_text(encoding="utf-8"))
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build"}

    named = {path for path in code if path.split("/")[0] in folders}

    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_what_is_to_be_read_first_is_there_to_read() -> None:
    first, *_ = (DOCS / "extend" / "index.md").read_text(encoding="utf-8").split("\n\n")[1:]

    modules = set(re.findall(r"`([a-z_]+)`", first))

    assert modules
    assert modules <= {
        path.stem for folder in ("streams", "agents") for path in (ROOT / folder).iterdir()
    }


def test_what_pages_link_to_comes_with_the_source_distribution() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = {*build["targets"]["sdist"]["include"], "README.md", "LICENSE"}

    linked = {
        (page.parent / target).resolve().relative_to(ROOT).parts[0]
        for page in PAGES
        for target, _ in _HERE.findall(page.read_text(encoding="utf-8"))
        if target
    }

    assert linked <= included


def test_there_are_links_to_check() -> None:
    links = [_HERE.findall(page.read_text(encoding="utf-8")) for page in PAGES]

    assert sum(map(len, links)) > 100


@pytest.mark.skipif(
    find_spec("sphinx") is None and not os.environ.get("CI"), reason="Sphinx: make docs installs it"
)
def test_the_docs_build_without_a_warning(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (built.returncode, built.stderr) == (0, "")
    assert {path.relative_to(DOCS).with_suffix(".html") for path in PAGES[1:]} <= {
        path.relative_to(tmp_path) for path in tmp_path.rglob("*.html")
    }


@pytest.mark.parametrize("command", commands())
def test_every_command_has_known_subcommands_and_options(command: str) -> None:
    words = shlex.split(command.partition(" | ")[0])[1:]
    node = typer.main.get_command(app)
    while words and hasattr(node, "commands"):
        assert words[0] in node.commands, command
        node = node.commands[words.pop(0)]
    known = {option for parameter in node.params for option in parameter.opts}
    known |= {option for parameter in node.params for option in parameter.secondary_opts}

    used = {word.split("=")[0] for word in words if word.startswith("--")}

    assert used <= known


def test_there_are_commands_to_check() -> None:
    assert {command.split()[1] for command in commands()} >= {"worker", "topics", "tail", "replay"}


def test_columns_of_table_examples_are_understood() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    given = [text for text in re.findall(r"--columns (pred[^\s`]+)", pages) if "…" not in text]

    assert given
    assert all(parse_columns(text, labels=False) for text in given)


def test_yaml_examples_parse(tmp_path: Path) -> None:
    examples = blocks("yaml")
    part = Part(segment="", rows=1, columns={}, features={})
    one = Profile(
        model="m", versions=[""], rows=1, from_ms=0, until_ms=1, families={}, segments=[part]
    )

    assert examples
    for example in examples:
        for file in re.findall(r"file: (\w+\.json)", example):
            (tmp_path / file).write_bytes(write_profile(one))
        content = with_profiles(yaml.safe_load(example), tmp_path / "monitors.yaml")
        assert list(parse_monitors(content).every())


def test_the_example_file_parses_and_its_settings_are_accepted() -> None:
    assert parse_monitors(yaml.safe_load(EXAMPLE.read_text())).thresholds
    assert resolve({"monitors": str(EXAMPLE)}, environ={}).horizon_ms == 86_400_000


def test_the_example_file_shows_every_option() -> None:
    shown = set(re.findall(r"^[\s-]*(\w+):", EXAMPLE.read_text(), re.MULTILINE))
    kinds = (
        layout.Layout,
        layout.LayoutOfModel,
        layout.LayoutOfWindow,
        threshold_type(),
        specification.Drift,
        *OTHER_KINDS,
        Objective,
        Consequence,
    )

    assert {name for kind in kinds for name in kind.__struct_encode_fields__} <= shown


def test_json_examples_are_what_the_code_reads_and_writes() -> None:
    kinds = set()
    for line in "".join(blocks("json")).splitlines():
        names_found = json.loads(line).keys()
        if "verdict" in names_found:
            kinds.add("verdict")
            assert set(names_found) == set(Verdict.__struct_fields__)
            msgspec.json.decode(line, type=Verdict)
        elif "action_id" in names_found:
            kinds.add("action")
            assert set(names_found) == set(Action.__struct_fields__)
            msgspec.json.decode(line, type=Action)
        elif "adopt" in names_found:
            kinds.add("adoption")
            read_adoption(line.encode())
        elif "alert_id" in names_found:
            kinds.add("alert")
            assert set(names_found) == set(Alert.__struct_fields__)
            msgspec.json.decode(line, type=Alert)
        elif names_found & set(GAUGES):
            kinds.add("reading")
            assert set(names_found) <= set(Reading.__struct_fields__)
            decode_reading(line.encode(), time_ms=0, now_ms=LATEST_MS)
        elif "metric" in names_found:
            kinds.add("metric")
            assert set(names_found) == set(Metric.__struct_fields__)
        elif "series" in names_found:
            kinds.add("distribution")
            assert set(names_found) == set(Distribution.__struct_fields__)
            msgspec.json.decode(line, type=Distribution)
        elif "reference_rows" in names_found:
            kinds.add("model")
            assert set(names_found) == set(ModelRecord.__struct_fields__)
            msgspec.json.decode(line, type=ModelRecord)
        else:
            kinds.add(kind_of(line.encode()))
            decode = decode_label if kind_of(line.encode()) == "label" else decode_prediction
            decode(line.encode())

    told = {"metric", "alert", "model", "distribution", "action", "adoption"}
    assert kinds == {"prediction", "label", "reading", "verdict", *told}


def test_python_examples_compile_and_call_what_there_is() -> None:
    methods = {
        "Publisher": Publisher,
        "Actions": Actions,
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
